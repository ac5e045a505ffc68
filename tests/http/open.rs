//! The open contract: events as senders have them already.

use serde_json::{Value, json};

use super::{connect, post};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http::Answer;
use crate::support::process::Setup;

fn setup(more: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n{more}"
    ))
}

fn rows(setup: &Setup) -> Vec<Value> {
    Lake::directory(&setup.directory().join("lake")).rows()
}

fn parsed(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    }
}

#[test]
fn any_object_is_an_event_alone_in_an_array_or_in_the_form() {
    let setup = setup("[events]\ncontract = \"open\"\n");
    let program = setup.start();
    let accepted = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["accepted"].as_u64().unwrap()
    };
    let hello = post(&setup, r#"{"hello":"world"}"#);
    assert_eq!(accepted(&hello), 1);
    let id = hello.json()["event_ids"][0].clone();
    // Two equal posts are two events.
    assert_eq!(accepted(&post(&setup, r#"{"hello":"world"}"#)), 1);
    let an_hour_ago = lakehook::clock::Clock::system().now().wall.0 / 1000 - 3_600_000;
    let mixed = format!(
        r#"[{{"event_id":"01HZX","event_type":"signup","timestamp":{an_hour_ago}}},{{"event_id":7,"source":"till","user_id":{{"user_id":"u","name":"U"}}}}]"#
    );
    let first = post(&setup, &mixed);
    assert_eq!(accepted(&first), 2);
    assert_eq!(
        first.json()["event_ids"],
        Value::Null,
        "none of them is new"
    );
    assert_eq!(post(&setup, &mixed).json()["duplicates"], 2);
    assert_eq!(
        accepted(&post(
            &setup,
            r#"{"events":[{"event_id":"a","timestamp":"noon"}]}"#
        )),
        1
    );
    // A key of the sender makes a retry a duplicate, without any id or time.
    let keyed = |key: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = br#"[{"n":1},{"n":2}]"#;
        connect(&setup)
            .request("POST", super::PATH, &headers, body)
            .unwrap()
            .json()
    };
    let (one, again, other) = (keyed("k1"), keyed("k1"), keyed("k2"));
    assert_eq!(
        [&one["accepted"], &again["duplicates"], &other["accepted"]],
        [2, 2, 2]
    );
    assert_eq!(one["event_ids"], again["event_ids"]);
    for (bad, pointer) in [
        (r#"{"properties":[]}"#, "/properties"),
        (r#"[{},{"event_type":{}}]"#, "/1/event_type"),
        (r#"{"events":[{"user_id":true}]}"#, "/events/0/user_id"),
        (r#"{"A":1,"a":2}"#, "/a"),
        ("7", ""),
    ] {
        let answer = post(&setup, bad);
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        assert_eq!(
            answer.json()["errors"][0]["pointer"],
            pointer,
            "{}",
            answer.text()
        );
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = rows(&setup);
    assert_eq!(rows.len(), 2 + 2 + 1 + 4);
    let hello = rows.iter().find(|row| row["event_id"] == id).unwrap();
    assert_eq!(
        (&hello["event_type"], &hello["source"]),
        (&json!("unknown"), &json!("unknown"))
    );
    assert_eq!(parsed(&hello["extra"]), json!({"hello": "world"}));
    assert_eq!(hello["timestamp"], hello["received_at"]);
    let by_id = |id: &str| {
        let found = rows
            .iter()
            .find(|row| !row["extra"].is_null() && parsed(&row["extra"])["provider_id"] == id);
        found.unwrap()
    };
    assert_eq!(by_id("01HZX")["event_type"], "signup");
    let expected = lakehook::clock::Micros(an_hour_ago * 1000).to_string();
    let time = by_id("01HZX")["timestamp"]
        .as_str()
        .unwrap()
        .replace(' ', "T");
    assert!(time.starts_with(&expected[..19]), "{time}, not {expected}");
    assert_eq!(
        (&by_id("7")["source"], &by_id("7")["user_id"]),
        (&json!("till"), &json!("u"))
    );
    assert_eq!(parsed(&by_id("a")["extra"])["provider_time"], "noon");
}

#[test]
fn numbers_are_ids_too_and_the_schema_says_what_is_taken() {
    let setup = setup("[events]\ncontract = \"open\"\n");
    let output = setup.run(&["check", "--schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let program = setup.start();
    for (body, is_taken) in [
        (json!({"hello": "world"}), true),
        (
            json!({"event_id": 1, "user_id": 7, "event_type": 3, "source": null, "timestamp": 1}),
            true,
        ),
        (
            json!([{"user_id": {"user_id": -7.5}}, {"user_id": "u"}, {"user_id": null}]),
            true,
        ),
        (json!({"events": [{"properties": null}]}), true),
        (json!({"events": 7}), true),
        (json!({"user_id": true}), false),
        (json!({"user_id": {}}), false),
        (json!([{"event_type": {}}]), false),
        (json!([7]), false),
        (json!({"events": [7]}), false),
        (json!("text"), false),
    ] {
        let answer = post(&setup, body.to_string());
        assert_eq!(answer.status == 200, is_taken, "{body}: {}", answer.text());
        assert_eq!(validator.is_valid(&body), is_taken, "{body}");
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = rows(&setup);
    let mut users: Vec<String> = rows.iter().map(|row| row["user_id"].to_string()).collect();
    users.sort();
    let expected = ["\"-7.5\"", "\"7\"", "\"u\"", "null", "null", "null", "null"];
    assert_eq!(users, expected);
}

/// As a new user begins: no configuration, one argument, one curl.
#[test]
fn without_a_configuration_one_argument_takes_any_json() {
    let setup = Setup::new("");
    let mut command = setup.command(&["serve", "--contract", "open"]);
    command.env_remove("LAKEHOOK_CONFIG");
    std::fs::remove_file(setup.directory().join("lakehook.toml")).unwrap();
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    while !crate::support::http::get(setup.address(), "/ready")
        .is_ok_and(|answer| answer.status == 200)
    {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let answer = post(&setup, r#"{"hello":"world"}"#);
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let rows = Lake::directory(&setup.directory().join("data/lake")).rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(parsed(&rows[0]["extra"]), json!({"hello": "world"}));
}

#[test]
fn the_default_contract_names_the_way_and_a_star_takes_any_type() {
    let closed = setup("[events]\ntypes = [\"*\"]\nsources = [\"*\", \"web\"]\n");
    let program = closed.start();
    let refused = post(&closed, r#"{"hello":"world"}"#);
    assert_eq!(refused.status, 400);
    let detail = refused.json()["errors"][0]["detail"].clone();
    let detail = detail.as_str().unwrap();
    assert!(
        detail.contains("contract = \"open\"") && detail.contains("--contract open"),
        "{detail}"
    );
    let event = super::event(1, "anything", "{}").replace("\"web\"", "\"till\"");
    let answer = post(&closed, format!("{{\"events\":[{event}]}}"));
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    assert_eq!(
        post(&closed, format!("{{\"events\":[{event}]}}")).json()["duplicates"],
        1
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", closed.stderr());
    let row = &rows(&closed)[0];
    assert_eq!(
        (&row["event_type"], &row["source"]),
        (&json!("anything"), &json!("till"))
    );
}
