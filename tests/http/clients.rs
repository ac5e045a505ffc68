//! Real clients deliver as they are: those of event collectors, CloudEvents, and libraries that sign webhooks.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::connect;
use super::signed::SECRET;
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::needs::Need;
use crate::support::process::Setup;
use crate::support::python::repository;

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn setup() -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.shop]\nscheme = \"segment\"\nsecrets = [\"another key\", \"{SECRET}\"]\n\
         [hook.site]\nscheme = \"segment\"\npath = \"/site/\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.product]\nscheme = \"posthog\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.mesh]\nscheme = \"cloudevents\"\nauth = [{{ type = \"bearer\", secrets = [\"{SECRET}\"] }}]\n\
         [hook.svix]\nscheme = \"standard\"\nsecrets = [\"{WHSEC}\"]\n\
         [hook.stripe]\nscheme = \"stripe\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n"
    ))
}

/// Runs a client of `tests/python/clients.py`; returns what it printed.
fn python(setup: &Setup, client: &str, path: &str, secret: &str) -> String {
    let python = repository().join(".venv-clients/bin/python");
    let shown = python.display();
    assert!(python.exists(), "there is no {shown}: make setup");
    let mut command = Command::new(python);
    command.arg(repository().join("tests/python/clients.py"));
    run(command, setup, client, path, secret)
}

fn run(mut command: Command, setup: &Setup, client: &str, path: &str, secret: &str) -> String {
    let url = format!("http://{}{path}", setup.address());
    let output = command.args([client, &url, secret]).output().unwrap();
    assert!(output.status.success(), "{client}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of each source.
fn stored(setup: &Setup) -> BTreeMap<String, Vec<Value>> {
    let mut stored: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut row in Lake::directory(&setup.directory().join("lake")).rows() {
        for column in ["extra", "properties"] {
            if let Value::String(text) = &row[column] {
                row[column] = serde_json::from_str(text).unwrap();
            }
        }
        let source = row["source"].as_str().unwrap().to_owned();
        stored.entry(source).or_default().push(row);
    }
    stored
}

fn types(rows: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = rows
        .iter()
        .map(|row| row["event_type"].as_str().unwrap())
        .collect();
    types.sort_unstable();
    types
}

fn of_type<'r>(rows: &'r [Value], event_type: &str) -> &'r Value {
    let found = rows.iter().find(|row| row["event_type"] == event_type);
    found.unwrap_or_else(|| panic!("no {event_type} in {rows:?}"))
}

fn is_at(row: &Value, second: &str) -> bool {
    let time = row["timestamp"].as_str().unwrap().replace(' ', "T");
    time.starts_with(second)
}

#[test]
fn clients_in_python_deliver_as_they_are() {
    let setup = setup();
    let program = setup.start();
    python(&setup, "segment", "", SECRET);
    python(&setup, "segment_gzip", "/site", SECRET);
    python(&setup, "rudder", "/site", SECRET);
    python(&setup, "posthog", "", SECRET);
    let answers = python(&setup, "cloudevents", "/webhook/mesh", SECRET);
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(
        answers,
        json!([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [2, 0]])
    );
    python(&setup, "svix", "/webhook/svix", WHSEC);
    python(&setup, "standardwebhooks", "/webhook/svix", WHSEC);
    python(&setup, "stripe", "/webhook/stripe", SECRET);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());

    let stored = stored(&setup);
    let shop = &stored["shop"];
    let all = [
        "Order Completed",
        "alias",
        "group",
        "identify",
        "page",
        "screen",
    ];
    assert_eq!(types(shop), all);
    let order = of_type(shop, "Order Completed");
    assert!(is_at(order, "2026-11-01T12:00:00"), "{order}");
    assert_eq!(order["user_id"], "u1");
    assert_eq!(order["properties"]["properties"], json!({"total": 3.5}));
    assert_eq!(order["properties"]["messageId"], order["event_id"]);
    // What stands beside the batch is kept, but not the key.
    assert!(order["extra"]["batch"]["sentAt"].is_string(), "{order}");
    assert!(!json!(shop).to_string().contains(SECRET));
    let site = &stored["site"];
    assert_eq!(types(site), ["Again", "Signed Up", "identify"]);
    let again = of_type(site, "Again");
    assert_eq!(again["extra"]["provider_id"], "one-and-the-same");
    assert_eq!(again["user_id"], "u2");

    let product = &stored["product"];
    assert_eq!(types(product), ["$set", "$set", "opened", "opened"]);
    let opened = of_type(product, "opened");
    assert_eq!(
        (&opened["user_id"], &opened["event_id"]),
        (&json!("u1"), &opened["properties"]["uuid"])
    );
    assert!(!json!(product).to_string().contains(SECRET));

    let mesh = &stored["mesh"];
    assert_eq!(types(mesh), vec!["com.example.sold"; 6]);
    let by = |source: &str, id: &str| {
        let is_it =
            |row: &&Value| row["properties"]["source"] == source && row["properties"]["id"] == id;
        mesh.iter().find(is_it).unwrap()
    };
    assert!(is_at(by("/shop/1", "e1"), "2026-11-01T12:00:01"));
    assert_eq!(by("/shop/1", "e1")["properties"]["subject"], "Straße 7");
    assert_eq!(by("/shop/1", "e2")["properties"]["subject"], "Straße 7");
    assert_eq!(by("/shop/1", "e2")["properties"]["data"], json!({"n": 2}));
    assert_eq!(by("/shop/1", "e3")["properties"]["data_base64"], "iVBORw==");
    assert_eq!(by("/shop/2", "e1")["extra"]["provider_id"], "e1");

    assert_eq!(types(&stored["svix"]), ["invoice.paid", "user.created"]);
    assert_eq!(types(&stored["stripe"]), ["charge.succeeded"]);
}

