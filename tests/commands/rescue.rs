//! `lakehook wal repair` and `wal adopt` on the real program: what can be read arrives once, what cannot is
//! named, and a log that is a copy goes on under an id of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::{said, stdout};
use crate::arrival::STOP_LIMIT;
use crate::audit::{adds_up, audit};
use crate::copies::copy;
use crate::http::{body, click, post};
use crate::support::duckdb::Lake;
use crate::support::process::Setup;
use crate::support::s3::S3Server;

const EVENTS: u64 = 60;

fn config(lake: &str, format: &str) -> String {
    format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[batch]\nformat = \"{format}\"\n\
         max_records = 25\nmax_age = \"1h\"\n"
    )
}

/// Sends each event in a request of its own, and returns how many of them were new.
fn send(setup: &Setup, numbers: std::ops::Range<u64>) -> u64 {
    let answers = numbers.map(|number| {
        let answer = post(setup, body(&[click(number)]));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["accepted"].as_u64().unwrap()
    });
    answers.sum()
}

/// Flips a byte in the fifth frame from the end, counting frames that begin with a row.
fn damage_a_frame(setup: &Setup) -> PathBuf {
    let segments = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
    let paths = segments.map(|entry| entry.unwrap().path());
    let newest = paths
        .filter(|path| path.extension().is_some_and(|end| end == "wal"))
        .max()
        .unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let frames: Vec<usize> = (4096..bytes.len())
        .step_by(4096)
        .filter(|at| bytes[*at..].starts_with(b"LHF1") && bytes[at + 48] > 0)
        .collect();
    bytes[frames[frames.len() - 5] + 200] ^= 1;
    std::fs::write(&newest, bytes).unwrap();
    newest
}

/// How many LSNs are lost, according to the output of a repair.
fn lost(said: &str) -> u64 {
    let lines = said
        .lines()
        .filter_map(|line| line.strip_prefix("lost     LSN "));
    let counts = lines.map(|line| {
        let (_, rest) = line.split_once('(').unwrap();
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    });
    counts.sum()
}

fn unique(lake: &Lake) -> u64 {
    let ids = lake.ids();
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "an id is there twice");
    ids.len() as u64
}

/// Leaves what a kill in the middle of a put may leave in a directory lake: a sidecar without its object, a
/// sidecar under its temporary name, and an unfinished object.
fn leave_in_the_making(setup: &Setup) -> Vec<PathBuf> {
    let lake = setup.directory().join("lake");
    if !lake.exists() {
        return Vec::new();
    }
    let node = std::fs::read_to_string(setup.directory().join("data/wal/node")).unwrap();
    let node = node.lines().find_map(|line| line.strip_prefix("id = "));
    let key = format!("{}-00000000000000009999", node.unwrap());
    let left = [
        format!("meta/events/dt=2026-11-20/{key}.ndjson.zst.json"),
        format!("meta/events/dt=2026-11-20/{key}.parquet.json.tmp"),
        format!("tmp/{key}.parquet"),
    ];
    let left = left.map(|name| lake.join("_lakehook").join(name));
    for path in &left {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "{").unwrap();
    }
    left.into()
}

