//! `lakehook quarantine replay --stream POLL`: a refused record of an appending poll gets in once, by the schema of
//! today and with its own time of receipt; a snapshot is told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{said, stdout};
use crate::arrival::STOP_LIMIT;
use crate::audit::adds_up;
use crate::support::api::Api;
use crate::support::duckdb::Lake;
use crate::support::process::Setup;

const STRICT: u64 = 10;
const WIDE: u64 = 1_000;

/// A poll of an API that always has the same three records, of which the strict schema refuses one.
fn new(mode: &str, asked: &Arc<AtomicUsize>) -> (Setup, Api) {
    let asked = Arc::clone(asked);
    let api = Api::start(move |_, _| {
        asked.fetch_add(1, SeqCst);
        let record = |id: u64, n: u64| json!({"id": id, "n": n, "text": "a \"b\" é"});
        ResponseTemplate::new(200).set_body_json(json!([
            record(1, 1),
            record(2, 500),
            record(3, 3)
        ]))
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[batch]\nformat = \"ndjson\"\n[poll.things]\nurl = \"{}/things\"\nid = \"id\"\n\
         schema = \"thing.json\"\nmode = \"{mode}\"\nguards = {{ max_refused = \"100 %\" }}\n",
        api.url()
    ));
    allow(&setup, STRICT);
    (setup, api)
}

fn allow(setup: &Setup, maximum: u64) {
    let schema = json!({"type": "object", "properties": {
        "id": {"type": "integer"}, "n": {"type": "integer", "maximum": maximum}, "text": {"type": "string"}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
}

fn poll(setup: &Setup) -> String {
    let output = setup.run(&["poll"]);
    assert!(output.status.success(), "{}", said(&output));
    stdout(&output)
}

fn replay(setup: &Setup, more: &[&str]) -> Value {
    let command = ["quarantine", "replay", "--stream", "things", "--json"];
    let output = setup.run(&[command.as_slice(), more].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// From a report: replayed rows, records stored, records that were known.
fn replayed(report: &Value) -> (u64, u64, u64) {
    let count = |name: &str| report["replayed"][name].as_u64().unwrap();
    (count("rows"), count("stored"), count("duplicates"))
}

fn stored(setup: &Setup) -> (u64, u64) {
    let found = Lake::directory(&setup.directory().join("lake")).stream("things", "id");
    (found.rows, found.ids)
}

/// The lines of all objects below a prefix of the lake.
fn lines(setup: &Setup, prefix: &str) -> Vec<Value> {
    let lake = setup.directory().join("lake");
    let keys = lakehook::lake::reader::keys_below(&lake, prefix).unwrap();
    let texts = keys
        .iter()
        .map(|key| std::fs::read_to_string(lake.join(key)).unwrap());
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn forget_marks(setup: &Setup) {
    for dir in ["replays", "meta/_lakehook/replays"] {
        std::fs::remove_dir_all(setup.directory().join("lake/_lakehook").join(dir)).unwrap();
    }
}

#[test]
fn a_refused_record_is_stored_once_with_its_own_time() {
    let asked = Arc::default();
    let (setup, _api) = new("append", &asked);
    poll(&setup);
    assert_eq!(stored(&setup), (2, 2));
    let refused = lines(&setup, "quarantine/things");
    assert_eq!(refused.len(), 1);

    let still = replay(&setup, &[]);
    assert_eq!(replayed(&still), (0, 0, 0), "{still}");
    assert_eq!(
        still["still_invalid"]["errors"][0]["pointer"], "/n",
        "{still}"
    );
    allow(&setup, WIDE);
    let dry = replay(&setup, &["--dry-run"]);
    assert_eq!(replayed(&dry), (1, 1, 0), "{dry}");
    assert_eq!(stored(&setup), (2, 2));
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (1, 1, 0), "{report}");
    assert_eq!(report["shipped"], true);
    assert_eq!(stored(&setup), (3, 3));
    let rows = lines(&setup, "things");
    let row = rows.iter().find(|row| row["id"] == 2).unwrap();
    assert_eq!(row["received_at"], refused[0]["received_at"]);
    assert_eq!(
        (&row["n"], &row["text"]),
        (&json!(500), &json!("a \"b\" é"))
    );

    // What was replayed is left out, and without its mark it is known.
    let again = replay(&setup, &[]);
    assert_eq!(again["skipped"]["replayed_before"], 1, "{again}");
    forget_marks(&setup);
    let lost = replay(&setup, &[]);
    assert_eq!(replayed(&lost), (1, 0, 1), "{lost}");
    // The next run reads it again, as the same record.
    let told = poll(&setup);
    assert!(told.contains("3 known already"), "{told}");
    assert_eq!(stored(&setup), (3, 3));
    adds_up(&setup, &["data/polls"]);
}

#[test]
fn a_running_service_stores_it() {
    let asked = Arc::default();
    let (setup, _api) = new("append", &asked);
    poll(&setup);
    allow(&setup, WIDE);
    let program = setup.start();
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (1, 1, 0), "{report}");
    // The mark does not count, but the log does.
    forget_marks(&setup);
    let lost = replay(&setup, &[]);
    assert_eq!(replayed(&lost), (1, 0, 1), "{lost}");
    let wrong = setup.run(&["quarantine", "replay", "--stream", "nothing"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert_eq!(stored(&setup), (3, 3));
    adds_up(&setup, &["data/wal", "data/polls"]);
}

#[test]
fn a_run_that_stored_the_record_first_makes_it_known() {
    let asked = Arc::default();
    let (setup, _api) = new("append", &asked);
    poll(&setup);
    allow(&setup, WIDE);
    poll(&setup);
    assert_eq!(stored(&setup), (3, 3));
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (1, 0, 1), "{report}");
    assert_eq!(stored(&setup), (3, 3));
}

#[test]
fn a_record_of_a_snapshot_is_read_again_by_the_next_run() {
    let asked = Arc::default();
    let (setup, _api) = new("snapshot", &asked);
    poll(&setup);
    allow(&setup, WIDE);
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (0, 0, 0), "{report}");
    assert_eq!(report["skipped"]["of_snapshot"], 1, "{report}");
    let output = setup.run(&["quarantine", "replay", "--stream", "things"]);
    assert!(
        stdout(&output).contains("lakehook poll NAME"),
        "{}",
        said(&output)
    );
    assert_eq!(asked.load(SeqCst), 1, "a replay asks no API");
    poll(&setup);
    let ids: Vec<_> = lines(&setup, "things")
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(ids.iter().filter(|id| **id == 2).count(), 1, "{ids:?}");
}
