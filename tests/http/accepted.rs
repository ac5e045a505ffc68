//! 200: every event is in one class, and the answer says how many are in each.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{PATH, body, click, connect, event, metric, post, setup};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::Answer;

fn success(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.text()
}

#[test]
fn each_event_is_counted_in_one_class() {
    let setup = setup("");
    let program = setup.start();
    insta::assert_snapshot!(success(&post(&setup, r#"{"events":[]}"#)), @r#"{"status":"success","accepted":0,"dropped":0,"duplicates":0,"quarantined":0}"#);
    let all = [
        click(1),
        event(2, "signup", "{}"),
        click(1),
        event(1, "click", r#"{"other":"content"}"#),
        event(3, "purchase", r#"{"amount":1,"product_id":"p"}"#),
    ];
    insta::assert_snapshot!(success(&post(&setup, body(&all))), @r#"{"status":"success","accepted":2,"dropped":1,"duplicates":1,"quarantined":1}"#);
    // Sent again, everything is classed as before, and what was stored is a duplicate.
    insta::assert_snapshot!(success(&post(&setup, body(&all))), @r#"{"status":"success","accepted":0,"dropped":1,"duplicates":3,"quarantined":1}"#);
    assert!(program.stop(STOP_LIMIT).success());

    let program = setup.start();
    insta::assert_snapshot!(success(&post(&setup, body(&all))), @r#"{"status":"success","accepted":0,"dropped":1,"duplicates":3,"quarantined":1}"#);
    insta::assert_snapshot!(success(&post(&setup, body(&[click(4), click(1)]))), @r#"{"status":"success","accepted":1,"dropped":0,"duplicates":1,"quarantined":0}"#);
    program.kill();

    let program = setup.start();
    insta::assert_snapshot!(success(&post(&setup, body(&[click(4), click(5)]))), @r#"{"status":"success","accepted":1,"dropped":0,"duplicates":1,"quarantined":0}"#);
    assert_eq!(metric(&setup, "lakehook_events_received_total"), 2.0);
    assert_eq!(metric(&setup, "lakehook_events_accepted_total"), 1.0);
    assert_eq!(metric(&setup, "lakehook_events_duplicate_total"), 1.0);
    assert!(program.stop(STOP_LIMIT).success());
    let count = Lake::directory(&setup.directory().join("lake")).count(Reading::Typed);
    assert_eq!((count.rows, count.distinct_event_ids), (4, 4));
    assert_eq!(count.quarantine["id_conflict"], 3);
}

#[test]
fn invalid_events_may_go_to_the_quarantine_one_by_one() {
    let setup = setup("[events]\non_invalid = \"quarantine\"\n");
    let program = setup.start();
    let all = [
        click(1),
        event(2, "clack", "{}"),
        click(3),
        event(4, "purchase", "{}"),
        "7".to_owned(),
    ];
    insta::assert_snapshot!(success(&post(&setup, body(&all))), @r#"{"status":"success","accepted":2,"dropped":0,"duplicates":0,"quarantined":3,"errors":[{"pointer":"/events/1/event_type","code":"unknown_event_type","detail":"one of click, view, purchase, signup, pray, share, like"},{"pointer":"/events/3/properties/amount","code":"schema_required","detail":"required by the schema of this event type"},{"pointer":"/events/3/properties/product_id","code":"schema_required","detail":"required by the schema of this event type"},{"pointer":"/events/4","code":"wrong_type","detail":"an object"}],"errors_total":4}"#);
    // A body that is not a request is refused all the same.
    assert_eq!(post(&setup, "[]").status, 400);
    let quarantined = "lakehook_events_quarantined_total{reason=\"invalid_event\"}";
    assert_eq!(metric(&setup, quarantined), 3.0);
    assert!(program.stop(STOP_LIMIT).success());
    let count = Lake::directory(&setup.directory().join("lake")).count(Reading::Typed);
    assert_eq!(count.rows, 2);
    assert_eq!(count.quarantine["invalid_event"], 3);
    assert_eq!(count.quarantine["refused_request"], 1);
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    compressed(bytes, Compression::fast())
}

pub(super) fn compressed(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn encodings_are_understood() {
    let setup = setup("");
    let _program = setup.start();
    let plain = body(&[click(1)]).into_bytes();
    let (first, second) = plain.split_at(20);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let encoded = [
        ("identity", plain.clone()),
        ("gzip", gzip(&plain)),
        ("GZIP", gzip(&plain)),
        ("x-gzip", gzip(&plain)),
        ("gzip", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd(&plain)),
        ("zstd", [zstd(first), zstd(second)].concat()),
    ];
    for (number, (encoding, bytes)) in encoded.iter().enumerate() {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", encoding),
        ];
        let answer = connect(&setup)
            .request("POST", PATH, &headers, bytes)
            .unwrap();
        let json = answer.json();
        let known = u64::from(number > 0);
        assert_eq!(
            json["duplicates"],
            known,
            "{number}, {encoding}: {}",
            answer.text()
        );
    }
}

#[test]
fn harmless_differences_are_tolerated() {
    let setup = setup("");
    let _program = setup.start();
    let plain = body(&[click(1)]);
    assert_eq!(post(&setup, &plain).status, 200);
    for media_type in [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "application/json; charset=utf8",
        "application/json; charset=UTF8",
        "application/json; charset=us-ascii",
        "text/plain;charset=UTF-8",
        "Application/JSON ; profile=x",
    ] {
        let headers = [("content-type", media_type)];
        let answer = connect(&setup)
            .request("POST", PATH, &headers, plain.as_bytes())
            .unwrap();
        assert_eq!(
            answer.json()["duplicates"],
            1,
            "{media_type}: {}",
            answer.text()
        );
    }
    let with_mark = format!("\u{feff} \r\n{}\n", plain.replace(',', " ,\n\t"));
    assert_eq!(post(&setup, with_mark).json()["duplicates"], 1);
    let mut connection = connect(&setup);
    for path in ["/webhook/events/", "/webhook/events?from=here"] {
        let answer = connection.post_json(path, plain.as_bytes()).unwrap();
        assert_eq!(answer.json()["duplicates"], 1, "{path}: {}", answer.text());
    }
    assert!(connection.is_usable());
}

#[test]
fn a_chunked_body_is_put_together() {
    let setup = setup("");
    let _program = setup.start();
    let plain = body(&[click(1)]);
    let mut connection = connect(&setup);
    connection
        .send_raw(
            b"POST /webhook/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
              transfer-encoding: chunked\r\n\r\n",
        )
        .unwrap();
    for chunk in plain.as_bytes().chunks(50) {
        let chunk = [
            format!("{:x};x=y\r\n", chunk.len()).as_bytes(),
            chunk,
            b"\r\n",
        ]
        .concat();
        connection.send_raw(&chunk).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    connection.send_raw(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.read_answer(false).unwrap().json()["accepted"], 1);
    assert_eq!(
        connection.post_json(PATH, plain.as_bytes()).unwrap().json()["duplicates"],
        1
    );
}
