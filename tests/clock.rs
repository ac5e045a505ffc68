//! The machine's clock jumps while the program runs: libfaketime intercepts its calls to the system's clocks.
//! The wall clock jumps and the monotonic one does not, as when somebody sets the time.
//!
//! Needs libfaketime, and is skipped without it (`Need::Libfaketime`).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakehook::clock::Clock;
use serde_json::json;

use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, event};
use crate::support::api::{Api, page, things};
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::{self, Answer};
use crate::support::needs::Need;
use crate::support::process::Setup;

const DAY: i64 = 86_400;

/// The library, if it is installed; without it the test is skipped.
pub(crate) fn library_or_skip() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib",
    ];
    let files = places.map(|place| Path::new(place).join("faketime/libfaketime.so.1"));
    let found = files.into_iter().find(|file| file.exists());
    if found.is_none() {
        Need::Libfaketime.skip("libfaketime is not installed; `make setup` installs it");
    }
    found
}

/// A service whose wall clock follows an offset in a file.
struct Moved {
    setup: Setup,
    file: PathBuf,
}

impl Moved {
    fn new_or_skip(more: &str) -> Option<Self> {
        let library = library_or_skip()?;
        let setup = Setup::new(&format!(
            "{more}[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n"
        ));
        let file = setup.directory().join("faketime");
        let setup = setup
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let moved = Self { setup, file };
        moved.by(0);
        Some(moved)
    }

