//! The straight way of rows into columns is never wrong, and it is taken by the tables that it exists for.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test, and tests make their own files"
)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::csv;
use crate::definition::{FileForm, FilesDefinition, TableForm};
use lakehook_base::columns::{ColumnType, Decimal};
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;
use lakehook_contract::column_rules::ColumnRule;
use lakehook_feeds::feed::SetupError;
use lakehook_lake::encode::{Format, ParcelEncoder};

fn plan_of(
    schema: &Value,
    id: &[&str],
    rules: &[(&str, ColumnRule)],
) -> Result<FilesPlan, SetupError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("schema.json");
    std::fs::write(&path, schema.to_string()).unwrap();
    let rules = rules
        .iter()
        .map(|(name, rule)| ((*name).to_owned(), rule.clone()));
    let files = FilesDefinition {
        path: "inbox/*.csv".into(),
        form: FileForm {
            table: TableForm {
                nulls: vec![String::new(), "NULL".to_owned()],
                ..TableForm::default()
            },
            ..FileForm::default()
        },
        schema: Some(path),
        id: id.iter().map(|id| (*id).to_owned()).collect(),
        rules: rules.collect::<BTreeMap<_, _>>(),
        ..FilesDefinition::default()
    };
    FilesPlan::new("things", &files, Fingerprint::new(HashKey([7; 16])))
}

/// How a file is taken.
#[derive(Clone, Copy, Debug)]
struct Taking {
    is_straight: bool,
    /// Whether its ids join those that are known.
    is_in_run: bool,
    /// Bytes that are read at once: batches of rows end where they do.
    parcel: usize,
}

struct Parcels<'a>(&'a [u8], usize);

impl std::io::Read for Parcels<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = out.len().min(self.1);
        self.0.read(&mut out[..count])
    }
}

/// Takes a file. Returns how many rows went straight, the object, and all else that came of it.
fn taken(plan: &FilesPlan, body: &str, taking: Taking) -> (u64, Vec<u8>, Harvest, KnownIds) {
    let dir = tempfile::tempdir().unwrap();
    let mut ids = KnownIds::open(dir.path(), 0, true).unwrap();
    let of = RunOrigin::nowhere("things");
    let table = plan.table.now();
    let typed = Some(TypedRows::new(&table));
    let ids_of = if taking.is_in_run {
        IdsOf::InRun(&mut ids)
    } else {
        IdsOf::Aside(&ids)
    };
    let mut taker = Taker::new(plan, &of, ids_of, "a.csv", typed);
    if !taking.is_straight {
        taker.way = Way::OverJson;
    }
    let mut straight = 0;
    let mut stream = Parcels(body.as_bytes(), taking.parcel);
    let mut take = |part: Part<'_>| {
        let rows = match part {
            Part::Rows(batch) => batch.len(),
            _ => 0,
        };
        taker.take(part)?;
        if let Way::Straight(way) = &taker.way {
            straight += (0..rows).filter(|row| way.fits(*row)).count() as u64;
        }
        Ok(())
    };
    let form = &plan.form.table;
    csv::read(&mut stream, form, &plan.columns, 1 << 20, &mut take).unwrap();
    let mut got = taker.got;
    let mut encoder = ParcelEncoder::new(Format::Parquet, &table, Vec::new()).unwrap();
    encoder.rows(got.typed.as_mut().unwrap()).unwrap();
    (straight, encoder.finish().unwrap(), got, ids)
}

/// All ways give the same object, the same refused rows, ids and counts. Returns how many rows went straight.
fn agree(plan: &FilesPlan, body: &str) -> Result<u64, TestCaseError> {
    let over_json = Taking {
        is_straight: false,
        is_in_run: false,
        parcel: usize::MAX,
    };
    let (none, expected_object, expected, _) = taken(plan, body, over_json);
    prop_assert_eq!(none, 0);
    let mut straight = None;
    for (is_in_run, parcel) in [
        (false, usize::MAX),
        (true, usize::MAX),
        (false, 7),
        (true, 61),
    ] {
        let taking = Taking {
            is_straight: true,
            is_in_run,
            parcel,
        };
        let (own, object, got, known) = taken(plan, body, taking);
        prop_assert_eq!(*straight.get_or_insert(own), own);
        prop_assert_eq!(got.counts, expected.counts, "{}", body);
        let refused = |got: &Harvest| {
            let rows = got.rows.iter();
            let rows = rows.map(|(row, bytes)| (row.lsn_at, row.kind, bytes.to_vec()));
            rows.collect::<Vec<_>>()
        };
        prop_assert_eq!(refused(&got), refused(&expected), "{}", body);
        prop_assert_eq!(&got.samples, &expected.samples);
        for entry in expected.own_ids.iter() {
            let aside = got.own_ids.get(entry);
            let sighting = if is_in_run {
                Some(known.look(entry).unwrap())
            } else {
                aside.map(|own| Sighting::of(own, entry))
            };
            prop_assert_eq!(sighting, Some(Sighting::Same), "{}", body);
        }
        let aside = if is_in_run {
            0
        } else {
            expected.own_ids.iter().count()
        };
        prop_assert_eq!(got.own_ids.iter().count(), aside);
        prop_assert!(object == expected_object, "the objects differ: {}", body);
    }
    Ok(straight.unwrap_or(0))
}

