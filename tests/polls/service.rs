//! Polls in a running service: on schedule, on request, and never twice at once.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{lake, poll, said, setup};
use crate::support::api::{Api, RawApi, page, things};
use crate::support::http;
use crate::support::process::Setup;

const LIMIT: Duration = Duration::from_secs(60);

fn health(setup: &Setup) -> serde_json::Value {
    http::get(setup.address(), "/health").unwrap().json()["polls"]["streams"]["things"].clone()
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The largest number of requests that were answered at the same time.
#[derive(Default)]
struct AtOnce {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[test]
fn a_poll_never_runs_twice_at_once() {
    let at_once = Arc::new(AtOnce::default());
    let seen = Arc::clone(&at_once);
    let api = RawApi::start(move |_, _, stream| {
        let now = seen.now.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(300));
        // This comes before the answer, because the next run may begin with the answer.
        seen.now.fetch_sub(1, Ordering::SeqCst);
        let body = r#"{"things":[{"id":1}]}"#;
        crate::support::api::write_head(stream, &format!("content-length: {}", body.len()));
        let _gone = std::io::Write::write_all(stream, body.as_bytes());
    });
    let setup = setup(&api.url(), "every = \"1s\"");
    let program = setup.start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (said, code) = poll(&setup);
                assert_eq!(code, Some(0), "{said}");
                assert!(said.contains("1 records"), "{said}");
            });
        }
    });
    assert!(program.stop(LIMIT).success());
    assert!(api.connections() >= 4);
    assert_eq!(at_once.most.load(Ordering::SeqCst), 1);
    lake(&setup).runs("things", "id").check();
}

#[test]
fn the_schedule_is_kept_and_shown() {
    let api = Api::start(|_, n| page(json!({"things": things(n..n + 3)})));
    let setup = setup(&api.url(), "every = \"1s\"");
    let program = setup.start();
    // The fourth run begins after the third has ended; a stop may interrupt the fourth.
    wait("no three runs", || api.requests().len() >= 4);
    wait("no success is shown", || {
        !health(&setup)["last_success"].is_null()
    });
    let state = health(&setup);
    assert_eq!(state["last_success"]["records"], 3);
    assert!(
        state["next_run"].is_string() && state["last_error"].is_null(),
        "{state}"
    );
    let metrics = http::get(setup.address(), "/metrics").unwrap().text();
    for name in [
        "lakehook_poll_runs_total{poll=\"things\",outcome=\"complete\"} ",
        "lakehook_poll_records_total{poll=\"things\"} ",
        "lakehook_poll_last_success_seconds{poll=\"things\"} ",
    ] {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(!line.ends_with(" 0"), "{line}");
    }
    assert!(program.stop(LIMIT).success());
    let runs = lake(&setup).runs("things", "id");
    runs.check();
    assert!(runs.runs.len() >= 3, "{runs:?}");
    let requests = api.requests().len();
    // The next life of the service knows when the last run was.
    let program = setup.start();
    std::thread::sleep(Duration::from_millis(200));
    assert!(api.requests().len() <= requests + 1);
    assert!(program.stop(LIMIT).success());
}

#[test]
fn a_failure_is_shown_and_tried_again() {
    let api = Api::start(|_, n| match n {
        0 => wiremock::ResponseTemplate::new(404),
        _ => page(json!({"things": things(0..3)})),
    });
    let setup = setup(&api.url(), "every = \"2s\"");
    let program = setup.start();
    wait("no failure is shown", || {
        !health(&setup)["last_error"].is_null()
    });
    let error = health(&setup)["last_error"]["error"].to_string();
    assert!(error.contains("answered 404"), "{error}");
    wait("no success follows", || {
        !health(&setup)["last_success"].is_null()
    });
    assert!(health(&setup)["last_error"].is_null());
    assert!(program.stop(LIMIT).success());
}

#[test]
fn a_stop_interrupts_a_run_and_nothing_half_is_visible() {
    let api = Api::start(|request, _| {
        let offset = crate::support::api::number(request, "offset");
        let answer = page(json!({"things": things(offset..offset + 10)}));
        // The third page takes a long time.
        answer.set_delay(Duration::from_secs(if offset == 20 { 30 } else { 0 }))
    });
    let setup = setup(
        &api.url(),
        "every = \"1h\"\npagination = { type = \"offset\" }",
    );
    let program = setup.start();
    wait("the third page is not asked for", || {
        api.requests().len() == 3
    });
    // A command asks for a run while the first one is under way. It is told that the service stops.
    let asking = setup
        .command(&["poll"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    assert!(program.stop(LIMIT).success(), "{}", setup.stderr());
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    let (told, code) = said(&asking.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("things  failed: the service is stopping"),
        "{told}"
    );
    let runs = lake(&setup).runs("things", "id");
    assert_eq!((runs.runs.len(), runs.unmarked.len()), (0, 0));
    assert!(
        setup.stderr().contains("everything is in the lake"),
        "{}",
        setup.stderr()
    );
}

#[test]
fn a_dry_run_reads_and_checks_and_writes_nothing() {
    let api = Api::start(|_, _| page(json!({"things": [{"id": 1}, {"name": "nobody"}]})));
    let setup = setup(&api.url(), "guards = { max_refused = \"50 %\" }");
    let (said, code) = said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("2 records") && said.contains("1 quarantined"),
        "{said}"
    );
    assert!(said.contains("page 1, record 1: id at \"/id\""), "{said}");
    let left: Vec<_> = std::fs::read_dir(setup.directory()).unwrap().collect();
    assert_eq!(left.len(), 1, "more than the configuration: {left:?}");
}

#[test]
fn wrong_names_and_missing_polls_are_wrong_usage() {
    let api = Api::start(|_, _| page(json!({"things": []})));
    let setup = setup(&api.url(), "");
    let (text, code) = said(&setup.run(&["poll", "thing"]));
    assert_eq!(code, Some(2));
    assert!(
        text.contains("there is no poll \"thing\"; configured are things"),
        "{text}"
    );
    setup.configure("");
    let (text, code) = said(&setup.run(&["poll"]));
    assert_eq!(code, Some(2));
    assert!(text.contains("no polls are configured"), "{text}");
    let broken = super::config(&api.url(), "schema = \"missing.json\"");
    setup.configure(&broken);
    for command in [&["poll"][..], &["serve"], &["poll", "--dry-run"]] {
        let (text, code) = said(&setup.run(command));
        assert_eq!(code, Some(2), "{text}");
        assert!(
            text.contains("poll.things.schema: read ") && text.contains("missing.json"),
            "{text}"
        );
    }
}

#[test]
fn the_service_is_asked_however_long_its_directory_is() {
    let api = Api::start(|_, _| page(json!({"things": things(0..3)})));
    let setup = setup(&api.url(), "");
    let long = "d".repeat(120);
    let text = super::config(&api.url(), "");
    setup.configure(&text.replace("[polls]\n", &format!("[polls]\ndir = \"{long}\"\n")));
    let program = setup.start();
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("3 records"), "{said}");
    // When the answer comes, everything that was asked for is in the lake.
    let runs = lake(&setup).runs("things", "id");
    runs.check();
    assert_eq!(runs.runs[0].rows, 3);
    assert!(program.stop(LIMIT).success());
}
