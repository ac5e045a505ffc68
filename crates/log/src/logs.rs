//! The logs of a service, as those see them who store requests: one, or several that share the rows.
//!
//! With several, each row has one log, which follows from its id ([`log_of`]). A request is answered once all of its rows
//! are durable; the answer is the sum. If one log fails, the request fails: what the others have stored is a duplicate when
//! it is sent again. Rows without identity would not be, so they are stored last, in the first log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ledger::request::{Append, AppendError, Reply};
use crate::log::Log;
pub use crate::parts::Parts;
use crate::parts::of_log;
pub use crate::split::log_of;
use lakehook_base::clock::Micros;

/// Handles of all logs; cheap to clone.
#[derive(Clone)]
pub struct Logs(Arc<[Log]>);

/// Figures of the logs that this process owns, added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFigures {
    /// Rows that are not in the lake yet.
    pub uncommitted_rows: u64,
    /// Bytes of segments, spares and id files.
    pub used_bytes: u64,
    /// The same of the log that has most of them.
    pub fullest_bytes: u64,
    /// Open batches.
    pub open_batches: u64,
    /// Seals without a commit.
    pub waiting_seals: u64,
    /// Runs that have ended and whose marker is not in the lake yet.
    pub unpublished_runs: u64,
    /// Rows of late partitions that are not in the lake.
    pub late_rows: u64,
    /// The earliest time of receipt of a row that is not in the lake; the latest of times if there is none.
    pub oldest_received: Micros,
    /// The same without the rows of late partitions.
    pub oldest_current: Micros,
    /// Since when duplicates are known by all of these logs; `None` if nothing was forgotten.
    pub known_since: Option<Micros>,
}

impl From<Log> for Logs {
    fn from(log: Log) -> Self {
        Self(Arc::new([log]))
    }
}

impl Logs {
    /// Several logs, in the order of their numbers; `None` without any.
    pub fn new(logs: Vec<Log>) -> Option<Self> {
        (!logs.is_empty()).then(|| Self(logs.into()))
    }

    /// Each log, in the order of their numbers.
    pub fn all(&self) -> &[Log] {
        &self.0
    }

    /// Handles that store here or refuse, and never send anything on to another process.
    #[must_use]
    pub fn only_here(&self) -> Self {
        Self(self.0.iter().map(Log::of_peers).collect())
    }

    /// The logs that this process owns.
    pub fn here(&self) -> impl Iterator<Item = &Log> {
        self.0.iter().filter(|log| !log.is_elsewhere())
    }

    /// Whether other processes own all of them.
    pub fn are_elsewhere(&self) -> bool {
        self.here().next().is_none()
    }

    /// The time of receipt for a request that arrives now; never before a watermark that was published.
    pub fn receipt(&self, now: Micros) -> Micros {
        let times = self.0.iter().map(|log| log.gauges().receipt(now));
        times.max().unwrap_or(now)
    }

    /// Stores a request; the answer means that all of it is durable.
    pub async fn append(&self, append: Append) -> Reply {
        match &*self.0 {
            [only] => only.begin_append(append).answer().await,
            // Its future is large, and it is the rare case.
            logs => Box::pin(append_to(logs, append)).await,
        }
    }

    /// Seals every open batch, also where other processes own the log. Blocks.
    pub fn flush(&self) -> Result<(), AppendError> {
        let mut logs = self.0.iter().enumerate();
        logs.try_for_each(|(number, log)| {
            let flushed = log.flush();
            flushed.map_err(|error| {
                if self.0.len() > 1 {
                    of_log(number, error)
                } else {
                    error
                }
            })
        })
    }

    /// Says of each log that this process does not own who does, as far as that is known.
    pub async fn owners_elsewhere(&self) -> Vec<String> {
        let mut elsewhere = Vec::new();
        for (number, log) in self.0.iter().enumerate() {
            if !log.is_elsewhere() {
                continue;
            }
            if let Some(error) = log.why_elsewhere().await {
                elsewhere.push(self.named(number, &error));
            }
        }
        elsewhere
    }

    fn named(&self, number: usize, error: &AppendError) -> String {
        let why = match error {
            AppendError::NoOwner(why) => why.to_string(),
            other => other.to_string(),
        };
        match self.0.len() {
            1 => why,
            _ => format!("log {number}: {why}"),
        }
    }

    /// The figures of the logs that this process owns.
    pub fn figures(&self) -> LogFigures {
        let mut sum = LogFigures {
            uncommitted_rows: 0,
            used_bytes: 0,
            fullest_bytes: 0,
            open_batches: 0,
            waiting_seals: 0,
            unpublished_runs: 0,
            late_rows: 0,
            oldest_received: Micros(i64::MAX),
            oldest_current: Micros(i64::MAX),
            known_since: None,
        };
        for gauges in self.here().map(Log::gauges) {
            for (total, figure) in [
                (&mut sum.uncommitted_rows, &gauges.uncommitted_rows),
                (&mut sum.used_bytes, &gauges.used_bytes),
                (&mut sum.open_batches, &gauges.open_batches),
                (&mut sum.waiting_seals, &gauges.waiting_seals),
                (&mut sum.unpublished_runs, &gauges.unpublished_runs),
                (&mut sum.late_rows, &gauges.late_rows),
            ] {
                *total += figure.load(Ordering::Relaxed);
            }
            let used_bytes = gauges.used_bytes.load(Ordering::Relaxed);
            sum.fullest_bytes = sum.fullest_bytes.max(used_bytes);
            let oldest = Micros(gauges.oldest_received.load(Ordering::Relaxed));
            sum.oldest_received = sum.oldest_received.min(oldest);
            let oldest = Micros(gauges.oldest_current.load(Ordering::Relaxed));
            sum.oldest_current = sum.oldest_current.min(oldest);
            let since = gauges.known_since.load(Ordering::Relaxed);
            let since = (since != 0).then_some(Micros(since));
            sum.known_since = sum.known_since.max(since);
        }
        sum
    }

    /// The time before which everything acknowledged by these logs is in the lake; `None` if all are elsewhere.
    pub fn watermark(&self, now: Option<Micros>) -> Option<Micros> {
        self.here().map(|log| log.gauges().watermark(now)).min()
    }

    /// The same for everything but the rows of late partitions.
    pub fn current_watermark(&self, now: Option<Micros>) -> Option<Micros> {
        let watermarks = self.here().map(|log| log.gauges().current_watermark(now));
        watermarks.min()
    }
}

/// Has each log store its part. All of them are asked, whatever becomes of one of them.
async fn append_to(logs: &[Log], append: Append) -> Reply {
    let (mut parts, first) = Parts::of(append, logs.len());
    let begun: Vec<_> = first
        .into_iter()
        .map(|(number, part)| (number, logs[number].begin_append(part)))
        .collect();
    for (number, begun) in begun {
        parts.answered(number, begun.answer().await);
    }
    if let Some((number, part)) = parts.last() {
        parts.answered(number, logs[number].begin_append(part).answer().await);
    }
    parts.reply()
}

#[cfg(test)]
#[path = "logs_tests.rs"]
mod tests;
