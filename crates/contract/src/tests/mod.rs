//! Tests of the whole contract: fixtures for every line of it, limits, the quarantine, and the agreement of
//! the two passes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests may fail and read files"
)]

mod agreement;
mod files;
mod foreign;
mod requests;

use super::*;
use lakehook_base::ids::HashKey;
use lakehook_base::json::Members;
use lakehook_base::record::{Fingerprint, Origin};

const EVENT: &str = r#"{"event_id":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50","user_id":"u1","event_type":"click","source":"web","timestamp":"2026-11-20T16:59:58Z","properties":{}}"#;

fn contract(rules: Rules) -> Contract {
    let fingerprint = Fingerprint::new(HashKey([7; 16]));
    Contract::new(rules, Schemas::embedded().unwrap(), fingerprint)
}

fn origin() -> Origin {
    Origin {
        received_at: lakehook_base::rfc3339::parse("2026-11-20T17:00:00Z").unwrap(),
        endpoint: "/webhook/events".into(),
        request_id: "r1".into(),
        client: None,
    }
}

fn body(events: &[&str]) -> String {
    format!(r#"{{"events":[{}]}}"#, events.join(","))
}

/// The rows in the form in which the log returns them.
fn lines(checked: &Checked) -> Vec<String> {
    let rows = checked.rows.iter();
    rows.map(|(row, bytes)| {
        let (before, after) = bytes.split_at(row.lsn_at as usize);
        let parts = [before, b"\"lsn\":7,", after].concat();
        String::from_utf8(parts).unwrap()
    })
    .collect()
}

fn invalid(result: Result<Checked, Refusal>) -> (Vec<(String, String)>, usize) {
    match result {
        Err(Refusal::Invalid {
            errors,
            errors_total,
        }) => {
            let errors = errors.into_iter();
            (
                errors.map(|e| (e.pointer, e.code.to_owned())).collect(),
                errors_total,
            )
        }
        other => panic!("not invalid: {other:?}"),
    }
}

fn assert_keys(line: &str) {
    let Members(members) = serde_json::from_str(line).unwrap();
    let keys: Vec<&str> = members
        .iter()
        .map(|(key, _)| key.trim_matches('"'))
        .collect();
    let expected = [
        "event_id",
        "user_id",
        "user",
        "event_type",
        "source",
        "timestamp",
        "received_at",
        "lsn",
        "properties",
        "extra",
    ];
    assert_eq!(keys, expected, "{line}");
}
