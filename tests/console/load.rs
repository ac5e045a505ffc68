//! The views while the service works at half of what it can, over a lake of many events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lakehook::clock::Clock;

use super::quarantine::broken;
use super::{LIMIT, Stage, VIEWS};
use crate::http::{PATH, body, post};
use crate::support::http::Connection;
use crate::support::load::{OpenPlan, Source, offer};

/// How many events the lake has; the large run sets it.
const VARIABLE: &str = "LAKEHOOK_CONSOLE_EVENTS";
const PER_REQUEST: u64 = 100;
const SENDERS: u64 = 8;
const REFUSED: u64 = 10_000;

/// Sends all events in requests of a hundred, as fast as it goes; returns how many requests a second were answered.
fn fill(stage: &Stage, source: Source, events: u64) -> f64 {
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                let address = stage.setup.address();
                let mut connection = Connection::open(address, Duration::from_mins(1)).unwrap();
                let json = [("content-type", "application/json")];
                loop {
                    let first = next.fetch_add(PER_REQUEST, Ordering::Relaxed);
                    if first >= events {
                        return;
                    }
                    let text = source.body(first..first + PER_REQUEST);
                    // A log that is full for a moment says so.
                    while connection
                        .request("POST", PATH, &json, &text)
                        .unwrap()
                        .status
                        == 503
                    {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
    });
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let requests = (events / PER_REQUEST) as f64;
    requests / begun.elapsed().as_secs_f64()
}

#[test]
fn views_answer_in_time_while_the_service_is_at_half_load() {
    let wanted = std::env::var(VARIABLE).ok();
    let events = wanted
        .as_ref()
        .map_or(20_000, |events| events.parse().unwrap());
    let stage = Stage::new("[batch]\nmax_age = \"2s\"\n[events]\non_invalid = \"quarantine\"");
    let _program = stage.setup.start();
    let source = Source {
        seed: 5,
        now: Clock::system().wall(),
        days: 1,
    };
    let refused: Vec<String> = (0..REFUSED).map(broken).collect();
    assert_eq!(
        post(&stage.setup, body(&refused)).json()["quarantined"],
        REFUSED
    );
    let rate = fill(&stage, source, events);
    let id = source.event(0).id;
    // What was read once is read again while events come in.
    stage.page_until("/quarantine", |page| {
        page.contains("10\u{202f}000\u{a0}rows, by")
    });
    stage.whole_page(&format!("/find?q={id}"));
    stage.whole_page("/lake");

    let paths: Vec<String> = VIEWS
        .iter()
        .map(|path| (*path).to_owned())
        .chain([format!("/find?q={id}"), "/quarantine?page=100".to_owned()])
        .collect();
    let duration = Duration::from_secs(if wanted.is_some() { 30 } else { 4 });
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some hundreds of requests a second"
    )]
    let half = (rate / 2.0).max(1.0) as u32;
    let (offered, took) = std::thread::scope(|scope| {
        let offering = scope.spawn(|| {
            offer(OpenPlan {
                address: stage.setup.address(),
                rate: half,
                duration,
                source: Source { seed: 6, ..source },
                body: Box::new(move |number| {
                    let first = u64::from(number) * PER_REQUEST;
                    let numbers = first..first + PER_REQUEST;
                    let text = Source { seed: 6, ..source }.body(numbers.clone());
                    (numbers, Bytes::from(text))
                }),
                encoding: "identity",
                timeout: Duration::from_secs(20),
            })
        });
        let mut took: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
        while !offering.is_finished() {
            for path in &paths {
                let begun = Instant::now();
                let answer = stage.ask("GET", path, &[], "");
                assert_eq!(answer.status, 200, "{path}");
                took.entry(path).or_default().push(begun.elapsed());
            }
        }
        (offering.join().unwrap(), took)
    });
    println!(
        "{events} events and {REFUSED} rows of the quarantine; {rate:.0} requests/s of {PER_REQUEST} events alone, \
         {half} offered: {:?}, p99 {:?}",
        offered.statuses,
        offered.wait_of(0.99)
    );
    let mut late = Vec::new();
    for (path, mut took) in took {
        took.sort_unstable();
        let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
        println!(
            "{path:<50} {:>4} times, median {median:?}, at most {most:?}",
            took.len()
        );
        // In the small run other tests share the machine.
        let limit = if wanted.is_some() { LIMIT } else { LIMIT * 10 };
        if most > limit {
            late.push((path, most));
        }
    }
    assert!(late.is_empty(), "{late:?}");
}
