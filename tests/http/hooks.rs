//! A provider's webhook takes a body as the webhook of events does: the same limits, encodings, errors and copies.

use serde_json::{Value, json};

use super::kept::quarantine;
use super::signed::{SECRET, hex};
use super::{connect, metric, problem};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::Answer;
use crate::support::process::Setup;

const EVENTS: &str = "/webhook/events";
const GITHUB: &str = "/webhook/github";
/// A hook whose senders are not authenticated, so that they are told what is wrong.
const OPEN: &str = "/webhook/open";
const KEPT: &str = "lakehook_events_quarantined_total{reason=\"refused_request\"}";

fn setup(more: &str) -> Setup {
    Setup::new(&format!(
        "{more}\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n\
         [hook.stripe]\nscheme = \"stripe\"\nsecrets = [\"{SECRET}\"]\n"
    ))
}

/// Posts a delivery that GitHub has signed.
fn post(setup: &Setup, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
    let signature = format!("sha256={}", hex(body));
    let own = [
        ("content-type", "application/json"),
        ("x-hub-signature-256", &signature),
        ("x-github-event", "push"),
        ("x-github-delivery", "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11"),
    ];
    let headers = [&own, more].concat();
    connect(setup)
        .request("POST", path, &headers, body)
        .unwrap()
}

#[test]
fn a_body_that_cannot_be_decompressed_is_kept_and_counted_on_both_paths() {
    let setup = setup("");
    let program = setup.start();
    let sent = b"this is no gzip";
    let [of_hook, of_events] = [OPEN, EVENTS].map(|path| {
        let before = metric(&setup, KEPT);
        let answer = post(&setup, path, &[("content-encoding", "gzip")], sent);
        assert_eq!(metric(&setup, KEPT), before + 1.0, "{path}");
        problem(&answer)
    });
    assert_eq!(of_hook, of_events);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    let endpoints: Vec<&Value> = rows.iter().map(|row| &row["endpoint"]).collect();
    assert_eq!(endpoints, [OPEN, EVENTS]);
    for row in rows {
        assert_eq!(row["raw"].as_str().unwrap().as_bytes(), sent);
        assert_eq!(row["errors"][0]["code"], "bad_encoding");
    }
}

#[test]
fn the_first_place_that_is_wrong_is_the_same_on_both_paths() {
    let setup = setup("");
    let program = setup.start();
    let bodies: [&[u8]; 5] = [
        b"\xef\xbb\xbf nothing",
        b"\xef\xbb\xbf{\n\"a\": nothing}",
        b"\xef\xbb\xbf{\"a\": \"\xff\"}",
        b"{\n\"a\": \"\xff\"}",
        b"",
    ];
    for body in bodies {
        let [of_hook, of_events] = [OPEN, EVENTS].map(|path| {
            let answer = post(&setup, path, &[], body);
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            let answer = answer.json();
            (answer["line"].clone(), answer["column"].clone())
        });
        assert_eq!(of_hook, of_events, "{}", String::from_utf8_lossy(body));
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert_eq!(quarantine(&setup).len(), 2 * bodies.len());
}

#[test]
fn a_byte_order_mark_is_no_part_of_an_event() {
    let setup = setup("");
    let program = setup.start();
    let text = json!({"id": "evt_1", "type": "charge.succeeded"}).to_string();
    let marked = format!("\u{feff}{text}");
    let deliver = |body: &str| {
        let time = super::signed::now();
        let signature = hex(format!("{time}.{body}").as_bytes());
        let signature = format!("t={time},v1={signature}");
        let headers = [
            ("content-type", "application/json"),
            ("stripe-signature", &*signature),
        ];
        connect(&setup)
            .request("POST", "/webhook/stripe", &headers, body.as_bytes())
            .unwrap()
    };
    let first = deliver(&marked);
    assert_eq!((first.status, &first.json()["accepted"]), (200, &json!(1)));
    let again = deliver(&text);
    assert_eq!(again.json()["duplicates"], 1, "{}", again.text());
    // Known by its content, which the mark is no part of either.
    for (body, member) in [
        ("\u{feff}{\"a\":1}", "accepted"),
        ("{\"a\":1}", "duplicates"),
    ] {
        let answer = deliver(body);
        assert_eq!(answer.json()[member], 1, "{}", answer.text());
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lake = Lake::directory(&setup.directory().join("lake"));
    assert_eq!(lake.count(Reading::Typed).rows, 2);
    let rows = lake.rows();
    assert!(
        rows.iter()
            .any(|row| row["event_type"] == "charge.succeeded"),
        "{rows:?}"
    );
}

#[test]
fn a_slash_behind_the_path_makes_no_difference() {
    let setup = setup("");
    let program = setup.start();
    let with_slash = format!("{GITHUB}/");
    let first = post(&setup, &with_slash, &[], b"{\"a\":1}");
    assert_eq!(first.status, 200, "{}", first.text());
    let again = post(&setup, GITHUB, &[], b"{\"a\":1}");
    assert_eq!(again.json()["duplicates"], 1, "{}", again.text());
    let get = connect(&setup)
        .request("GET", &with_slash, &[], b"")
        .unwrap();
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let refused = post(&setup, &with_slash, &[], b"no JSON");
    assert_eq!(refused.json()["quarantined"], 1, "{}", refused.text());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    // Replays recognise a provider's rows by the configured path.
    assert_eq!(quarantine(&setup)[0]["endpoint"], GITHUB);
}

/// Large bodies are judged by as many threads as there are processors. A bounded number waits, the next ones are told to
/// come back, on both paths.
#[test]
fn large_bodies_wait_for_a_processor_and_too_many_are_told_to_come_back() {
    let setup = setup("[server]\nmemory = \"256 MiB\"\n");
    let program = setup.start();
    let processors = std::thread::available_parallelism().unwrap().get();
    let room = 17 * processors;
    // Many small values: reading them takes far longer than receiving the last byte of each body.
    let body = format!("{{\"a\":[{}[]]}}", "[],".repeat(80_000)).into_bytes();
    for path in [EVENTS, GITHUB] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256={}\r\n\
             content-length: {}\r\n\r\n",
            hex(&body),
            body.len()
        );
        let (last, first) = body.split_last().unwrap();
        let mut waiting: Vec<_> = (0..2 * room)
            .map(|_| {
                let mut connection = connect(&setup);
                connection.send_raw(head.as_bytes()).unwrap();
                connection.send_raw(first).unwrap();
                connection
            })
            .collect();
        for connection in &mut waiting {
            connection.send_raw(&[*last]).unwrap();
        }
        let answers: Vec<Answer> = waiting
            .iter_mut()
            .map(|connection| connection.read_answer(false).unwrap())
            .collect();
        let busy = answers.iter().filter(|answer| answer.status == 503);
        assert!(busy.clone().count() > 0, "{path}: all were judged at once");
        for answer in busy {
            assert!(answer.text().contains("problem:busy"), "{}", answer.text());
        }
        let judged = answers.iter().filter(|answer| answer.status != 503);
        assert!(
            judged.count() >= room,
            "{path}: fewer had room than there is"
        );
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}
