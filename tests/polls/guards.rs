//! Guards: a run that refuses too much, or has too little, replaces nothing.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and write files"
)]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{lake, poll, poll_well, said, setup};
use crate::support::api::{Api, number, page, param, things};
use crate::support::duckdb::Reading;
use crate::support::process::Setup;

/// An API with one page of records that the test changes.
fn api(things: &Arc<Mutex<Vec<Value>>>) -> Api {
    let things = Arc::clone(things);
    Api::start(move |_, _| page(json!({"things": *things.lock().unwrap()})))
}

fn with_schema(url: &str, settings: &str) -> Setup {
    let setup = setup(url, &format!("schema = \"thing.json\"\n{settings}"));
    let schema = json!({"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
    setup
}

/// Things of which the last ones have a name of another type.
fn broken(valid: usize, refused: usize) -> Vec<Value> {
    let mut all = things(0..valid + refused);
    for thing in &mut all[valid..] {
        thing["name"] = json!(["?"]);
    }
    all
}

fn fails(setup: &Setup, words: &[&str]) {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

fn in_quarantine(setup: &Setup) -> u64 {
    let count = lake(setup).count(Reading::Typed);
    count.quarantine.get("invalid_record").copied().unwrap_or(0)
}

#[test]
fn a_snapshot_with_too_many_refused_records_does_not_replace_a_good_one() {
    let records = Arc::new(Mutex::new(things(0..90)));
    let api = api(&records);
    let setup = with_schema(&api.url(), "");
    poll_well(&setup);
    *records.lock().unwrap() = broken(70, 30);
    records.lock().unwrap()[0] = json!({"name": "no id"});
    let words = [
        "31 of 100 records are refused, more than 10 %: 30 × schema_type at \"/name\", 1 × id at \"/id\"",
        "what was visible before stays",
        "poll.things.guards.max_refused",
        "lakehook poll --accept things",
    ];
    fails(&setup, &words);
    let runs = lake(&setup).runs("things", "id");
    assert_eq!((runs.runs.len(), runs.runs[0].rows), (1, 90));
    // The first 20 refused records can be seen, and only once.
    assert_eq!(in_quarantine(&setup), 20);
    let listed = said(&setup.run(&["quarantine", "list"])).0;
    assert!(listed.contains("schema_type"), "{listed}");
    fails(&setup, &words);
    assert_eq!(in_quarantine(&setup), 20);

    let (told, code) = said(&setup.run(&["poll", "--accept", "things"]));
    assert_eq!(code, Some(0), "{told}");
    let runs = lake(&setup).runs("things", "id");
    let last = runs.runs.last().unwrap();
    assert_eq!((runs.runs.len(), last.rows, last.quarantined), (2, 69, 31));
    // The same contents are not judged again.
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("unchanged since run"), "{told}");
}

#[test]
fn a_snapshot_without_a_valid_record_fails_whatever_is_allowed() {
    let records = Arc::new(Mutex::new(broken(0, 3)));
    let api = api(&records);
    let setup = with_schema(&api.url(), "guards = { max_refused = \"100 %\" }");
    fails(
        &setup,
        &["3 of 3 records are refused, which no share allows"],
    );
    assert!(lake(&setup).runs("things", "id").runs.is_empty());
    let (told, code) = said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(1), "{told}");
    *records.lock().unwrap() = broken(1, 3);
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_snapshot_may_not_shrink_too_much_or_be_too_small() {
    let records = Arc::new(Mutex::new(things(0..40)));
    let api = api(&records);
    let guards = "guards = { min_records = 15, max_shrink = \"50 %\" }";
    let setup = with_schema(&api.url(), guards);
    poll_well(&setup);
    *records.lock().unwrap() = things(0..19);
    let words = [
        "19 records are valid and the run before had 40, which is smaller by more than 50 %",
        "poll.things.guards.max_shrink",
    ];
    fails(&setup, &words);
    // Another schema does not make it forget how many there were.
    let schema = json!({"properties": {"id": {"type": "integer"}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
    fails(&setup, &words);
    *records.lock().unwrap() = things(0..20);
    poll_well(&setup);
    *records.lock().unwrap() = things(0..14);
    fails(
        &setup,
        &[
            "14 records are valid, fewer than 15",
            "poll.things.guards.min_records",
        ],
    );
    assert_eq!(lake(&setup).runs("things", "id").runs.len(), 2);
    assert_eq!(in_quarantine(&setup), 0);
}

const APPEND: &str = "mode = \"append\"\n\
    watermark = { field = \"at\", param = \"since\", lag = \"0s\" }\n\
    pagination = { type = \"offset\", limit = 20 }";

fn dated(ids: std::ops::Range<usize>) -> Vec<Value> {
    let dated = |id| json!({"id": id, "at": id, "name": format!("thing {id}")});
    ids.map(dated).collect()
}

#[test]
fn a_page_with_too_many_refused_records_is_not_stored_and_the_mark_stays() {
    let records = Arc::new(Mutex::new(dated(0..60)));
    for record in &mut records.lock().unwrap()[25..30] {
        record["name"] = json!(5);
    }
    let served = Arc::clone(&records);
    let api = Api::start(move |request, _| {
        let since = param(request, "since").map_or(0, |since| since.parse::<usize>().unwrap());
        let all = served.lock().unwrap()[since..].to_vec();
        let page_of: Vec<Value> = all
            .into_iter()
            .skip(number(request, "offset"))
            .take(20)
            .collect();
        page(json!({"things": page_of}))
    });
    let setup = with_schema(&api.url(), APPEND);
    let words = [
        "page 2: 5 of 20 records are refused, more than 10 %: 5 × schema_type at \"/name\"",
        "nothing of the page is stored, and the watermark stays",
    ];
    fails(&setup, &words);
    assert_eq!(lake(&setup).stream("things", "id").rows, 20);
    assert_eq!(in_quarantine(&setup), 5);
    fails(&setup, &["5 of 20 records are refused"]);
    assert_eq!(in_quarantine(&setup), 5);
    // Once the source is mended, the page is read again.
    *records.lock().unwrap() = dated(0..60);
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (60, 60));

    // A person may take it as it is; then it does not count any more.
    let mut more = dated(0..65);
    more[63]["name"] = json!(5);
    more[64]["name"] = json!(5);
    *records.lock().unwrap() = more;
    fails(&setup, &["page 1: 2 of 6 records are refused"]);
    let (told, code) = said(&setup.run(&["poll", "--accept"]));
    assert_eq!(code, Some(0), "{told}");
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(lake(&setup).stream("things", "id").rows, 63);

    // A single one beside valid ones stops nothing.
    let before = in_quarantine(&setup);
    let mut more = dated(0..67);
    for record in &mut more[63..66] {
        record["name"] = json!(5);
    }
    *records.lock().unwrap() = more;
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(lake(&setup).stream("things", "id").rows, 64);
    assert_eq!(in_quarantine(&setup), before + 1);
}

#[test]
fn a_page_that_is_too_large_for_memory_is_judged_whole() {
    let large = |id: usize| json!({"id": id, "name": "x".repeat(10_000)});
    let records: Vec<Value> = (0..1_500).map(large).collect();
    let records = Arc::new(Mutex::new(records));
    let good = records.lock().unwrap().clone();
    for record in &mut records.lock().unwrap()[1_200..] {
        record["name"] = json!(5);
    }
    let api = api(&records);
    let setup = with_schema(&api.url(), "mode = \"append\"");
    fails(&setup, &["page 1: 300 of 1500 records are refused"]);
    assert_eq!(lake(&setup).stream("things", "id").rows, 0);
    let (told, code) = said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("300 of 1500 records are refused"), "{told}");
    *records.lock().unwrap() = good;
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (1_500, 1_500));
}

#[test]
fn a_snapshot_is_one_object_whatever_batches_of_events_are() {
    let records = Arc::new(Mutex::new(things(0..500)));
    let api = api(&records);
    let setup = with_schema(&api.url(), "[batch]\nmax_records = 7\nmax_age = \"1s\"");
    let (_, runs) = poll_well(&setup);
    assert_eq!(runs.runs[0].rows, 500);
    let objects = setup.directory().join("lake/things");
    let count = walk(&objects);
    assert_eq!(count, 1);
}

fn walk(dir: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let count = |entry: std::fs::DirEntry| match entry.path() {
        path if path.is_dir() => walk(&path),
        _ => 1,
    };
    entries.map(count).sum()
}
