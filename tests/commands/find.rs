//! `lakehook find`: what became of an event, as a running service and the lake alone know it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{said, stdout};
use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, click, event, id};
use crate::support::http::Connection;
use crate::support::load::Source;
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server};
use lakehook::clock::Clock;
use lakehook::contract::EventIds;
use lakehook::files::Disk;
use lakehook::record::{Fingerprint, Identity};
use lakehook::wal::dedup::id_files::{self, SegmentIds};
use lakehook::wal::node;

const TOKEN: &str = "a token of tests";

fn new(format: &str) -> Setup {
    new_in("url = \"lake\"", format)
}

/// The same with another lake: the lines of its section.
pub(super) fn new_in(lake: &str, format: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"{format}\"\n\
         [events]\non_invalid = \"quarantine\"\n\
         [hook.shop]\nscheme = \"github\"\n\
         auth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{TOKEN}\"] }}]\n"
    ))
}

/// Sends a request with an id of its own.
pub(super) fn send(setup: &Setup, request_id: &str, text: &str) -> u16 {
    let json = ("content-type", "application/json");
    let headers = [json, ("x-request-id", request_id)];
    let mut connection = Connection::open(setup.address(), Duration::from_secs(20)).unwrap();
    let answer = connection.request("POST", PATH, &headers, text.as_bytes());
    answer.unwrap().status
}

fn send_to_hook(setup: &Setup, delivery: &str) {
    let headers = [
        ("content-type", "application/json"),
        ("x-token", TOKEN),
        ("x-github-event", "push"),
        ("x-github-delivery", delivery),
    ];
    let mut connection = Connection::open(setup.address(), Duration::from_secs(20)).unwrap();
    let answer = connection.request("POST", "/webhook/shop", &headers, b"{\"a\":1}");
    assert_eq!(answer.unwrap().status, 200);
}

pub(super) fn find(setup: &Setup, id: &str, more: &[&str]) -> Value {
    let output = setup.run(&[&["find", id, "--json"], more].concat());
    let found: Value =
        serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", said(&output)));
    let is_known = found["verdict"] != "unknown" && found["verdict"] != "undecided";
    assert_eq!(output.status.code(), Some(i32::from(!is_known)), "{found}");
    found
}

/// Sends one of each kind.
fn send_all(setup: &Setup) {
    assert_eq!(send(setup, "first-1", &body(&[click(1), click(4)])), 200);
    assert_eq!(send(setup, "again-1", &body(&[click(1)])), 200);
    assert_eq!(
        send(setup, "dropped-1", &body(&[event(2, "signup", "{}")])),
        200
    );
    assert_eq!(send(setup, "refused-1", "{\"events\":"), 400);
    let invalid = event(3, "purchase", "{\"amount\":\"x\"}");
    assert_eq!(send(setup, "kept-1", &body(&[invalid])), 200);
    send_to_hook(setup, "delivery-1");
}

/// The lines of the section of a lake in a bucket.
pub(super) fn bucket(server: &S3Server) -> String {
    format!(
        "url = \"s3://{BUCKET}\"\nendpoint = \"{}\"",
        server.endpoint()
    )
}

