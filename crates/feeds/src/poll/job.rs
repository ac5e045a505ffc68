//! One run of a poll: what it needs, and what comes of it.

use std::time::Duration;

use super::plan::Plan;
use super::resume::PollCursor;
use crate::collect::{RunCounts, Sink};
use crate::figures::Progress;
use crate::wait::Waiter;
use lakehook_base::clock::Micros;
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::NO_RUN;
use lakehook_log::log::Log;

/// A set that changes while it is read is read again up to this many times.
pub(super) const MAX_REREADS: u32 = 3;

/// What a run needs.
pub struct Job<'a> {
    /// The poll.
    pub plan: &'a Plan,
    /// For every wait.
    pub waiter: &'a Waiter,
    /// The log; none for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// The node that the log belongs to.
    pub node: NodeId,
    /// Randomness for pauses.
    pub ids: &'a Ids,
    /// Whether an unchanged snapshot is written all the same.
    pub force: bool,
    /// Called after every page.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

/// What came of a run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Its rows are in the log, and go to the lake.
    Complete,
    /// The API returned what it returned at that earlier run.
    Unchanged(String),
    /// It was read and checked, and nothing was written.
    Checked,
}

/// A run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Its name.
    pub run: String,
    /// What came of it.
    pub outcome: RunOutcome,
    /// What was read and stored.
    pub counts: RunCounts,
    /// How long it took.
    pub took: Duration,
}

impl<'a> Job<'a> {
    /// When a run starts: now, and later than any run before it, whatever the clock says.
    pub(super) fn start_time(&self, cursor: &PollCursor) -> Micros {
        let now = self.waiter.clock().now().wall;
        let after_last = cursor.last_started().map(|last| Micros(last.0 + 1));
        after_last.map_or(now, |after_last| now.max(after_last))
    }

    /// Where the rows of a run of that name go; they are held for no run.
    pub(super) fn sink(&self, started: Micros, name: &str, partition: String) -> Sink<'a> {
        Sink {
            log: self.log,
            run: NO_RUN,
            name: name.to_owned(),
            partition,
            started,
        }
    }
}
