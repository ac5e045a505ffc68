//! One run of a poll: its inputs and its results.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::resume::PollCursor;
use crate::collect::{RunCounts, Sink};
use crate::figures::Progress;
use crate::wait::Waiter;
use lakehook_base::clock::Micros;
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::NO_RUN;
use lakehook_lake::reader::LakeReader;
use lakehook_log::log::Log;

/// Most times that records are read again because they changed while they were read.
pub(super) const MAX_REREADS: u32 = 3;

/// The inputs of a run.
pub struct Job<'a> {
    /// Plan of the poll.
    pub plan: &'a Plan,
    /// Waits for the run.
    pub waiter: &'a Waiter,
    /// The log; `None` for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// Directory of the log.
    pub dir: Option<&'a Path>,
    /// The lake, which parents are read from.
    pub lake: Option<&'a LakeReader>,
    /// The node that the log belongs to.
    pub node: NodeId,
    /// Randomness for pauses.
    pub ids: &'a Ids,
    /// Whether a snapshot is written even if it has not changed.
    pub force: bool,
    /// Whether a person has said that the records are accepted as they are, whatever the guards say.
    pub accept: bool,
    /// What a back-fill reads again; it moves no mark.
    pub backfill: Option<&'a Backfill>,
    /// Called after every page.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// What a back-fill reads again: the texts of both ends, as a person gives them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// Its beginning.
    pub from: String,
    /// Its end; by default now.
    pub to: Option<String>,
}

/// Outcome of a run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Its rows are in the log and will be shipped to the lake.
    Complete,
    /// The API returned the same as in this earlier run.
    Unchanged(String),
    /// The records were read and checked, and nothing was written.
    Checked,
}

/// Report of a run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Name of the run.
    pub run: String,
    /// Outcome of the run.
    pub outcome: RunOutcome,
    /// Counts of what was read and stored.
    pub counts: RunCounts,
    /// Duration of the run.
    pub took: Duration,
}

impl<'a> Job<'a> {
    /// Start of a run: now, but later than any earlier run, whatever the clock says.
    pub(super) fn start_time(&self, cursor: &PollCursor) -> Micros {
        let now = self.waiter.clock().now().wall;
        let after_last = cursor.last_started().map(|last| Micros(last.0 + 1));
        after_last.map_or(now, |after_last| now.max(after_last))
    }

    /// The sink of an appending run, whose rows are not held for it.
    pub(super) fn sink(&self, started: Micros, name: &str, partition: String) -> Sink<'a> {
        Sink {
            log: self.log,
            dir: self.dir,
            run: NO_RUN,
            name: name.to_owned(),
            partition,
            started,
        }
    }
}
