//! `lakehook quarantine`: shows what was refused as the lake has it, in every format and in both kinds of
//! lake.

use std::collections::HashMap;

use serde_json::Value;

use super::{stderr, stdout};
use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, event, post};
use crate::support::process::Setup;
use crate::support::s3::S3Server;

const CUT: usize = 3000;

fn refused_bodies() -> [Vec<u8>; 3] {
    let unreadable = b"\xff\xfe\x1b[2J".to_vec();
    let untyped = body(&[click(1), event(2, "clack", "{\"a\":\"\\u001b[2J\"}")]).into_bytes();
    let long = format!("[\"{}\"", "x".repeat(CUT)).into_bytes();
    [unreadable, untyped, long]
}

/// A lake with three refused requests, and with one conflict of an accepted request.
fn fill(lake: &str, format: &str) -> Setup {
    let setup = Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"{format}\"\n[quarantine]\nmax_row = \"2 KiB\"\n"
    ));
    let program = setup.start();
    for bytes in refused_bodies() {
        assert_eq!(post(&setup, bytes).status, 400);
    }
    assert_eq!(post(&setup, body(&[click(1)])).status, 200);
    let other = event(1, "click", "{\"other\":1}");
    assert_eq!(post(&setup, body(&[other])).status, 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    setup
}

fn rows(setup: &Setup, more: &[&str]) -> Vec<Value> {
    let output = setup.run(&[&["quarantine", "show", "--json"], more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_told(setup: &Setup) {
    let all = rows(setup, &[]);
    let reasons = all.iter().map(|row| row["reason"].as_str().unwrap());
    let mut reasons: Vec<&str> = reasons.collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "id_conflict",
            "refused_request",
            "refused_request",
            "refused_request"
        ]
    );
    assert_eq!(rows(setup, &["--reason", "id_conflict"]).len(), 1);
    assert_eq!(rows(setup, &["--stream", "users"]).len(), 0);
    assert_eq!(rows(setup, &["--until", "2020-01-01"]).len(), 0);
    assert_eq!(rows(setup, &["--since", "2020-01-01"]).len(), 4);
    assert_eq!(rows(setup, &["--limit", "2"]).len(), 2);

    // People read a place at each error, also where all of the body is wrong.
    let shown = stdout(&setup.run(&["quarantine", "show"]));
    assert!(shown.contains("\n  all of it: not_"), "{shown}");

    // Groups count the rows, and name the rule and the place.
    let listed = stdout(&setup.run(&["quarantine", "list", "--json"]));
    let groups: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let counted: u64 = groups
        .iter()
        .map(|group| group["rows"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 4, "{listed}");
    let of_type = groups
        .iter()
        .find(|group| group["pointer"] == "/events/*/event_type");
    let of_type = of_type.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(of_type["code"], "unknown_event_type");
    let lsn = of_type["example_lsn"].to_string();

    // `show --raw` prints byte for byte what was sent, unless it was cut.
    let raw = |lsn: &str| setup.run(&["quarantine", "show", "--raw", "--lsn", lsn]);
    let [unreadable, untyped, _] = refused_bodies();
    assert_eq!(raw(&lsn).stdout, untyped);
    let of_base64 = all.iter().find(|row| row["raw_encoding"] == "base64");
    assert_eq!(
        raw(&of_base64.unwrap()["lsn"].to_string()).stdout,
        unreadable
    );
    let cut = all
        .iter()
        .find(|row| row["raw_bytes"].as_u64().unwrap() > CUT as u64);
    let cut = raw(&cut.unwrap()["lsn"].to_string());
    assert_eq!((cut.status.code(), cut.stdout.len()), (Some(1), 0));
    assert!(
        stderr(&cut).contains("bytes were kept (quarantine.max_row)"),
        "{}",
        stderr(&cut)
    );
    let several = setup.run(&["quarantine", "show", "--raw"]);
    assert_eq!((several.status.code(), several.stdout.len()), (Some(1), 0));
    assert!(
        stderr(&several).contains("--raw prints one row"),
        "{}",
        stderr(&several)
    );
    let none = setup.run(&["quarantine", "show", "--raw", "--lsn", "999999"]);
    assert_eq!(none.status.code(), Some(1));

    // Nothing that is printed for people can steer their terminal.
    for command in ["list", "show"] {
        let text = stdout(&setup.run(&["quarantine", command]));
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.contains("unknown_event_type"), "{text}");
    }
}

#[test]
fn what_was_refused_is_told_from_lines() {
    is_told(&fill("url = \"lake\"", "ndjson.zst"));
}

#[test]
fn what_was_refused_is_told_from_columns() {
    is_told(&fill("url = \"lake\"", "parquet"));
}

#[test]
fn what_was_refused_is_told_from_a_bucket() {
    let server = S3Server::start(73);
    let endpoint = server.endpoint();
    let setup = fill(
        &format!("url = \"s3://lake/q\"\nendpoint = \"{endpoint}\""),
        "ndjson.gz",
    );
    // Consoles of object stores create empty objects to show folders.
    for key in ["q/", "q/quarantine/", "q/quarantine/events/"] {
        server.put_foreign(key, "", HashMap::new());
    }
    is_told(&setup);
}

#[test]
fn an_empty_quarantine_says_so_and_a_damaged_object_is_named() {
    let setup = Setup::new(super::DIRECTORY);
    for command in ["list", "show"] {
        let output = setup.run(&["quarantine", command]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(
            stdout(&output),
            "Nothing of that kind is in the quarantine.\n"
        );
    }
    let dir = setup
        .directory()
        .join("lake/quarantine/events/dt=2026-11-20");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("x.ndjson"), "{\"received_at\":1}\n").unwrap();
    let output = setup.run(&["quarantine", "list"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("quarantine/events/dt=2026-11-20/x.ndjson"),
        "{}",
        stderr(&output)
    );
}
