//! Says in the program's own log what has landed in the lake: one line for each object, and at most so many a minute.
//! What is left out is added up, and told with the first object of the next minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Lines in a minute. Two lines a second would be a log that nobody reads.
const MAX_LINES: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// An object that is in the lake and committed.
pub(super) struct Landing<'a> {
    /// Its key in the lake.
    pub(super) key: &'a str,
    /// How many rows it has.
    pub(super) rows: u64,
    /// Its size.
    pub(super) bytes: u64,
    /// How long the attempt took, from reading the rows to the commit.
    pub(super) took: Duration,
}

/// The landings of one log.
#[derive(Debug, Default)]
pub struct Landings(Mutex<Minute>);

/// The current minute, by the monotonic clock.
#[derive(Debug, Default)]
struct Minute {
    began: Option<Duration>,
    lines: u32,
    left_out: LeftOut,
}

/// What was not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    objects: u64,
    rows: u64,
    bytes: u64,
}

impl Landings {
    /// Tells of an object, or adds it to what is told later.
    pub(super) fn tell(&self, landing: &Landing<'_>, now: Duration) {
        let (is_told, left_out) = {
            let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            minute.count(landing, now)
        };
        if left_out != LeftOut::default() {
            tracing::info!(
                objects = left_out.objects,
                rows = left_out.rows,
                bytes = left_out.bytes,
                "more objects landed than are logged one by one"
            );
        }
        if is_told {
            tracing::info!(
                key = landing.key,
                rows = landing.rows,
                bytes = landing.bytes,
                took_seconds = landing.took.as_secs_f64(),
                "an object is in the lake"
            );
        }
    }
}

impl Minute {
    /// Returns whether this object is told, and what was left out before it and is to be told first.
    fn count(&mut self, landing: &Landing<'_>, now: Duration) -> (bool, LeftOut) {
        let mut left_out = LeftOut::default();
        if self
            .began
            .is_none_or(|began| now.saturating_sub(began) >= MINUTE)
        {
            self.began = Some(now);
            self.lines = 0;
            left_out = std::mem::take(&mut self.left_out);
        }
        let is_told = self.lines < MAX_LINES;
        if is_told {
            self.lines += 1;
        } else {
            self.left_out.objects += 1;
            self.left_out.rows += landing.rows;
            self.left_out.bytes += landing.bytes;
        }
        (is_told, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_a_minute_and_the_rest_is_added_up() {
        let mut minute = Minute::default();
        let landing = Landing {
            key: "events/dt=2026-11-20/1.ndjson.zst",
            rows: 10,
            bytes: 100,
            took: Duration::from_millis(5),
        };
        let second = Duration::from_secs;
        let told = (0..50)
            .filter(|_| minute.count(&landing, second(5)).0)
            .count();
        assert_eq!(told, 20);
        let (is_told, left_out) = minute.count(&landing, second(64));
        assert!(!is_told && left_out == LeftOut::default());
        let (is_told, left_out) = minute.count(&landing, second(65));
        assert!(is_told);
        let (objects, rows, bytes) = (31, 310, 3100);
        assert_eq!(
            left_out,
            LeftOut {
                objects,
                rows,
                bytes
            }
        );
        assert_eq!(
            minute.count(&landing, second(66)),
            (true, LeftOut::default())
        );
    }
}
