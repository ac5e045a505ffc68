//! Calls: to the API at least once, in the lake exactly once, whatever is lost on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::support::api::{Api, header, param};
use crate::support::process::Setup;

mod answers;
mod kills;
mod lookups;
mod seeds;

/// What an attribution API has been sent, by the key of the request: the body, and how often.
#[derive(Default)]
struct Seen(Mutex<BTreeMap<String, Vec<Value>>>);

impl Seen {
    fn note(&self, request: &Request) -> Value {
        let key = header(request, "idempotency-key").unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let mut seen = self.0.lock().unwrap();
        seen.entry(key).or_default().push(body.clone());
        body
    }

    /// Checks that no request had two bodies, and no body two keys.
    fn check(&self) {
        assert_eq!(self.violation(), None);
    }

    fn violation(&self) -> Option<String> {
        let seen = self.0.lock().unwrap();
        let mut bodies = BTreeSet::new();
        for (key, sent) in seen.iter() {
            if sent.iter().any(|body| *body != sent[0]) {
                return Some(format!("{key}: {sent:?}"));
            }
            if !bodies.insert(sent[0].to_string()) {
                return Some(format!("{key} is a second key"));
            }
        }
        None
    }

    fn requests(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }
}

/// The rows of a body.
fn journeys(body: &Value) -> &Vec<Value> {
    body["customer_journeys"].as_array().unwrap()
}

/// An answer that shares 1 among the sessions of each conversion.
fn shares(body: &Value) -> Value {
    let rows = journeys(body);
    let value = rows.iter().map(|row| {
        let own = |other: &&Value| other["conversion_id"] == row["conversion_id"];
        let share = 1.0 / f64::from(u32::try_from(rows.iter().filter(own).count()).unwrap());
        json!({"conversion_id": row["conversion_id"], "session_id": row["session_id"], "ihc": share})
    });
    json!({"statusCode": 200, "value": value.collect::<Vec<_>>(), "partialFailureErrors": []})
}

fn answered(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(shares(body))
}

/// A call named `ihc` to that API, with further settings of the call.
fn setup(url: &str, settings: &str) -> Setup {
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson\"\n[api.ihc]\nurl = \"{url}\"\n\
         auth = {{ type = \"header\", header = \"x-api-key\", token = \"s3cret-key\" }}\n\
         [call.ihc]\nrows = \"outbox/*.ndjson\"\napi = \"ihc\"\npath = \"/v1/compute?conv_type_id=all\"\n\
         settle = \"0s\"\ngroup = \"conversion_id\"\nbody = \"/customer_journeys\"\n\
         success = {{ pointer = \"/statusCode\", values = [200, 206] }}\nrecords = \"/value\"\n\
         failures = \"/partialFailureErrors\"\nid = [\"conversion_id\", \"session_id\"]\n\
         idempotency_header = \"Idempotency-Key\"\n{settings}\n"
    ));
    std::fs::create_dir(setup.directory().join("outbox")).unwrap();
    setup
}

/// Writes conversions of three sessions each into the outbox.
fn write(setup: &Setup, file: &str, conversions: std::ops::Range<usize>) {
    let rows = conversions.flat_map(|conversion| {
        (0..3).map(move |session| {
            let row = json!({"conversion_id": format!("c{conversion}"), "session_id": format!("s{conversion}-{session}"),
                "timestamp": format!("2026-01-{:02} 10:00:00", 1 + conversion % 28)});
            format!("{row}\n")
        })
    });
    let text: String = rows.collect();
    std::fs::write(setup.directory().join("outbox").join(file), text).unwrap();
}

/// Runs the calls, which must end with this code.
fn call(setup: &Setup, arguments: &[&str], code: i32) -> String {
    let output = setup.run(&[&["call"], arguments].concat());
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

/// The rows of a stream in the lake.
fn rows(setup: &Setup, stream: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut folders = vec![setup.directory().join("lake").join(stream)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "ndjson") {
                let text = std::fs::read_to_string(path).unwrap();
                rows.extend(
                    text.lines()
                        .map(|line| serde_json::from_str::<Value>(line).unwrap()),
                );
            }
        }
    }
    rows
}

/// Checks that each session of these conversions was answered exactly once.
fn check_once(setup: &Setup, conversions: usize) {
    let mut found = BTreeSet::new();
    for row in rows(setup, "ihc") {
        let id = (
            row["conversion_id"].to_string(),
            row["session_id"].to_string(),
        );
        assert!(found.insert(id), "twice: {row}");
    }
    assert_eq!(found.len(), 3 * conversions);
    let audit = setup.run(&["audit"]);
    assert!(audit.status.success(), "{audit:?}");
}

fn fake(
    answer: impl Fn(&Request, &Value, usize) -> ResponseTemplate + Send + Sync + 'static,
) -> (Api, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    let api = Api::start(move |request, n| {
        assert_eq!(header(request, "x-api-key").as_deref(), Some("s3cret-key"));
        assert_eq!(param(request, "conv_type_id").as_deref(), Some("all"));
        let body = noted.note(request);
        answer(request, &body, n)
    });
    (api, seen)
}

const LIMIT: Duration = Duration::from_secs(60);
