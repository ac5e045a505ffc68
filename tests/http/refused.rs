//! 400: what is wrong and where; and nothing of the request enters the events.

use super::{body, click, event, post, problem, setup};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let setup = setup("");
    let _program = setup.start();
    insta::assert_snapshot!(problem(&post(&setup, "")), @r#"
400
{"type":"urn:lakehook:problem:not-json","title":"The body is not JSON","status":400,"detail":"line 1, column 1: EOF while parsing a value","line":1,"column":1}
"#);
    insta::assert_snapshot!(problem(&post(&setup, "hello")), @r#"
400
{"type":"urn:lakehook:problem:not-json","title":"The body is not JSON","status":400,"detail":"line 1, column 1: expected value","line":1,"column":1}
"#);
    insta::assert_snapshot!(problem(&post(&setup, "{\"events\":[\n  {},\n  oops]}")), @r#"
400
{"type":"urn:lakehook:problem:not-json","title":"The body is not JSON","status":400,"detail":"line 3, column 3: expected value","line":3,"column":3}
"#);
    insta::assert_snapshot!(problem(&post(&setup, b"{\"events\":[\"\xff\"]}")), @r#"
400
{"type":"urn:lakehook:problem:not-json","title":"The body is not JSON","status":400,"detail":"line 1, column 13: not UTF-8","line":1,"column":13}
"#);
    insta::assert_snapshot!(problem(&post(&setup, r#"{"events":[]} again"#)), @r#"
400
{"type":"urn:lakehook:problem:not-json","title":"The body is not JSON","status":400,"detail":"line 1, column 15: trailing characters","line":1,"column":15}
"#);
}

#[test]
fn what_has_another_form_is_shown_the_form() {
    let setup = setup("");
    let _program = setup.start();
    let event = click(1);
    insta::assert_snapshot!(problem(&post(&setup, format!("[{event}]"))), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"","code":"not_events","detail":"a body of the form {\"events\":[…]}; events of any other form are taken with contract = \"open\" under [events], or by `lakehook serve --contract open`"}],"errors_total":1}
"#);
    let bare = problem(&post(&setup, format!("[{event}]")));
    for body in [event.as_str(), "{}", "null", "1", "\"x\"", "{\"event\":[]}"] {
        assert_eq!(problem(&post(&setup, body)), bare, "{body}");
    }
    insta::assert_snapshot!(problem(&post(&setup, r#"{"events":{}}"#)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/events","code":"not_events","detail":"a body of the form {\"events\":[…]}"}],"errors_total":1}
"#);
    insta::assert_snapshot!(problem(&post(&setup, r#"{"events":[],"more":1}"#)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/more","code":"unknown_field","detail":"nothing but {\"events\":[…]}"}],"errors_total":1}
"#);
    insta::assert_snapshot!(problem(&post(&setup, r#"{"events":[],"events":[]}"#)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/events","code":"duplicate_key","detail":"keys of one object that differ in more than case"}],"errors_total":1}
"#);
}

#[test]
fn keys_twice_and_deep_nesting_are_refused_where_they_are() {
    let setup = setup("");
    let _program = setup.start();
    let twice = body(&[event(1, "click", r#"{"a":{"b":1,"B":2}}"#)]);
    insta::assert_snapshot!(problem(&post(&setup, twice)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/events/0/properties/a/B","code":"duplicate_key","detail":"keys of one object that differ in more than case"}],"errors_total":1}
"#);
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let deep = body(&[click(2), event(1, "click", &nested(64))]);
    insta::assert_snapshot!(problem(&post(&setup, deep)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/events/1/properties/a/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0","code":"too_deep","detail":"nesting of at most 64 levels"}],"errors_total":1}
"#);
    // Deeper than any stack: refused, not crashed.
    let deepest = body(&[event(1, "click", &nested(400_000))]);
    assert_eq!(post(&setup, deepest).status, 400);
    assert_eq!(post(&setup, "[".repeat(4 << 20)).status, 400);
}

#[test]
fn nothing_of_a_refused_request_enters_the_events() {
    let setup = setup("");
    let program = setup.start();
    let invalid = r#"{"event_id":"x","user_id":"","event_type":"clack","source":"fax","timestamp":"yesterday","properties":[]}"#;
    let mixed = body(&[click(1), invalid.to_owned(), "{}".to_owned(), click(2)]);
    insta::assert_snapshot!(problem(&post(&setup, mixed)), @r#"
400
{"type":"urn:lakehook:problem:invalid-events","title":"Events break the contract","status":400,"detail":"the body breaks the contract; nothing of it was stored as events","errors":[{"pointer":"/events/1/event_id","code":"invalid_uuid","detail":"a UUID in its 8-4-4-4-12 form"},{"pointer":"/events/1/event_type","code":"unknown_event_type","detail":"one of click, view, purchase, signup, pray, share, like"},{"pointer":"/events/1/properties","code":"wrong_type","detail":"an object"},{"pointer":"/events/1/source","code":"unknown_source","detail":"one of web, apple, android"},{"pointer":"/events/1/timestamp","code":"invalid_timestamp","detail":"an RFC 3339 time such as 2026-11-20T17:00:00Z"},{"pointer":"/events/1/user_id","code":"wrong_length","detail":"a string of 1 to 256 characters"},{"pointer":"/events/2/event_id","code":"missing","detail":"a required field"},{"pointer":"/events/2/event_type","code":"missing","detail":"a required field"},{"pointer":"/events/2/properties","code":"missing","detail":"a required field"},{"pointer":"/events/2/source","code":"missing","detail":"a required field"},{"pointer":"/events/2/timestamp","code":"missing","detail":"a required field"},{"pointer":"/events/2/user_id","code":"missing","detail":"a required field"}],"errors_total":12}
"#);
    // Nor do its ids: the good events of it are new when they come again.
    assert_eq!(post(&setup, body(&[click(1)])).json()["accepted"], 1);
    assert!(program.stop(STOP_LIMIT).success());
    let count = Lake::directory(&setup.directory().join("lake")).count(Reading::Typed);
    assert_eq!(count.rows, 1);
    assert_eq!(count.quarantine["refused_request"], 1);
}

#[test]
fn at_most_a_hundred_errors_are_listed_and_all_are_counted() {
    let setup = setup("");
    let _program = setup.start();
    let answer = post(&setup, body(&vec!["{}".to_owned(); 300]));
    let json = answer.json();
    assert_eq!(json["errors"].as_array().unwrap().len(), 100);
    assert_eq!(json["errors_total"], 300 * 6);
}

#[test]
fn times_too_far_away_are_refused() {
    let setup = setup("");
    let _program = setup.start();
    let mut events = Vec::new();
    for (number, time) in (1_u64..).zip([
        "2001-01-01T00:00:00Z",
        "2101-01-01T00:00:00Z",
        "2026-11-20 10:00:00Z",
    ]) {
        let (before, after) = ("\"timestamp\":\"", "\",\"properties\"");
        let event = click(number);
        let start = event.find(before).unwrap() + before.len();
        let end = event.find(after).unwrap();
        events.push(format!("{}{time}{}", &event[..start], &event[end..]));
    }
    let answer = post(&setup, body(&events)).json();
    let errors = answer["errors"].as_array().unwrap();
    let codes = errors.iter().map(|error| error["code"].as_str().unwrap());
    let expected = [
        "timestamp_too_old",
        "timestamp_in_future",
        "invalid_timestamp",
    ];
    assert_eq!(codes.collect::<Vec<_>>(), expected, "{answer}");
}
