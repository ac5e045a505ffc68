//! DuckDB, over rows that are written here by hand.

use std::collections::HashMap;
use std::io::Write as _;

use crate::support::duckdb::{Lake, LakeCount, Outcome, Reading, parse};
use crate::support::s3::S3Server;

fn row(lsn: u64, day: u32, event_type: &str) -> String {
    format!(
        r#"{{"event_id":"00000000-0000-4000-8000-{lsn:012}","user_id":"u","user":null,"event_type":"{event_type}","source":"web","timestamp":"2026-11-{day:02}T10:00:00.000000Z","received_at":"2026-11-20T10:00:01.000000Z","lsn":{lsn},"properties":{{"amount":1.50}},"extra":null}}"#
    ) + "\n"
}

/// Three objects, one of each kind, of three, two and one rows, and a refused one.
fn objects() -> Vec<(String, Vec<u8>)> {
    let plain = row(1, 19, "view") + &row(2, 19, "view") + &row(3, 19, "like");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all((row(4, 20, "view") + &row(5, 20, "click")).as_bytes())
        .unwrap();
    let zstd = zstd::encode_all(row(6, 20, "view").as_bytes(), 1).unwrap();
    let refused = r#"{"received_at":"2026-11-20T10:00:01.000000Z","lsn":7,"reason":"id_conflict","stream":"events","endpoint":"/webhook/events","request_id":"r","client":null,"errors":[],"errors_total":0,"raw":"{}","raw_encoding":"utf-8","raw_bytes":2,"raw_xxh3":"00"}"#;
    let quarantine = zstd::encode_all(refused.as_bytes(), 1).unwrap();
    vec![
        (
            "events/dt=2026-11-19/n-01.ndjson".into(),
            plain.into_bytes(),
        ),
        (
            "events/dt=2026-11-20/n-04.ndjson.gz".into(),
            gzip.finish().unwrap(),
        ),
        ("events/dt=2026-11-20/n-06.ndjson.zst".into(), zstd),
        (
            "quarantine/events/dt=2026-11-20/n-07.ndjson.zst".into(),
            quarantine,
        ),
        ("_lakehook/probe".into(), b"not a row".to_vec()),
    ]
}

fn check(lake: &Lake) {
    let typed = lake.count(Reading::Typed);
    assert_eq!(
        (typed.rows, typed.distinct_event_ids, typed.distinct_lsns),
        (6, 6, 6)
    );
    assert_eq!((typed.min_lsn, typed.max_lsn), (Some(1), Some(6)));
    assert_eq!((typed.objects, typed.misplaced), (3, 0));
    assert_eq!(typed.by_dt["2026-11-19"], 3);
    assert_eq!(typed.by_event_type["view"], 4);
    assert_eq!(typed.by_dt_and_event_type["2026-11-20"]["click"], 1);
    assert_eq!(typed.quarantine["id_conflict"], 1);
    assert_eq!(lake.count(Reading::Auto), typed);
    assert_eq!(lake.ids().len(), 6);
    assert_eq!(lake.ids()[0], "00000000-0000-4000-8000-000000000001");
    let rows = lake.rows();
    assert_eq!(rows[5]["timestamp"], "2026-11-20T10:00:00.000000Z");
    assert_eq!(rows[0]["properties"]["amount"], 1.5);
    assert!(
        rows[5]["object"]
            .as_str()
            .unwrap()
            .ends_with("n-06.ndjson.zst")
    );
}

#[test]
fn a_lake_in_a_directory_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let lake = Lake::directory(directory.path());
    assert_eq!(lake.count(Reading::Typed), LakeCount::default());
    for (key, bytes) in objects() {
        let path = directory.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    check(&lake);
}

#[test]
fn a_lake_in_a_bucket_is_read() {
    let server = S3Server::start(1);
    let lake = Lake::s3("s3://lake/some/prefix", &server.endpoint());
    assert_eq!(lake.count(Reading::Auto), LakeCount::default());
    for (key, bytes) in objects() {
        server.put_foreign(&format!("some/prefix/{key}"), bytes, HashMap::new());
    }
    check(&lake);
}

#[test]
fn what_duckdb_can_not_read_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (
        directory.path().join("good.ndjson"),
        directory.path().join("bad.ndjson"),
    );
    std::fs::write(&good, row(1, 19, "view")).unwrap();
    std::fs::write(&bad, row(1, 19, "view").replace("1.50", "\"\\ud800\"")).unwrap();
    assert_eq!(parse(&good).typed, Outcome::Rows(1));
    assert_eq!(parse(&good).auto, Outcome::Rows(1));
    let parsed = parse(&bad);
    assert!(matches!(parsed.typed, Outcome::Error(_)), "{parsed:?}");
    assert!(matches!(parsed.auto, Outcome::Error(_)), "{parsed:?}");
}
