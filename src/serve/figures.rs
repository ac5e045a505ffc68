//! Converts the figures of the feeds to those that `/health` shows, so that receiving does not depend on
//! feeds.

use std::collections::BTreeMap;

use crate::feeds::figures::{Figures, StreamState};
use crate::receive::figures::{LastError, LastSuccess, PollHealth, RunningPoll, WaitingPoll};

/// The figures of every stream, read anew for each request.
pub(super) fn shown(figures: Figures) -> BTreeMap<String, PollHealth> {
    let streams = figures.into_iter();
    streams
        .map(|(name, state)| (name, health_of(state)))
        .collect()
}

fn health_of(state: StreamState) -> PollHealth {
    let StreamState {
        running,
        waiting,
        last_success,
        last_error,
        next_run,
    } = state;
    PollHealth {
        last_error: last_error.map(|(at, error)| LastError {
            at: at.to_string(),
            error,
        }),
        last_success: last_success.map(|(at, run, records)| LastSuccess {
            at: at.to_string(),
            records,
            run,
        }),
        next_run: next_run.map(|at| at.to_string()),
        running: running.map(|at| RunningPoll {
            pages: at.pages,
            records: at.records,
            total: at.total,
        }),
        waiting: waiting.map(|waiting| WaitingPoll {
            r#for: waiting.what,
            until: waiting.until.map(|until| until.to_string()),
        }),
    }
}
