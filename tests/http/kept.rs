//! A refused request is kept: one row of the quarantine, within bounds. Read by DuckDB, untyped.

use serde_json::Value;

use super::{PATH, body, click, connect, metric, post, setup};
use crate::arrival::STOP_LIMIT;
use crate::support::process::Setup;
use crate::support::python;

/// The quarantine as it is in the lake.
pub(super) fn quarantine(setup: &Setup) -> Vec<Value> {
    let output = std::process::Command::new(python::python())
        .arg(python::repository().join("tests/http/quarantine.py"))
        .arg(setup.directory().join("lake"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = output.stdout.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn hash(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

const NOT_KEPT: &str = "lakehook_refused_requests_not_kept_total";

#[test]
fn each_refused_request_is_one_row() {
    let setup = setup("[batch]\nformat = \"ndjson.gz\"\n[quarantine]\nmax_row = \"1 KiB\"\n");
    let program = setup.start();
    let text = "{\"events\":[\n{\"é\": \"\\ud800\"}, 7]}".as_bytes();
    let binary = b"\xff\xfe not text";
    let long = format!("[{}", "é".repeat(5000));
    let mut long_binary = vec![0xff_u8; 5000];
    long_binary[4999] = 7;
    for bytes in [text, binary, long.as_bytes(), &long_binary] {
        let json = ("content-type", "application/json");
        let headers = [json, ("x-request-id", "an-id")];
        let answer = connect(&setup)
            .request("POST", PATH, &headers, bytes)
            .unwrap();
        assert_eq!(answer.status, 400);
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    assert_eq!(rows.len(), 4);
    for (row, sent) in rows
        .iter()
        .zip([text, binary, long.as_bytes(), &long_binary])
    {
        assert_eq!(row["reason"], "refused_request");
        assert_eq!(
            (&row["stream"], &row["endpoint"]),
            (&"events".into(), &PATH.into())
        );
        assert_eq!(
            (&row["request_id"], &row["client"]),
            (&"an-id".into(), &"127.0.0.1".into())
        );
        assert_eq!(
            (&row["raw_bytes"], &row["raw_xxh3"]),
            (&sent.len().into(), &hash(sent).into())
        );
    }
    assert_eq!(rows[0]["raw"].as_str().unwrap().as_bytes(), text);
    // One that has no event id at all, and one that isn't an object.
    assert_eq!(
        rows[0]["errors_total"],
        rows[0]["errors"].as_array().unwrap().len()
    );
    assert_eq!(rows[1]["raw_encoding"], "base64");
    assert_eq!(rows[1]["raw"], "//4gbm90IHRleHQ=");
    assert_eq!(rows[1]["errors"][0]["code"], "not_json");
    let kept = rows[2]["raw"].as_str().unwrap();
    assert!(
        kept.len() <= 1024 && long.starts_with(kept),
        "{} bytes",
        kept.len()
    );
    assert!(rows[3]["raw"].as_str().unwrap().len() <= 1024);
}

/// A body that can be decompressed is kept decompressed; this one cannot.
#[test]
fn a_body_that_cannot_be_decompressed_is_kept_as_it_came() {
    let setup = setup("[batch]\nformat = \"ndjson.gz\"\n");
    let program = setup.start();
    let headers = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let sent = b"{\"events\":[]} is no gzip";
    let answer = connect(&setup)
        .request("POST", PATH, &headers, sent)
        .unwrap();
    assert_eq!(answer.status, 400);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0]["raw"].as_str().map(str::as_bytes),
        Some(sent.as_slice())
    );
    assert_eq!(rows[0]["errors"][0]["code"], "bad_encoding");
}

#[test]
fn other_refusals_keep_nothing() {
    let token = "the-token-of-this-test";
    let limits = format!(
        "[server]\ntokens = [\"{token}\"]\nmax_events = 2\nmax_event = \"1 KiB\"\nbody_timeout = \"1s\"\n\
         [batch]\nformat = \"ndjson.gz\"\n"
    );
    let setup = setup(&limits);
    let program = setup.start();
    let json = ("content-type", "application/json");
    let authorization = format!("Bearer {token}");
    let good = ("authorization", &*authorization);
    let gzip = ("content-encoding", "gzip");
    let send = |headers: &[(&str, &str)], bytes: &[u8]| {
        connect(&setup)
            .request("POST", PATH, headers, bytes)
            .unwrap()
            .status
    };
    assert_eq!(send(&[json], b"oops"), 401);
    assert_eq!(send(&[good], b"oops"), 415);
    assert_eq!(
        send(&[good, json, ("content-encoding", "br")], b"oops"),
        415
    );
    assert_eq!(
        send(
            &[good, json],
            body(&[click(1), click(2), click(3)]).as_bytes()
        ),
        413
    );
    assert_eq!(
        send(&[good, json], body(&["\"x\"".repeat(2000)]).as_bytes()),
        400
    );
    let large = body(&[format!("\"{}\"", "x".repeat(2000))]);
    assert_eq!(send(&[good, json], large.as_bytes()), 413);
    assert_eq!(send(&[good, json], &vec![b' '; 9 << 20]), 413);
    assert_eq!(
        send(&[good, json, gzip], &super::accepted::gzip(b"packed oops")),
        400
    );
    let mut slow = connect(&setup);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: {authorization}\r\ncontent-length: 10\r\n\r\noops"
    );
    slow.send_raw(head.as_bytes()).unwrap();
    assert_eq!(slow.read_answer(false).unwrap().status, 408);
    assert_eq!(metric(&setup, NOT_KEPT), 0.0);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[1]["raw"], "packed oops");
}

#[test]
fn beyond_the_bound_a_minute_they_are_only_counted() {
    let bound = "[batch]\nformat = \"ndjson.gz\"\n[quarantine]\nmax_row = \"10 KiB\"\nmax_bytes_per_minute = \"20 KiB\"\n";
    let setup = setup(bound);
    let program = setup.start();
    let sent = 40;
    for _ in 0..sent {
        assert_eq!(post(&setup, "x".repeat(4000)).status, 400);
    }
    let kept = metric(
        &setup,
        "lakehook_events_quarantined_total{reason=\"refused_request\"}",
    );
    let not_kept = metric(&setup, NOT_KEPT);
    assert_eq!(kept + not_kept, f64::from(sent));
    assert!((4.0..=6.0).contains(&kept), "{kept} were kept");
    assert!(program.stop(STOP_LIMIT).success());
    assert_eq!(quarantine(&setup).len() as f64, kept);
}
