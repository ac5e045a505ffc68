//! Waits for a run that blocks: for an answer, for bytes, for the log, or for a pause to pass. Each
//! wait ends early when the run is cancelled or its budget is used up.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use lakehook_base::clock::Clock;
pub use lakehook_log::request::FULL_PAUSE;

/// Why a wait ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The wait took longer than allowed.
    Timeout,
    /// The run was cancelled.
    Cancelled,
    /// The run's budget is used up.
    Budget,
}

/// Waits on behalf of one run, on a thread that may block.
#[derive(Clone, Debug)]
pub struct Waiter {
    runtime: Handle,
    cancel: CancellationToken,
    clock: Clock,
    deadline: Duration,
}

impl Waiter {
    /// A waiter for a run that may take `budget` from now on.
    pub fn new(runtime: Handle, cancel: CancellationToken, clock: Clock, budget: Duration) -> Self {
        let deadline = clock.now().mono.saturating_add(budget);
        Self {
            runtime,
            cancel,
            clock,
            deadline,
        }
    }

    /// The clock that the run uses.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the run was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Time that is left of the run's budget.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.clock.now().mono)
    }

    /// Waits for a future for at most `limit`.
    pub fn wait<T>(
        &self,
        limit: Duration,
        something: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let left = self.left();
        let late = if limit < left {
            Interrupted::Timeout
        } else {
            Interrupted::Budget
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Interrupted::Cancelled),
                done = something => Ok(done),
                () = tokio::time::sleep(limit.min(left)) => Err(late),
            }
        })
    }

    /// Waits for a future that must not be dropped half done, however long it takes.
    pub fn finish<T>(&self, something: impl Future<Output = T>) -> T {
        self.runtime.block_on(something)
    }

    /// Pauses. A pause that is longer than the time left is not begun.
    pub fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        if pause >= self.left() {
            return Err(Interrupted::Budget);
        }
        match self.wait(pause, std::future::pending::<()>()) {
            Err(Interrupted::Timeout) | Ok(()) => Ok(()),
            Err(stopped) => Err(stopped),
        }
    }
}
