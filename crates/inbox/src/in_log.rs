//! What a run of files asks of the log: its beginning, and rows of the quarantine.

use std::time::Duration;

use super::taker::RunOrigin;
use lakehook_base::record::{Lsn, Origin, Rows};
use lakehook_contract::entity::stamp;
use lakehook_feeds::context::Context;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::wait::{FULL_PAUSE, Interrupted, Waiter};
use lakehook_log::request::{Append, AppendError};

fn interrupted(why: Interrupted, what: &str) -> RunError {
    match why {
        Interrupted::Cancelled => RunError::Cancelled,
        _ => RunError::OutOfTime(format!("{what} until the time of the look was used up")),
    }
}

/// Begins a run.
pub(crate) fn begin(waiter: &Waiter, context: &Context, stream: &str) -> Result<Lsn, RunError> {
    loop {
        match waiter.finish(context.log.begin_run(stream)) {
            Ok(lsn) => return Ok(lsn),
            Err(AppendError::Full) => {
                let paused = waiter.pause(FULL_PAUSE);
                paused.map_err(|why| interrupted(why, "the log of polls stayed full"))?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Appends rows that the log holds for a run.
pub(crate) fn append(
    waiter: &Waiter,
    context: &Context,
    of: &RunOrigin,
    run: Lsn,
    mut rows: Rows,
) -> Result<(), RunError> {
    loop {
        let now = waiter.clock().now().wall;
        let received_at = context.log.gauges().receipt(now);
        stamp(&mut rows, received_at);
        let append = Append {
            rows: rows.clone(),
            dropped: 0,
            origin: Origin {
                received_at,
                ..of.origin.clone()
            },
            run,
            cursor: None,
        };
        let appended = context.log.append(append);
        match waiter.wait_for("the log", Duration::MAX, appended) {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(AppendError::Late | AppendError::Full)) => {
                let paused = waiter.pause(FULL_PAUSE);
                paused.map_err(|why| interrupted(why, "the log of polls stayed full"))?;
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(why) => return Err(interrupted(why, "the log of polls did not answer")),
        }
    }
}
