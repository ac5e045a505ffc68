//! `lakehook retain`, on the real program: old days and old runs leave, everything else stays, the audit adds up
//! before, after and in the middle, and a run that is killed is finished by the next one.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lakehook::clock::Clock;
use lakehook::lake::reader::keys_below;
use serde_json::{Value, json};

use super::{said, stderr, stdout};
use crate::arrival::STOP_LIMIT;
use crate::audit::{adds_up, audit};
use crate::clock::library_or_skip;
use crate::http::{body, event, post};
use crate::support::api::{Api, page, things};
use crate::support::duckdb::Lake;
use crate::support::http::Connection;
use crate::support::moto::Moto;
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server};

const DIRECTORY: &str = "url = \"lake\"";
const OLD_DAYS: u64 = 4;
const A_DAY: u64 = 500;
const LONG: Duration = Duration::from_secs(30);

fn new(lake: &str, format: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[batch]\nformat = \"{format}\"\n\
         max_records = 100\nmax_age = \"1h\"\n[events]\non_invalid = \"quarantine\"\n"
    ))
}

/// A click from this many days ago.
fn of_day(number: u64, days_ago: u64) -> String {
    let time = Clock::system().now().wall;
    let time = time.minus(Duration::from_hours(24 * days_ago)).to_string();
    let mut event: Value = serde_json::from_str(&event(number, "click", "{}")).unwrap();
    event["timestamp"] = time.into();
    event.to_string()
}

