//! What the tasks of all streams share.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::report::PassReport;
use lakehook_feeds::context::Context;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::figures::{Figures, Progress, StreamState, Waiting};
use lakehook_feeds::places::Places;

const SHIP_STEP: Duration = Duration::from_millis(50);
/// How long a command waits until what was read is visible.
const SHIP_LIMIT: Duration = Duration::from_secs(300);

/// What a request is told.
#[derive(Debug)]
pub(crate) enum FilesUpdate {
    Progress(Progress),
    Waiting(Waiting),
    /// What was read is on its way to the lake: batches and runs that are left.
    Shipping(u64),
    /// The look has ended. The flag says whether all is visible.
    Done(Result<PassReport, RunError>, Duration, bool),
}

/// What the tasks of all streams share.
pub(crate) struct KeeperShared {
    pub(crate) context: Context,
    pub(crate) places: Places,
    pub(crate) tasks: TaskTracker,
    pub(crate) cancel: CancellationToken,
    pub(crate) board: Mutex<Figures>,
}

impl KeeperShared {
    /// The states of all streams.
    pub(crate) fn board(&self) -> MutexGuard<'_, Figures> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state of a stream.
    pub(crate) fn note(&self, stream: &str, change: impl FnOnce(&mut StreamState)) {
        if let Some(state) = self.board().get_mut(stream) {
            change(state);
        }
    }

    /// Batches and runs that are not in the lake yet.
    pub(crate) fn unshipped(&self) -> u64 {
        let gauges = self.context.log.gauges();
        let seals = gauges.waiting_seals.load(Ordering::Acquire);
        seals + gauges.unpublished_runs.load(Ordering::Acquire)
    }

    /// Waits until all that was read is visible; `false` if that takes too long.
    pub(crate) async fn ship(&self, updates: &mpsc::Sender<FilesUpdate>) -> bool {
        let shipped = async {
            let mut rounds = 0_u32;
            loop {
                let left = self.unshipped();
                if left == 0 {
                    return;
                }
                rounds += 1;
                if rounds.is_multiple_of(20) {
                    let _missed = updates.try_send(FilesUpdate::Shipping(left));
                }
                tokio::time::sleep(SHIP_STEP).await;
            }
        };
        tokio::select! {
            () = shipped => true,
            () = tokio::time::sleep(SHIP_LIMIT) => false,
            () = self.cancel.cancelled() => false,
        }
    }
}
