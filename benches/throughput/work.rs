//! The requests, made before anything is measured.
//!
//! Ids are distinct within one work, and each service starts with an empty log; so the same requests
//! serve every row.

use std::io::Write as _;
use std::ops::Range;

use lakehook::clock::Clock;

use crate::support::load::{Source, TYPES};

/// The type that the default configuration drops.
const DROPPED: &str = "signup";

/// One request and its answer.
#[derive(Debug)]
pub(crate) struct Request {
    /// Head and body, as they go over the wire.
    pub(crate) bytes: Box<[u8]>,
    body_at: usize,
    /// The body of the answer that it must get.
    pub(crate) answer: Box<[u8]>,
}

impl Request {
    /// The events.
    pub(crate) fn body(&self) -> &[u8] {
        &self.bytes[self.body_at..]
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) struct Work {
    events_per_request: u32,
    /// In the order in which they are sent; the first are not measured.
    requests: Vec<Request>,
    warm_up: usize,
}

impl Work {
    /// Measured requests with so many events each, of seven types in equal shares, over the last day;
    /// and a fifth more before them, so that what happens once (memory touched for the first time,
    /// the small first segment of the log) doesn't count.
    pub(crate) fn prepare(events_per_request: u32, requests: usize) -> Self {
        Self::spread(events_per_request, requests, 1)
    }

    /// The same over so many days.
    pub(crate) fn spread(events_per_request: u32, requests: usize, days: u32) -> Self {
        let source = Source {
            seed: 1,
            now: Clock::system().now().wall,
            days,
        };
        let step = u64::from(events_per_request);
        let warm_up = requests / 5;
        let requests = (0..(warm_up + requests) as u64)
            .map(|number| request(&source, number * step..(number + 1) * step))
            .collect();
        Self {
            events_per_request,
            requests,
            warm_up,
        }
    }

    /// What is sent before anything is measured.
    pub(crate) fn warm_up(&self) -> Range<usize> {
        0..self.warm_up
    }

    /// What is measured.
    pub(crate) fn measured(&self) -> Range<usize> {
        self.warm_up..self.requests.len()
    }

    /// The request of that number.
    pub(crate) fn request(&self, number: usize) -> &Request {
        &self.requests[number]
    }

    /// W1 or W100.
    pub(crate) fn name(&self) -> String {
        format!("W{}", self.events_per_request)
    }

    /// Events in all measured requests, dropped ones too.
    pub(crate) fn events(&self) -> u64 {
        self.measured().len() as u64 * u64::from(self.events_per_request)
    }
}

fn request(source: &Source, numbers: Range<u64>) -> Request {
    let types = TYPES.len() as u64;
    let is_dropped =
        |number: &u64| usize::try_from(number % types).map(|at| TYPES[at]) == Ok(DROPPED);
    let events = numbers.end - numbers.start;
    let dropped = numbers.clone().filter(is_dropped).count() as u64;
    let answer = format!(
        r#"{{"status":"success","accepted":{},"dropped":{dropped},"duplicates":0,"quarantined":0}}"#,
        events - dropped
    );
    let body = source.body(numbers);
    let mut bytes = Vec::with_capacity(body.len() + 128);
    let head = write!(
        bytes,
        "POST /webhook/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    debug_assert!(head.is_ok(), "memory takes every write");
    let body_at = bytes.len();
    bytes.extend_from_slice(&body);
    Request {
        body_at,
        bytes: bytes.into(),
        answer: answer.into_bytes().into(),
    }
}
