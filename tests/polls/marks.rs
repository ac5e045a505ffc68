//! Marks: in every format and at every place, nothing is lost between two runs, and nothing is asked for
//! without end.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{lake, poll, said, setup};
use crate::support::api::{Api, header, page, param};
use crate::support::process::Setup;

/// An API that answers every request with what is in the list.
fn api(things: &Arc<Mutex<Value>>) -> Api {
    let things = Arc::clone(things);
    Api::start(move |_, _| page(json!({"things": things.lock().unwrap().clone()})))
}

fn well(setup: &Setup) -> String {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(0), "{said}");
    said
}

/// What a second run sends, if the first one has seen this value; the first run must send nothing.
fn second(settings: &str, value: &Value, sent: impl Fn(&Request) -> Option<String>) -> String {
    let things = Arc::new(Mutex::new(json!([{"id": 1, "at": value}])));
    let api = api(&things);
    let watermark = format!("mode = \"append\"\nwatermark = {{ field = \"at\", {settings} }}");
    let setup = setup(&api.url(), &watermark);
    well(&setup);
    well(&setup);
    let requests = api.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(sent(&requests[0]), None);
    assert_eq!(lake(&setup).stream("things", "id").rows, 1);
    sent(&requests[1]).unwrap()
}

#[test]
fn each_format_is_asked_for_in_its_own_unit() {
    for (format, lag, value, sent) in [
        ("ms", "60s", json!(1_700_000_000_123_i64), "1699999940123"),
        ("s", "60s", json!("1700000000"), "1699999940"),
        (
            "s-float",
            "1s",
            json!(1_700_000_000.25),
            "1699999999.250000",
        ),
        (
            "naive\", zone = \"Europe/Berlin",
            "0s",
            json!("2026-07-01 02:00:00"),
            "2026-07-01T02:00:00",
        ),
        (
            "%d.%m.%Y %H:%M",
            "1h",
            json!("01.07.2026 00:30"),
            "30.06.2026 23:30",
        ),
        (
            "dotnet\", into_format = \"date",
            "0s",
            json!("/Date(1700000000123)/"),
            "2023-11-14",
        ),
        ("text", "0s", json!("b & c"), "b & c"),
    ] {
        let settings = format!("format = \"{format}\", param = \"since\", lag = \"{lag}\"");
        let asked = second(&settings, &value, |request| param(request, "since"));
        assert_eq!(asked, sent, "{format}");
    }
    // A large serial number is no time: it is not capped at now, and its lag is a number.
    let settings = "format = \"serial\", param = \"since\", lag = 10";
    let asked = second(settings, &json!(9_999_999_999_999_i64), |request| {
        param(request, "since")
    });
    assert_eq!(asked, "9999999999989");
}

#[test]
fn a_mark_goes_where_it_is_wanted() {
    let time = json!("2026-03-01T00:00:00Z");
    let into = "format = \"rfc3339\", into_format = \"%Y-%m-%d %H:%M\", into = \"query:q=updated > '{mark}'\"";
    let asked = second(into, &time, |request| param(request, "q"));
    assert_eq!(asked, "updated > '2026-02-28 23:59'");
    let into = "format = \"rfc3339\", lag = \"0s\", into = \"header:If-Modified-Since\"";
    let asked = second(into, &time, |request| header(request, "if-modified-since"));
    assert_eq!(asked, "Sun, 01 Mar 2026 00:00:00 GMT");
}

#[test]
fn what_was_not_modified_is_nothing_new() {
    let api = Api::start(|request, _| match header(request, "if-modified-since") {
        None => page(json!({"things": [{"id": 1, "at": "2026-03-01T00:00:00Z"}]})),
        Some(_) => ResponseTemplate::new(304),
    });
    let mark =
        "watermark = { field = \"at\", into = \"header:If-Modified-Since\", format = \"rfc3339\" }";
    let setup = setup(&api.url(), &format!("mode = \"append\"\n{mark}"));
    assert!(well(&setup).contains("1 records"));
    assert!(well(&setup).contains("0 records"));
    assert_eq!(lake(&setup).stream("things", "id").rows, 1);
}