/// Events of some days two months ago and of the last two days, and some that are refused; the service is stopped
/// then.
fn fill(setup: &Setup) {
    let program = setup.start();
    for day in (60..60 + OLD_DAYS).chain(0..2) {
        for first in (0..A_DAY).step_by(100) {
            let numbers = first + day * A_DAY..first + 100 + day * A_DAY;
            let events: Vec<String> = numbers.map(|number| of_day(number, day)).collect();
            assert_eq!(post(setup, body(&events)).status, 200);
        }
    }
    let refused = event(1, "clack", "{}");
    assert_eq!(post(setup, body(&[refused])).status, 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

fn retain(setup: &Setup, more: &[&str]) -> Value {
    let command = ["retain", "--older-than", "30d", "--json"];
    let output = setup.run(&[command.as_slice(), more].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn rows_of(lake: &Lake) -> BTreeMap<u64, Value> {
    let rows = lake.rows().into_iter();
    rows.map(|row| (row["lsn"].as_u64().unwrap(), row))
        .collect()
}

/// Whether an event belongs to the days that go.
fn is_old(row: &Value) -> bool {
    let id = row["event_id"].as_str().unwrap();
    let number: u64 = id.rsplit('-').next().unwrap().parse().unwrap();
    number >= 60 * A_DAY
}

fn check(setup: &Setup, lake: &Lake, before: &BTreeMap<u64, Value>) {
    let mut expected = before.clone();
    expected.retain(|_, row| !is_old(row));
    assert_eq!(expected.len() as u64, 2 * A_DAY);
    assert_eq!(rows_of(lake), expected);
    let (plain, code) = audit(setup, &[]);
    assert_eq!(code, Some(0), "{plain}");
    let expired = format!(" with {} rows expired by retention", OLD_DAYS * A_DAY);
    assert!(plain.contains(&expired), "{plain}");
    adds_up(setup, &["data/wal"]);
}

fn old_days_go(setup: &Setup, lake: &Lake, keys: &dyn Fn() -> Vec<String>) {
    fill(setup);
    let before = rows_of(lake);
    adds_up(setup, &["data/wal"]);
    let there = keys();
    let dry = retain(setup, &["--dry-run"]);
    assert_eq!(dry["rows"], OLD_DAYS * A_DAY, "{dry}");
    assert_eq!(keys(), there);
    let report = retain(setup, &[]);
    assert_eq!(report["rows"], OLD_DAYS * A_DAY, "{report}");
    assert_eq!(report["objects"], dry["objects"]);
    assert_eq!(report["left"], json!([]));
    check(setup, lake, &before);
    let after = keys();
    let again = retain(setup, &[]);
    assert_eq!(
        (&again["objects"], &again["finished"]),
        (&0.into(), &0.into())
    );
    assert_eq!(keys(), after);
    check(setup, lake, &before);
}

#[test]
fn old_days_leave_a_directory() {
    for format in ["ndjson.zst", "parquet"] {
        let setup = new(DIRECTORY, format);
        let root = setup.directory().join("lake");
        let keys = || {
            let mut keys = keys_below(&root, "").unwrap();
            // These are made when the lake is opened.
            keys.retain(|key| !key.starts_with("_lakehook/LOCK") && key != "_lakehook/lock");
            keys
        };
        old_days_go(&setup, &Lake::directory(&root), &keys);
    }
}

#[test]
fn old_days_leave_a_bucket() {
    let server = S3Server::start(92);
    let endpoint = server.endpoint();
    let setup = new(
        &format!("url = \"s3://lake/r\"\nendpoint = \"{endpoint}\""),
        "ndjson.gz",
    );
    let keys = || {
        let mut keys = server.keys("r/");
        keys.retain(|key| !key.contains("/_lakehook/probe") && !key.ends_with("/lease"));
        keys
    };
    old_days_go(&setup, &Lake::s3("s3://lake/r", &endpoint), &keys);
    assert_eq!(server.keys("r/_lakehook/retention/").len(), 1);
    // Somebody else has the lease.
    let far = Clock::system().now().wall.0 + 60_000_000;
    let lease = json!({"node": "other", "run": "other", "until": far}).to_string();
    server.put_foreign("r/_lakehook/lease", lease, HashMap::new());
    let output = setup.run(&["retain", "--older-than", "30d"]);
    assert!(
        stderr(&output).contains("another erasure or retention"),
        "{}",
        said(&output)
    );
}

/// Killed after some time, over and over, and as soon as its note is there; then a run that is not.
fn killed_and_run_again(setup: &Setup, lake: &Lake, is_noted: &dyn Fn() -> bool) {
    fill(setup);
    let before = rows_of(lake);
    for round in 0..8 {
        let mut command = setup.command(&["retain", "--older-than", "30d"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let limit = Duration::from_millis(30 + 30 * round);
        let start = std::time::Instant::now();
        while start.elapsed() < limit || (round == 7 && start.elapsed() < LONG) {
            if is_noted() {
                break;
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (said, code) = audit(setup, &["--deep"]);
        assert_eq!(code, Some(0), "{said}");
        if is_noted() {
            break;
        }
    }
    assert!(is_noted(), "no run came as far as its note");
    let report = retain(setup, &[]);
    assert_eq!(report["left"], json!([]), "{report}");
    check(setup, lake, &before);
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next_one() {
    let setup = new(DIRECTORY, "ndjson.zst");
    let root = setup.directory().join("lake");
    let notes = root.join("_lakehook/retention");
    let is_noted = || keys_below(&notes, "").is_ok_and(|keys| !keys.is_empty());
    killed_and_run_again(&setup, &Lake::directory(&root), &is_noted);
    let server = S3Server::start(93);
    let endpoint = server.endpoint();
    let setup = new(
        &format!("url = \"s3://lake\"\nendpoint = \"{endpoint}\""),
        "ndjson.zst",
    );
    let is_noted = || !server.keys("_lakehook/retention/").is_empty();
    killed_and_run_again(&setup, &Lake::s3("s3://lake", &endpoint), &is_noted);
}

#[test]
fn retention_beside_a_running_service_excludes_replays() {
    let setup = new(DIRECTORY, "ndjson.zst");
    fill(&setup);
    let program = setup.start();
    let mut holder = UnixStream::connect(setup.directory().join("data/wal/control.sock")).unwrap();
    holder.write_all(b"{\"erasure\":\"hold\"}\n").unwrap();
    let mut answer = [0; 7];
    holder.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\"done\"\n");
    let output = setup.run(&["retain", "--older-than", "30d"]);
    let is_refused = stderr(&output).contains("or an erasure");
    assert!(is_refused && !output.status.success(), "{}", said(&output));
    drop(holder);
    let report = retain(&setup, &[]);
    assert_eq!(report["rows"], OLD_DAYS * A_DAY, "{report}");
    assert_eq!(post(&setup, body(&[of_day(7, 0)])).status, 200);
    assert!(program.stop(STOP_LIMIT).success());
    adds_up(&setup, &["data/wal"]);
}

/// The files of an object: itself, and its sidecar.
fn files_of(lake: &Path, key: &str) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let names = [key.to_owned(), format!("_lakehook/meta/{key}.json")];
    let paths = names.iter().map(|name| lake.join(name));
    paths
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

fn restore(files: &[(std::path::PathBuf, Vec<u8>)]) {
    for (path, bytes) in files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn what_nobody_listed_is_named_and_what_comes_back_is_removed_again() {
    let setup = new(DIRECTORY, "ndjson");
    fill(&setup);
    let lake = setup.directory().join("lake");
    let objects = keys_below(&lake, "events").unwrap();
    // The first one expires, the last one does not.
    let (first, last) = (&objects[0], &objects[objects.len() - 1]);
    let (old, kept) = (files_of(&lake, first), files_of(&lake, last));
    retain(&setup, &[]);
    assert!(old.iter().all(|(path, _)| !path.exists()));
    let says = |args: &[&str], expected: &str| {
        let (said, code) = audit(&setup, args);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    };
    // Missing, without a note.
    for (path, _) in &kept {
        std::fs::remove_file(path).unwrap();
    }
    says(&[], " missing, with ");
    restore(&kept);
    adds_up(&setup, &["data/wal"]);
    // A put that was late.
    restore(&old);
    adds_up(&setup, &["data/wal"]);
    let dry = retain(&setup, &["--dry-run"]);
    assert_eq!(dry["finished"], 1, "{dry}");
    let report = retain(&setup, &[]);
    assert_eq!(
        (&report["finished"], &report["objects"]),
        (&1.into(), &0.into())
    );
    assert!(old.iter().all(|(path, _)| !path.exists()));
    // A sidecar that a kill has left.
    restore(&old[1..]);
    adds_up(&setup, &["data/wal"]);
    retain(&setup, &[]);
    assert!(!old[1].0.exists());
    // Changed by somebody: its length, its bytes, what is said of it.
    restore(&old);
    std::fs::write(&old[0].0, &old[0].1[1..]).unwrap();
    says(&[], "bytes; ");
    let mut edited = old[0].1.clone();
    edited[10] ^= 1;
    std::fs::write(&old[0].0, edited).unwrap();
    says(&["--deep"], "the checksum differs");
    restore(&old);
    let mut sidecar: Value = serde_json::from_slice(&old[1].1).unwrap();
    sidecar["metadata"]["lakehook-count"] = "1".into();
    std::fs::write(&old[1].0, sidecar.to_string()).unwrap();
    says(&[], "after a retention had listed it");
    let output = setup.run(&["retain", "--older-than", "30d"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(old[0].0.exists());
    // A note that is gone.
    restore(&old);
    retain(&setup, &[]);
    let note = keys_below(&lake, "_lakehook/retention").unwrap().remove(0);
    std::fs::remove_file(lake.join(note)).unwrap();
    says(&[], " missing, with ");
}

#[test]
fn an_age_that_is_too_short_is_refused() {
    let setup = new(DIRECTORY, "ndjson");
    for age in ["400", "23h", "400 days", "-1d"] {
        let output = setup.run(&["retain", "--older-than", age]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    let output = setup.run(&["retain"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

/// Runs of a poll over months: the clock of the program is moved.
#[test]
fn runs_that_no_kept_marker_needs_go_and_the_newest_stays() {
    let Some(library) = library_or_skip() else {
        return;
    };
    old_runs_go(&library, DIRECTORY, None);
    // Our own server refuses requests of another time.
    let moto = Moto::start();
    let lake = format!(
        "url = \"s3://{BUCKET}\"\nendpoint = \"{}\"",
        moto.endpoint()
    );
    old_runs_go(&library, &lake, Some(&moto));
}

fn keys_in(moto: &Moto, prefix: &str) -> Vec<String> {
    let endpoint = moto.endpoint();
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut connection =
        Connection::open(address.parse().unwrap(), Duration::from_secs(10)).unwrap();
    let path = format!("/{BUCKET}?list-type=2&prefix={prefix}/");
    let answer = connection.request("GET", &path, &[], b"").unwrap();
    let text = answer.text();
    let keys = text.split("<Key>").skip(1);
    keys.map(|rest| rest.split("</Key>").next().unwrap().to_owned())
        .collect()
}

fn old_runs_go(library: &Path, lake: &str, moto: Option<&Moto>) {
    let version = Arc::new(AtomicUsize::new(3));
    let now = Arc::clone(&version);
    let api = Api::start(move |_, _| {
        let mut things = things(0..now.load(Ordering::SeqCst));
        // Without an id it is refused.
        things.push(json!({"name": "nobody"}));
        page(json!({"things": things}))
    });
    let setup = Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n[poll.things]\n\
         url = \"{}/things\"\nrecords = \"/things\"\nid = \"id\"\n[poll.things.guards]\nmax_refused = \"50 %\"\n",
        api.url()
    ));
    let file = setup.directory().join("faketime");
    let setup = setup
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let move_to = |days: i64| std::fs::write(&file, format!("{:+}\n", days * 86_400)).unwrap();
    let root = setup.directory().join("lake");
    let keys = |prefix: &str| match moto {
        None => keys_below(&root, prefix).unwrap(),
        Some(moto) => keys_in(moto, prefix),
    };
    let runs = || keys("_lakehook/runs/things");
    let poll = |days: i64, records: usize| {
        move_to(days);
        version.store(records, Ordering::SeqCst);
        let before = runs();
        let output = setup.run(&["poll"]);
        assert!(output.status.success(), "{}", said(&output));
        adds_up(&setup, &["data/polls"]);
        runs()
            .into_iter()
            .find(|run| !before.contains(run))
            .unwrap()
    };
    let retain = |setup: &Setup| {
        let report = retain(setup, &[]);
        assert_eq!(report["left"], json!([]), "{report}");
        adds_up(setup, &["data/polls"]);
        report
    };
    let lake = match moto {
        None => Lake::directory(&root),
        Some(moto) => Lake::s3(&format!("s3://{BUCKET}"), &moto.endpoint()),
    };
    let rows = || lake.stream("things", "id").rows;
    let first = poll(0, 3);
    let second = poll(5, 4);
    let unchanged = poll(10, 4);
    // Paused for longer than that: what its newest marker names stays.
    move_to(70);
    let report = retain(&setup);
    assert_eq!(
        runs(),
        [second.clone(), unchanged.clone()],
        "{first}: {report}"
    );
    assert_eq!(report["markers"], 1, "{report}");
    assert_eq!(rows(), 4);
    assert!(keys("quarantine").is_empty());
    // The next one names it again, so only the marker between goes.
    let newest = poll(70, 4);
    let report = retain(&setup);
    assert_eq!(runs(), [second, newest.clone()], "{report}");
    assert_eq!(report["objects"], 0, "{report}");
    // Now nothing needs it.
    let changed = poll(71, 5);
    move_to(110);
    retain(&setup);
    assert_eq!(runs(), std::slice::from_ref(&changed));
    assert_eq!(rows(), 5);
    let unchanged = poll(111, 5);
    assert_eq!(runs(), [changed, unchanged]);
    let (plain, code) = audit(&setup, &[]);
    assert_eq!(code, Some(0), "{plain}");
    assert!(plain.contains("expired by retention"), "{plain}");
    assert_eq!(rows(), 5);
}