fn repaired(setup: &Setup, rows: impl Fn(&Setup) -> u64) {
    let program = setup.start();
    assert_eq!(send(setup, 0..EVENTS), EVENTS);
    program.kill();
    let left = leave_in_the_making(setup);
    let path = damage_a_frame(setup);
    let mut refused = setup.spawn();
    let status = refused.wait(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(setup.stderr().contains("wal repair"), "{}", setup.stderr());

    let before = std::fs::read(&path).unwrap();
    let dry = stdout(&setup.run(&["wal", "repair", "--dry-run"]));
    assert!(dry.contains("Nothing was changed"), "{dry}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let output = setup.run(&["wal", "repair"]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(&path.display().to_string()), "{told}");
    assert_eq!(lost(&told), lost(&dry));
    assert_eq!(lost(&told), 1, "{told}");
    assert!(left.iter().all(|path| !path.exists()), "{left:?}");
    let again = stdout(&setup.run(&["wal", "repair"]));
    assert!(again.contains("No damage was found"), "{again}");

    let program = setup.start();
    // Events that were kept are known; the lost one is accepted again.
    assert_eq!(send(setup, 0..EVENTS), 1);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert_eq!(rows(setup), EVENTS);
    let (told, code) = audit(setup, &["--deep"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("was damaged and repaired") && told.contains("1 problems"),
        "{told}"
    );
    // The old files are complete, including the damage in them.
    let kept = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
    let aside = kept.map(|entry| entry.unwrap().path()).find(|path| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("before-")
    });
    let old = aside.unwrap().join(path.file_name().unwrap());
    assert_eq!(std::fs::read(old).unwrap(), before);
}

fn rows_of_lines(setup: &Setup) -> u64 {
    unique(&Lake::directory(&setup.directory().join("lake")))
}

/// The number of rows in typed objects, which the audit reads.
fn rows_of_columns(setup: &Setup) -> u64 {
    let (told, _) = audit(setup, &["--deep", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    let nodes = report["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["rows"].as_u64().unwrap()).sum()
}

#[test]
fn damage_is_cut_out_and_the_rest_arrives() {
    let setup = Setup::new(&config("url = \"lake\"", "ndjson.zst"));
    repaired(&setup, rows_of_lines);
    let setup = Setup::new(&config("url = \"lake\"", "parquet"));
    repaired(&setup, rows_of_columns);
}

#[test]
fn damage_is_cut_out_where_the_lake_is_a_bucket() {
    let server = S3Server::start(61);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let setup = Setup::new(&config(&lake, "ndjson.zst"));
    repaired(&setup, |_| {
        unique(&Lake::s3("s3://lake", &server.endpoint()))
    });
}

/// Two logs are copies of each other. The second one stops, and goes on once it is adopted. The rows that
/// they had in common are in the lake once, as the first one has put them.
#[test]
fn a_copied_log_goes_on_once_it_is_adopted() {
    let server = S3Server::start(62);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let first = Setup::new(&config(&lake, "ndjson.zst"));
    let second = Setup::new(&config(&lake, "ndjson.zst"));
    let program = first.start();
    assert_eq!(send(&first, 0..10), 10);
    program.kill();
    copy(
        &first.directory().join("data/wal"),
        &second.directory().join("data/wal"),
    );
    let program = first.start();
    assert_eq!(send(&first, 10..20), 10);
    assert!(program.stop(STOP_LIMIT).success());

    let program = second.start();
    assert_eq!(send(&second, 20..24), 4);
    program.stop(STOP_LIMIT);
    let told = second.stderr();
    assert!(
        told.contains("not ours") && told.contains("wal adopt"),
        "{told}"
    );
    let output = second.run(&["wal", "repair"]);
    assert!(stdout(&output).contains("No damage"), "{}", said(&output));
    let output = second.run(&["wal", "adopt"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let told = stdout(&output);
    assert!(
        told.contains("4 rows wait for the lake, 10 more were there already"),
        "{told}"
    );
    let program = second.start();
    assert_eq!(send(&second, 20..30), 6);
    assert!(program.stop(STOP_LIMIT).success(), "{}", second.stderr());
    assert_eq!(unique(&Lake::s3("s3://lake", &server.endpoint())), 30);
    adds_up(&second, &["data/wal"]);
}

#[test]
fn a_log_in_use_is_not_touched() {
    let setup = Setup::new(&config("url = \"lake\"", "ndjson"));
    let program = setup.start();
    send(&setup, 0..3);
    for command in ["repair", "adopt"] {
        let output = setup.run(&["wal", command]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            said(&output).contains("stop the service first"),
            "{}",
            said(&output)
        );
    }
    assert!(program.stop(STOP_LIMIT).success());
}
