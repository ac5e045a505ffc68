//! What is accepted is readable: every accepted fixture, and every quarantine row, goes through the
//! real program, and DuckDB reads the object of each, typed and as it detects the columns itself.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::float_cmp,
    reason = "tests may fail, read files and live in real time; counts and the same digits are exact in floats"
)]

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::arrival::STOP_LIMIT;
use crate::http::{body, id, post};
use crate::support::duckdb::{Lake, Outcome, Reading, parse};
use crate::support::process::Setup;

/// The id that all fixtures have.
const FIXTURE_ID: &str = "0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50";

/// Partitions are days of the events, and the fixtures' are of 2026 and before.
fn setup(on_invalid: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[batch]\nformat = \"ndjson\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [events]\nmax_age = \"36500d\"\nmax_ahead = \"36500d\"\non_invalid = \"{on_invalid}\"\n"
    ))
}

fn fixtures(name: &str) -> Vec<Value> {
    let path = format!(
        "{}/tests/fixtures/contract/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The event of a fixture, with an id of its own.
fn event(fixture: &Value, number: u64) -> String {
    let event = fixture["event"].as_str().unwrap();
    let upper = FIXTURE_ID.to_uppercase();
    event
        .replace(FIXTURE_ID, &id(number))
        .replace(&upper, &id(number))
}

pub(crate) fn objects(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut objects(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The rows of every object below, each read alone and both ways.
fn read_each(dir: &Path) -> u64 {
    let mut rows = 0;
    for object in objects(dir) {
        let parsed = parse(&object);
        let Outcome::Rows(count) = parsed.typed else {
            panic!("typed: {parsed:?}");
        };
        assert_eq!(parsed.auto, Outcome::Rows(count), "{}", object.display());
        rows += count;
    }
    rows
}

#[test]
fn what_is_accepted_is_read() {
    // DuckDB's detection fails on keys that differ only in case, in different rows too; typed columns
    // don't mind. So this one, which has an "A" where others have an "a", is in a lake of its own.
    let is_alone = |fixture: &Value| fixture["name"] == "keys equal only across objects";
    let (alone, together): (Vec<_>, Vec<_>) = fixtures("accepted").into_iter().partition(is_alone);
    assert_eq!(alone.len(), 1);
    arrive_readable(&together);
    arrive_readable(&alone);
}

fn arrive_readable(fixtures: &[Value]) {
    let setup = setup("reject");
    let program = setup.start();
    for (number, fixture) in (0..).zip(fixtures) {
        let answer = post(&setup, body(&[event(fixture, number)]));
        assert_eq!(
            answer.json()["accepted"],
            1,
            "{}: {}",
            fixture["name"],
            answer.text()
        );
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lake = setup.directory().join("lake");
    assert_eq!(read_each(&lake.join("events")), fixtures.len() as u64);
    let lake = Lake::directory(&lake);
    assert_eq!(lake.count(Reading::Auto).rows, fixtures.len() as u64);
    let rows = lake.rows();
    assert_eq!(rows.len(), fixtures.len());
    for (number, (row, fixture)) in (0..).zip(rows.iter().zip(fixtures)) {
        assert_eq!(row["event_id"], id(number));
        for (key, expected) in fixture["row"].as_object().unwrap() {
            let is_same = key == "event_id"
                || key == "received_at"
                || key == "lsn"
                || same(&row[key], expected);
            assert!(
                is_same,
                "{}, {key}: {} instead of {expected}",
                fixture["name"], row[key]
            );
        }
    }
}

/// Numbers that no double holds lose digits on their way through Python's or our JSON, not in the lake.
fn same(read: &Value, expected: &Value) -> bool {
    match (read, expected) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|b| same(value, b)))
        }
        _ => read == expected,
    }
}

#[test]
fn what_is_refused_is_read_in_the_quarantine() {
    let setup = setup("quarantine");
    let program = setup.start();
    let (mut invalid, mut refused) = (0, 0);
    for (number, fixture) in (0..).zip(&fixtures("rejected")) {
        let is_event = fixture["event"].is_string();
        let sent = if is_event {
            body(&[event(fixture, number)])
        } else {
            fixture["body"].as_str().unwrap().to_owned()
        };
        let answer = post(&setup, sent);
        match answer.status {
            200 => {
                let json = answer.json();
                // A limit in time is none here.
                let is_accepted = json["accepted"] == 1;
                assert!(
                    is_accepted || json["quarantined"] != 0,
                    "{}",
                    fixture["name"]
                );
                invalid += json["quarantined"].as_u64().unwrap();
            }
            400 => refused += 1,
            other => panic!("{}: {other}", fixture["name"]),
        }
    }
    assert!(
        invalid > 70 && refused >= 10,
        "{invalid} invalid, {refused} refused"
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lake = setup.directory().join("lake");
    assert_eq!(read_each(&lake.join("quarantine")), invalid + refused);
    for reading in [Reading::Typed, Reading::Auto] {
        let count = Lake::directory(&lake).count(reading).quarantine;
        assert_eq!(
            (count["invalid_event"], count["refused_request"]),
            (invalid, refused)
        );
    }
}
