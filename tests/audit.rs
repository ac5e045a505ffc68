//! `lakehook audit` is not blind: whatever is removed, copied, cut, swapped or edited in a lake is named.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lakehook::lake::reader::keys_below;

use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, click, id};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::s3::S3Server;

/// Audits with the log, deeply: what is said, and the exit code.
pub(crate) fn audit(setup: &Setup, more: &[&str]) -> (String, Option<i32>) {
    let output = setup.run(&[&["audit"], more].concat());
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (String::from_utf8(both).unwrap(), output.status.code())
}

/// The audit of everything, which must find all in order.
pub(crate) fn adds_up(setup: &Setup, logs: &[&str]) {
    let logs: Vec<&str> = logs.iter().flat_map(|dir| ["--wal", dir]).collect();
    let (said, code) = audit(setup, &[&["--deep"], logs.as_slice()].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("objects add up"), "{said}");
}

fn fill(lake: &str, format: &str) -> Setup {
    let setup = Setup::new(&format!(
        "[lake]\n{lake}\n[batch]\nformat = \"{format}\"\nmax_records = 200\n[wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n"
    ));
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 41);
    plan.events_per_request = 50;
    plan.days = 2;
    plan.max_requests = Some(40);
    Load::start(plan).complete(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success());
    setup
}

/// The objects of events, in the order of their seals.
fn objects(setup: &Setup) -> Vec<PathBuf> {
    let lake = setup.directory().join("lake");
    let keys = keys_below(&lake, "events").unwrap().into_iter();
    let mut found: Vec<PathBuf> = keys.map(|key| lake.join(key)).collect();
    assert!(found.len() > 5, "{found:?}");
    found.sort_by_key(|object| {
        let text = std::fs::read(sidecar(setup, object)).unwrap();
        let sidecar: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let seal = sidecar["metadata"]["lakehook-seal"]
            .as_str()
            .unwrap()
            .to_owned();
        seal.parse::<u64>().unwrap()
    });
    found
}

fn sidecar(setup: &Setup, object: &Path) -> PathBuf {
    let key = object.strip_prefix(setup.directory().join("lake")).unwrap();
    let name = format!("lake/_lakehook/meta/{}.json", key.display());
    setup.directory().join(name)
}

