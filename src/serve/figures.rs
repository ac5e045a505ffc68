//! Figures of the polls for `/health`: receiving shows them and knows nothing else of polls.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::polls::Polls;
use crate::poll::supervisor::PollState;
use crate::receive::PollFigures;
use crate::receive::figures::{LastError, LastSuccess, PollHealth, RunningPoll};

/// The figures of these polls, read anew for each request.
pub(super) fn of_polls(polls: &Polls) -> PollFigures {
    let supervisor = polls.supervisor().clone();
    PollFigures {
        streams: Box::new(move || {
            let states = supervisor.states().into_iter();
            let figures: BTreeMap<_, _> = states
                .map(|(name, state)| (name, health_of(state)))
                .collect();
            figures
        }),
        log: polls.pipeline().log.clone(),
        status: Arc::clone(polls.status()),
    }
}

fn health_of(state: PollState) -> PollHealth {
    let PollState {
        running,
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
    }
}
