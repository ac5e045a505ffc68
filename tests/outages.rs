//! The lake away, the log full, something foreign under our key.

use std::time::{Duration, Instant};

use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::http::{PATH, body, click};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::load::{Load, Plan, Report, Source};
use crate::support::process::Setup;
use crate::support::s3::S3Server;
use crate::support::volume::Volume;

const MIB: u64 = 1 << 20;

fn s3_config(server: &S3Server, more: &str) -> String {
    format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{}\"\n{more}",
        server.endpoint()
    )
}

fn health(setup: &Setup, figure: &str) -> u64 {
    let answer = http::get(setup.address(), "/health").unwrap();
    answer.json()[figure].as_u64().unwrap()
}

/// Bytes of the log, and how much of it single events fill; `make proof` fills a whole GiB.
fn outage_bytes() -> (u64, u64) {
    match std::env::var("LAKEHOOK_OUTAGE").as_deref() {
        Ok("full") => (1024 * MIB, 850 * MIB),
        _ => (256 * MIB, 120 * MIB),
    }
}

/// The lake is away for the whole time: single events first, each in a frame of few, until they fill
/// much of the log; then 200 000 by the hundred. Memory stays small, the answers durable, also over a
/// crash, and all arrives once the lake is back.
#[test]
fn an_outage_costs_neither_memory_nor_events() {
    let (max_bytes, filled) = outage_bytes();
    let server = S3Server::start(31);
    let more = format!(
        "[wal]\nmax_bytes = {max_bytes}\n[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n"
    );
    let setup = Setup::new(&s3_config(&server, &more));
    let program = setup.start();
    server.faults().down();
    let mut plan = Plan::new(setup.address(), 31);
    plan.connections = 2;
    plan.events_per_request = 1;
    let load = Load::start(plan);
    while health(&setup, "wal_bytes") < filled {
        std::thread::sleep(Duration::from_millis(100));
    }
    let singles = load.finish(Duration::from_secs(10));
    let mut plan = Plan::new(setup.address(), 32);
    plan.connections = 8;
    plan.events_per_request = 100;
    plan.max_requests = Some(2000);
    let hundreds = Load::start(plan).complete(Duration::from_secs(120));
    assert!(singles.violations.is_empty() && hundreds.violations.is_empty());
    let waiting = health(&setup, "buffer_size");
    assert!(waiting > 171_000, "{waiting}");
    assert_eq!(server.keys("events/").len(), 0);
    let peak = program.peak_rss_bytes();
    // Nothing is lost by a crash in the middle of the outage either.
    program.kill();
    let program = setup.start();
    assert_eq!(health(&setup, "buffer_size"), waiting);
    server.faults().up();
    while health(&setup, "buffer_size") > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let peak = program.peak_rss_bytes().max(peak);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    println!("{waiting} records waited, peak of {} MiB", peak / MIB);
    assert!(peak < 256 * MIB, "peak of {} MiB", peak / MIB);
    assert_all_arrived(
        &Lake::s3("s3://lake", &server.endpoint()),
        &[singles, hundreds],
    );
    // Age did not seal a tiny object each second of the outage.
    assert!(server.keys("events/").len() < 500);
}

fn assert_all_arrived(lake: &Lake, reports: &[Report]) {
    let acknowledged = reports.iter().flat_map(Report::acknowledged);
    let stored = acknowledged.filter(|event| !DROPPED.contains(&event.kind));
    let mut expected: Vec<String> = stored.map(|event| event.id).collect();
    expected.sort_unstable();
    let ids = lake.ids();
    // The last answers of the single events may be lost with their connections.
    let unexpected = ids
        .iter()
        .filter(|id| expected.binary_search(id).is_err())
        .count();
    let missing = expected
        .iter()
        .filter(|id| ids.binary_search(id).is_err())
        .count();
    assert_eq!(missing, 0, "of {} events", expected.len());
    assert!(
        unexpected <= 2,
        "{unexpected} events that nobody was told of"
    );
    assert_eq!(ids.windows(2).filter(|pair| pair[0] == pair[1]).count(), 0);
}

/// Nothing is accepted that the log has no room for, and connections do not pile up in place of a 503.
#[test]
fn a_full_log_answers_503_and_recovers() {
    let server = S3Server::start(33);
    let setup = Setup::new(&s3_config(
        &server,
        "[wal]\nmax_bytes = \"16 MiB\"\nsegment_bytes = \"1 MiB\"\n[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n\
         [hook.own]\nauth = [{ type = \"bearer\", secrets = [\"a bearer token\"] }]\n",
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
    is_said_to_be_full(&setup);
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
    let said = setup.stderr();
    let (began, ended) = (
        "the write-ahead log is full",
        "the write-ahead log has room again",
    );
    assert!(said.contains(began), "{said}");
    assert_eq!(
        said.matches(began).count(),
        said.matches(ended).count(),
        "{said}"
    );
    has_unique_keys(&said);
    let ids = Lake::s3("s3://lake", &server.endpoint()).ids();
    let difference = report.compare(&ids, &DROPPED);
    assert!(difference.lost.is_empty(), "lost: {:?}", difference.lost);
    assert!(difference.twice.is_empty(), "twice: {:?}", difference.twice);
}

/// Who asks is told, and what a hook must keep is not acknowledged.
fn is_said_to_be_full(setup: &Setup) {
    let ready = http::get(setup.address(), "/ready").unwrap();
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("log"), "{}", ready.text());
    let health = http::get(setup.address(), "/health").unwrap();
    assert_eq!(health.json()["ready"], false, "{}", health.text());
    let mut connection = http::Connection::open(setup.address(), Duration::from_secs(20)).unwrap();
    let headers = [
        ("authorization", "Bearer a bearer token"),
        ("content-type", "application/json"),
    ];
    let unreadable = vec![b'?'; 1 << 20];
    let answer = connection
        .request("POST", "/webhook/own", &headers, &unreadable)
        .unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("log-full"), "{}", answer.text());
}

