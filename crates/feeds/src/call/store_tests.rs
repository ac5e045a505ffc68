#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use serde_json::Value;

use super::super::definition::{CallLimits, ChunkLimits, Definition, Lookup};
use super::*;
use crate::guards::Guards;
use crate::poll::definition::{Body, Connection, Credentials, Request, Verb};
use crate::poll::link::Links;
use lakehook_base::ids::HashKey;
use lakehook_base::record::Fingerprint;

/// A frame has 32 MiB, and the log needs some of that.
const ROOM: usize = 28 << 20;
const DAY: i64 = 86_400_000_000;

fn plan(lookup: Option<Lookup>) -> Plan {
    plan_with(lookup, None)
}

fn plan_with(lookup: Option<Lookup>, schema: Option<&std::path::Path>) -> Plan {
    let request = Request {
        url: "https://api.example.com/v1".to_owned(),
        method: Verb::Post,
        query: std::collections::BTreeMap::new(),
        headers: std::collections::BTreeMap::new(),
        body: Body::None,
        credentials: Credentials::default(),
        api: None,
        pace: Duration::ZERO,
        connection: Connection::default(),
        allow_hosts: Vec::new(),
    };
    let definition = Definition {
        rows: "outbox/*".into(),
        request,
        group: Some("c".to_owned()),
        chunk: ChunkLimits {
            groups: 100,
            rows: 1_000,
            bytes: 1 << 20,
        },
        body: Some(String::new()),
        success: None,
        records: "/value".to_owned(),
        failures: Some("/errors".to_owned()),
        schema: schema.map(std::path::Path::to_path_buf),
        id: None,
        idempotency_header: None,
        lookup,
        time: None,
        every: None,
        limits: CallLimits {
            max_calls: 9,
            max_answer: 8 << 20,
            timeout: Duration::from_secs(9),
            budget: Duration::from_secs(9),
            settle: Duration::ZERO,
            guards: Guards::default(),
        },
    };
    let fingerprint = Fingerprint::new(HashKey([1; 16]));
    Plan::new("ihc", &definition, fingerprint, &mut Links::new(None)).unwrap()
}

fn group(key: &str, rows: Vec<String>) -> Group {
    Group {
        key: format!("\"{key}\""),
        file: "a.ndjson".to_owned(),
        line: 1,
        rows,
    }
}

/// What the answer to a chunk becomes.
fn answered<'p>(plan: &'p Plan, chunk: &Chunk, body: &str) -> Entry<'p> {
    let mut entry = Entry::of(plan, chunk, Micros(DAY));
    entry.answered(chunk, 200, body, false).unwrap();
    entry
}

/// The rows of a partition.
fn rows(entry: &Entry<'_>, stream: &str) -> Vec<Value> {
    let own = entry.rows.iter().filter(|(row, _)| {
        let partition = &entry.rows.partitions[row.partition as usize];
        partition.starts_with(&format!("{stream}/dt="))
    });
    own.map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
        .collect()
}

fn raw(row: &Value) -> &str {
    row["raw"].as_str().unwrap()
}

#[test]
fn each_failure_of_a_group_is_kept_and_its_rows_once() {
    let plan = plan(None);
    let own: Vec<String> = (0..500)
        .map(|n| format!("{{\"c\":\"x\",\"s\":{n},\"t\":\"{}\"}}", "x".repeat(120)))
        .collect();
    let chunk = Chunk::new(vec![group("x", own)], "", Micros(0));
    let failures: Vec<String> = (0..500)
        .map(|n| format!("{{\"s\":{n},\"why\":\"none\"}}"))
        .collect();
    let body = format!("{{\"value\":[],\"errors\":[{}]}}", failures.join(","));
    let entry = answered(&plan, &chunk, &body);
    assert!(
        entry.rows.bytes.len() < 1 << 20,
        "{}",
        entry.rows.bytes.len()
    );
    let kept = rows(&entry, "quarantine/ihc");
    assert_eq!(kept.len(), 500);
    let has_rows = |row: &&Value| !raw(row).ends_with("\"rows\":null}");
    assert_eq!(kept.iter().filter(has_rows).count(), 1);
    assert!(raw(&kept[0]).contains("\"s\":499"));
    assert!(
        raw(&kept[499]).starts_with("{\"failure\":{\"s\":499,\"why\":\"none\"},\"group\":\"x\"")
    );
    let sent = rows(&entry, "ihc_sent");
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (&sent[0]["failed"], &sent[0]["rows"]),
        (&500.into(), &500.into())
    );
}

