//! What providers send, and what becomes of it: ids, times, headers, forms of bodies, and what cannot be read.

use std::io::Write as _;

use serde_json::{Value, json};

use super::kept::quarantine;
use super::signed::{SECRET, hex};
use super::{connect, metric};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http::Answer;
use crate::support::process::Setup;

const ID: &str = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";

fn setup(more: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.other]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\non_conflict = \"quarantine\"\n\
         [hook.own]\nauth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{SECRET}\"] }}]\n\
         time = \"/at\"\ntype = [\"/kind\", \"/type\"]\nheaders = [\"x-shop\", \"ce-*\"]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n{more}"
    ))
}

/// Posts a body to a hook that GitHub's way of signing, or a token, admits.
fn post(setup: &Setup, hook: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let signature = format!("sha256={}", hex(body));
    let own = [
        ("x-hub-signature-256", &*signature),
        ("x-token", SECRET),
        ("content-type", "application/json"),
    ];
    let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
    let own = own.into_iter().filter(|(name, _)| !is_given(name));
    let all: Vec<(&str, &str)> = own.chain(headers.iter().copied()).collect();
    let path = format!("/webhook/{hook}");
    connect(setup).request("POST", &path, &all, body).unwrap()
}

fn counts(answer: &Answer) -> [Value; 3] {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    ["accepted", "duplicates", "quarantined"].map(|name| body[name].clone())
}

fn requests(setup: &Setup, hook: &str, outcome: &str) -> f64 {
    let name = format!("lakehook_hook_requests_total{{hook=\"{hook}\",outcome=\"{outcome}\"}}");
    metric(setup, &name)
}

