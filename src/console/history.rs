//! The last hour in figures: a sample every few seconds, in a ring of fixed length.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// How far back samples are kept.
const SPAN: Duration = Duration::from_secs(3600);
const MAX_SAMPLES: usize = (SPAN.as_secs() / EVERY.as_secs()) as usize + 1;

/// Totals and states at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// By the monotonic clock.
    pub(super) at: Duration,
    /// Events in requests that were accepted, since the start.
    pub(super) received: u64,
    /// Rows that are in the lake, since the start.
    pub(super) landed: u64,
    /// Age of the oldest row that is not in the lake, in seconds.
    pub(super) lag_seconds: f64,
    /// Bytes of the log.
    pub(super) log_bytes: u64,
    /// Requests that the owner of the log has stored for this node, since the start.
    pub(super) forwarded: u64,
    /// Requests that it has not stored, or not answered, since the start.
    pub(super) not_forwarded: u64,
    /// Requests and events of each source, since the start, in the order of the sources.
    pub(super) sources: Vec<SourceTotals>,
}

/// What came from a source since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceTotals {
    /// Events, whatever became of them.
    pub(super) events: u64,
    /// Requests that were refused.
    pub(super) refused: u64,
}

/// Samples of the last hour, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Sample>>);

impl History {
    /// Adds a sample, and forgets the oldest one if there are too many.
    pub(super) fn push(&self, sample: Sample) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// A copy of all samples.
    pub(super) fn all(&self) -> Vec<Sample> {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().cloned().collect()
    }
}

/// How much a total grew in a second over the last `over`; 0 if too little is known.
pub(super) fn rate(samples: &[Sample], over: Duration, total: impl Fn(&Sample) -> u64) -> f64 {
    let Some(last) = samples.last() else {
        return 0.0;
    };
    let from = last.at.saturating_sub(over);
    let first = samples.iter().find(|sample| sample.at >= from);
    first.map_or(0.0, |first| growth(first, last, &total))
}

/// The growth of a total in a second, from each sample to the next.
pub(super) fn rates(samples: &[Sample], total: impl Fn(&Sample) -> u64) -> Vec<f64> {
    let pairs = samples.windows(2);
    pairs
        .map(|pair| growth(&pair[0], &pair[1], &total))
        .collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "figures for people; a unit in 2^53 does not matter"
)]
fn growth(first: &Sample, last: &Sample, total: &impl Fn(&Sample) -> u64) -> f64 {
    let seconds = last.at.saturating_sub(first.at).as_secs_f64();
    if seconds <= 0.0 {
        return 0.0;
    }
    total(last).saturating_sub(total(first)) as f64 / seconds
}

/// How many bytes were written to the log in a second. What was freed meanwhile does not count.
pub(super) fn log_rate(samples: &[Sample]) -> f64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return 0.0;
    };
    let grown: u64 = samples
        .windows(2)
        .map(|pair| pair[1].log_bytes.saturating_sub(pair[0].log_bytes))
        .sum();
    let seconds = last.at.saturating_sub(first.at).as_secs_f64();
    if seconds <= 0.0 {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "as above")]
    let grown = grown as f64;
    grown / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, received: u64, log_bytes: u64) -> Sample {
        Sample {
            at: Duration::from_secs(seconds),
            received,
            log_bytes,
            ..Sample::default()
        }
    }

    #[test]
    fn a_ring_keeps_an_hour() {
        let history = History::default();
        for number in 0..2 * MAX_SAMPLES as u64 {
            history.push(sample(number, number, 0));
        }
        let all = history.all();
        assert_eq!(all.len(), MAX_SAMPLES);
        assert_eq!(all[0].received, MAX_SAMPLES as u64);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "the figures are exact")]
    fn rates_are_of_the_time_that_is_asked_for() {
        let samples = [sample(0, 0, 9), sample(10, 100, 5), sample(20, 400, 25)];
        let total = |sample: &Sample| sample.received;
        assert_eq!(rate(&samples, Duration::from_secs(10), total), 30.0);
        assert_eq!(rate(&samples, Duration::from_secs(60), total), 20.0);
        assert_eq!(rate(&samples[..1], Duration::from_secs(60), total), 0.0);
        assert_eq!(rates(&samples, total), [10.0, 30.0]);
        assert_eq!(log_rate(&samples), 1.0);
        assert_eq!(log_rate(&[]), 0.0);
    }
}
