#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::contract::{OnInvalid, Rules, Schemas};
use crate::ids::{HashKey, NodeId};
use crate::record::Fingerprint;
use crate::replay::kept::{Kept, node_of};
use crate::replay::{RowsOf, Scope, Skip};

const RECEIVED: &str = "2025-01-31T10:00:00.123456Z";

fn contract(on_invalid: OnInvalid) -> Contract {
    let rules = Rules {
        on_invalid,
        ..Rules::default()
    };
    let schemas = Schemas::parse(std::iter::empty::<(&str, &str)>()).unwrap();
    Contract::new(rules, schemas, Fingerprint::new(HashKey([7; 16])))
}

fn event(event_type: &str, time: &str) -> String {
    format!(
        r#"{{"event_id":"7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11","user_id":null,"event_type":"{event_type}","source":"web","timestamp":"{time}","properties":{{}}}}"#
    )
}

fn kept(reason: &str, raw: &str) -> Kept {
    Kept {
        received_at: RECEIVED.to_owned(),
        lsn: 7,
        reason: reason.to_owned(),
        stream: "events".to_owned(),
        endpoint: "/webhook/events".to_owned(),
        request_id: "r".to_owned(),
        client: Some("10.0.0.1".to_owned()),
        errors: Vec::new(),
        errors_total: 1,
        raw: raw.to_owned(),
        raw_encoding: "utf-8".to_owned(),
        raw_bytes: raw.len() as u64,
        raw_xxh3: String::new(),
        request: crate::replay::kept::KeptRequest::default(),
        place: crate::replay::kept::KeptPlace::default(),
    }
}

fn scope() -> Scope {
    Scope {
        stream: "events".to_owned(),
        rows: RowsOf::Events,
        node: Some(NodeId(1)),
        other_nodes: false,
        hooks: vec!["github".to_owned()],
        hook_paths: vec!["/webhook/github".to_owned()],
    }
}

fn no_hooks() -> HookJudge {
    Arc::new(|_, _| None)
}

fn candidate(reason: &str, raw: &str) -> Candidate {
    let candidate = scope().candidate(&kept(reason, raw), Some(NodeId(1)));
    candidate.unwrap().unwrap()
}

#[test]
fn a_row_is_judged_as_of_its_receipt_and_keeps_it() {
    let contract = contract(OnInvalid::Reject);
    let event = event("click", "2025-01-31T09:00:00Z");
    for (reason, raw) in [
        ("invalid_event", event.clone()),
        ("refused_request", format!("{{\"events\":[{event}]}}")),
    ] {
        let valid = judge(&contract, &no_hooks(), &candidate(reason, &raw)).unwrap();
        let rows = &valid.checked.rows;
        let row: serde_json::Value = serde_json::from_slice(&rows.bytes).unwrap();
        assert_eq!(row["received_at"], RECEIVED);
        assert_eq!(rows.partitions, ["events/dt=2025-01-31"]);
        assert_eq!(valid.origin.received_at.to_string(), RECEIVED);
        assert_eq!(valid.origin.client, Some("10.0.0.1".parse().unwrap()));
    }
    // The event is two days after the receipt of its row, so it was too far ahead then.
    let ahead = self::event("click", "2025-02-02T10:00:01Z");
    let outcome = judge(&contract, &no_hooks(), &candidate("invalid_event", &ahead)).unwrap_err();
    assert!(
        matches!(&outcome, ReplayOutcome::Invalid { errors, errors_total: 1 } if errors[0].code == "timestamp_in_future"),
        "{outcome:?}"
    );
}

#[test]
fn a_request_goes_in_whole_or_not_at_all_whatever_is_done_with_new_ones() {
    let good = event("click", "2025-01-31T09:00:00Z");
    let bad = event("clack", "2025-01-31T09:00:00Z");
    let body = format!("{{\"events\":[{good},{bad}]}}");
    for on_invalid in [OnInvalid::Reject, OnInvalid::Quarantine] {
        let outcome = judge(
            &contract(on_invalid),
            &no_hooks(),
            &candidate("refused_request", &body),
        );
        let outcome = outcome.unwrap_err();
        assert!(
            matches!(&outcome, ReplayOutcome::Invalid { errors, errors_total: 1 } if errors[0].pointer == "/events/1/event_type"),
            "{outcome:?}"
        );
    }
    let body = "x".repeat(99);
    let outcome = judge(
        &contract(OnInvalid::Quarantine),
        &no_hooks(),
        &candidate("refused_request", &body),
    );
    assert!(
        matches!(outcome.unwrap_err(), ReplayOutcome::Invalid { errors, .. } if errors[0].code == "not_json")
    );
}