    /// Moves the clock to this many seconds after the right time.
    fn by(&self, seconds: i64) {
        // Replaced, so that nobody reads half of it.
        let other = self.file.with_extension("new");
        std::fs::write(&other, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(&other, &self.file).unwrap();
    }

    /// Sends a click whose sender has the right time.
    fn send(&self, number: u64) -> Answer {
        let event = event(number, "click", "{}");
        http::post_json(self.setup.address(), PATH, body(&[event]).as_bytes()).unwrap()
    }

    /// The answer is 503 with the reason, and not 400: it is not the sender's fault.
    fn is_refused(&self, number: u64) {
        let answer = self.send(number);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("wrong-clock"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        let ready = http::get(self.setup.address(), "/ready").unwrap();
        assert_eq!(ready.status, 503);
        // It is alive, and publishes no watermark that later records would precede.
        let health = http::get(self.setup.address(), "/health").unwrap();
        let watermark = health.json()["watermark"].as_str().unwrap().to_owned();
        let right = Clock::system().now().wall.to_string();
        assert!(watermark <= right, "{watermark}");
    }

    fn is_taken(&self, number: u64) {
        let answer = self.send(number);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    }

    /// The lake holds the events of these numbers once, under the right day.
    fn holds(&self, numbers: std::ops::Range<u64>) {
        let lake = Lake::directory(&self.setup.directory().join("lake"));
        let count = lake.count(Reading::Typed);
        let expected = numbers.end - numbers.start;
        assert_eq!((count.rows, count.distinct_event_ids), (expected, expected));
        assert_eq!((count.misplaced, count.by_dt.len()), (0, 1));
        // No record has the time of a clock that was wrong by a day; one was corrected by ten minutes.
        let now = Clock::system().now().wall;
        let hour = Duration::from_hours(1);
        let right = now.minus(hour).to_string()..now.plus(hour).to_string();
        for row in lake.rows() {
            let received = row["received_at"].as_str().unwrap().replace(' ', "T");
            assert!(right.contains(&received), "{row}");
        }
        crate::audit::adds_up(&self.setup, &["data/wal"]);
    }
}

#[test]
fn a_clock_that_jumps_a_day_either_way_costs_nothing() {
    let Some(moved) = Moved::new_or_skip("") else {
        return;
    };
    let program = moved.setup.start();
    moved.is_taken(0);
    for (number, seconds) in [(1, DAY), (2, -DAY)] {
        moved.by(seconds);
        // What was open before the jump goes to the lake all the same.
        for _ in 0..5 {
            moved.is_refused(number);
            std::thread::sleep(Duration::from_millis(300));
        }
        // The right time is accepted at once, since the clock runs at the pace it had before.
        moved.by(0);
        moved.is_taken(number);
    }
    // A small correction is accepted.
    moved.by(600);
    moved.is_taken(3);
    moved.by(0);
    moved.is_taken(4);
    assert!(
        program.stop(STOP_LIMIT).success(),
        "{}",
        moved.setup.stderr()
    );
    assert!(
        moved
            .setup
            .stderr()
            .contains("the clock was set by over an hour")
    );
    moved.holds(0..5);
}

/// At the start, the clock is a day behind the log, which is impossible. (A clock that is ahead cannot be told
/// from a machine that was off for a day.)
#[test]
fn a_start_under_a_clock_that_is_behind_waits_for_the_right_time() {
    let Some(moved) = Moved::new_or_skip("") else {
        return;
    };
    let program = moved.setup.start();
    moved.is_taken(0);
    program.kill();
    moved.by(-DAY);
    let program = moved.setup.spawn();
    let start = Instant::now();
    while http::get(moved.setup.address(), "/health").is_err() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{}",
            moved.setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    while moved.send(1).text().contains("starting") {
        std::thread::sleep(Duration::from_millis(20));
    }
    moved.is_refused(1);
    // Meanwhile the log is shipped: the order is that of LSNs, not of the clock.
    let lake = Lake::directory(&moved.setup.directory().join("lake"));
    let health = || http::get(moved.setup.address(), "/health").unwrap().json();
    while health()["buffer_size"] != 0 {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            moved.setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lake.count(Reading::Typed).rows, 1);
    moved.is_refused(1);
    // Events are accepted at once, or after a minute if the clock was seen at another pace.
    moved.by(0);
    let right = Instant::now();
    while moved.send(1).status != 200 {
        assert!(
            right.elapsed() < Duration::from_secs(90),
            "{}",
            moved.setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(moved.send(1).json()["duplicates"], 1);
    assert!(
        program.stop(STOP_LIMIT).success(),
        "{}",
        moved.setup.stderr()
    );
    moved.holds(0..2);
}

/// What a run stores while the clock says an earlier time than the newest object's watermark.
#[test]
fn runs_store_at_once_after_the_clock_was_set_back() {
    let api = Api::start(|request, number| {
        if request.url.path() == "/score" {
            return page(json!({"scores": [{"who": "a", "score": number}]}));
        }
        page(json!({"things": things(0..number + 2)}))
    });
    let url = api.url();
    let Some(moved) = Moved::new_or_skip(&format!(
        "[poll.things]\nurl = \"{url}/things\"\nrecords = \"/things\"\nid = \"id\"\nmode = \"append\"\nbudget = \"20s\"\n\
         [api.score]\nurl = \"{url}\"\n[call.score]\nrows = \"outbox/*.ndjson\"\napi = \"score\"\npath = \"/score\"\n\
         settle = \"0s\"\nbody = \"\"\nrecords = \"/scores\"\nbudget = \"20s\"\n"
    )) else {
        return;
    };
    let outbox = moved.setup.directory().join("outbox");
    std::fs::create_dir(&outbox).unwrap();
    for (round, seconds) in [(1, 1800), (2, 0)] {
        moved.by(seconds);
        std::fs::write(
            outbox.join(format!("{round}.ndjson")),
            format!("{{\"who\": {round}}}\n"),
        )
        .unwrap();
        for arguments in [["poll", "things"], ["call", "score"]] {
            let begun = Instant::now();
            let output = moved.setup.run(&arguments);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {said}{errors}");
            assert!(begun.elapsed() < Duration::from_secs(15), "{said}{errors}");
        }
    }
    crate::audit::adds_up(&moved.setup, &["data/polls"]);
}