#[test]
fn a_providers_own_id_decides_and_ids_are_of_their_hook() {
    let setup = setup("[dedup]\nignore = [\"/properties/attempt\"]\n");
    let program = setup.start();
    let delivery = [("x-github-delivery", ID), ("x-github-event", "push")];
    let first = br#"{"ref":"main","attempt":1}"#;
    for (hook, body, expected) in [
        ("github", &first[..], [1, 0, 0]),
        // Another hook has ids of its own.
        ("other", first, [1, 0, 0]),
        ("github", br#"{"ref":"main","attempt":2}"#, [0, 1, 0]),
        ("github", br#"{"ref":"other","attempt":2}"#, [0, 1, 0]),
        ("other", br#"{"ref":"main","attempt":2}"#, [0, 1, 0]),
        ("other", br#"{"ref":"other"}"#, [0, 0, 1]),
    ] {
        let answer = post(&setup, hook, &delivery, body);
        assert_eq!(counts(&answer), expected.map(Value::from), "{hook}");
    }
    assert_eq!(requests(&setup, "github", "changed"), 1.0);
    assert_eq!(requests(&setup, "github", "duplicate"), 1.0);
    assert_eq!(requests(&setup, "other", "conflict"), 1.0);
    // The webhook of events has ids of its own too.
    let event = super::event(1, "click", "{}").replace(&super::id(1), ID);
    let own = super::post(&setup, format!("{{\"events\":[{event}]}}"));
    assert_eq!(own.json()["accepted"], 1, "{}", own.text());
    // Known after a restart.
    assert!(program.stop(STOP_LIMIT).success());
    let program = setup.start();
    let again = post(&setup, "github", &delivery, b"{\"ref\":\"third\"}");
    assert_eq!(counts(&again), [0, 1, 0].map(Value::from));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["event_id"] == ID));
}

/// An id that the operator points to may be that of an order; and without one, the operator says what equal bytes are.
#[test]
fn what_an_id_means_is_the_operators_choice() {
    let auth = format!(
        "auth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{SECRET}\"] }}]\n"
    );
    let setup = setup(&format!(
        "[hook.order]\nid = \"/order\"\n{auth}[hook.latest]\nid = \"/order\"\non_conflict = \"duplicate\"\n{auth}\
         [hook.content]\nid = [\"/order\", \"content\"]\n{auth}[hook.none]\nid = [\"/order\", \"none\"]\n{auth}"
    ));
    let program = setup.start();
    for (hook, body, expected) in [
        ("order", r#"{"order":7,"state":"paid"}"#, [1, 0, 0]),
        ("order", r#"{"order":7,"state":"paid"}"#, [0, 1, 0]),
        ("order", r#"{"order":7,"state":"sent"}"#, [0, 0, 1]),
        ("latest", r#"{"order":7,"state":"paid"}"#, [1, 0, 0]),
        ("latest", r#"{"order":7,"state":"sent"}"#, [0, 1, 0]),
        ("content", r#"{"state":"paid"}"#, [1, 0, 0]),
        ("content", r#"{"state":"paid"}"#, [0, 1, 0]),
        ("content", r#"{"state":"sent"}"#, [1, 0, 0]),
        ("none", r#"{"state":"paid"}"#, [1, 0, 0]),
        ("none", r#"{"state":"paid"}"#, [1, 0, 0]),
        ("none", r#"{"state":"paid"}"#, [1, 0, 0]),
    ] {
        let answer = post(&setup, hook, &[], body.as_bytes());
        assert_eq!(counts(&answer), expected.map(Value::from), "{hook} {body}");
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 1 + 1 + 2 + 3);
    assert_eq!(quarantine(&setup).len(), 1);
}

#[test]
fn what_is_signed_and_cannot_be_read_is_kept_once_and_never_refused() {
    let setup = setup("[quarantine]\nmax_bytes_per_minute = \"1 KiB\"\n");
    let program = setup.start();
    // More than the bound on refused bodies, which is not for these.
    let surrogate = format!(r#"{{"long":"{}","text":"\ud800"}}"#, "x".repeat(5000));
    let bodies = [
        surrogate.as_bytes(),
        br#"{"Name":1,"name":2}"#,
        b"no JSON",
        b"\xff\xfe",
        b"[1]",
    ];
    for body in bodies {
        let first = post(&setup, "github", &[], body);
        assert_eq!(counts(&first), [0, 0, 1].map(Value::from));
        assert!(first.json()["errors_total"].as_u64().unwrap() > 0);
        for _ in 0..2 {
            let again = post(&setup, "github", &[], body);
            assert_eq!(counts(&again), [0, 1, 0].map(Value::from));
        }
    }
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(
        counts(&post(&setup, "github", &gzip, b"no gzip")),
        [0, 0, 1].map(Value::from)
    );
    assert_eq!(requests(&setup, "github", "quarantined"), 6.0);
    assert_eq!(requests(&setup, "github", "repeated"), 10.0);
    // Whoever is not authenticated can be told.
    for _ in 0..2 {
        let refused = post(&setup, "open", &[], br#"{"A":1,"a":2}"#);
        assert_eq!(refused.status, 400, "{}", refused.text());
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    assert_eq!(rows.len(), 7);
    let kept = rows
        .iter()
        .find(|row| row["raw"].as_str().unwrap().len() > 5000);
    assert_eq!(kept.unwrap()["raw"].as_str().unwrap().as_bytes(), bodies[0]);
}

#[test]
fn times_are_read_in_many_forms_and_what_cannot_be_used_is_told() {
    let setup = setup("");
    let program = setup.start();
    let now = lakehook::clock::Clock::system().now().wall;
    let [seconds, minute] = [now.0 / 1_000_000, 60_000_000].map(|n| n);
    let at = lakehook::clock::Micros((seconds * 1_000_000) - minute);
    let strict = at.to_string();
    let text = strict.trim_end_matches(".000000Z");
    let used = [
        json!(at.0 / 1_000_000),
        json!(at.0 / 1000),
        json!(at.0),
        json!(at.0 * 1000),
        json!(format!("{}.000", at.0 / 1_000_000)),
        json!(format!("{} UTC", text.replace('T', " "))),
        json!(format!("{text}+0000")),
        json!(format!("{}z", text.to_lowercase())),
    ];
    let unused = [
        json!("1970-01-02T00:00:00Z"),
        json!("tomorrow"),
        json!(text),
        json!("2999-01-01T00:00:00Z"),
    ];
    for (number, time) in used.iter().chain(&unused).enumerate() {
        let body = json!({"id": format!("n{number}"), "at": time}).to_string();
        let answer = post(&setup, "own", &[], body.as_bytes());
        assert_eq!(counts(&answer), [1, 0, 0].map(Value::from), "{time}");
    }
    let counter = "lakehook_hook_unusable_times_total{hook=\"own\"}";
    assert_eq!(metric(&setup, counter), 4.0);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), used.len() + unused.len());
    for row in rows {
        let extra = extra(&row);
        let number: usize = extra["provider_id"].as_str().unwrap()[1..].parse().unwrap();
        let time = row["timestamp"].as_str().unwrap().replace(' ', "T");
        if number < used.len() {
            assert!(time.starts_with(text), "{number}: {time}, not {text}");
            assert_eq!(extra["provider_time"], Value::Null);
        } else {
            let told = unused[number - used.len()].as_str().unwrap();
            assert_eq!(extra["provider_time"], told);
        }
    }
}

fn extra(row: &Value) -> Value {
    match &row["extra"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    }
}

#[test]
fn headers_and_the_providers_id_are_kept_and_types_found_in_several_places() {
    let setup = setup("");
    let program = setup.start();
    let headers = [
        ("x-shop", "one"),
        ("ce-type", "a"),
        ("ce-source", "b"),
        ("authorization", "Bearer x"),
    ];
    for body in [
        r#"{"id":"evt_1","kind":"sold"}"#,
        r#"{"id":2,"type":"paid"}"#,
        "{}",
    ] {
        let answer = post(&setup, "own", &headers, body.as_bytes());
        assert_eq!(counts(&answer), [1, 0, 0].map(Value::from));
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    let mut seen: Vec<(Value, Value)> = rows
        .iter()
        .map(|row| (row["event_type"].clone(), extra(row)))
        .collect();
    seen.sort_by_key(|(kind, _)| kind.to_string());
    let kept = json!({"ce-source": "b", "ce-type": "a", "x-shop": "one"});
    let expected = [
        (json!("paid"), json!({"provider_id": "2", "headers": kept})),
        (
            json!("sold"),
            json!({"provider_id": "evt_1", "headers": kept}),
        ),
        (json!("unknown"), json!({"headers": kept})),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn bodies_come_as_arrays_lines_forms_and_under_many_media_types() {
    let setup = setup("");
    let program = setup.start();
    let send =
        |kind: &str, body: &str| post(&setup, "own", &[("content-type", kind)], body.as_bytes());
    let accepted = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["accepted"].as_u64().unwrap()
    };
    let list = r#"[{"id":"a1","type":"t"},{"id":"a2","type":"t"}]"#;
    assert_eq!(accepted(send("application/json", list)), 2);
    assert_eq!(accepted(send("application/json", "[]")), 0);
    let lines = "\u{feff}{\"id\":\"l1\"}\r\n\n{\"id\":\"l2\"}\n{\"id\":\"a1\",\"type\":\"t\"}";
    assert_eq!(accepted(send("application/x-ndjson", lines)), 2);
    for (index, kind) in [
        "application/cloudevents+json; charset=UTF8",
        "application/vnd.api+json",
        "text/json",
        "text/plain;charset=us-ascii",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(
            accepted(send(kind, &format!("{{\"id\":\"k{index}\"}}"))),
            1,
            "{kind}"
        );
    }
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        accepted(send(form, "id=f1&type=sms&Body=a+b%21&x=1&x=2")),
        1
    );
    let payload = "payload=%7B%22id%22%3A%22f2%22%2C%22type%22%3A%22click%22%7D";
    assert_eq!(accepted(send(form, payload)), 1);
    // One bad element of a list is kept, the others are stored.
    let mixed = send(
        "application/json",
        r#"[{"id":"m1"},{"A":1,"a":1},{"id":"m2"}]"#,
    );
    assert_eq!(counts(&mixed), [2, 0, 1].map(Value::from));
    assert_eq!(
        mixed.json()["errors"][0]["pointer"],
        "/1/a",
        "{}",
        mixed.text()
    );
    // Without authentication, a list is taken whole or not at all.
    let refused = post(&setup, "open", &[], br#"[{"id":"m1"},{"A":1,"a":1}]"#);
    assert_eq!(refused.status, 400);
    for (name, value, supported) in [
        ("content-type", "image/png", "accept-post"),
        ("content-encoding", "br", "accept-encoding"),
    ] {
        let answer = post(&setup, "own", &[(name, value)], b"{}");
        assert_eq!(answer.status, 415, "{}", answer.text());
        assert!(answer.header(supported).is_some(), "{:?}", answer.text());
    }
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(b"{\"id\":\"z1\"}").unwrap();
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(b"{\"id\":\"z2\"}").unwrap();
    for body in [zlib.finish().unwrap(), raw.finish().unwrap()] {
        let answer = post(&setup, "github", &[("content-encoding", "deflate")], &body);
        assert_eq!(counts(&answer), [1, 0, 0].map(Value::from));
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 2 + 2 + 4 + 2 + 2 + 2);
    let sms = rows.iter().find(|row| row["event_type"] == "sms").unwrap();
    let properties = match &sms["properties"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    };
    let expected = json!({"Body": "a b!", "id": "f1", "type": "sms", "x": ["1", "2"]});
    assert_eq!(properties, expected);
}

#[test]
fn refused_deliveries_are_counted_and_said_and_the_connection_says_when_it_ends() {
    let setup = setup("");
    let program = setup.start();
    for _ in 0..3 {
        let answer = post(
            &setup,
            "github",
            &[("x-hub-signature-256", "sha256=00")],
            b"{}",
        );
        assert_eq!(answer.status, 401);
    }
    assert_eq!(requests(&setup, "github", "unauthenticated"), 3.0);
    // A body that is not read: a small one does not end the connection, a large one does, and says so.
    let json = ("content-type", "application/json");
    let mut connection = connect(&setup);
    for (bytes, closes) in [(10, false), (1000, false), (300_000, true)] {
        let body = vec![b' '; bytes];
        let answer = connection
            .request("POST", "/webhook/own", &[json], &body)
            .unwrap();
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("connection"),
            closes.then_some("close"),
            "{bytes}"
        );
    }
    assert!(program.stop(STOP_LIMIT).success());
    let said = setup.stderr();
    assert_eq!(said.matches("deliveries are refused").count(), 2, "{said}");
    assert!(!said.contains(SECRET));
}