#[test]
fn what_an_entry_cannot_hold_of_failures_is_counted() {
    let plan = plan(None);
    let chunk = Chunk::new(
        vec![group(&"k".repeat(100_000), vec!["{}".to_owned()])],
        "",
        Micros(0),
    );
    let failures = vec!["{\"why\":\"none\"}"; 1_000].join(",");
    let entry = answered(&plan, &chunk, &format!("{{\"errors\":[{failures}]}}"));
    assert!(entry.rows.bytes.len() < ROOM, "{}", entry.rows.bytes.len());
    let kept = rows(&entry, "quarantine/ihc");
    let last: Value = serde_json::from_str(raw(kept.last().unwrap())).unwrap();
    let counted = last["failures"].as_u64().unwrap();
    assert!(counted > 0 && kept.len() > 100);
    assert_eq!(kept.len() as u64 - 1 + counted, 1_000);
    assert_eq!(rows(&entry, "ihc_sent")[0]["failed"], 1_000);
}

#[test]
fn an_answer_of_more_rows_than_an_entry_holds_is_kept_as_text() {
    let plan = plan(None);
    let chunk = Chunk::new(
        vec![
            group("x", vec!["{\"c\":\"x\"}".to_owned()]),
            group("y", vec!["{\"c\":\"y\"}".to_owned()]),
        ],
        "",
        Micros(0),
    );
    let records = vec!["{\"c\":\"x\",\"id\":1}"; (8 << 20) / 17].join(",");
    let body = format!("{{\"value\":[{records}]}}");
    let entry = answered(&plan, &chunk, &body);
    let cost = entry.rows.bytes.len() + 64 * entry.rows.rows.len();
    assert!(cost < ROOM, "{cost}");
    let kept = rows(&entry, "quarantine/ihc");
    let text: String = kept.iter().map(raw).collect();
    assert!(text == body, "the whole answer is there");
    assert!(
        kept.iter()
            .all(|row| row["errors"][0]["code"] == "answer_too_large")
    );
    assert_eq!(rows(&entry, "ihc").len(), 0);
    let sent = rows(&entry, "ihc_sent");
    assert!(
        sent.len() == 2
            && sent
                .iter()
                .all(|row| row["failed"] == 1 && row["answered"] == 0)
    );
    assert_eq!((entry.report.failed, entry.report.stored), (2, 0));
}

#[test]
fn a_group_is_known_by_the_time_of_the_decision() {
    let plan = plan(Some(Lookup {
        key: "c".to_owned(),
        fresh: Some(Duration::from_hours(24)),
        missing: Vec::new(),
    }));
    let own = group("x", vec!["{\"c\":\"x\"}".to_owned()]);
    let chunk = Chunk::new(vec![own], "", Micros(DAY - 1));
    let entry = answered(&plan, &chunk, "{\"value\":[{\"name\":\"x\"}]}");
    let RowKind::Record(stored) = entry.rows.rows.last().unwrap().kind else {
        panic!("a row of the groups that were sent")
    };
    // The next process asks for it, however late it starts.
    let asked = plan
        .identities()
        .now(&chunk.groups[0], Micros(chunk.decided));
    assert_eq!(stored, asked);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
fn an_answer_that_breaks_a_guard_is_not_stored_unless_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let schema = dir.path().join("schema.json");
    std::fs::write(&schema, r#"{"properties":{"n":{"type":"integer"}}}"#).unwrap();
    let of = |lookup| plan_with(lookup, Some(&schema));
    let chunk = Chunk::new(vec![group("a", vec!["{}".to_owned()])], "", Micros(DAY));
    let body = |valid: usize, refused: usize| {
        let valid = (0..valid).map(|n| format!("{{\"c\":\"a\",\"n\":{n}}}"));
        let refused = (0..refused).map(|_| "{\"c\":\"a\",\"n\":\"x\"}".to_owned());
        let records: Vec<String> = valid.chain(refused).collect();
        format!("{{\"value\":[{}]}}", records.join(","))
    };
    let judged = |plan: &Plan, body: &str, accept| {
        let mut entry = Entry::of(plan, &chunk, Micros(DAY));
        let told = entry.answered(&chunk, 200, body, accept);
        let report = entry.report;
        told.map(|()| (report.stored, report.quarantined))
            .map_err(|error| error.to_string())
    };
    let plan = of(None);
    assert_eq!(judged(&plan, &body(9, 1), false), Ok((9, 1)));
    assert_eq!(judged(&plan, &body(2, 1), false), Ok((2, 1)));
    assert_eq!(judged(&plan, &body(0, 0), false), Ok((0, 0)));
    let error = judged(&plan, &body(8, 2), false).unwrap_err();
    for words in [
        "2 of 10 records are refused",
        "2 × schema_type at \"/n\"",
        "call.ihc.guards.max_refused",
        "lakehook call --accept ihc",
    ] {
        assert!(error.contains(words), "{words:?} is missing in: {error}");
    }
    assert!(judged(&plan, &body(0, 1), false).is_err());
    assert_eq!(judged(&plan, &body(8, 2), true), Ok((8, 2)));
    // A lookup holds nothing up.
    let lookup = of(Some(Lookup {
        key: "c".to_owned(),
        fresh: None,
        missing: Vec::new(),
    }));
    assert_eq!(judged(&lookup, &body(0, 1), false), Ok((0, 1)));
}
