//! A request on its way to several logs: what is asked of which log and when, and what its sender is told. Pure.

use crate::ledger::request::{Append, AppendError, Appended, NO_RUN, Reply};
use crate::split::{Divided, split};

/// A request that several logs store, each its part. Whoever drives it asks the logs.
#[derive(Debug)]
pub struct Parts {
    last: Option<(usize, Append)>,
    appended: Appended,
    failed: Option<AppendError>,
}

impl Parts {
    /// Splits a request; returns what is asked at once, with the numbers of the logs.
    pub fn of(append: Append, logs: usize) -> (Self, Vec<(usize, Append)>) {
        let Divided { first, last } = split(append, logs);
        let parts = Self {
            last,
            appended: Appended::default(),
            failed: None,
        };
        (parts, first)
    }

    /// Notes what a log has answered.
    pub fn answered(&mut self, log: usize, reply: Reply) {
        match reply {
            Ok(part) => {
                let sum = &mut self.appended;
                sum.accepted += part.accepted;
                sum.duplicates += part.duplicates;
                sum.changed += part.changed;
                sum.conflicts += part.conflicts;
                sum.quarantined += part.quarantined;
                sum.run = NO_RUN;
            }
            Err(error) => {
                let error = of_log(log, error);
                let is_worse = |before: &AppendError| severity(&error) > severity(before);
                if self.failed.as_ref().is_none_or(is_worse) {
                    self.failed = Some(error);
                }
            }
        }
    }

    /// What is asked once all that was asked before has been answered. If anything failed, that is nothing: whatever is
    /// sent again would store it again.
    pub fn last(&mut self) -> Option<(usize, Append)> {
        self.last.take().filter(|_| self.failed.is_none())
    }

    /// What the sender is told, once there is nothing left to ask.
    pub fn reply(&self) -> Reply {
        match &self.failed {
            None => Ok(self.appended),
            Some(error) => Err(error.clone()),
        }
    }
}

/// Which of two errors is told: an outcome that nobody knows comes first, and last what a sender would give up for.
fn severity(error: &AppendError) -> u8 {
    match error {
        AppendError::Storage(_) | AppendError::Unanswered(_) => 5,
        AppendError::NoOwner(_) => 4,
        AppendError::Closed => 3,
        AppendError::Full => 2,
        AppendError::Late => 1,
        AppendError::TooLarge { .. } | AppendError::NoSuchRun | AppendError::NotReserved => 0,
    }
}

/// The error of one log among several.
pub(crate) fn of_log(number: usize, error: AppendError) -> AppendError {
    match error {
        AppendError::NoOwner(why) => AppendError::NoOwner(format!("log {number}: {why}").into()),
        AppendError::Unanswered(why) => {
            AppendError::Unanswered(format!("log {number}: {why}").into())
        }
        error => error,
    }
}
