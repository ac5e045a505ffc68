//! `lakehook quarantine replay`: what was refused and is valid by now gets in exactly once, with its own time
//! of receipt; through a running service and without one, and across kills.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{said, stderr, stdout};
use crate::arrival::STOP_LIMIT;
use crate::audit::adds_up;
use crate::http::{body, event, id, metric, post};
use crate::support::duckdb::{Lake, Reading};
use crate::support::process::Setup;
use crate::support::s3::{Chances, S3Server};

const DIRECTORY: &str = "url = \"lake\"";
const STRICT: u64 = 0;
const WIDE: u64 = 1_000_000;

fn new(lake: &str, on_invalid: &str, more: &str) -> Setup {
    let setup = Setup::new(&format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[events]\nschemas = \"schemas\"\non_invalid = \"{on_invalid}\"\n{more}"
    ));
    std::fs::create_dir(setup.directory().join("schemas")).unwrap();
    allow(&setup, STRICT);
    setup
}

/// Changes the schema so that clicks may have numbers up to `maximum`.
fn allow(setup: &Setup, maximum: u64) {
    let schema = format!(
        r#"{{"type":"object","properties":{{"n":{{"type":"integer","maximum":{maximum}}}}}}}"#
    );
    std::fs::write(setup.directory().join("schemas/click.json"), schema).unwrap();
}

/// A click that the strict schema refuses.
fn click(number: u64) -> String {
    event(number, "click", &format!("{{\"n\":{number}}}"))
}

fn lake(setup: &Setup) -> Lake {
    Lake::directory(&setup.directory().join("lake"))
}

