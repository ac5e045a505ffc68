//! One run of a poll, from the first request to the entry in the log that says it is complete.
//!
//! It blocks, so it runs on a thread of its own. A failed snapshot is not published and its rows
//! are discarded; the rows of a failed appending run are durable together with the position up to
//! which they were read.

use super::definition::Mode;
use super::job::{Job, RunReport};
use super::resume::PollCursor;
use super::{append, snapshot};
use crate::errors::RunError;

/// Runs a poll. The cursor is updated even if the run fails on its way.
pub fn run(job: &Job<'_>, cursor: &mut PollCursor) -> Result<RunReport, RunError> {
    let before = job.waiter.clock().now().mono;
    let mut report = match job.plan.mode {
        Mode::Snapshot if job.backfill.is_some() => {
            let rule = "--from is for mode = \"append\"; a snapshot is a whole copy";
            Err(RunError::Failed(rule.to_owned()))
        }
        Mode::Snapshot => snapshot::run(job, cursor),
        Mode::Append => append::run(job, cursor),
    }?;
    report.took = job.waiter.clock().now().mono.saturating_sub(before);
    Ok(report)
}
