//! The result of a load run, and its comparison with what is in the lake.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::events::{Event, Source};

/// Sums over all answers of 2xx, repeated requests included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Requests sent, counting each repetition.
    pub(crate) requests: u64,
    /// Answers of 2xx.
    pub(crate) successes: u64,
    /// Requests that got no answer.
    pub(crate) unanswered: u64,
    /// Answers of 408, 429 and 5xx.
    pub(crate) put_off: u64,
    /// As answered.
    pub(crate) accepted: u64,
    /// As answered.
    pub(crate) dropped: u64,
    /// As answered.
    pub(crate) duplicates: u64,
    /// As answered.
    pub(crate) quarantined: u64,
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.successes += other.successes;
        self.unanswered += other.unanswered;
        self.put_off += other.put_off;
        self.accepted += other.accepted;
        self.dropped += other.dropped;
        self.duplicates += other.duplicates;
        self.quarantined += other.quarantined;
    }
}

/// What was sent, and what was answered.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(super) source: Source,
    /// Numbers of the events of each acknowledged request.
    pub(super) acknowledged: Vec<Range<u64>>,
    /// Numbers of the events of each request that was sent and never acknowledged; they may be in the lake or not.
    pub(super) unacknowledged: Vec<Range<u64>>,
    /// Sums.
    pub(crate) totals: Totals,
    /// Answers that should not be: refusals of valid requests, counts that don't add up.
    pub(crate) violations: Vec<String>,
}

/// How lake and acknowledgements differ. If all lists are empty, nothing is lost and nothing is there twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Acknowledged, of a kept type, and not in the lake.
    pub(crate) lost: Vec<Event>,
    /// In the lake more than once.
    pub(crate) twice: Vec<String>,
    /// In the lake, though never sent or of a dropped type.
    pub(crate) unexplained: Vec<String>,
}

impl Report {
    /// All acknowledged events, including those of dropped types.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = Event> {
        events(self.source, &self.acknowledged)
    }

    /// All events whose request was never acknowledged.
    pub(crate) fn unacknowledged(&self) -> impl Iterator<Item = Event> {
        events(self.source, &self.unacknowledged)
    }

    /// Acknowledged events of kept types by day and type: what a lake must hold at least.
    pub(crate) fn expected(&self, dropped: &[&str]) -> BTreeMap<String, BTreeMap<String, u64>> {
        let mut expected: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for event in self.acknowledged() {
            if !dropped.contains(&event.kind) {
                let of_day = expected.entry(event.day).or_default();
                *of_day.entry(event.kind.to_owned()).or_default() += 1;
            }
        }
        expected
    }

    /// Compares with the event ids of a lake; an id that is there twice is given twice.
    pub(crate) fn compare(&self, ids: &[String], dropped: &[&str]) -> Difference {
        let mut found: HashMap<&str, u64> = HashMap::with_capacity(ids.len());
        for id in ids {
            *found.entry(id).or_default() += 1;
        }
        let mut difference = Difference::default();
        for (id, times) in &found {
            if *times > 1 {
                difference.twice.push((*id).to_owned());
            }
        }
        for event in self
            .acknowledged()
            .filter(|event| !dropped.contains(&event.kind))
        {
            if found.remove(event.id.as_str()).is_none() {
                difference.lost.push(event);
            }
        }
        for event in self
            .unacknowledged()
            .filter(|event| !dropped.contains(&event.kind))
        {
            found.remove(event.id.as_str());
        }
        difference
            .unexplained
            .extend(found.into_keys().map(str::to_owned));
        difference
    }
}

fn events(source: Source, requests: &[Range<u64>]) -> impl Iterator<Item = Event> {
    requests
        .iter()
        .cloned()
        .flatten()
        .map(move |number| source.event(number))
}
