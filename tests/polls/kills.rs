//! SIGKILL at every stage of a run: while each page is requested, while it is stored, before and after the
//! end of the run, before and after its marker. Afterwards each visible run is complete, and an appending
//! poll has skipped nothing and repeated nothing.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{lake, setup};
use crate::support::api::{Api, number, page, param};
use crate::support::http;
use crate::support::process::Setup;

const PAGES: usize = 4;
const PAGE: usize = 100;
const LIMIT: Duration = Duration::from_secs(60);

/// Counts requests, and lets a test wait for the next ones.
#[derive(Default)]
pub(super) struct Gate {
    asked: Mutex<usize>,
    moved: Condvar,
}

impl Gate {
    pub(super) fn pass(&self) {
        *self.asked.lock().unwrap() += 1;
        self.moved.notify_all();
    }

    fn wait_for(&self, more: usize) {
        let asked = self.asked.lock().unwrap();
        let until = *asked + more;
        let waited = self
            .moved
            .wait_timeout_while(asked, LIMIT, |asked| *asked < until);
        assert!(!waited.unwrap().1.timed_out(), "no request comes");
    }
}

/// Kills the service in many lives, each after a number of requests and a short time, so that every stage of
/// a run is hit.
pub(super) fn kill_at_every_stage(setup: &Setup, gate: &Gate, most_requests: usize) {
    for requests in 0..=most_requests {
        for pause in [0, 4, 12] {
            let program = setup.spawn();
            gate.wait_for(requests);
            std::thread::sleep(Duration::from_millis(pause));
            program.kill();
        }
    }
}

/// Starts once more and waits for a run that succeeds.
pub(super) fn succeed(setup: &Setup) {
    let program = setup.start();
    let output = setup.run(&["poll"]);
    assert!(output.status.success(), "{}", super::said(&output).0);
    assert!(program.stop(LIMIT).success(), "{}", setup.stderr());
    let dir = setup.directory().join("data/polls");
    let verified = setup.run(&["wal", "verify", "--dir", dir.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", super::said(&verified).0);
}

#[test]
fn every_visible_snapshot_is_whole() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let api = Api::start(move |request, n| {
        passing.pass();
        let offset = number(request, "offset");
        let ids = offset..(offset + PAGE).min(PAGES * PAGE);
        // Each run reads other records.
        let things: Vec<Value> = ids.map(|id| json!({"id": id, "version": n})).collect();
        page(json!({"things": things, "total": PAGES * PAGE}))
    });
    let settings = "every = \"1s\"\ntotal = \"/total\"\npagination = { type = \"offset\" }";
    let setup = setup(&api.url(), settings);
    kill_at_every_stage(&setup, &gate, PAGES + 1);
    succeed(&setup);
    let runs = lake(&setup).runs("things", "id");
    runs.check();
    assert!(!runs.runs.is_empty());
    assert!(
        runs.runs
            .iter()
            .all(|run| run.rows == (PAGES * PAGE) as u64),
        "{runs:?}"
    );
}

#[test]
fn an_appending_poll_skips_nothing_and_repeats_nothing() {
    for kind in ["cursor", "offset"] {
        let gate = Arc::new(Gate::default());
        let passing = Arc::clone(&gate);
        let newest = Arc::new(Mutex::new(0));
        let known = Arc::clone(&newest);
        let api = Api::start(move |request, n| {
            passing.pass();
            // The API has more records with every request.
            let end = (n + 1) * PAGE / 3;
            *known.lock().unwrap() = end;
            let since = param(request, "since").map_or(0, |since| since.parse::<i64>().unwrap());
            let start = usize::try_from(since).unwrap_or(0) + number(request, kind);
            let ids = start.min(end)..(start + PAGE).min(end);
            let next = (start + PAGE < end).then(|| (number(request, kind) + PAGE).to_string());
            let things: Vec<Value> = ids.map(|id| json!({"id": id})).collect();
            page(json!({"things": things, "next": next, "more": next.is_some()}))
        });
        let pagination = match kind {
            "cursor" => "type = \"cursor\", next = \"/next\"",
            _ => "type = \"offset\", more = \"/more\"",
        };
        let settings = format!(
            "every = \"1s\"\nmode = \"append\"\npagination = {{ {pagination} }}\n\
             watermark = {{ field = \"id\", param = \"since\", lag = \"30s\" }}\n[polls.batch]\nmax_records = 70"
        );
        let setup = setup(&api.url(), &settings);
        kill_at_every_stage(&setup, &gate, 2);
        succeed(&setup);
        let found = lake(&setup).stream("things", "id");
        let newest = *newest.lock().unwrap() as u64;
        assert_eq!((found.rows, found.ids), (found.lsns, found.rows), "{kind}");
        // All records are there, except for those that came with the last requests.
        assert!(
            found.rows <= newest && found.rows + PAGE as u64 >= newest,
            "{found:?}, {newest}"
        );
        let health = http::get(setup.address(), "/health");
        assert!(health.is_err(), "it has stopped");
    }
}
