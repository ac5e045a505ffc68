//! What others see of feeds. Their figures are converted to those that `/health` shows, so that receiving does not depend
//! on feeds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::feeds::FeedList;
use crate::console::ConsoleFeeds;
use crate::feeds::figures::{Figures, StreamState};
use crate::receive::PollFigures;
use crate::receive::figures::{LastError, LastSuccess, PollHealth, RunningPoll, WaitingPoll};
use crate::status::Status;
use crate::wal::log::Log;

/// What others see of feeds.
pub(super) struct FeedViews {
    /// What `/health` shows.
    pub(super) figures: PollFigures,
    /// What the console shows and asks for.
    pub(super) for_people: ConsoleFeeds,
}

/// What others see of the feeds that run now.
pub(super) fn views_of(running: Arc<Mutex<FeedList>>, log: Log, status: Arc<Status>) -> FeedViews {
    let now = move || {
        let feeds = running.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.clone()
    };
    let (shown_feeds, asked) = (now.clone(), now.clone());
    FeedViews {
        figures: PollFigures {
            streams: Box::new(move || self::shown(shown_feeds().figures())),
            log,
            status,
        },
        for_people: ConsoleFeeds {
            figures: Box::new(move || now().figures()),
            run: Box::new(move |stream| asked().ask(stream)),
        },
    }
}

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
