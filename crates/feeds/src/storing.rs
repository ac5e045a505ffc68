//! What a run asks of the log of all feeds: to begin, to store its rows, to end, and to be abandoned. Each waits while
//! the log is full: the first two until the run is cancelled or its budget is used up.

use std::time::Duration;

use super::errors::RunError;
use super::wait::{Interrupted, Waiter};
use lakehook_base::record::Lsn;
use lakehook_contract::entity::stamp;
use lakehook_log::log::Log;
use lakehook_log::request::{Append, AppendError, Appended, EndRun, FULL_PAUSE};

fn stayed_full(why: Interrupted) -> RunError {
    if why == Interrupted::Cancelled {
        return RunError::Cancelled;
    }
    RunError::OutOfTime(
        "the log of polls was full until the run's budget was used up: the lake does not take what is waiting, or a \
         snapshot is larger than polls.max_bytes"
            .to_owned(),
    )
}

/// Begins a run of a stream, and returns the LSN that names it.
pub fn begin(waiter: &Waiter, log: &Log, stream: &str) -> Result<Lsn, RunError> {
    loop {
        match waiter.finish(log.begin_run(stream)) {
            Ok(lsn) => return Ok(lsn),
            Err(AppendError::Full) => waiter.pause(FULL_PAUSE).map_err(stayed_full)?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Stores rows durably, all of them or none, as received when the log takes them.
pub fn append(waiter: &Waiter, log: &Log, append: Append) -> Result<Appended, RunError> {
    let appended = log.append_when_possible(append, waiter.clock(), stamp);
    let appended = waiter.wait_for("the log", Duration::MAX, appended);
    Ok(appended.map_err(stayed_full)??)
}

/// Ends a run durably. Nothing interrupts that: what the run has stored becomes visible by it.
pub fn end(waiter: &Waiter, log: &Log, end: &EndRun) -> Result<(), RunError> {
    loop {
        match waiter.finish(log.end_run(end.clone())) {
            Ok(()) => return Ok(()),
            Err(AppendError::Full) => std::thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Discards the rows of a run. If the log has ended, the next start does that. While the disk is full, it waits.
pub fn abandon(waiter: &Waiter, log: &Log, run: Lsn) {
    while let Err(error) = waiter.finish(log.abandon_run(run)) {
        if error == AppendError::Closed || waiter.is_cancelled() {
            tracing::warn!(%error, %run, "the run is abandoned by the next start");
            return;
        }
        std::thread::sleep(FULL_PAUSE);
    }
}
