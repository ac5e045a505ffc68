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

/// Takes a file by one of the two ways. Returns how many rows went straight, and all that came of it.
fn taken(plan: &FilesPlan, body: &str, is_straight: bool) -> (u64, Vec<u8>, Harvest) {
    let dir = tempfile::tempdir().unwrap();
    let ids = KnownIds::open(dir.path(), 0, true).unwrap();
    let of = RunOrigin::nowhere("things");
    let table = plan.table.now();
    let typed = Some(TypedRows::new(&table));
    let mut taker = Taker::new(plan, &of, IdsOf::Aside(&ids), "a.csv", typed);
    if !is_straight {
        taker.way = Way::OverJson;
    }
    let mut straight = 0;
    let mut stream = body.as_bytes();
    csv::read(
        &mut stream,
        &plan.form.table,
        &plan.columns,
        1 << 20,
        &mut |part| {
            if let (Part::Row(row), Way::Straight(way)) = (&part, &mut taker.way) {
                straight += u64::from(way.read_id(row) && way.read_others(row));
            }
            taker.take(part)
        },
    )
    .unwrap();
    let mut got = taker.got;
    let mut encoder = ParcelEncoder::new(Format::Parquet, &table, Vec::new()).unwrap();
    encoder.rows(got.typed.as_mut().unwrap()).unwrap();
    (straight, encoder.finish().unwrap(), got)
}

/// Both ways give the same object, the same refused rows, ids and counts. Returns how many rows went straight.
fn agree(plan: &FilesPlan, body: &str) -> Result<u64, TestCaseError> {
    let (straight, object, got) = taken(plan, body, true);
    let (none, expected_object, expected) = taken(plan, body, false);
    prop_assert_eq!(none, 0);
    prop_assert_eq!(got.counts, expected.counts, "{}", body);
    let refused = |got: &Harvest| {
        let rows = got.rows.iter();
        let rows = rows.map(|(row, bytes)| (row.lsn_at, row.kind, bytes.to_vec()));
        rows.collect::<Vec<_>>()
    };
    prop_assert_eq!(refused(&got), refused(&expected), "{}", body);
    prop_assert_eq!(&got.samples, &expected.samples);
    let ids = |got: &Harvest| {
        let mut ids: Vec<_> = got.own_ids.iter().collect();
        ids.sort_unstable();
        ids
    };
    prop_assert_eq!(ids(&got), ids(&expected), "{}", body);
    prop_assert!(object == expected_object, "the objects differ: {}", body);
    Ok(straight)
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
    // Four do; the first of them finds the way.
    assert_eq!(agree(&plan, body).unwrap(), 3);
    let (_, _, got) = taken(&plan, body, true);
    let counts = got.counts;
    assert_eq!((counts.rows, counts.repeats, counts.quarantined), (3, 1, 3));
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