#[test]
fn a_path_holds_the_mark() {
    let api = Api::start(|request, _| {
        let path = request.url.path().to_owned();
        let at = if path == "/since/2026-01-01/things" {
            "2026-02-03"
        } else {
            "2026-02-04"
        };
        page(json!({"things": [{"id": path, "at": at}]}))
    });
    let url = format!("{}/since/{{mark}}", api.url());
    let setup = setup(
        &url,
        "mode = \"append\"\nwatermark = { field = \"at\", format = \"date\", into = \"path\", lag = 0, \
         start = \"2026-01-01\" }",
    );
    well(&setup);
    well(&setup);
    let paths: Vec<String> = api
        .requests()
        .iter()
        .map(|r| r.url.path().to_owned())
        .collect();
    assert_eq!(
        paths,
        ["/since/2026-01-01/things", "/since/2026-02-03/things"]
    );
}

#[test]
fn a_number_that_may_be_a_time_is_asked_about() {
    let things = Arc::new(Mutex::new(json!([{"id": 1, "at": 1_700_000_000}])));
    let api = api(&things);
    let setup = setup(
        &api.url(),
        "mode = \"append\"\nwatermark = { field = \"at\", param = \"since\" }",
    );
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(1), "{said}");
    for words in [
        "page 1",
        "1700000000",
        "watermark.format",
        "\"serial\"",
        "\"ms\"",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(lake(&setup).stream("things", "id").rows, 0);
}

#[test]
fn another_request_starts_anew_and_says_so_unless_the_mark_is_to_be_kept() {
    let things = Arc::new(Mutex::new(json!([{"id": 1, "at": "2026-03-01T00:00:00Z"}])));
    let api = api(&things);
    let settings = |more: &str| {
        format!(
            "mode = \"append\"\nwatermark = {{ field = \"at\", param = \"since\", lag = \"0s\" }}\n{more}"
        )
    };
    let setup = setup(&api.url(), &settings(""));
    let since = |setup: &Setup| {
        let said = well(setup);
        let last = api.requests().pop().unwrap();
        (param(&last, "since"), said)
    };
    assert_eq!(since(&setup).0, None);
    let (asked, said) = since(&setup);
    assert_eq!(asked.as_deref(), Some("2026-03-01T00:00:00.000000Z"));
    assert!(!said.contains("the mark of earlier runs"), "{said}");

    // Another scope: everything is asked for, and somebody is told.
    setup.configure(&super::config(
        &api.url(),
        &settings("query = { team = \"a\" }"),
    ));
    let (asked, said) = since(&setup);
    assert_eq!(asked, None);
    assert!(
        said.contains("the mark of earlier runs") && said.contains("keep_mark"),
        "{said}"
    );
    // It is told once, and the new mark holds.
    let (asked, said) = since(&setup);
    assert_eq!(asked.as_deref(), Some("2026-03-01T00:00:00.000000Z"));
    assert!(!said.contains("the mark of earlier runs"), "{said}");

    setup.configure(&super::config(
        &api.url(),
        &settings("query = { team = \"b\" }\nkeep_mark = true"),
    ));
    let (asked, said) = since(&setup);
    assert_eq!(asked.as_deref(), Some("2026-03-01T00:00:00.000000Z"));
    assert!(!said.contains("the mark of earlier runs"), "{said}");
}

#[test]
fn check_finds_marks_that_cannot_work() {
    for (settings, words) in [
        (
            "field = \"at\", param = \"since\", start = \"1700000000\"",
            "watermark.format",
        ),
        ("field = \"at\", into = \"query:q=x\"", "{mark}"),
        (
            "field = \"at\", into = \"path\", start = \"2026-01-01T00:00:00Z\"",
            "in the path",
        ),
        (
            "field = \"at\", param = \"since\", format = \"sec\"",
            "must be one of",
        ),
    ] {
        let text = format!("mode = \"append\"\nwatermark = {{ {settings} }}");
        let setup = setup("http://localhost:9", &text);
        let (told, code) = said(&setup.run(&["check"]));
        assert_ne!(code, Some(0), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    }
}