/// Told by a service and then by the lake alone: a directory, or the bucket of a server.
fn what_became_of_it_is_told(format: &str, server: Option<&S3Server>) {
    let setup = match server {
        Some(server) => new_in(&bucket(server), format),
        None => new(format),
    };
    let program = setup.start();
    send_all(&setup);
    // Nothing is in the lake yet: the service alone knows.
    let verdict = |id: &str| find(&setup, id, &[])["verdict"].clone();
    assert_eq!(verdict(&id(1)), "stored");
    let found = find(&setup, &id(1), &[]);
    let events: Vec<&Value> = found["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| &request["event"])
        .collect();
    assert_eq!(events, ["duplicate", "stored"], "{found}");
    assert_eq!(found["requests"][0]["client"], "127.0.0.1", "{found}");
    assert_eq!(found["rows"], json!([]), "{found}");
    assert_eq!(verdict("first-1"), "stored");
    assert_eq!(verdict("again-1"), "duplicate");
    assert_eq!(verdict("dropped-1"), "dropped");
    assert_eq!(verdict("kept-1"), "quarantined");
    assert_eq!(verdict("delivery-1"), "stored");
    assert_eq!(verdict(&id(99)), "unknown");
    let refused = find(&setup, "refused-1", &[]);
    assert_eq!(refused["verdict"], "refused", "{refused}");
    assert_eq!(refused["refusals"][0]["status"], 400, "{refused}");
    let why = refused["refusals"][0]["why"].as_str().unwrap();
    assert!(why.contains("line 1, column"), "{why}");
    assert_eq!(find(&setup, &id(1), &["--lake-only"])["verdict"], "unknown");
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());

    // The lake alone.
    let found = find(&setup, &id(4).to_uppercase(), &[]);
    assert_eq!(
        (&found["verdict"], &found["service"]),
        (&json!("stored"), &Value::Null),
        "{found}"
    );
    let row = &found["rows"][0];
    assert_eq!(
        (&row["lsn"], &row["batch"], &row["place"]),
        (&json!(2), &json!(1), &json!(2)),
        "{found}"
    );
    assert_eq!(row["row"]["event_id"], id(4), "{found}");
    let key = row["key"].as_str().unwrap();
    let is_there = match server {
        Some(server) => server.object(key).is_some(),
        None => setup.directory().join("lake").join(key).is_file(),
    };
    assert!(is_there, "{key}");
    assert!(
        key.ends_with(format) && key.starts_with("events/dt="),
        "{key}"
    );
    let of_hook = find(&setup, "delivery-1", &[]);
    assert_eq!(of_hook["verdict"], "stored", "{of_hook}");
    assert_eq!(of_hook["rows"][0]["row"]["source"], "shop", "{of_hook}");
    for text in [id(3), "kept-1".to_owned(), "refused-1".to_owned()] {
        let found = find(&setup, &text, &[]);
        let expected = if text == "refused-1" {
            "refused"
        } else {
            "quarantined"
        };
        assert_eq!(found["verdict"], expected, "{found}");
    }
    for text in [&id(99), "again-1", "dropped-1"] {
        assert_eq!(find(&setup, text, &[])["verdict"], "unknown", "{text}");
    }
    // A service that did not see the requests finds their rows, and remembers what comes now.
    let _again = setup.start();
    let found = find(&setup, &id(1), &[]);
    assert_eq!(
        (&found["verdict"], &found["requests"]),
        (&json!("stored"), &json!([])),
        "{found}"
    );
    assert_eq!(send(&setup, "third-1", &body(&[click(1)])), 200);
    let found = find(&setup, &id(1), &[]);
    assert_eq!(found["requests"][0]["event"], "duplicate", "{found}");
}

#[test]
fn what_became_of_an_event_is_told_from_lines() {
    what_became_of_it_is_told("ndjson.zst", None);
}

#[test]
fn what_became_of_an_event_is_told_from_columns() {
    what_became_of_it_is_told("parquet", None);
}

#[test]
fn what_became_of_an_event_is_told_from_lines_in_a_bucket() {
    what_became_of_it_is_told("ndjson.zst", Some(&S3Server::start(91)));
}

#[test]
fn what_became_of_an_event_is_told_from_columns_in_a_bucket() {
    what_became_of_it_is_told("parquet", Some(&S3Server::start(92)));
}

#[test]
fn people_read_where_it_is_and_how_far_was_looked() {
    let setup = new("ndjson");
    let text = said(&setup.run(&["find", &id(1)]));
    assert!(
        text.contains("no objects of events in the lake yet"),
        "{text}"
    );
    let program = setup.start();
    send_all(&setup);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let output = setup.run(&["find", &id(1)]);
    let text = said(&output);
    assert!(
        text.starts_with(&format!(
            "{}: stored\nin the lake: LSN 1, batch 1 of node ",
            id(1)
        )),
        "{text}"
    );
    assert!(
        text.contains(", row 1 of events/dt=") && text.contains("no service answers in "),
        "{text}"
    );
    let text = said(&setup.run(&["find", &id(99)]));
    assert!(
        text.contains("nothing is known of it") && text.contains("2 were looked into, 0 were left"),
        "{text}"
    );
    assert!(text.ends_with("exit code 1"), "{text}");
    let text = said(&setup.run(&["find", " "]));
    assert!(
        text.contains("an id has 1 to 512 characters") && text.ends_with("exit code 2"),
        "{text}"
    );
}

