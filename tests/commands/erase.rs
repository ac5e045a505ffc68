//! `lakehook erase`, on the real program: the rows of one user leave every object, the quarantine and the log,
//! everything else stays, the audit adds up, and a run that is killed is finished by the next one.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{said, stderr, stdout};
use crate::arrival::STOP_LIMIT;
use crate::audit::{adds_up, audit};
use crate::http::{body, event, post};
use crate::support::duckdb::Lake;
use crate::support::http::Connection;
use crate::support::moto::Moto;
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server};

const DIRECTORY: &str = "url = \"lake\"";
const USERS: u64 = 50;
const OF_U1: &str = "user_id=u-1";

fn new(lake: &str, format: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[batch]\nformat = \"{format}\"\n\
         max_records = 400\nmax_age = \"1h\"\n[events]\non_invalid = \"quarantine\"\n"
    ))
}

/// An event of the user `u-<number % USERS>`.
fn of_user(number: u64, event_type: &str) -> String {
    let user = format!("\"user_id\":\"u-{}\"", number % USERS);
    event(number, event_type, &format!("{{\"n\":{number}}}")).replace("\"user_id\":\"u\"", &user)
}

fn send(setup: &Setup, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for some in numbers.chunks(500) {
        let events: Vec<String> = some
            .iter()
            .map(|number| of_user(*number, "click"))
            .collect();
        assert_eq!(post(setup, body(&events)).status, 200);
    }
}