fn decimal(precision: u8, scale: u8) -> ColumnRule {
    ColumnRule {
        kind: Decimal::new(precision, scale).map(ColumnType::Decimal),
        ..ColumnRule::default()
    }
}

#[test]
fn simple_tables_go_straight() {
    let schema = json!({"type": "object", "required": ["id", "day"], "properties": {
        "id": {"type": "integer", "minimum": 1},
        "day": {"type": "string", "format": "date"},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "price": {"type": "number", "minimum": 0, "x-lakehook-type": "decimal(12,2)"},
        "ratio": {"type": "number"}, "paid": {"type": "boolean"},
        "state": {"type": "string", "enum": ["new", "old"]}, "unsent": {"type": "string"}, "tax": {}}});
    let plan = plan_of(&schema, &["id"], &[("tax", decimal(9, 3))]).unwrap();
    let body = "Day,ID,at,price,ratio,paid,state,tax\n\
        2026-11-20,1,2026-11-20T10:00:00Z,12.50,0.5,TRUE,new,0.125\n\
        2026-11-21,2,,0,-1.5,false,\"old\",7\n\
        2026-11-21,2,,0,-1.5,false,\"old\",7\n\
        2026-11-21,2,,0,-1.5,false,new,7\n\
        2026-11-31,3,,1,1,true,new,1\n\
        2026-11-20,4,,-1,1,true,new,1\n\
        2026-11-20,005,,01.5,1,true,new,1\n";
    assert_eq!(agree(&plan, body).unwrap(), 4);
    assert_eq!(counts_of(&plan, body), (3, 1, 3));
}

/// Counts of rows, repeats and refused rows.
fn counts_of(plan: &FilesPlan, body: &str) -> (u64, u64, u64) {
    let taking = Taking {
        is_straight: true,
        is_in_run: true,
        parcel: usize::MAX,
    };
    let counts = taken(plan, body, taking).2.counts;
    (counts.rows, counts.repeats, counts.quarantined)
}

#[test]
fn a_batch_may_hold_rows_of_every_kind() {
    let schema = json!({"required": ["id"], "properties": {
        "id": {"type": "integer"}, "name": {"type": ["string", "null"]}, "count": {"type": ["integer", "null"]}}});
    let plan = plan_of(&schema, &["id"], &[]).unwrap();
    let mut rows: Vec<String> = (0..500)
        .map(|id| format!("{id},a{id},{}", id % 7))
        .collect();
    // Repeats of the row before, of one in the same batch, and of one in an earlier batch, …
    for (at, of) in [(20, 19), (90, 3), (300, 10)] {
        rows[at] = rows[of].clone();
    }
    // … ids that had other content, …
    rows[40] = "39,other,1".to_owned();
    rows[400] = "5,other,1".to_owned();
    // … and what is refused, is null, has quotes, or is no row.
    rows[60] = "60,\u{e9},x".to_owned();
    rows[61] = "x,a,1".to_owned();
    rows[62] = ",,".to_owned();
    rows[63] = "63,,".to_owned();
    rows[64] = "64,NULL,NULL".to_owned();
    rows[65] = "65,\"a,b\",1".to_owned();
    rows[66] = String::new();
    rows[67] = "67,1".to_owned();
    let body = format!("id,name,count\n{}", rows.join("\r\n"));
    assert_eq!(agree(&plan, &body).unwrap(), 500 - 5);
    assert_eq!(counts_of(&plan, &body), (500 - 3 - 2 - 3 - 2, 3, 2 + 3 + 1));
}

