//! How far the rows of logs on this machine are on their way to the lake, read from their files.

use std::collections::BTreeMap;
use std::io;

use super::standing::{LogSeals, Standing};
use crate::clock::Micros;
use crate::ids::NodeId;
use crate::lake::keys::holder_of;
use crate::record::Lsn;
use crate::wal::inspect::Inspection;

/// A log that is being written may change while it is read.
const TRIES: u32 = 5;

/// What a log says of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLanding {
    /// Whose log it is.
    pub node: Option<NodeId>,
    /// The highest LSN.
    pub up_to_lsn: u64,
    /// Its seals.
    pub seals: LogSeals,
    /// Rows in no seal, or in seals without a commit.
    pub waiting_rows: u64,
    /// Rows in its files, committed or not.
    pub rows_in_files: u64,
    /// The first LSN of the oldest open batch.
    pub oldest_open: Option<Lsn>,
    /// The first LSN of all rows in seals that had no commit when the log was last read.
    pub oldest_waiting: Option<Lsn>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}

/// Looks into a log, wherever it is; `None` if there is none yet.
pub type Look<'a> = Box<dyn Fn() -> io::Result<Option<Inspection>> + 'a>;

/// What logs say of their rows; those that do not exist are left out.
pub fn look(logs: &[Look<'_>]) -> io::Result<Vec<LogLanding>> {
    let looked = logs.iter().map(look_at);
    looked.filter_map(Result::transpose).collect()
}

fn look_at(log: &Look<'_>) -> io::Result<Option<LogLanding>> {
    let mut inspection = log()?;
    for _ in 1..TRIES {
        if inspection
            .as_ref()
            .is_none_or(|log| log.problems.is_empty())
        {
            break;
        }
        inspection = log()?;
    }
    Ok(inspection.as_ref().map(landing_of))
}

fn landing_of(log: &Inspection) -> LogLanding {
    let state = &log.state;
    let sealed: u64 = state.sealed.values().map(|sealed| sealed.rows).sum();
    let open: u64 = state.batches.open().map(|batch| batch.sums.count).sum();
    LogLanding {
        node: log.node,
        up_to_lsn: state.next_lsn.0 - 1,
        seals: LogSeals {
            last: state.last_seal,
            waiting: state.sealed.keys().copied().collect(),
        },
        waiting_rows: sealed + open,
        rows_in_files: log.segments.iter().map(|segment| segment.rows).sum(),
        oldest_open: state.batches.open().map(|batch| batch.first_lsn).min(),
        oldest_waiting: state.sealed.values().map(|sealed| sealed.first_lsn).min(),
        problem: log.problems.first().cloned(),
    }
}

/// What these logs and the keys of a lake say of commits.
pub fn standing(keys: &[String], logs: &[LogLanding], now: Micros) -> Standing {
    let logs = logs.iter().filter_map(|log| {
        // What cannot be read confirms nothing.
        let seals = if log.problem.is_none() {
            log.seals.clone()
        } else {
            LogSeals::default()
        };
        Some((log.node?, seals))
    });
    let mut newest = BTreeMap::new();
    for (node, lsn) in keys.iter().filter_map(|key| holder_of(key)) {
        let known = newest.entry(node).or_insert(lsn);
        *known = lsn.max(*known);
    }
    Standing {
        logs: logs.collect(),
        newest,
        now,
    }
}

impl LogLanding {
    /// Why rows up to that LSN are not all in the lake; `None` if they are.
    pub fn has_not_landed(&self, up_to_lsn: u64) -> Option<String> {
        if let Some(problem) = &self.problem {
            return Some(format!("it cannot be read: {problem}"));
        }
        let is_below = |lsn: &Lsn| lsn.0 <= up_to_lsn;
        if self.oldest_waiting.as_ref().is_some_and(is_below) {
            return Some(format!(
                "rows up to LSN {up_to_lsn} wait for the lake; start the service, and run the command again"
            ));
        }
        self.oldest_open.as_ref().is_some_and(is_below).then(|| {
            format!(
                "rows up to LSN {up_to_lsn} are in no object yet, such as those of a run of a poll; run the command \
                 again when it has ended"
            )
        })
    }
}