/// Events of every kind, of which some are refused; the service is stopped then.
fn fill(setup: &Setup, events: u64) {
    let program = setup.start();
    send(setup, 0..events);
    // Of u-1 and u-2, refused: in the quarantine.
    let refused = [of_user(events + 1, "clack"), of_user(events + 2, "clack")];
    assert_eq!(post(setup, body(&refused)).status, 200);
    assert_eq!(post(setup, "{\"events\":[{\"user_id\":\"u-1\"").status, 400);
    assert_eq!(post(setup, "{\"events\":[{\"user_id\":\"u-2\"").status, 400);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

fn erase(setup: &Setup, more: &[&str]) -> Value {
    let command = ["erase", "--stream", "events", "--where", OF_U1, "--json"];
    let output = setup.run(&[command.as_slice(), more].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn rows_of(lake: &Lake) -> BTreeMap<u64, Value> {
    let rows = lake.rows().into_iter();
    rows.map(|row| (row["lsn"].as_u64().unwrap(), row))
        .collect()
}

fn refused_rows(setup: &Setup) -> Vec<Value> {
    let output = setup.run(&["quarantine", "show", "--json", "--limit", "100000"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = stdout(&output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn is_of_u1(row: &Value) -> bool {
    row["user_id"] == "u-1"
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Nothing of the user is in the log's files, nor in files that were in the making.
fn is_gone_from_files(setup: &Setup) {
    for path in files_below(&setup.directory().join("data")) {
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let found = memchr::memmem::find(&bytes, b"\"u-1\"");
        assert_eq!(found, None, "{}", path.display());
    }
}

fn check(setup: &Setup, lake: &Lake, before: &BTreeMap<u64, Value>) {
    let mut expected = before.clone();
    expected.retain(|_, row| !is_of_u1(row));
    assert!(expected.len() < before.len());
    assert_eq!(rows_of(lake), expected);
    let refused = refused_rows(setup);
    let says = |user: &str| {
        let has = |row: &&Value| row["raw"].as_str().unwrap().contains(user);
        refused.iter().filter(has).count()
    };
    assert_eq!((says("\"u-1\""), says("\"u-2\"")), (0, 2));
    let (plain, code) = audit(setup, &[]);
    assert_eq!(code, Some(0), "{plain}");
    assert!(plain.contains("of these rows were erased"), "{plain}");
    adds_up(setup, &["data/wal"]);
}

fn one_user_is_erased(setup: &Setup, lake: &Lake, events: u64) {
    fill(setup, events);
    let before = rows_of(lake);
    let of_u1 = events / USERS;
    let dry = erase(setup, &["--dry-run"]);
    assert_eq!(dry["rows"], of_u1 + 2, "{dry}");
    assert_eq!(rows_of(lake), before);
    let report = erase(setup, &[]);
    assert_eq!(report["rows"], of_u1 + 2, "{report}");
    assert_eq!(report["left"], serde_json::json!([]));
    check(setup, lake, &before);
    is_gone_from_files(setup);
    let again = erase(setup, &[]);
    assert_eq!(
        (&again["rows"], &again["erasure"]),
        (&0.into(), &Value::Null),
        "{again}"
    );
    check(setup, lake, &before);
    // Sent again, what is erased is known.
    let program = setup.start();
    let answer = post(setup, body(&[of_user(1, "click")]));
    assert_eq!(answer.json()["duplicates"], 1, "{}", answer.text());
    assert!(program.stop(STOP_LIMIT).success());
    check(setup, lake, &before);
}

#[test]
fn one_user_among_many_leaves_a_directory() {
    for format in ["ndjson.zst", "parquet"] {
        let setup = new(DIRECTORY, format);
        let lake = Lake::directory(&setup.directory().join("lake"));
        one_user_is_erased(&setup, &lake, 10_000);
        let tmp = setup.directory().join("lake/_lakehook/tmp");
        assert!(files_below(&tmp).is_empty());
    }
}

#[test]
fn one_user_among_many_leaves_a_bucket() {
    for format in ["ndjson.gz", "parquet"] {
        let server = S3Server::start(90);
        let setup = new(
            &format!(
                "url = \"s3://lake/r\"\nendpoint = \"{}\"",
                server.endpoint()
            ),
            format,
        );
        let lake = Lake::s3("s3://lake/r", &server.endpoint());
        one_user_is_erased(&setup, &lake, 4_000);
        assert_eq!(server.keys("r/_lakehook/erasures/").len(), 2);
    }
}

/// Killed after some time, over and over; then a run that is not.
fn killed_and_run_again(setup: &Setup, lake: &Lake) {
    fill(setup, 3_000);
    let before = rows_of(lake);
    for round in 0..8 {
        let mut command = setup.command(&["erase", "--stream", "events", "--where", OF_U1]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + 45 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let (said, code) = audit(setup, &["--deep"]);
        assert_eq!(code, Some(0), "{said}");
    }
    let report = erase(setup, &[]);
    assert_eq!(report["left"], serde_json::json!([]), "{report}");
    check(setup, lake, &before);
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next_one() {
    let setup = new(DIRECTORY, "ndjson.zst");
    killed_and_run_again(&setup, &Lake::directory(&setup.directory().join("lake")));
    let server = S3Server::start(91);
    let setup = new(
        &format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint()),
        "ndjson.zst",
    );
    killed_and_run_again(&setup, &Lake::s3("s3://lake", &server.endpoint()));
    // However often it was begun, it was one request.
    assert_eq!(server.keys("_lakehook/erasures/").len(), 2);
}

#[test]
fn a_running_service_brings_its_rows_to_the_lake_first_and_goes_on() {
    let setup = new(DIRECTORY, "ndjson.zst");
    let lake = Lake::directory(&setup.directory().join("lake"));
    let program = setup.start();
    send(&setup, 0..1_000);
    let report = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for round in 0..10 {
                // Of other users.
                let first = 10_000 + USERS * round;
                send(&setup, first + 2..first + USERS);
            }
        });
        let report = erase(&setup, &[]);
        sending.join().unwrap();
        report
    });
    assert_eq!(report["rows"], 1_000 / USERS, "{report}");
    let answer = post(&setup, body(&[of_user(1, "click")]));
    assert_eq!(answer.json()["duplicates"], 1, "{}", answer.text());
    assert!(program.stop(STOP_LIMIT).success());
    let rows = rows_of(&lake);
    assert!(!rows.values().any(is_of_u1));
    assert_eq!(rows.len() as u64, 1_000 - 1_000 / USERS + 10 * (USERS - 2));
    adds_up(&setup, &["data/wal"]);
}

#[test]
fn a_replay_and_an_erasure_exclude_each_other() {
    let setup = new(DIRECTORY, "ndjson.zst");
    fill(&setup, 100);
    let schemas = setup.directory().join("schemas");
    std::fs::create_dir_all(&schemas).unwrap();
    let program = setup.start();
    let mut holder = UnixStream::connect(setup.directory().join("data/wal/control.sock")).unwrap();
    holder.write_all(b"{\"erasure\":\"hold\"}\n").unwrap();
    let mut answer = [0; 7];
    holder.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\"done\"\n");
    let commands: [&[&str]; 2] = [
        &["erase", "--stream", "events", "--where", OF_U1],
        &["quarantine", "replay"],
    ];
    for command in commands {
        let output = setup.run(command);
        let is_refused = stderr(&output).contains("or an erasure");
        assert!(is_refused && !output.status.success(), "{}", said(&output));
    }
    drop(holder);
    assert!(program.stop(STOP_LIMIT).success());

    // A killed erasure may have erased what a replay has read.
    let notes = setup.directory().join("lake/_lakehook/erasures");
    std::fs::create_dir_all(&notes).unwrap();
    std::fs::write(notes.join("0a-begun.json"), "{}").unwrap();
    let output = setup.run(&["quarantine", "replay"]);
    assert!(
        stderr(&output).contains("an erasure is not done"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_repair_does_not_bring_back_what_was_erased() {
    let setup = new(DIRECTORY, "ndjson.zst");
    let lake = Lake::directory(&setup.directory().join("lake"));
    let program = setup.start();
    send(&setup, 0..200);
    let before = setup.directory().join("data/wal");
    let report = erase(&setup, &[]);
    assert_eq!(report["rows"], 4, "{report}");
    program.kill();
    // The frames with the seals and the commits are lost, those with the rows are not.
    let mut damaged = 0;
    for path in files_below(&before) {
        if path.extension().is_some_and(|end| end == "wal") {
            let mut bytes = std::fs::read(&path).unwrap();
            for at in (4096..bytes.len()).step_by(4096) {
                if bytes[at..].starts_with(b"LHF1") && bytes[at + 48..at + 52] == [0; 4] {
                    bytes[at + 70] ^= 1;
                    damaged += 1;
                }
            }
            std::fs::write(&path, bytes).unwrap();
        }
    }
    assert!(damaged > 0);
    let output = setup.run(&["wal", "repair"]);
    assert!(output.status.success(), "{}", said(&output));
    let program = setup.start();
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = lake.rows();
    assert!(!rows.iter().any(is_of_u1), "{}", said(&output));
    let ids: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| row["event_id"].as_str().unwrap())
        .collect();
    assert_eq!((rows.len(), ids.len()), (196, 196));
}

/// What somebody else does to an object from which rows were erased, and what the audit says of it.
#[test]
fn an_erased_object_is_audited_like_any_other() {
    let setup = new(DIRECTORY, "ndjson");
    fill(&setup, 1_000);
    erase(&setup, &[]);
    let lake = setup.directory().join("lake");
    let objects = lakehook::lake::reader::keys_below(&lake, "events").unwrap();
    let object = lake.join(&objects[0]);
    let sidecar = lake.join(format!("_lakehook/meta/{}.json", objects[0]));
    let (bytes, text) = (
        std::fs::read(&object).unwrap(),
        std::fs::read_to_string(&sidecar).unwrap(),
    );
    assert!(text.contains("lakehook-erased-rows"), "{text}");
    let says = |args: &[&str], expected: &str| {
        let (said, code) = audit(&setup, args);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
        std::fs::write(&object, &bytes).unwrap();
        std::fs::write(&sidecar, &text).unwrap();
    };
    let mut edited = bytes.clone();
    let at = memchr::memmem::find(&edited, b"\"u-2\"").unwrap();
    edited[at + 3] = b'3';
    std::fs::write(&object, edited).unwrap();
    says(&["--deep"], "the checksum differs");

    let value: Value = serde_json::from_str(&text).unwrap();
    let stamped = |name: &str, to: &str| {
        let mut value = value.clone();
        value["metadata"][format!("lakehook-{name}")] = to.into();
        std::fs::write(&sidecar, value.to_string()).unwrap();
    };
    stamped("erased-rows", "7");
    says(&["--deep"], "rows; it says");
    stamped("erased-lsn-hash", "07");
    says(&["--deep"], "the LSNs of its rows are not those");
    stamped("erased-rows", "1000000");
    says(&[], "contradicts what it held");
    stamped("erasure", "07");
    says(&[], "of which there is no note");
    std::fs::remove_file(&object).unwrap();
    says(&[], "only its sidecar is there");
    adds_up(&setup, &["data/wal"]);
}

#[test]
fn old_versions_are_told_of_and_deleted() {
    let moto = Moto::start();
    let ask = |method: &str, path: &str, text: &str| {
        let address = moto
            .endpoint()
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap();
        let mut connection = Connection::open(address, Duration::from_secs(10)).unwrap();
        let answer = connection
            .request(method, path, &[], text.as_bytes())
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    ask(
        "PUT",
        &format!("/{BUCKET}?versioning"),
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    );
    let setup = new(
        &format!(
            "url = \"s3://{BUCKET}\"\nendpoint = \"{}\"",
            moto.endpoint()
        ),
        "ndjson.zst",
    );
    fill(&setup, 600);
    let old = || {
        let listed = ask("GET", &format!("/{BUCKET}?versions&prefix=events/"), "");
        listed.matches("<IsLatest>false</IsLatest>").count()
    };
    assert_eq!(old(), 0);
    let report = erase(&setup, &[]);
    let noted = report["notes"].to_string();
    assert!(noted.contains("--versions deletes them"), "{report}");
    assert!(old() > 0);
    let report = erase(&setup, &["--versions"]);
    assert!(report["versions_deleted"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(old(), 0);
    adds_up(&setup, &["data/wal"]);
}

#[test]
fn wrong_arguments_are_refused() {
    let setup = new(DIRECTORY, "ndjson");
    for (stream, condition) in [
        ("events/x", OF_U1),
        ("quarantine", OF_U1),
        ("events", "u-1"),
    ] {
        let output = setup.run(&["erase", "--stream", stream, "--where", condition]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
}
