//! Events for earlier days, in the real program: acknowledged and in the log at once, in the lake after
//! `batch.late_max_age`, at a stop, and in time whatever ends the process.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lakehook::clock::Clock;

use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, click};
use crate::support::http;
use crate::support::process::Setup;

const DAY: Duration = Duration::from_hours(24);

fn new(batch: &str) -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"256 MiB\"\n[events]\non_invalid = \"quarantine\"\n\
         [batch]\n{batch}"
    ))
}

/// A time three days ago: one for the whole process, so that its folder stays the same over midnight.
fn three_days_ago() -> &'static str {
    static TIME: OnceLock<String> = OnceLock::new();
    TIME.get_or_init(|| Clock::system().wall().minus(3 * DAY).to_string())
}

/// A click of three days ago.
fn late_click(number: u64) -> String {
    let event = click(number);
    let (before, after) = event.split_once("\"timestamp\":\"").unwrap();
    let (_, after) = after.split_once('"').unwrap();
    format!("{before}\"timestamp\":\"{}\"{after}", three_days_ago())
}

fn send(setup: &Setup, events: &[String]) {
    let answer = http::post_json(setup.address(), PATH, body(events).as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn health(setup: &Setup) -> serde_json::Value {
    http::get(setup.address(), "/health").unwrap().json()
}

/// The folder of three days ago.
fn late_folder(setup: &Setup) -> PathBuf {
    let day = &three_days_ago()[..10];
    setup.directory().join(format!("lake/events/dt={day}"))
}

fn objects(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

fn wait_for_late_object(setup: &Setup) {
    let begun = Instant::now();
    while objects(&late_folder(setup)) == 0 {
        let waited = begun.elapsed();
        assert!(waited < Duration::from_mins(1), "{}", health(setup));
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_late_event_waits_in_the_log_and_is_told_of() {
    let setup = new("max_age = \"1s\"\nlate_max_age = \"15s\"\n");
    let program = setup.start();
    let sent = Instant::now();
    let invalid = click(2).replace("\"click\"", "\"clack\"");
    send(&setup, &[late_click(0), click(1), invalid]);
    let after = Clock::system().wall().to_string();
    // Today's row and the quarantine's are there soon.
    let told = loop {
        let told = health(&setup);
        if told["buffer_size"] == 1 {
            break told;
        }
        assert!(sent.elapsed() < Duration::from_secs(14), "{told}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(told["late_rows"], 1, "{told}");
    assert_eq!(told["open_batches"], 1, "{told}");
    assert!(told["watermark"].as_str().unwrap() <= &*after, "{told}");
    let metrics = http::get(setup.address(), "/metrics").unwrap().text();
    for line in [
        "lakehook_batch_late_rows 1\n",
        "lakehook_lake_current_lag_seconds 0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(
        !metrics.contains("lakehook_lake_lag_seconds 0\n"),
        "{metrics}"
    );
    assert_eq!(objects(&late_folder(&setup)), 0);
    // What looks into the lake finds it in order.
    for command in [&["quarantine", "list"][..], &["sql", "duckdb"]] {
        let output = setup.run(command);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    crate::audit::adds_up(&setup, &["data/wal"]);
    wait_for_late_object(&setup);
    assert!(sent.elapsed() >= Duration::from_secs(14));
    let told = loop {
        let told = health(&setup);
        if told["buffer_size"] == 0 {
            break told;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(told["late_rows"], 0, "{told}");
    assert_eq!(told["watermark"], told["current_watermark"], "{told}");
    assert!(program.stop(STOP_LIMIT).success());
    crate::audit::adds_up(&setup, &["data/wal"]);
}

#[test]
fn the_second_watermark_moves_on_while_late_rows_wait() {
    let setup = new("max_age = \"1s\"\nlate_max_age = \"1h\"\n");
    let program = setup.start();
    send(&setup, &[late_click(0)]);
    let since = Instant::now();
    let sent = Clock::system().wall().to_string();
    // It stays five seconds behind the clock.
    loop {
        let told = health(&setup);
        let watermark = told["watermark"].as_str().unwrap();
        assert!(watermark < &*sent, "{told}");
        if told["current_watermark"].as_str().unwrap() > &*sent {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "{told}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(objects(&late_folder(&setup)), 0);
    // A stop closes late batches too.
    assert!(program.stop(STOP_LIMIT).success());
    assert_eq!(objects(&late_folder(&setup)), 1);
    crate::audit::adds_up(&setup, &["data/wal"]);
}

#[test]
fn a_late_event_is_due_in_time_although_the_process_is_killed() {
    const LATE: Duration = Duration::from_secs(20);
    let setup = new("max_age = \"1s\"\nlate_max_age = \"20s\"\n");
    let mut program = setup.start();
    send(&setup, &[late_click(0)]);
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(6));
        program.kill();
        program = setup.start();
    }
    let started = Instant::now();
    assert_eq!(health(&setup)["late_rows"], 1);
    wait_for_late_object(&setup);
    let waited = started.elapsed();
    assert!(
        waited + Duration::from_secs(6) < LATE,
        "{waited:?} after the last start"
    );
    assert!(program.stop(STOP_LIMIT).success());
    crate::audit::adds_up(&setup, &["data/wal"]);
}
