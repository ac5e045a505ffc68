//! Bodies of hooks that are too large: 413, and a row that says so, if they are authentic.

use std::io::Write as _;

use serde_json::Value;

use super::connect;
use super::kept::quarantine;
use super::signed::{SECRET, hex};
use crate::arrival::STOP_LIMIT;
use crate::support::http::Answer;
use crate::support::process::Setup;

const BYTES: usize = 1_500_000;

fn setup() -> Setup {
    Setup::new(&format!(
        "[server]\nmax_body = \"1 MiB\"\nmax_event = \"512 KiB\"\n[quarantine]\nmax_row = \"2 KiB\"\n\
         [lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.own]\nauth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{SECRET}\"] }}]\n\
         [hook.keyed]\nscheme = \"posthog\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n"
    ))
}

fn send(setup: &Setup, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let json = ("content-type", "application/json");
    let headers = [&[json], headers].concat();
    let answer = connect(setup)
        .request("POST", path, &headers, body)
        .unwrap();
    assert_eq!(answer.status, 413, "{path}: {}", answer.text());
    answer
}

/// Sends a body in chunks, without saying how long it is.
fn send_in_chunks(setup: &Setup, path: &str, signature: &str, body: &[u8]) {
    let mut connection = connect(setup);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         x-hub-signature-256: {signature}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    connection.send_raw(head.as_bytes()).unwrap();
    for chunk in body.chunks(100_000) {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        connection.send_raw(&bytes).unwrap();
    }
    connection.send_raw(b"0\r\n\r\n").unwrap();
    assert_eq!(connection.read_answer(false).unwrap().status, 413);
}

#[test]
fn an_authentic_body_that_is_too_large_leaves_a_row() {
    let setup = setup();
    let program = setup.start();
    let body = |text: &str| format!("{{\"text\":\"{}\"}}", text.repeat(BYTES)).into_bytes();
    let (first, second, third) = (body("a"), body("b"), body("c"));
    let sign = |body: &[u8]| format!("sha256={}", hex(body));
    let signed = |body: &[u8]| {
        [
            ("x-hub-signature-256", sign(body)),
            ("x-github-delivery", "d1".to_owned()),
        ]
    };
    let github = |body: &[u8], signature: &str| {
        send(
            &setup,
            "/webhook/github",
            &[("x-hub-signature-256", signature)],
            body,
        );
    };
    // Refused by what it announces; the same again makes no further row.
    for _ in 0..2 {
        let headers = signed(&first);
        let headers = headers.each_ref().map(|(name, value)| (*name, &**value));
        send(&setup, "/webhook/github", &headers, &first);
    }
    send_in_chunks(&setup, "/webhook/github", &sign(&second), &second);
    // Small as it is sent.
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&third).unwrap();
    let zipped = zipped.finish().unwrap();
    let signature = sign(&zipped);
    let gzip = [
        ("x-hub-signature-256", &*signature),
        ("content-encoding", "gzip"),
    ];
    send(&setup, "/webhook/github", &gzip, &zipped);
    send(&setup, "/webhook/own", &[("x-token", SECRET)], &first);
    let other = [("x-token", SECRET), ("x-other", "1")];
    send(&setup, "/webhook/own", &other, &first[..BYTES - 1]);
    send(&setup, "/webhook/own", &other, &first[..BYTES - 1]);
    // These say nothing about where they come from.
    github(&second, "sha256=00");
    github(&second, &sign(&first));
    send_in_chunks(&setup, "/webhook/github", &sign(&first), &second);
    send(&setup, "/webhook/open", &[], &first);
    send(&setup, "/batch", &[], &body("d"));
    send(&setup, super::PATH, &[], &first);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());

    let rows = quarantine(&setup);
    let hash = |bytes: &[u8]| format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes));
    let seen: Vec<(&str, u64, &str)> = rows
        .iter()
        .map(|row| {
            assert_eq!(row["reason"], "refused_request");
            let code = if row["errors"].is_array() {
                row["errors"][0]["code"].clone()
            } else {
                serde_json::from_str::<Value>(row["errors"].as_str().unwrap()).unwrap()[0]["code"]
                    .clone()
            };
            assert_eq!(code, "too_large");
            let text = |name: &str| row[name].as_str().unwrap();
            (
                text("hook"),
                row["raw_bytes"].as_u64().unwrap(),
                text("raw_xxh3"),
            )
        })
        .collect();
    let (of_first, of_second, of_third) = (hash(&first), hash(&second), hash(&zipped));
    let whole = first.len() as u64;
    assert_eq!(
        seen,
        [
            ("github", whole, &*of_first),
            ("github", whole, &*of_second),
            ("github", zipped.len() as u64, &*of_third),
            // Its head was enough, so that nothing of the body was read.
            ("own", whole, &*hash(b"")),
            ("own", BYTES as u64 - 1, &*hash(b"")),
        ]
    );
    assert_eq!(rows[0]["raw"], "");
    let beginning = rows[1]["raw"].as_str().unwrap();
    assert!(second.starts_with(beginning.as_bytes()) && beginning.len() == 2048);
    let headers = rows[0]["headers"].to_string();
    assert!(
        headers.contains("x-github-delivery") && !headers.contains("sha256"),
        "{headers}"
    );
}
