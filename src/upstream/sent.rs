//! Counters of what the generator sent, and of the answers.

use std::sync::atomic::{AtomicU64, Ordering};

/// A snapshot of the counters.
///
/// While the generator rests or has stopped, `events` equals [`Sent::accounted`]; while a push is
/// under way, its events are in `events` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Requests, each counted once, however often it was retried.
    pub requests: u64,
    /// Events in them, repeats included.
    pub events: u64,
    /// Events that the receiver reported as newly stored.
    pub accepted: u64,
    /// Valid events that the receiver dropped because of a drop rule.
    pub dropped: u64,
    /// Events that the receiver knew already.
    pub duplicates: u64,
    /// Events that the receiver put into its quarantine.
    pub quarantined: u64,
    /// Events of requests that were refused with a final status, mostly 4xx.
    pub refused: u64,
    /// Events of requests that got no answer accounting for them before the generator stopped.
    pub unanswered: u64,
    /// Attempts after the first.
    pub retries: u64,
}

impl Sent {
    /// Events whose result is known, or will never be known.
    pub fn accounted(&self) -> u64 {
        let answered = self.accepted + self.dropped + self.duplicates + self.quarantined;
        answered + self.refused + self.unanswered
    }
}

/// The counts in an answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Tally {
    accepted: u64,
    dropped: u64,
    duplicates: u64,
    #[serde(default)]
    quarantined: u64,
}

impl Tally {
    /// The sum of all counts; `None` if it overflows, as in a nonsensical answer.
    fn total(&self) -> Option<u64> {
        let stored_or_dropped = self.accepted.checked_add(self.dropped)?;
        let known = self.duplicates.checked_add(self.quarantined)?;
        stored_or_dropped.checked_add(known)
    }
}

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushResult {
    /// 2xx, with numbers.
    Counted(Tally),
    /// A final answer that is no success.
    Refused,
    /// No answer in time, or a 2xx that does not say what became of the events.
    Unanswered,
}

/// The counters: only the task of the generator writes them, anybody may read them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    events: AtomicU64,
    accepted: AtomicU64,
    dropped: AtomicU64,
    duplicates: AtomicU64,
    quarantined: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
    retries: AtomicU64,
}

impl Counters {
    /// Counts a request with that many events, which is about to be sent for the first time.
    pub(super) fn begin(&self, events: u32) {
        add(&self.requests, 1);
        add(&self.events, u64::from(events));
    }

    /// Counts another attempt of the request under way.
    pub(super) fn retry(&self) {
        add(&self.retries, 1);
    }

    /// Counts the result of the request under way, which has that many events. If the counts of the answer do not add
    /// up to that number, it counts all of them as unanswered and returns false.
    pub(super) fn end(&self, events: u32, outcome: PushResult) -> bool {
        let events = u64::from(events);
        match outcome {
            PushResult::Counted(tally) if tally.total() == Some(events) => {
                add(&self.accepted, tally.accepted);
                add(&self.dropped, tally.dropped);
                add(&self.duplicates, tally.duplicates);
                add(&self.quarantined, tally.quarantined);
            }
            PushResult::Counted(_) => {
                add(&self.unanswered, events);
                return false;
            }
            PushResult::Refused => add(&self.refused, events),
            PushResult::Unanswered => add(&self.unanswered, events),
        }
        true
    }

    /// The counters as they are now.
    pub(super) fn snapshot(&self) -> Sent {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sent {
            requests: get(&self.requests),
            events: get(&self.events),
            accepted: get(&self.accepted),
            dropped: get(&self.dropped),
            duplicates: get(&self.duplicates),
            quarantined: get(&self.quarantined),
            refused: get(&self.refused),
            unanswered: get(&self.unanswered),
            retries: get(&self.retries),
        }
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_accounts_for_its_events() {
        let tally = Tally {
            accepted: 4,
            dropped: 1,
            duplicates: 1,
            quarantined: 1,
        };
        let nonsense = Tally {
            accepted: u64::MAX,
            ..tally
        };
        let counters = Counters::default();
        let outcomes = [
            (PushResult::Counted(tally), true),
            (PushResult::Counted(nonsense), false),
            (PushResult::Refused, true),
            (PushResult::Unanswered, true),
        ];
        for (outcome, believed) in outcomes {
            counters.begin(7);
            assert_eq!(counters.end(7, outcome), believed);
        }
        let sent = counters.snapshot();
        assert_eq!((sent.requests, sent.events), (4, 28));
        assert_eq!((sent.accepted, sent.refused, sent.unanswered), (4, 7, 14));
        assert_eq!(sent.events, sent.accounted());
    }
}
