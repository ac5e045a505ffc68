//! `lakehook quarantine replay` of what hooks took: by the headers that were kept, through a service and without one.

use serde_json::{Value, json};

use super::{said, stdout};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::process::Setup;

const TOKEN: &str = "a token of tests";

fn configure(setup: &Setup, max_event: &str, max_events: u64) {
    setup.configure(&format!(
        "[server]\nmax_event = \"{max_event}\"\nmax_events = {max_events}\n[quarantine]\nmax_row = \"2 MiB\"\n\
         [lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"parquet\"\n\
         [hook.shop]\nscheme = \"github\"\nheaders = [\"x-shop\"]\n\
         auth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{TOKEN}\"] }}]\n\
         [hook.lines]\nid = \"none\"\nauth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{TOKEN}\"] }}]\n\
         [hook.site]\nscheme = \"segment\"\nsecrets = [\"{TOKEN}\"]\n\
         [events]\ncontract = \"open\"\n"
    ));
}

fn send(setup: &Setup, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let headers = [&[("x-token", TOKEN)], headers].concat();
    let mut connection =
        http::Connection::open(setup.address(), std::time::Duration::from_secs(20)).unwrap();
    let answer = connection.request("POST", path, &headers, body.as_bytes());
    answer.unwrap().status
}

fn replay(setup: &Setup, more: &[&str]) -> Value {
    let output = setup.run(&[&["quarantine", "replay", "--json"], more].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn what_hooks_took_is_judged_again_with_the_headers_that_they_look_at() {
    let setup = Setup::new("");
    configure(&setup, "64 KiB", 2);
    let program = setup.start();
    let json = ("content-type", "application/json");
    let long = json!({"text": "x".repeat(100_000)}).to_string();
    let shop = [
        json,
        ("x-github-event", "push"),
        ("x-github-delivery", "d-1"),
        ("x-shop", "one"),
        ("authorization", "Bearer x"),
    ];
    assert_eq!(send(&setup, "/webhook/shop", &shop, &long), 413);
    let lines = [("content-type", "application/x-ndjson")];
    assert_eq!(
        send(
            &setup,
            "/webhook/lines",
            &lines,
            "{\"n\":1}\n{\"n\":2}\n{\"n\":3}"
        ),
        413
    );
    let batch =
        json!({"writeKey": TOKEN, "batch": [{"event": "a"}, {"event": "b"}, {"event": "c"}]})
            .to_string();
    assert_eq!(send(&setup, "/v1/batch", &[json], &batch), 413);
    // This will never be valid.
    assert_eq!(
        send(&setup, "/webhook/shop", &shop, "{\"A\":1,\"a\":2}"),
        200
    );
    // The open contract of the webhook for events.
    assert_eq!(
        send(&setup, "/webhook/events", &[json], "{\"properties\":[]}"),
        400
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());

    configure(&setup, "1 MiB", 100);
    let dry = replay(&setup, &["--dry-run"]);
    assert_eq!(
        (&dry["replayed"]["rows"], &dry["replayed"]["stored"]),
        (&json!(3), &json!(7)),
        "{dry}"
    );
    let program = setup.start();
    let report = replay(&setup, &[]);
    assert_eq!(
        (&report["replayed"]["rows"], &report["replayed"]["stored"]),
        (&json!(3), &json!(7)),
        "{report}"
    );
    assert_eq!(report["still_invalid"]["rows"], 2, "{report}");
    // Known now, whoever sends it again.
    assert_eq!(send(&setup, "/webhook/shop", &shop, &long), 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let again = replay(&setup, &[]);
    assert_eq!(again["skipped"]["replayed_before"], 3, "{again}");

    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 7);
    let pushed = rows.iter().find(|row| row["event_type"] == "push").unwrap();
    let extra: Value = match &pushed["extra"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    };
    assert_eq!(
        extra,
        json!({"provider_id": "d-1", "headers": {"x-shop": "one"}})
    );
    let of = |source: &str| rows.iter().filter(|row| row["source"] == source).count();
    assert_eq!((of("lines"), of("site")), (3, 3));
    // Without the hook, its rows are left alone.
    setup.configure("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let gone = replay(&setup, &["--dry-run"]);
    assert_eq!(gone["skipped"]["of_hook"], 1, "{gone}");
}
