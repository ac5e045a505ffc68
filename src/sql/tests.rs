#![allow(clippy::panic, reason = "a test may fail")]
use super::*;
use crate::encode::Format;
use crate::tables::Table;

/// The keys of a lake: a few objects of each stream.
const KEYS: [&str; 3] = [
    "dt=2026-11-25/a.ndjson.zst",
    "dt=2026-11-25/hour=07/a.ndjson",
    "dt=2026-11-25/hour=07/a.parquet",
];

fn lake(url: &str, keys: &[&str], writes_columns: bool) -> Catalogue {
    let purchase = r#"{"properties":{"amount":{"type":"number"},"it's":{"type":"string"}}}"#;
    let user = r#"{"properties":{"user_id":{"type":"string"},"age":{"type":"integer"}}}"#;
    let relation = |name: &str, stream, table, partitions: Vec<Key>| {
        let mut there = There::default();
        for key in keys {
            there.add(&format!("{name}/{key}"), &partitions);
        }
        Relation {
            name: name.to_owned(),
            stream,
            table,
            partitions,
            partitioned_by: (name == "events").then(|| "timestamp".to_owned()),
            first_day: "2025-11-25".to_owned(),
            there,
            in_parcels: false,
            current: None,
        }
    };
    let days = Key::all("dt=%Y-%m-%d");
    let runs = [days.clone(), vec![Key::run()]].concat();
    let events = Table::events([purchase].into_iter()).unwrap_or_else(|_| Table::quarantine());
    let users = Table::entities(
        Some(user),
        &["user_id".to_owned()],
        &crate::columns::Kinds::new(),
    );
    Catalogue {
        url: url.to_owned(),
        endpoint: None,
        region: Some("eu-central-1".to_owned()),
        path_style: false,
        writes_columns,
        with_secret: true,
        is_bare: keys.is_empty(),
        relations: vec![
            relation(
                "events",
                Stream::Rows,
                events,
                Key::all("dt=%Y-%m-%d/hour=%H"),
            ),
            relation(
                "users",
                Stream::Runs,
                users.unwrap_or_else(|_| Table::quarantine()),
                runs,
            ),
            relation("quarantine", Stream::Quarantine, Table::quarantine(), days),
        ],
    }
}

#[test]
fn statements_are_these() {
    let bucket = lake("s3://my-lake/raw", &KEYS, false);
    insta::assert_snapshot!("duckdb", bucket.statements(Engine::Duckdb));
    insta::assert_snapshot!("athena_lines", bucket.statements(Engine::Athena));
    let columns = lake("s3://my-lake/raw", &KEYS, true);
    insta::assert_snapshot!("athena_columns", columns.statements(Engine::Athena));
    insta::assert_snapshot!("trino", columns.statements(Engine::Trino));
    let empty = lake("/data/lake", &[], false);
    insta::assert_snapshot!("duckdb_empty", empty.statements(Engine::Duckdb));
}

/// The verdicts of a reader about a bucket with this format.
fn judged(reader: Reader, format: Format, endpoint: Option<&str>) -> Vec<Verdict> {
    let lake = lake("s3://my-lake/raw", &KEYS, format == Format::Parquet);
    reader.judge(&Written {
        format,
        is_bucket: true,
        endpoint,
        relations: &lake.relations,
    })
}

#[test]
fn readers_are_judged_by_format_store_and_names() {
    let spark = |format| judged(Reader::Spark, format, None);
    assert!(matches!(
        spark(Format::NdjsonZst)[..],
        [Verdict::Warning(_)]
    ));
    assert_eq!(spark(Format::NdjsonGz), []);
    assert_eq!(judged(Reader::Athena, Format::Parquet, None), []);
    let athena = judged(Reader::Athena, Format::NdjsonZst, Some("https://other"));
    let [Verdict::Problem(store), Verdict::Warning(names)] = &athena[..] else {
        panic!("{athena:?}");
    };
    assert!(
        store.contains("https://other") && names.ends_with("Parquet: it's"),
        "{athena:?}"
    );
    let bigquery = judged(Reader::Bigquery, Format::NdjsonZst, None);
    assert!(
        matches!(bigquery[..], [Verdict::Problem(_), Verdict::Warning(_)]),
        "{bigquery:?}"
    );
    let google = Some("https://storage.googleapis.com");
    assert_eq!(judged(Reader::Bigquery, Format::NdjsonGz, google), []);
    assert_eq!(judged(Reader::Snowflake, Format::NdjsonZst, None), []);
    assert_eq!(judged(Reader::Snowflake, Format::Parquet, google).len(), 2);
}

#[test]
fn the_latest_row_of_a_record_leaves_out_what_is_deleted() {
    let users = Table::entities(
        Some(r#"{"properties":{"id":{"type":"string"},"gone":{"type":"boolean"}}}"#),
        &["id".to_owned()],
        &crate::columns::Kinds::new(),
    );
    let relation = |field: &str, value: Option<&str>| Relation {
        name: "users".to_owned(),
        stream: Stream::Rows,
        table: users.as_ref().unwrap().clone(),
        partitions: Key::all("dt=%Y-%m-%d"),
        partitioned_by: None,
        first_day: String::new(),
        there: There::default(),
        in_parcels: false,
        current: Some(Current {
            ids: vec!["id".to_owned()],
            deleted: Some(Deleted {
                field: field.to_owned(),
                value: value.map(str::to_owned),
            }),
        }),
    };
    let column = current::view(&relation("gone", Some("true")), Engine::Duckdb, "");
    insta::assert_snapshot!(column, @r#"
    -- The latest row of each record.
    CREATE OR REPLACE VIEW "users_current" AS
    SELECT "received_at",
           "lsn",
           "id",
           "gone",
           "extra",
           "dt"
    FROM (
        SELECT *, row_number() OVER (PARTITION BY "id" ORDER BY received_at DESC, lsn DESC) AS lakehook_latest
        FROM "users"
    ) AS numbered
    WHERE lakehook_latest = 1
      AND NOT coalesce(CAST("gone" AS varchar) = 'true', false);
    "#);
    let removed = current::view(&relation("@removed", None), Engine::Trino, "hive.lake.");
    assert!(
        removed.contains("VIEW hive.lake.\"users_current\""),
        "{removed}"
    );
    assert!(
        removed.contains("json_extract(extra, '$[\"@removed\"]')"),
        "{removed}"
    );
}
