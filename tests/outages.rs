//! The lake away, the log full, something foreign under our key.

use std::time::Duration;

use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::load::{Load, Plan, Source};
use crate::support::process::Setup;
use crate::support::s3::S3Server;

const MIB: u64 = 1 << 20;

fn s3_config(server: &S3Server, more: &str) -> String {
    format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{}\"\n{more}",
        server.endpoint()
    )
}

fn buffer_size(setup: &Setup) -> u64 {
    http::get(setup.address(), "/health").unwrap().json()["buffer_size"]
        .as_u64()
        .unwrap()
}

/// The lake is away for the whole time: single events first, then 200 000 by the hundred. Memory stays
/// small, the answers durable, and all arrives once the lake is back.
#[test]
fn an_outage_costs_neither_memory_nor_events() {
    let server = S3Server::start(31);
    let setup = Setup::new(&s3_config(
        &server,
        "[wal]\nmax_bytes = \"1 GiB\"\n[batch]\nmax_age = \"1s\"\n",
    ));
    let program = setup.start();
    server.faults().down();
    let mut singles = Plan::new(setup.address(), 31);
    singles.connections = 32;
    singles.events_per_request = 1;
    singles.max_requests = Some(20_000);
    let singles = Load::start(singles).complete(Duration::from_secs(120));
    let mut hundreds = Plan::new(setup.address(), 32);
    hundreds.connections = 8;
    hundreds.events_per_request = 100;
    hundreds.max_requests = Some(2000);
    let hundreds = Load::start(hundreds).complete(Duration::from_secs(120));
    assert!(singles.violations.is_empty() && hundreds.violations.is_empty());
    assert!(buffer_size(&setup) > 180_000);
    assert_eq!(server.keys("events/").len(), 0);
    let peak = program.peak_rss_bytes();
    // Nothing is lost by a crash in the middle of the outage either.
    program.kill();
    let program = setup.start();
    assert!(buffer_size(&setup) > 180_000);
    server.faults().up();
    let status = program.peak_rss_bytes().max(peak);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(status < 256 * MIB, "peak of {} MiB", status / MIB);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    let ids = lake.ids();
    let both = singles.acknowledged().chain(hundreds.acknowledged());
    let mut expected: Vec<String> = both
        .filter(|event| event.kind != "signup")
        .map(|event| event.id)
        .collect();
    expected.sort_unstable();
    assert!(
        ids == expected,
        "{} of {} events are in the lake",
        ids.len(),
        expected.len()
    );
    // Age did not seal a tiny object each second of the outage.
    assert!(server.keys("events/").len() < 500);
}

/// facts: "disk full: accepted into the page cache, then lost"; "connections pile up instead of 503".
#[test]
fn a_full_log_answers_503_and_recovers() {
    let server = S3Server::start(33);
    let setup = Setup::new(&s3_config(
        &server,
        "[wal]\nmax_bytes = \"16 MiB\"\nsegment_bytes = \"1 MiB\"\n[batch]\nmax_age = \"1s\"\n",
    ));
    let program = setup.start();
    server.faults().down();
    let mut plan = Plan::new(setup.address(), 33);
    plan.connections = 8;
    plan.events_per_request = 100;
    let load = Load::start(plan);
    let full = wait_for_503(&setup);
    assert_eq!(
        full.header("content-type"),
        Some("application/problem+json")
    );
    assert!(full.header("retry-after").is_some());
    assert!(full.text().contains("log-full"), "{}", full.text());
    let used: u64 = std::fs::read_dir(setup.directory().join("data/wal"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(used <= 18 * MIB, "{} MiB on disk", used / MIB);
    server.faults().up();
    let before = load.acknowledged();
    load.wait_acknowledged(before + 20_000, Duration::from_secs(60));
    let report = load.finish(Duration::from_secs(30));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(report.totals.put_off > 0);
    let ids = Lake::s3("s3://lake", &server.endpoint()).ids();
    let difference = report.compare(&ids, &DROPPED);
    assert!(difference.lost.is_empty(), "lost: {:?}", difference.lost);
    assert!(difference.twice.is_empty(), "twice: {:?}", difference.twice);
}

fn wait_for_503(setup: &Setup) -> http::Answer {
    let now = lakehook::clock::Clock::system().now().wall;
    let source = Source {
        seed: 99,
        now,
        days: 2,
    };
    let start = std::time::Instant::now();
    for number in 0.. {
        let body = source.body(number * 100..number * 100 + 100);
        if let Ok(answer) = http::post_json(setup.address(), "/webhook/events", &body)
            && answer.status == 503
        {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the log never filled up"
        );
    }
    unreachable!("there are numbers enough")
}

/// Puts whose success answer is lost, throttling, resets and stalls end in one object each.
#[test]
fn lost_answers_and_storms_neither_lose_nor_repeat() {
    let server = S3Server::start(34);
    server.faults().set(crate::support::s3::Chances {
        stall_for: Some(Duration::from_millis(200)),
        ..crate::support::s3::Chances::storm(0.08)
    });
    let more = "[batch]\nmax_records = 100\nmax_age = \"1s\"\n[wal]\nmax_bytes = \"64 MiB\"\n[server]\nshutdown_grace = \"5s\"\n";
    let setup = Setup::new(&s3_config(&server, more));
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 34);
    plan.max_requests = Some(300);
    let report = Load::start(plan).complete(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let counts = server.faults().counts();
    assert!(counts.faults > 10, "{counts:?}");
    assert_eq!(counts.replaced, 0);
    // An interrupted stop leaves the rest to the log; the next one ships it.
    server.faults().calm();
    assert!(setup.start().stop(STOP_LIMIT).success());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

/// A copied log directory meets its twin's objects: it stops, says so, and overwrites nothing.
#[test]
fn something_foreign_under_our_key_stops_everything() {
    let server = S3Server::start(35);
    let setup = Setup::new(&s3_config(&server, "[batch]\nmax_age = \"1s\"\n"));
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 35);
    plan.max_requests = Some(1);
    plan.days = 1;
    let node = http::get(setup.address(), "/health").unwrap().json()["node"]
        .as_str()
        .unwrap()
        .to_owned();
    server.faults().down();
    Load::start(plan).complete(Duration::from_secs(30));
    std::thread::sleep(Duration::from_millis(1500));
    let wanted = expected_key(&setup, &node);
    let metadata = [("lakehook-nonce".into(), "other".into())].into();
    server.put_foreign(&wanted, "theirs", metadata);
    server.faults().up();
    let start = std::time::Instant::now();
    let answer = loop {
        let answer = http::get(setup.address(), "/ready").unwrap();
        if answer.status == 503 && answer.text().contains("not ours") {
            break answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(answer.text().contains(&wanted), "{}", answer.text());
    let refused = http::post_json(setup.address(), "/webhook/events", b"{\"events\":[]}").unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(server.object(&wanted).unwrap().bytes.as_ref(), b"theirs");
    program.stop(STOP_LIMIT);
}

/// The first key that this node will use: of the first day that its log names.
fn expected_key(setup: &Setup, node: &str) -> String {
    let log = std::fs::read(setup.directory().join("data/wal/00000000000000000001.wal")).unwrap();
    let text = String::from_utf8_lossy(&log);
    let at = text.find("events/dt=").unwrap();
    let partition = &text[at..at + "events/dt=2026-11-20".len()];
    format!("{partition}/{node}-00000000000000000001.ndjson.zst")
}
