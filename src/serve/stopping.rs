//! How long a stop may take, what cuts it short, and how it went.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ship::{Drained, Queue};

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Everything that was acknowledged is in the lake.
    pub all_shipped: bool,
    /// Records that wait in the log for the next start.
    pub left_rows: u64,
}

/// How long a stop may take.
pub struct Patience {
    deadline: tokio::time::Instant,
    hurry: CancellationToken,
}

impl Patience {
    /// For `grace` from now; `hurry` cuts it short.
    pub fn new(grace: Duration, hurry: CancellationToken) -> Self {
        Self {
            deadline: tokio::time::Instant::now() + grace,
            hurry,
        }
    }

    /// Waits for something; `None` if time runs out first.
    pub(crate) async fn wait<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = something => Some(done),
            () = tokio::time::sleep_until(self.deadline) => None,
            () = self.hurry.cancelled() => None,
        }
    }

    /// Waits for shipping, in short steps so that `hurry` is noticed; `true` if nothing is left to ship.
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
