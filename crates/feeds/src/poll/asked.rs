//! What is asked of a poll that is supervised, and the news that it answers with.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::job::{Backfill, RunReport};
use super::state::{Change, State};
use crate::errors::RunError;
use crate::figures::{Progress, Waiting};

/// News for the client that requested a run.
#[derive(Clone, Debug)]
pub enum Update {
    /// Progress of the run.
    Progress(Progress),
    /// What the run waits for.
    Waiting(Waiting),
    /// The run has ended, and so many batches and runs are not in the lake yet.
    Shipping(u64),
    /// Result of the run, and whether all that it stored is in the lake by now; if it is not, how long
    /// was waited for that.
    Done(Result<RunReport, RunError>, Shipped),
}

/// Whether all that a run stored is in the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// It is.
    Yes,
    /// It was not after this time.
    NotWithin(Duration),
}

/// How a run that is requested differs from one on schedule.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Whether a snapshot is written even if it has not changed.
    pub force: bool,
    /// Whether the guards are lifted.
    pub accept: bool,
    /// What is read again, without moving the marks.
    pub backfill: Option<Backfill>,
}

/// A request for a run.
pub(super) struct Asked {
    pub(super) wish: Wish,
    pub(super) updates: mpsc::Sender<Update>,
}

/// What is asked of the task of a poll.
pub(super) enum Question {
    /// A run.
    Run(Asked),
    /// To show or to change what is remembered.
    State(Change, oneshot::Sender<Result<State, String>>),
}