#[test]
fn what_is_never_replayed_is_told_apart() {
    let why = |change: &dyn Fn(&mut Kept), of: Option<NodeId>| {
        let mut row = kept("invalid_event", "{}");
        change(&mut row);
        scope().candidate(&row, of).unwrap().err()
    };
    let here = Some(NodeId(1));
    assert_eq!(why(&|_| {}, here), None);
    let reason = |reason: &'static str| move |row: &mut Kept| reason.clone_into(&mut row.reason);
    assert_eq!(why(&reason("id_conflict"), here), Some(Skip::Conflict));
    assert_eq!(why(&reason("invalid_record"), here), Some(Skip::OfPoll));
    assert_eq!(
        why(&|row| "users".clone_into(&mut row.stream), here),
        Some(Skip::OfPoll)
    );
    assert_eq!(why(&|row| row.raw_bytes = 3, here), Some(Skip::Cut));
    assert_eq!(why(&|_| {}, Some(NodeId(2))), Some(Skip::OtherNode));
    assert_eq!(why(&|_| {}, None), Some(Skip::OtherNode));
    assert_eq!(
        why(&|row| "/webhook/github".clone_into(&mut row.endpoint), here),
        Some(Skip::OfHook)
    );
    let wide = Scope {
        other_nodes: true,
        ..scope()
    };
    let row = kept("invalid_event", "{}");
    assert!(wide.candidate(&row, Some(NodeId(2))).unwrap().is_ok());
    let of_poll = |rows: RowsOf, reason: &str| {
        let scope = Scope {
            stream: "users".to_owned(),
            rows,
            ..scope()
        };
        let mut row = kept(reason, "{}");
        "users".clone_into(&mut row.stream);
        scope.candidate(&row, here).unwrap().err()
    };
    assert_eq!(of_poll(RowsOf::Appended, "invalid_record"), None);
    assert_eq!(
        of_poll(RowsOf::Appended, "invalid_event"),
        Some(Skip::OfPoll)
    );
    assert_eq!(
        of_poll(RowsOf::Snapshot, "invalid_record"),
        Some(Skip::OfSnapshot)
    );
    for skip in Skip::ALL {
        assert!(!skip.as_str().is_empty() && !skip.describe().is_empty());
    }
}

#[test]
fn the_node_is_in_the_key() {
    let key = "quarantine/events/dt=2026-11-20/00000000000000ab-00000000000000000042.ndjson.zst";
    assert_eq!(node_of(key), Some(NodeId(0xab)));
    assert_eq!(node_of("quarantine/events/x.ndjson"), None);
    assert_eq!(node_of("quarantine/events/ab-1.ndjson"), None);
}

#[test]
fn errors_are_told_in_a_bounded_form() {
    let error = FieldError {
        pointer: "é".repeat(9_999),
        code: "x",
        detail: String::new(),
    };
    let ReplayOutcome::Invalid {
        errors,
        errors_total,
    } = invalid(&vec![error; 9], 40)
    else {
        unreachable!("it is invalid");
    };
    assert_eq!((errors.len(), errors_total), (MAX_TOLD, 40));
    assert_eq!(errors[0].pointer, "é".repeat(MAX_TOLD_CHARS));
}

#[test]
fn rows_of_one_request_are_other_events_and_a_row_is_always_the_same_one() {
    let rules = Rules {
        beyond: crate::contract::Beyond {
            is_open: true,
            ..crate::contract::Beyond::default()
        },
        ..Rules::default()
    };
    let schemas = Schemas::parse(std::iter::empty::<(&str, &str)>()).unwrap();
    let contract = Contract::new(rules, schemas, Fingerprint::new(HashKey([7; 16])));
    let id = |lsn: u64, node: u64| {
        let row = Kept {
            lsn,
            ..kept("invalid_event", r#"{"type":"purchase","amount":1}"#)
        };
        let scope = Scope {
            other_nodes: true,
            ..scope()
        };
        let candidate = scope.candidate(&row, Some(NodeId(node))).unwrap().unwrap();
        let valid = judge(&contract, &no_hooks(), &candidate).unwrap();
        let row: serde_json::Value = serde_json::from_slice(&valid.checked.rows.bytes).unwrap();
        row["event_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id(7, 1), id(7, 1));
    assert_ne!(id(7, 1), id(8, 1));
    assert_ne!(id(7, 1), id(7, 2));
}
