//! `cargo bench --bench erase`: users leave a lake of a million events in 500 objects, on this machine.
//!
//! Promises: the program is a child process; `lakehook erase` runs without the service, as it does at night;
//! the time is that of the whole command. The S3 server is the one of the tests, in the memory of this
//! process, so that its requests are counted and its own time is part of the seconds. Afterwards the audit
//! adds up. `LAKEHOOK_EVENTS` sets another number of events.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::http::Connection;
use support::process::{Setup, cpu_time};
use support::s3::{BUCKET, S3Server};

/// Events of an object, and so the number of users: each of them has one event in every object.
const EVENTS_PER_OBJECT: u64 = 2000;
const EVENTS_PER_REQUEST: u64 = 500;
/// The event with this number is of a user of its own.
const ALONE: u64 = 1234;
const LIMIT: Duration = Duration::from_mins(10);

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let events = std::env::var("LAKEHOOK_EVENTS").ok();
    let events = events.and_then(|text| text.parse().ok());
    let events: u64 = events.unwrap_or(1_000_000);
    let objects = events / EVENTS_PER_OBJECT;
    println!("{events} events in {objects} objects\n");
    println!(
        "| lake | format | the user's events | objects rewritten | seconds | CPU seconds | requests | peak resident |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for format in ["ndjson.zst", "parquet"] {
        measure(None, format, events);
        measure(Some(&S3Server::start(1)), format, events);
    }
}

fn measure(server: Option<&S3Server>, format: &str, events: u64) {
    let lake = server.map_or_else(
        || "url = \"lake\"".to_owned(),
        |server| {
            format!(
                "url = \"s3://{BUCKET}\"\nendpoint = \"{}\"",
                server.endpoint()
            )
        },
    );
    let setup = Setup::new(&format!(
        "[lake]\n{lake}\n[batch]\nformat = \"{format}\"\nmax_records = {EVENTS_PER_OBJECT}\nmax_age = \"1h\"\n"
    ));
    fill(&setup, events);
    for user in ["alone", "u-7"] {
        let requests = || server.map_or(0, |server| server.faults().counts().requests);
        let before = requests();
        let erased = erase(&setup, user);
        let count = requests() - before;
        let count = server.map_or_else(|| "–".to_owned(), |_| count.to_string());
        println!(
            "| {} | {format} | {} | {} | {:.1} | {:.1} | {count} | {} MiB |",
            if server.is_some() {
                "bucket"
            } else {
                "directory"
            },
            erased.report["rows"],
            erased.report["objects"],
            erased.took.as_secs_f64(),
            erased.cpu.as_secs_f64(),
            erased.peak >> 20
        );
    }
    let audit = setup.run(&["audit"]);
    assert!(audit.status.success(), "{audit:?}");
}

/// Sends the events, and waits until they are in the lake.
fn fill(setup: &Setup, events: u64) {
    let now = lakehook::clock::Clock::system().now().wall.to_string();
    let program = setup.start();
    let mut connection = Connection::open(setup.address(), LIMIT).unwrap();
    for first in (0..events).step_by(usize::try_from(EVENTS_PER_REQUEST).unwrap()) {
        let mut body = String::from("{\"events\":[");
        for number in first..first + EVENTS_PER_REQUEST {
            let user = if number == ALONE {
                "alone".to_owned()
            } else {
                format!("u-{}", number % EVENTS_PER_OBJECT)
            };
            let comma = if number == first { "" } else { "," };
            write!(
                body,
                "{comma}{{\"event_id\":\"{}\",\"user_id\":\"{user}\",\"event_type\":\"click\",\"source\":\"web\",\
                 \"timestamp\":\"{now}\",\"properties\":{{\"n\":{number},\"page\":\"/a/{}\"}}}}",
                id(number),
                number % 97
            )
            .unwrap();
        }
        body.push_str("]}");
        let answer = connection
            .post_json("/webhook/events", body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(program.stop(LIMIT).success(), "{}", setup.stderr());
}

/// A UUID.
fn id(number: u64) -> String {
    format!(
        "{:08x}-0000-4000-8000-{number:012x}",
        number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff
    )
}

struct Erased {
    report: Value,
    took: Duration,
    cpu: Duration,
    peak: u64,
}

fn erase(setup: &Setup, user: &str) -> Erased {
    let condition = format!("user_id={user}");
    let start = Instant::now();
    let child = setup
        .command(&[
            "erase", "--stream", "events", "--where", &condition, "--json",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (cpu, peak) = watch(&child);
    let took = start.elapsed();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["rows"].as_u64() > Some(0), "{report}");
    Erased {
        report,
        took,
        cpu,
        peak,
    }
}

/// Waits until a process has ended; returns its processor time, and its peak memory shortly before.
fn watch(child: &Child) -> (Duration, u64) {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let Some((_, rest)) = status.split_once("VmHWM:") else {
            // It has ended: it has no memory any more, but its times are still there.
            return (cpu_time(child.id()), peak);
        };
        let kib = rest.split_whitespace().next().unwrap();
        peak = kib.parse::<u64>().unwrap() << 10;
        std::thread::sleep(Duration::from_millis(2));
    }
}
