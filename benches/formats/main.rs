//! `cargo bench --bench formats`: a million events as lines and as Parquet: the same answers from DuckDB to
//! ten analytical queries, with sizes and query times side by side.
//!
//! Promises: both lakes are written by the real program from the same requests; queries go through the
//! views that `lakehook sql duckdb` prints; answers are compared before times are shown.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::http::Connection;
use support::process::Setup;
use support::python::script;

const EVENTS_PER_REQUEST: usize = 5000;
const FORMATS: [&str; 2] = ["ndjson.zst", "parquet"];
const TYPES: [&str; 6] = ["click", "view", "purchase", "pray", "share", "like"];
const SOURCES: [&str; 3] = ["web", "apple", "android"];
const PRAYERS: [&str; 6] = [
    "academic",
    "podcast",
    "reflection",
    "lectio_divina",
    "rosary",
    "meditation",
];
const SECONDS_PER_DAY: usize = 86_400;

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let events = std::env::var("LAKEHOOK_RECORDS").ok();
    let events = events
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let setups = FORMATS.map(|format| fill(format, events));
    let mut compare = script("formats.py");
    for setup in &setups {
        compare
            .arg(views(setup))
            .arg(setup.directory().join("lake/events"));
    }
    assert!(compare.status().unwrap().success());
}

/// A lake with that many events.
fn fill(format: &str, events: usize) -> Setup {
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[batch]\nformat = \"{format}\"\n[server]\nmax_events = 5000\n"
    ));
    let (used, took) = send(&setup, events);
    println!(
        "{format}: {events} events in {:.1} s, {:.2} CPU µs each",
        took.as_secs_f64(),
        used.as_secs_f64() * 1e6 / f64::from(u32::try_from(events).unwrap())
    );
    setup
}

/// Sends the events and stops the service; its processor time, and how long it took.
fn send(setup: &Setup, events: usize) -> (Duration, Duration) {
    let program = setup.start();
    let (cpu, start) = (program.cpu_time(), Instant::now());
    let mut connection = Connection::open(setup.address(), Duration::from_secs(60)).unwrap();
    let today: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
    let first = usize::try_from(today.timestamp()).unwrap() / SECONDS_PER_DAY - 7;
    for number in (0..events).step_by(EVENTS_PER_REQUEST) {
        let body = body(number, EVENTS_PER_REQUEST.min(events - number), first);
        let answer = connection
            .post_json("/webhook/events", body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let id = program.id();
    program.terminate();
    let mut program = program;
    let mut used = cpu;
    while program.wait(Duration::from_millis(20)).is_none() {
        if std::fs::metadata(format!("/proc/{id}/stat")).is_ok() {
            used = support::process::cpu_time(id).max(used);
        }
    }
    (used.saturating_sub(cpu), start.elapsed())
}

/// A request of events over a week, the same for every format.
fn body(first: usize, count: usize, first_day: usize) -> String {
    let mut body = String::from("{\"events\":[");
    for number in first..first + count {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let seconds = (first_day + mixed % 7) * SECONDS_PER_DAY + (mixed >> 8) % SECONDS_PER_DAY;
        let time = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
        let kind = TYPES[(mixed >> 3) % TYPES.len()];
        let properties = if kind == "purchase" {
            format!(
                "{{\"amount\":{}.{},\"product_id\":\"p-{}\"}}",
                mixed % 100,
                mixed % 9 + 1,
                mixed % 50
            )
        } else {
            let content = (mixed >> 5) % 1000;
            let prayer = PRAYERS[content % PRAYERS.len()];
            format!(
                "{{\"content_id\":\"content-{content:04}\",\"media_type\":\"text\",\"prayer_type\":\"{prayer}\"}}"
            )
        };
        let comma = if number == first { "" } else { "," };
        write!(
            body,
            "{comma}{{\"event_id\":\"{:08x}-0000-4000-8000-{number:012x}\",\"user_id\":\"user-{:05}\",\
             \"event_type\":\"{kind}\",\"source\":\"{}\",\"timestamp\":\"{}\",\"properties\":{properties}}}",
            mixed & 0xffff_ffff,
            (mixed >> 7) % 10_000,
            SOURCES[(mixed >> 2) % SOURCES.len()],
            time.format("%Y-%m-%dT%H:%M:%SZ"),
        )
        .unwrap();
    }
    body.push_str("]}");
    body
}

/// What `lakehook sql duckdb` prints, in a file.
fn views(setup: &Setup) -> PathBuf {
    let output = setup.run(&["sql", "duckdb"]);
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, output.stdout).unwrap();
    path
}