/// No line of the log has a key twice, in which readers would differ.
fn has_unique_keys(log: &str) {
    for line in log.lines() {
        let lakehook::json::Members(members) = serde_json::from_str(line).unwrap();
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), members.len(), "{line}");
    }
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
            start.elapsed() < Duration::from_secs(180),
            "the log never filled up"
        );
    }
    unreachable!("there are numbers enough")
}

/// A disk that is smaller than the log may be, so that the lack of space may show only at the sync: requests are
/// refused before and after it is full, nothing that was acknowledged is lost, and it goes on.
#[test]
fn a_full_disk_answers_503_and_recovers() {
    let Some(mut volume) = Volume::new_or_skip(48) else {
        return;
    };
    let server = S3Server::start(36);
    let wal = volume.path().join("wal");
    let setup = Setup::new(&s3_config(
        &server,
        &format!(
            "[wal]\ndir = \"{}\"\nsegment_bytes = \"1 MiB\"\n\
             [batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\nmax_bytes = \"256 KiB\"\n",
            wal.display()
        ),
    ));
    let program = setup.start();
    server.faults().down();
    let mut plan = Plan::new(setup.address(), 36);
    plan.connections = 8;
    plan.events_per_request = 100;
    let load = Load::start(plan);
    assert_eq!(wait_for_503(&setup).status, 503);
    // Somebody else takes what is left: now the disk is really full.
    let hog = std::fs::File::create(volume.path().join("hog")).unwrap();
    while std::io::Write::write_all(&mut &hog, &[1; 8192]).is_ok() {}
    std::thread::sleep(Duration::from_secs(2));
    drop(hog);
    std::fs::remove_file(volume.path().join("hog")).unwrap();
    server.faults().up();
    load.wait_acknowledged(load.acknowledged() + 10_000, Duration::from_secs(60));
    let report = load.finish(Duration::from_secs(30));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let ids = Lake::s3("s3://lake", &server.endpoint()).ids();
    let difference = report.compare(&ids, &DROPPED);
    assert!(difference.lost.is_empty(), "lost: {:?}", difference.lost);
    assert!(difference.twice.is_empty(), "twice: {:?}", difference.twice);
    volume.unmount();
}

/// Puts whose success answer is lost, throttling, resets and stalls end in one object each.
#[test]
fn lost_answers_and_storms_neither_lose_nor_repeat() {
    let server = S3Server::start(34);
    server.faults().set(crate::support::s3::Chances {
        stall_for: Some(Duration::from_millis(200)),
        ..crate::support::s3::Chances::storm(0.08)
    });
    let more = "[batch]\nmax_records = 100\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n[wal]\nmax_bytes = \"64 MiB\"\n[server]\nshutdown_grace = \"5s\"\n";
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
    let setup = Setup::new(&s3_config(
        &server,
        "[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n",
    ));
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

/// Objects of the quarantine cannot be written, because of what stands in the lake for their columns: those of
/// other streams are, and they are themselves once that is mended.
#[test]
fn a_stream_that_has_to_wait_holds_up_no_other_one() {
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[events]\non_invalid = \"quarantine\"\n\
         [batch]\nformat = \"parquet\"\nmax_records = 1",
    );
    let lake = setup.directory().join("lake");
    let note = lake.join("_lakehook/fields/quarantine/events/00000001.json");
    std::fs::create_dir_all(note.parent().unwrap()).unwrap();
    std::fs::write(&note, "<html>").unwrap();
    let objects = |stream: &str| crate::readable::objects(&lake.join(stream)).len();
    let program = setup.start();
    for _ in 0..5 {
        let answer = http::post_json(setup.address(), PATH, b"{\"events\":[{}]}").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = http::post_json(setup.address(), PATH, body(&[click(1)]).as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begun = Instant::now();
    while objects("events") == 0 {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(objects("quarantine/events"), 0);
    assert!(
        setup
            .stderr()
            .contains("fields/quarantine/events/00000001.json"),
        "{}",
        setup.stderr()
    );
    std::fs::remove_file(&note).unwrap();
    assert!(program.stop(STOP_LIMIT).success());
    assert_eq!(objects("quarantine/events"), 5);
}