/// Id files like those that the log writes for its closed segments: one that ends now and has these ids.
pub(super) fn write_ids(dir: &Path, texts: &[String]) -> PathBuf {
    let node = node::read(&Disk, dir).unwrap().unwrap();
    let fingerprint = Fingerprint::new(node.key);
    let tags = texts
        .iter()
        .flat_map(|text| EventIds::of(text, "events", std::iter::empty()).tags(&fingerprint));
    let mut ids = SegmentIds {
        newest_received: Clock::system().wall().plus(Duration::from_hours(1)),
        identities: tags.map(|tag| Identity { tag, content: 1 }).collect(),
    };
    // In place of those of the log itself, which end with its last closed segment.
    let (files, _) = id_files::list(&Disk, dir).unwrap();
    for file in files.values() {
        std::fs::remove_file(file.path(dir)).unwrap();
    }
    id_files::write(&Disk, dir, (1, 1), &mut ids)
        .unwrap()
        .path(dir)
}

#[test]
fn id_files_rule_objects_out() {
    let setup = new("ndjson.zst");
    let program = setup.start();
    assert_eq!(send(&setup, "first-1", &body(&[click(1)])), 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let dir = setup.directory().join("data/wal");
    write_ids(&dir, &[id(1)]);
    let found = find(&setup, &id(1), &[]);
    assert_eq!(
        (&found["verdict"], &found["in_id_files"]),
        (&json!("stored"), &json!(true)),
        "{found}"
    );
    let unknown = find(&setup, &id(2), &[]);
    assert_eq!(unknown["in_id_files"], false, "{unknown}");
    assert_eq!(
        unknown["lake"],
        json!({"objects": 1, "ruled_out": 1, "looked_into": 0, "left": 0, "is_cut": false}),
        "{unknown}"
    );
    let whole = find(&setup, &id(2), &["--whole"]);
    assert_eq!(
        (&whole["in_id_files"], &whole["lake"]["looked_into"]),
        (&Value::Null, &json!(1)),
        "{whole}"
    );
}

/// How many events the large lakes have.
fn events_of_large_lakes() -> u64 {
    let events = std::env::var("LAKEHOOK_FIND_EVENTS");
    events.map_or(20_000, |events| events.parse().unwrap())
}

/// Prints how long it takes to find events in a lake of many, and holds it to a second for ten millions. For lines, the
/// log has id files of its closed segments.
fn finds_quickly(format: &str) {
    const PER_REQUEST: u64 = 1000;
    let events = events_of_large_lakes();
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"8 GiB\"\n[batch]\nformat = \"{format}\"\nmax_bytes = \"16 MiB\"\n"
    ));
    let source = Source {
        seed: 7,
        now: Clock::system().wall(),
        days: 1,
    };
    let program = setup.start();
    let mut connection = Connection::open(setup.address(), Duration::from_mins(2)).unwrap();
    let json = [("content-type", "application/json")];
    for first in (0..events).step_by(usize::try_from(PER_REQUEST).unwrap()) {
        let answer = connection.request(
            "POST",
            PATH,
            &json,
            &source.body(first..first + PER_REQUEST),
        );
        assert_eq!(answer.unwrap().status, 200);
    }
    drop(connection);
    assert!(
        program.stop(Duration::from_mins(5)).success(),
        "{}",
        setup.stderr()
    );
    // Some types are dropped.
    let click = |from: u64| {
        let mut events = (from..).map(|number| source.event(number));
        events.find(|event| event.kind == "click").unwrap().id
    };
    let ids = [0, events / 2, events - 10].map(click);
    // Without optimisation nothing is quick.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    // An unknown one, which is looked for everywhere.
    let unknown = id(7);
    let ids = ids.iter().chain([&unknown]);
    for (text, expected) in ids.zip(["stored", "stored", "stored", "unknown"]) {
        let begun = Instant::now();
        let found = find(&setup, text, &[]);
        let took = begun.elapsed();
        assert_eq!(found["verdict"], expected, "{found}");
        println!(
            "{events} events in {format}: {expected} after {took:?}, {}",
            found["lake"]
        );
        // Where clocks may differ, files rule out only what is older than some minutes.
        let is_quick = format == "parquet" || expected == "stored";
        assert!(!is_quick || took < limit, "{took:?}");
    }
}

#[test]
fn an_event_is_found_within_a_second_in_columns() {
    finds_quickly("parquet");
}

#[test]
fn an_event_is_found_within_a_second_with_id_files() {
    finds_quickly("ndjson.zst");
}