#[test]
fn clients_in_javascript_deliver_as_they_are() {
    let scripts = repository().join("tests/node");
    let node = Command::new("node").arg("--version").output();
    if node.is_err() || !scripts.join("node_modules/@segment").exists() {
        Need::Node.skip("node, or what tests/node needs, is not installed");
        return;
    }
    let setup = setup();
    let program = setup.start();
    for (client, path) in [("segment", "/site"), ("octokit", "/webhook/github")] {
        let mut command = Command::new("node");
        command.arg(scripts.join("clients.mjs"));
        run(command, &setup, client, path, SECRET);
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let stored = stored(&setup);
    let site = &stored["site"];
    assert_eq!(types(site), ["Order Refunded", "identify", "page"]);
    let order = of_type(site, "Order Refunded");
    assert!(is_at(order, "2026-11-01T12:00:00"), "{order}");
    assert_eq!(
        order["extra"]["provider_id"],
        order["properties"]["messageId"]
    );
    assert_eq!(order["user_id"], "n1");
    let github = &stored["github"][0];
    assert_eq!(github["event_id"], "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(github["event_type"], "pull_request");
}

/// Each path of a client's protocol, with one event, and who may send to it.
#[test]
fn single_calls_and_secrets_of_clients() {
    let setup = setup();
    let program = setup.start();
    let json = ("content-type", "application/json");
    let send = |path: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[json], headers].concat();
        connect(&setup)
            .request("POST", path, &headers, body.as_bytes())
            .unwrap()
    };
    let calls = ["track", "identify", "page", "screen", "group", "alias"];
    for call in calls {
        // As `Authorization: Basic <key>:` …
        let basic = base64_of(&format!("{SECRET}:"));
        let basic = format!("Basic {basic}");
        let authorization = [("authorization", &*basic)];
        let body = json!({"messageId": format!("{call}-1"), "userId": "u"}).to_string();
        let answer = send(&format!("/v1/{call}"), &authorization, &body);
        assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
        // … or as a member of the body, as a browser's `sendBeacon` does.
        let body = json!({"messageId": format!("{call}-2"), "writeKey": SECRET}).to_string();
        let plain = [("content-type", "text/plain")];
        let answer = connect(&setup)
            .request("POST", &format!("/v1/{call}/"), &plain, body.as_bytes())
            .unwrap();
        assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    }
    let key = json!({"api_key": SECRET, "event": "one", "distinct_id": 7}).to_string();
    assert_eq!(send("/capture/", &[], &key).json()["accepted"], 1);
    for (path, body) in [
        (
            "/v1/batch",
            json!({"batch": [{}], "writeKey": "a wrong key"}),
        ),
        ("/v1/batch", json!({"batch": [{"writeKey": SECRET}]})),
        ("/v1/track", json!([SECRET])),
        ("/batch", json!({"batch": [{}]})),
        ("/batch", json!(SECRET)),
    ] {
        let answer = send(path, &[], &body.to_string());
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
    }
    for (encoding, body) in [("identity", "no JSON"), ("gzip", "no gzip")] {
        let answer = send("/batch", &[("content-encoding", encoding)], body);
        assert!(matches!(answer.status, 400 | 401), "{}", answer.text());
    }
    // Nobody who has not proven who they are fills the quarantine.
    assert_eq!(
        super::metric(
            &setup,
            "lakehook_events_quarantined_total{reason=\"refused_request\"}"
        ),
        0.0
    );
    // A batch with an event that engines cannot read: the others are stored, and it is kept.
    let mixed =
        r#"{"batch":[{"event":"good"},{"A":1,"a":2}],"api_key":"KEY"}"#.replace("KEY", SECRET);
    let answer = send("/batch", &[], &mixed);
    let body = answer.json();
    assert_eq!(
        (&body["accepted"], &body["quarantined"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(body["errors"][0]["pointer"], "/batch/1/a", "{body}");
    // What stands beside a batch must be readable too, because it is kept with each event.
    let beside = r#"{"batch":[{"event":"x"}],"api_key":"KEY","a":1,"A":2}"#.replace("KEY", SECRET);
    assert_eq!(send("/batch", &[], &beside).json()["quarantined"], 1);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let stored = stored(&setup);
    let mut twice: Vec<&str> = [calls, calls].concat();
    twice.sort_unstable();
    assert_eq!(types(&stored["shop"]), twice);
    assert_eq!(types(&stored["product"]), ["good", "one"]);
    assert_eq!(of_type(&stored["product"], "one")["user_id"], "7");
    assert!(!json!(stored).to_string().contains(SECRET));
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
