//! How long a log in a replica repeats a request that has no answer: until there is one, or the log is closed.
//!
//! An append that nobody has a verdict on cannot be given up, since it may be stored at any time. While it goes
//! on for long, requests are refused at once instead of waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::status::Status;
use crate::wal::journal::replica::engine::{EngineError, KeepTrying};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A pause is cut into steps, so that a stop need not wait for it.
const STEP: Duration = Duration::from_millis(50);
/// From this attempt on, which is after some three seconds of pauses, the replica counts as away.
const AWAY_FROM: u32 = 5;
/// Failures are told again after so many of them.
const TOLD_EVERY: u32 = 20;

/// Decides how long requests are repeated.
pub(super) struct Insistence {
    status: Arc<Status>,
    clock: Clock,
    log: String,
    is_over: AtomicBool,
}

impl Insistence {
    pub(super) fn new(status: Arc<Status>, clock: Clock, log: &str) -> Arc<Self> {
        Arc::new(Self {
            status,
            clock,
            log: log.to_owned(),
            is_over: AtomicBool::new(false),
        })
    }

    /// The decision, as the log asks for it.
    pub(super) fn keep_trying(self: &Arc<Self>) -> KeepTrying {
        let own = Arc::clone(self);
        Arc::new(move |failed, error| own.goes_on(failed, error))
    }

    /// Nothing is repeated from now on.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    fn goes_on(&self, failed: u32, error: &EngineError) -> bool {
        if failed == AWAY_FROM || failed.is_multiple_of(TOLD_EVERY) {
            let log = &self.log;
            tracing::warn!(%error, log, "the replica of the log does not answer; trying again");
        }
        if failed >= AWAY_FROM {
            self.status.replica_is_away(self.clock.now());
        }
        let doubled = FIRST_PAUSE.saturating_mul(1 << failed.saturating_sub(1).min(10));
        let until = self.clock.mono() + doubled.min(LONGEST_PAUSE);
        while !self.is_over.load(Ordering::Acquire) {
            let left = until.saturating_sub(self.clock.mono());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(STEP));
        }
        false
    }
}
