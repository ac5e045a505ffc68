//! How long a stop may take, what cuts it short, and how it went.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ship::{Drained, Queue};

/// The result of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Whether everything that was acknowledged is in the lake.
    pub all_shipped: bool,
    /// How many records wait in the log for the next start.
    pub left_rows: u64,
}

impl Stopped {
    /// Of a log that may have something left.
    pub(crate) const UNKNOWN: Self = Self {
        all_shipped: false,
        left_rows: 0,
    };
    /// Of a log that this process does not own.
    pub(crate) const NOTHING_LEFT: Self = Self {
        all_shipped: true,
        left_rows: 0,
    };
}

/// How long a stop may take.
pub struct Patience {
    deadline: tokio::time::Instant,
    hurry: CancellationToken,
}

impl Patience {
    /// Starts now and ends after `grace`, or once `hurry` is cancelled.
    pub fn new(grace: Duration, hurry: CancellationToken) -> Self {
        Self {
            deadline: tokio::time::Instant::now() + grace,
            hurry,
        }
    }

    /// The same, and nothing cuts it short.
    pub(crate) fn of(grace: Duration) -> Self {
        Self::new(grace, CancellationToken::new())
    }

    /// Waits for `something`; `None` if the time runs out first.
    pub(crate) async fn wait<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = something => Some(done),
            () = tokio::time::sleep_until(self.deadline) => None,
            () = self.hurry.cancelled() => None,
        }
    }

    /// Waits until everything is shipped, in short steps so that it notices `hurry`. Returns whether nothing
    /// is left to ship.
    pub(crate) async fn drain(&self, queue: &Arc<Queue>) -> bool {
        const STEP: Duration = Duration::from_millis(100);
        loop {
            let queue = Arc::clone(queue);
            let step = tokio::task::spawn_blocking(move || queue.drain(STEP));
            match self.wait(step).await {
                Some(Ok(Drained::Busy)) => {}
                outcome => return matches!(outcome, Some(Ok(Drained::Empty))),
            }
        }
    }
}