/// Does something to the third object, and says what the audit must say of it.
type Harm = (fn(&Setup, &[PathBuf]), &'static str);

const HARMS: [Harm; 8] = [
    (
        |_, objects| std::fs::remove_file(&objects[2]).unwrap(),
        "is missing: only its sidecar",
    ),
    (
        |setup, objects| {
            std::fs::remove_file(&objects[2]).unwrap();
            std::fs::remove_file(sidecar(setup, &objects[2])).unwrap();
        },
        " missing, with ",
    ),
    (
        |_, objects| {
            let copy = objects[2].with_file_name("copy.ndjson");
            std::fs::copy(&objects[2], copy).unwrap();
        },
        "copy.ndjson: it is foreign",
    ),
    (
        |setup, objects| {
            let copy = objects[2].with_file_name("00000000000000aa-00000000000000000001.ndjson");
            std::fs::copy(&objects[2], &copy).unwrap();
            std::fs::copy(sidecar(setup, &objects[2]), sidecar(setup, &copy)).unwrap();
        },
        "it is another object, whose place is",
    ),
    (
        |_, objects| {
            let bytes = std::fs::read(&objects[2]).unwrap();
            std::fs::write(&objects[2], &bytes[..bytes.len() / 2]).unwrap();
        },
        "bytes; ",
    ),
    (
        |setup, objects| {
            // Both the objects and what is said of them change places.
            for (a, b) in [
                (objects[2].clone(), objects[3].clone()),
                (sidecar(setup, &objects[2]), sidecar(setup, &objects[3])),
            ] {
                let (first, second) = (std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
                std::fs::write(a, second).unwrap();
                std::fs::write(b, first).unwrap();
            }
        },
        "it is another object, whose place is",
    ),
    (
        |_, objects| {
            // As long as before, and still JSON.
            let text = std::fs::read_to_string(&objects[2]).unwrap();
            std::fs::write(&objects[2], text.replacen("\"web\"", "\"wen\"", 1)).unwrap();
        },
        "the checksum differs",
    ),
    (
        |setup, objects| {
            // The editor knows of sidecars too.
            let path = sidecar(setup, &objects[2]);
            let text = std::fs::read_to_string(&path).unwrap();
            let at = text.find("lakehook-count\": \"").unwrap() + "lakehook-count\": \"".len();
            let mut bytes = text.into_bytes();
            bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            std::fs::write(path, bytes).unwrap();
        },
        " accounted for",
    ),
];

#[test]
fn whatever_is_done_to_an_object_is_named() {
    for (harm, words) in HARMS {
        let setup = fill("url = \"lake\"", "ndjson");
        adds_up(&setup, &["data/wal"]);
        harm(&setup, &objects(&setup));
        let (said, code) = audit(&setup, &["--deep", "--wal", "data/wal"]);
        assert_eq!(code, Some(1), "{words}: {said}");
        assert!(said.contains(words), "{words:?} is missing in: {said}");
        assert!(said.contains("it does not add up"), "{said}");
    }
}

#[test]
fn rows_that_wait_in_the_log_are_accounted_for_and_a_lost_segment_is_named() {
    let setup = fill("url = \"lake\"", "parquet");
    adds_up(&setup, &["data/wal"]);
    // More, and a kill before anything of it is in the lake.
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 42);
    plan.events_per_request = 30;
    plan.max_requests = Some(4);
    Load::start(plan).complete(Duration::from_secs(60));
    program.kill();
    let (said, code) = audit(&setup, &["--json", "--wal", "data/wal"]);
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let log = &report["nodes"][0]["log"];
    let held = log["waiting_rows"].as_u64().unwrap() + log["open_rows"].as_u64().unwrap();
    assert!(held > 20, "{said}");
    // A segment of these is lost.
    let segments = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
    let segments = segments.map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> = segments
        .filter(|path| path.extension().is_some_and(|end| end == "wal"))
        .collect();
    segments.sort();
    std::fs::write(segments.last().unwrap(), b"nothing").unwrap();
    let (said, code) = audit(&setup, &["--wal", "data/wal"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the log: "), "{said}");
}

/// A crash leaves a sidecar under its temporary name, which promises nothing.
#[test]
fn a_sidecar_in_the_making_is_no_problem() {
    let setup = fill("url = \"lake\"", "ndjson");
    let first = &objects(&setup)[0];
    let name = sidecar(&setup, &first.with_file_name("0-0.ndjson"));
    std::fs::write(name.with_added_extension("tmp"), "{").unwrap();
    adds_up(&setup, &[]);
}

#[test]
fn a_bucket_is_audited_from_listings_and_heads() {
    let server = S3Server::start(43);
    let lake = format!(
        "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
        server.endpoint()
    );
    let setup = fill(&lake, "ndjson.zst");
    adds_up(&setup, &["data/wal"]);
    let (said, code) = audit(&setup, &["--wal", "data/wal"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("proved up to seal"), "{said}");
}

/// The console of a store shows folders by empty objects, and a bucket may hold more than the lake.
#[test]
fn what_is_nobodys_object_in_a_bucket_is_no_problem() {
    let server = S3Server::start(44);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let setup = fill(&lake, "parquet");
    for key in [
        "events/",
        "events/dt=2026-11-20/",
        "quarantine/",
        "_lakehook/",
        "_lakehook/runs/",
        "backup/",
        "backup/dump.parquet",
        "README.md",
    ] {
        server.put_foreign(key, "", HashMap::new());
    }
    adds_up(&setup, &["data/wal"]);
    // What lies among our objects is named.
    server.put_foreign("events/dt=2026-11-20/mine.csv", "a,b", HashMap::new());
    let (said, code) = audit(&setup, &["--wal", "data/wal"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("events/dt=2026-11-20/mine.csv: it is foreign"),
        "{said}"
    );
    assert!(
        !said.contains("backup") && !said.contains("README"),
        "{said}"
    );
}

/// Two nodes receive the same event: each node adds up, and the deep audit names the event.
#[test]
fn the_same_event_from_two_nodes_is_named() {
    let config = |wal: &str| {
        format!(
            "[lake]\nurl = \"lake\"\n[wal]\ndir = \"{wal}\"\nmax_bytes = \"64 MiB\"\n[batch]\nmax_age = \"1s\"\n"
        )
    };
    let setup = Setup::new(&config("one"));
    for (wal, events) in [("one", [1, 2]), ("two", [2, 3])] {
        setup.configure(&config(wal));
        let program = setup.start();
        let body = body(&events.map(click));
        let answer = http::post_json(setup.address(), PATH, body.as_bytes()).unwrap();
        assert_eq!(answer.json()["accepted"], 2, "{}", answer.text());
        assert!(program.stop(STOP_LIMIT).success());
    }
    let (said, code) = audit(&setup, &["--deep"]);
    assert_eq!(code, Some(0), "{said}");
    let named: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("duplicate"))
        .collect();
    assert_eq!(named.len(), 1, "{said}");
    assert!(
        named[0].contains(&format!("{} of webhook: 2 rows", id(2))),
        "{said}"
    );
    assert!(
        said.contains("1 events are there from several nodes"),
        "{said}"
    );
    let (json, _) = audit(&setup, &["--deep", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["copies"]["across_nodes"], 1);
    assert_eq!(
        json["copies"]["events"][0]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let (said, _) = audit(&setup, &[]);
    assert!(!said.contains("duplicate  "), "{said}");
    // A view shows each event once, for those who count.
    let views = setup.run(&["sql", "duckdb", "--no-secret"]);
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, views.stdout).unwrap();
    let lake = Lake::directory(&setup.directory().join("lake"));
    let counted = "SELECT (SELECT count(*) FROM events), count(*), count(DISTINCT event_id) FROM events_distinct";
    assert_eq!(lake.query(&path, counted), serde_json::json!([[4, 3, 3]]));
}