/// Runs a replay, and returns its report from `--json`.
fn replay(setup: &Setup, more: &[&str]) -> Value {
    let output = setup.run(&[&["quarantine", "replay", "--json"], more].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn rows(setup: &Setup) -> Vec<Value> {
    let output = setup.run(&["quarantine", "show", "--json", "--limit", "100000"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = stdout(&output);
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

/// From a report: the number of replayed rows, and their events by what happened to them.
fn replayed(report: &Value) -> (u64, u64, u64, u64, u64) {
    let count = |name: &str| report["replayed"][name].as_u64().unwrap();
    (
        count("rows"),
        count("stored"),
        count("duplicates"),
        count("dropped"),
        count("conflicts"),
    )
}

/// When each event in the lake was received, by event id.
fn received(lake: &Lake) -> BTreeMap<String, String> {
    let rows = lake.rows();
    let count = rows.len();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    // DuckDB prints the times of typed columns in its own form.
    let time = |row: &Value| {
        let text = text(row, "received_at")
            .replace(' ', "T")
            .replace("+00", "Z");
        lakehook::rfc3339::parse(&text).unwrap().to_string()
    };
    let times: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (text(row, "event_id"), time(row)))
        .collect();
    assert_eq!(times.len(), count, "an event is there twice");
    times
}

fn stop(program: crate::support::process::Program<'_>, setup: &Setup) {
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

#[test]
fn invalid_events_get_in_once_through_a_running_service() {
    let setup = new(DIRECTORY, "quarantine", "");
    let program = setup.start();
    let sent = [click(0), click(1), event(2, "clack", "{}"), click(3)];
    assert_eq!(post(&setup, body(&sent)).status, 200);
    stop(program, &setup);
    let refused = rows(&setup);
    assert_eq!(refused.len(), 3);
    assert_eq!(lake(&setup).count(Reading::Typed).rows, 1);

    allow(&setup, WIDE);
    let program = setup.start();
    let dry = replay(&setup, &["--dry-run"]);
    assert_eq!(replayed(&dry), (2, 2, 0, 0, 0), "{dry}");
    assert_eq!(
        metric(&setup, "lakehook_events_accepted_total").to_string(),
        "0"
    );
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (2, 2, 0, 0, 0), "{report}");
    assert_eq!(report["still_invalid"]["rows"], 1);
    assert_eq!(
        report["still_invalid"]["errors"][0]["code"],
        "unknown_event_type"
    );
    // Replayed events count as received, like any others.
    for name in ["received", "accepted"] {
        let name = format!("lakehook_events_{name}_total");
        assert_eq!(metric(&setup, &name).to_string(), "2", "{name}");
    }
    let again = replay(&setup, &[]);
    assert_eq!(replayed(&again), (0, 0, 0, 0, 0), "{again}");
    assert_eq!(again["skipped"]["replayed_before"], 2);
    // When the sender sends them again, they are duplicates.
    let answer = post(&setup, body(&[click(1), click(3)]));
    assert_eq!(answer.json()["duplicates"], 2, "{}", answer.text());
    stop(program, &setup);

    let times = received(&lake(&setup));
    assert_eq!(times.len(), 3);
    for number in [1, 3] {
        assert_eq!(times[&id(number)], refused[0]["received_at"], "{times:?}");
    }
    adds_up(&setup, &["data/wal"]);
    is_shown(&setup);
    without_its_mark_it_is_known(&setup);
}

/// Replayed rows are left out of lists, and `show` says that they were replayed.
fn is_shown(setup: &Setup) {
    let list = stdout(&setup.run(&["quarantine", "list"]));
    assert!(
        list.contains("unknown_event_type") && !list.contains("schema_maximum"),
        "{list}"
    );
    assert!(
        list.contains("Left out are 2 rows that were replayed"),
        "{list}"
    );
    let all = stdout(&setup.run(&["quarantine", "list", "--all"]));
    assert!(
        all.contains("schema_maximum") && !all.contains("Left out"),
        "{all}"
    );
    let shown = rows(setup);
    // What is still invalid did not get into the quarantine a second time.
    assert_eq!(shown.len(), 3);
    let marked: Vec<_> = shown
        .iter()
        .filter(|row| !row["replayed"].is_null())
        .collect();
    assert_eq!(marked.len(), 2);
    assert_eq!(marked[0]["replayed"]["stored"], 1);
    let text = stdout(&setup.run(&["quarantine", "show"]));
    assert_eq!(text.matches("  replayed at 20").count(), 2, "{text}");
}

/// A replay ends before it can put its mark. The next one finds that the events are known.
fn without_its_mark_it_is_known(setup: &Setup) {
    for dir in ["replays", "meta/_lakehook/replays"] {
        std::fs::remove_dir_all(setup.directory().join("lake/_lakehook").join(dir)).unwrap();
    }
    let report = replay(setup, &[]);
    assert_eq!(replayed(&report), (2, 0, 2, 0, 0), "{report}");
    assert_eq!(report["shipped"], true);
    assert_eq!(received(&lake(setup)).len(), 3);
    adds_up(setup, &["data/wal"]);
}

/// Replays refused requests in a bucket without a service.
#[test]
fn refused_requests_get_in_whole_or_not_at_all_without_a_service() {
    let server = S3Server::start(74);
    let url = format!(
        "url = \"s3://lake/r\"\nendpoint = \"{}\"",
        server.endpoint()
    );
    let setup = new(&url, "reject", "[batch]\nformat = \"parquet\"\n");
    let program = setup.start();
    let signup = event(3, "signup", "{}");
    for bytes in [
        body(&[event(1, "click", "{}"), click(2), signup]).into_bytes(),
        body(&[click(4), event(5, "clack", "{}")]).into_bytes(),
        b"\xff{".to_vec(),
        body(&[click(6)]).into_bytes(),
    ] {
        assert_eq!(post(&setup, bytes).status, 400);
    }
    // In the meantime the sender has sent these: one event as it was, the other with other content.
    let meanwhile = [event(1, "click", "{}"), event(6, "click", "{}")];
    assert_eq!(post(&setup, body(&meanwhile)).status, 200);
    stop(program, &setup);
    let refused = rows(&setup);
    let lake = Lake::s3("s3://lake/r", &server.endpoint());
    assert_eq!(lake.count(Reading::Typed).rows, 2);

    allow(&setup, WIDE);
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (2, 1, 1, 1, 1), "{report}");
    assert_eq!(report["shipped"], true);
    assert_eq!(report["still_invalid"]["rows"], 2);
    let times = received(&lake);
    let ids: Vec<&String> = times.keys().collect();
    assert_eq!(ids, [&id(1), &id(2), &id(6)]);
    assert_eq!(times[&id(2)], refused[0]["received_at"]);
    assert_eq!(server.keys("r/_lakehook/replays/").len(), 1);

    // The conflict is now one row of the quarantine.
    let output = setup.run(&["quarantine", "replay"]);
    insta::assert_snapshot!(said(&output), @r#"
replayed       0 rows: 0 stored, 0 known already, 0 dropped by rule, 0 known with other content
still invalid  2 rows
            1  not_json at : line 1, column 1: not UTF-8 (such as LSN 3)
            1  unknown_event_type at /events/*/event_type: one of click, view, purchase, signup, pray, share, like (such as LSN 2)
skipped        3 rows
            2  replayed before
            1  id conflicts, which would conflict again
exit code 0
"#);
    adds_up(&setup, &["data/wal"]);
    let program = setup.start();
    let answer = post(&setup, body(&[click(2)]));
    assert_eq!(answer.json()["duplicates"], 1, "{}", answer.text());
    stop(program, &setup);
    assert_eq!(received(&lake).len(), 3);
}

#[test]
fn what_cannot_be_replayed_is_said_and_what_is_chosen_is_replayed() {
    let hook = "[hook.github]\nscheme = \"github\"\nsecrets = [\"0123456789abcdef\"]\n";
    let setup = new(
        DIRECTORY,
        "reject",
        &format!("[quarantine]\nmax_row = \"1 KiB\"\n{hook}"),
    );
    let program = setup.start();
    let long = event(
        1,
        "click",
        &format!("{{\"n\":1,\"x\":\"{}\"}}", "x".repeat(2000)),
    );
    for events in [[long].as_slice(), &[click(2)], &[click(3)]] {
        assert_eq!(post(&setup, body(events)).status, 400);
    }
    stop(program, &setup);
    allow(&setup, WIDE);
    let lsn = rows(&setup)[1]["lsn"].to_string();
    let none = replay(&setup, &["--code", "unknown_event_type"]);
    assert_eq!(replayed(&none), (0, 0, 0, 0, 0), "{none}");
    let none = replay(&setup, &["--until", "2020-01-01"]);
    assert_eq!(none["skipped"], serde_json::json!({}));
    let one = replay(&setup, &["--lsn", &lsn]);
    assert_eq!(replayed(&one), (1, 1, 0, 0, 0), "{one}");
    let rest = replay(&setup, &["--reason", "refused_request"]);
    assert_eq!(replayed(&rest), (1, 1, 0, 0, 0), "{rest}");
    assert_eq!(
        rest["skipped"],
        serde_json::json!({"cut": 1, "replayed_before": 1})
    );
    assert_eq!(rest["cut"][0]["lsn"], 1);

    // Another node does not know what the first one has stored since.
    let other = new(
        &format!("url = \"{}\"", setup.directory().join("lake").display()),
        "reject",
        "",
    );
    allow(&other, WIDE);
    std::fs::remove_dir_all(setup.directory().join("lake/_lakehook/replays")).unwrap();
    let of_others = replay(&other, &[]);
    assert_eq!(
        of_others["skipped"],
        serde_json::json!({"other_node": 3}),
        "{of_others}"
    );
    let dry = replay(&other, &["--other-nodes", "--dry-run"]);
    assert_eq!(replayed(&dry), (2, 2, 0, 0, 0), "{dry}");

    std::fs::write(setup.directory().join("schemas/click.json"), "{").unwrap();
    let output = setup.run(&["quarantine", "replay"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(stderr(&output).contains("click.json"), "{}", said(&output));
}

/// The row's time of receipt is long before every watermark, and its event is older than new events may be.
#[test]
fn a_row_of_two_years_ago_gets_in_with_its_own_times() {
    const THEN: &str = "2024-11-25T10:00:00.250000Z";
    let setup = new(
        DIRECTORY,
        "quarantine",
        "[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n",
    );
    let program = setup.start();
    assert_eq!(post(&setup, body(&[click(0)])).status, 200);
    stop(program, &setup);
    let node = std::fs::read_to_string(setup.directory().join("data/wal/node")).unwrap();
    let node = node
        .lines()
        .find_map(|line| line.strip_prefix("id = "))
        .unwrap();
    let old = click(1);
    let (before, after) = old.split_once("\"timestamp\":\"").unwrap();
    let (_, after) = after.split_once('"').unwrap();
    let old = format!("{before}\"timestamp\":\"2024-11-25T09:00:00Z\"{after}");
    let row = serde_json::json!({"received_at": THEN, "lsn": 9, "reason": "invalid_event", "stream": "events",
        "endpoint": "/webhook/events", "request_id": "r", "client": null, "errors": [], "errors_total": 1,
        "raw": old, "raw_encoding": "utf-8", "raw_bytes": old.len(), "raw_xxh3": ""});
    let dir = setup
        .directory()
        .join("lake/quarantine/events/dt=2024-11-25");
    std::fs::create_dir_all(&dir).unwrap();
    let name = format!("{node}-{:020}.ndjson", 9);
    std::fs::write(dir.join(name), format!("{row}\n")).unwrap();

    allow(&setup, WIDE);
    let program = setup.start();
    // Watermarks are published in the meantime.
    for number in 100..104 {
        assert_eq!(post(&setup, body(&[click(number)])).status, 200);
        std::thread::sleep(Duration::from_millis(1_700));
    }
    // A new request with this event is refused, because the event is too old.
    let sent = post(&setup, body(&[old]));
    assert_eq!(sent.json()["quarantined"], 1, "{}", sent.text());
    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (1, 1, 0, 0, 0), "{report}");
    stop(program, &setup);
    let rows = lake(&setup).rows();
    let row = rows.iter().find(|row| row["event_id"] == id(1)).unwrap();
    assert_eq!(
        (&row["received_at"], &row["dt"]),
        (&THEN.into(), &"2024-11-25".into())
    );
    assert_eq!(rows.len(), 6);
}

/// Clients that speak the protocol by hand, that send nonsense, or that never end.
#[test]
fn the_socket_takes_one_replay_at_a_time_and_holds_up_no_stop() {
    let setup = many(DIRECTORY, IN_A_REQUEST);
    let program = setup.start();
    let socket = setup.directory().join("data/wal/control.sock");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let talk = |line: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The service may have closed the connection because the line is too long.
        let _broken = stream.write_all(line);
        stream
    };
    let heard = |stream: &mut UnixStream| {
        let mut text = String::new();
        let _reset = stream.read_to_string(&mut text);
        text
    };
    let long = vec![b' '; 9 << 20];
    for nonsense in [b"{\"replay\":7}\n".as_slice(), b"\xff\n", &long] {
        assert_eq!(heard(&mut talk(nonsense)), "");
    }
    let mut idle = talk(b"{\"replay\":[]}\n");
    let mut answer = [0; 16];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"{\"outcomes\":[]}\n");
    let output = setup.run(&["quarantine", "replay"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        stderr(&output).contains("another replay is under way"),
        "{}",
        said(&output)
    );
    let start = Instant::now();
    stop(program, &setup);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    assert!(heard(&mut idle).contains("the service is stopping"));
    assert!(!socket.exists());
    let report = replay(&setup, &[]);
    assert_eq!(
        replayed(&report),
        (IN_A_REQUEST, IN_A_REQUEST, 0, 0, 0),
        "{report}"
    );
}

const MANY: u64 = 12_000;
const IN_A_REQUEST: u64 = 1_000;

/// A lake with `many` events that were refused and are valid by now.
fn many(lake: &str, many: u64) -> Setup {
    let setup = new(lake, "quarantine", "");
    let program = setup.start();
    for first in (0..many).step_by(usize::try_from(IN_A_REQUEST).unwrap()) {
        let events: Vec<String> = (first + 1..=first + IN_A_REQUEST).map(click).collect();
        assert_eq!(post(&setup, body(&events)).status, 200);
    }
    stop(program, &setup);
    allow(&setup, WIDE);
    setup
}

fn begin(setup: &Setup) -> Child {
    let mut command = setup.command(&["quarantine", "replay", "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn all_are_there_once(setup: &Setup, lake: &Lake, many: u64) {
    let count = lake.count(Reading::Typed);
    assert_eq!((count.rows, count.distinct_event_ids), (many, many));
    let original: std::collections::BTreeSet<String> = rows(setup)
        .iter()
        .map(|row| row["received_at"].as_str().unwrap().to_owned())
        .collect();
    let times = received(lake);
    assert!(times.values().all(|time| original.contains(time)));
    adds_up(setup, &["data/wal"]);
}

#[test]
fn a_service_that_is_killed_in_the_middle_loses_and_repeats_nothing() {
    let setup = many(DIRECTORY, MANY);
    let program = setup.start();
    let command = begin(&setup);
    let accepted = || metric(&setup, "lakehook_events_accepted_total");
    wait("nothing is replayed", || accepted() > 0.0);
    program.kill();
    let output = command.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (done, ..) = replayed(&report);
    assert!(done < MANY, "{report}");

    let program = setup.start();
    let report = replay(&setup, &[]);
    // What the first command was answered is marked. What was durable without an answer is known.
    let (rows, stored, duplicates, ..) = replayed(&report);
    assert_eq!(rows + done, MANY, "{report}");
    assert_eq!(stored + duplicates, rows, "{report}");
    let marked = report["skipped"]["replayed_before"].as_u64().unwrap_or(0);
    assert_eq!(marked, done);
    stop(program, &setup);
    all_are_there_once(&setup, &lake(&setup), MANY);
}

/// The service is killed when everything is durable in the log, but neither in the lake nor marked.
#[test]
fn a_replay_that_is_killed_before_its_mark_repeats_nothing() {
    let server = S3Server::start(75);
    let url = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let setup = many(&url, 2_000);
    server.faults().set(Chances {
        internal_error: 1.0,
        puts_only: true,
        ..Chances::default()
    });
    let mut command = begin(&setup);
    wait("not all is replayed", || {
        let info = setup.run(&["wal", "info"]);
        stdout(&info).contains("= stored 2000 ")
    });
    command.kill().unwrap();
    command.wait().unwrap();
    server.faults().calm();
    assert!(server.keys("_lakehook/replays/").is_empty());

    let report = replay(&setup, &[]);
    assert_eq!(replayed(&report), (2_000, 0, 2_000, 0, 0), "{report}");
    all_are_there_once(&setup, &Lake::s3("s3://lake", &server.endpoint()), 2_000);
}

/// The command is usually interrupted in the middle. What was done is marked, and the log is closed.
#[test]
fn a_replay_that_is_interrupted_marks_what_it_has_done() {
    let setup = many(DIRECTORY, MANY);
    let names = || {
        let entries = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let command = begin(&setup);
    wait("the log is not opened", || names() != before);
    let pid = Pid::from_raw(i32::try_from(command.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = command.wait_with_output().unwrap();
    let code = output.status.code();
    assert!(
        code == Some(0) || code == Some(1) && stderr(&output).contains("interrupted"),
        "{}",
        said(&output)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (done, ..) = replayed(&report);
    assert_eq!(replayed(&report), (done, done, 0, 0, 0));

    let report = replay(&setup, &[]);
    let rest = MANY - done;
    assert_eq!(replayed(&report), (rest, rest, 0, 0, 0), "{report}");
    all_are_there_once(&setup, &lake(&setup), MANY);
}