#[test]
fn other_tables_take_the_other_way() {
    let whole = json!({"properties": {"id": {"type": "integer"}}});
    let trimmed = ColumnRule {
        trim: true,
        ..ColumnRule::default()
    };
    for (schema, id, rules, body) in [
        (
            json!({"properties": {"id": {"pattern": "x"}}}),
            "id",
            vec![],
            "id\n1\n",
        ),
        (
            json!({"properties": {"id": {"type": ["integer", "string"]}}}),
            "id",
            vec![],
            "id\n1\n",
        ),
        (
            json!({"required": ["more"], "properties": {"id": {}}}),
            "id",
            vec![],
            "id\n1\n",
        ),
        (whole.clone(), "/id/x", vec![], "id\n1\n"),
        (whole.clone(), "id", vec![], "id,more\n1,x\n"),
        (whole.clone(), "id", vec![("id", trimmed)], "id\n1\n"),
        (whole, "id", vec![("id", decimal(5, 2))], "id\n1\n"),
    ] {
        let plan = plan_of(&schema, &[id], &rules).unwrap();
        assert_eq!(agree(&plan, body).unwrap(), 0, "{schema}");
    }
}

fn property() -> impl Strategy<Value = Value> {
    let types = ["integer", "number", "boolean", "string", "null"];
    let words = [
        "text",
        "time",
        "date",
        "integer",
        "double",
        "boolean",
        "decimal(5,2)",
        "decimal(18,0)",
        "decimal(30,4)",
        "decimal(38,38)",
    ];
    let keyword = prop_oneof![
        3 => prop::sample::select(types.to_vec()).prop_map(|own| ("type", json!(own))),
        1 => prop::sample::subsequence(types.to_vec(), 1..3).prop_map(|own| ("type", json!(own))),
        2 => prop::sample::select(words.to_vec()).prop_map(|own| ("x-lakehook-type", json!(own))),
        1 => prop::sample::select(vec!["date", "date-time", "email"]).prop_map(|own| ("format", json!(own))),
        1 => (-3..3).prop_map(|own| ("minimum", json!(own))),
        1 => (-3.0..3.0).prop_map(|own| ("maximum", json!(own))),
        1 => (0..3).prop_map(|own| ("minLength", json!(own))),
        1 => (0..12).prop_map(|own| ("maxLength", json!(own))),
        1 => prop::collection::hash_set("[a1]{0,2}", 1..3).prop_map(|own| ("enum", json!(own))),
    ];
    prop::collection::vec(keyword, 0..4).prop_map(|keywords| {
        let pairs = keywords
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        Value::Object(pairs.collect())
    })
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[-+]?[0-3]{1,3}(\\.[0-9]{0,3})?",
        1 => "-?[0-9]{13,20}(\\.[0-9]{1,6})?",
        1 => "-?0(\\.0{1,3})?|\\.5|1e2|NaN|-|0[1-9]",
        1 => "-?900719925474099[0-9]|-?9223372036854775807",
        1 => "true|False|TRUE|yes",
        1 => "20[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9](T1[0-9]:00:00(\\.5)?(Z|\\+01:00))?",
        1 => "[a1é \u{0}]{0,3}",
        1 => Just("NULL".to_owned()),
        1 => Just("\"a,\"\"\n\"".to_owned()),
    ]
}

proptest! {
    #[test]
    fn both_ways_agree(
        properties in prop::collection::vec(property(), 3),
        required in prop::sample::subsequence(vec!["a", "b", "c"], 0..2),
        id in prop::sample::subsequence(vec!["a", "b"], 0..3),
        rule in prop::option::of(1_u8..6),
        rows in prop::collection::vec(prop::collection::vec(cell(), 3), 1..12),
    ) {
        let [a, b, c] = [0, 1, 2].map(|index| properties[index].clone());
        let schema = json!({"type": "object", "required": required, "properties": {"a": a, "b": b, "c": c}});
        let rules: Vec<_> = rule.map(|scale| ("c", decimal(6, scale))).into_iter().collect();
        // Some schemas contradict the rule.
        let Ok(plan) = plan_of(&schema, &id, &rules) else { return Ok(()) };
        let rows: Vec<String> = rows.iter().map(|cells| cells.join(",")).collect();
        agree(&plan, &format!("a,b,c\n{}\n", rows.join("\n")))?;
    }
}
