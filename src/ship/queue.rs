//! The queue of seals and publications that wait to be shipped, the oldest first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::commit::Shipment;
use crate::record::Lsn;
use crate::wal::state::SealAt;

/// The longest pause between attempts while a stop waits for the lake.
const LONGEST_HURRIED_PAUSE: Duration = Duration::from_millis(500);

/// What waits to be shipped. There is one entry for each seal and each publication that waits in the log, so
/// the log bounds their number.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// How a wait for the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything is shipped.
    Empty,
    /// Something is left, and threads are shipping.
    Busy,
    /// Something is left, and no thread ships any more.
    Abandoned,
}

/// One thing to put into the lake.
pub(super) enum Parcel {
    /// The object of a sealed batch.
    Batch(Shipment),
    /// A publication all of whose members are committed: its id, and where the log decided on it.
    Publication(Lsn, SealAt),
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Parcel>,
    under_way: usize,
    stopping: bool,
    /// How many threads still ship.
    workers: usize,
    /// Whether a stop waits for the lake, so that pauses are short.
    hurried: bool,
}

impl Queue {
    /// Adds batches that were sealed.
    pub fn push_sealed(&self, sealed: &[(u64, SealAt)]) {
        let shipments = sealed
            .iter()
            .map(|(number, at)| Parcel::Batch(Shipment::new(*number, *at)));
        self.lock().waiting.extend(shipments);
        self.changed.notify_all();
    }

    /// Adds publications that are due: all of their members are committed.
    pub fn push_due(&self, publications: &[(Lsn, SealAt)]) {
        let due = publications
            .iter()
            .map(|(id, at)| Parcel::Publication(*id, *at));
        self.lock().waiting.extend(due);
        self.changed.notify_all();
    }

    /// Waits until everything is shipped, no thread ships any more, or the time is over.
    pub fn drain(&self, patience: Duration) -> Drained {
        let mut state = self.lock();
        state.hurried = true;
        self.changed.notify_all();
        let is_busy = |state: &mut QueueState| {
            state.workers > 0 && (!state.waiting.is_empty() || state.under_way > 0)
        };
        let waited = self.changed.wait_timeout_while(state, patience, is_busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty() && state.under_way == 0 {
            Drained::Empty
        } else if state.workers == 0 {
            Drained::Abandoned
        } else {
            Drained::Busy
        }
    }

    /// Sets how many threads are about to take from the queue.
    pub(super) fn set_workers(&self, workers: usize) {
        self.lock().workers = workers;
    }

    pub(super) fn worker_ended(&self) {
        self.lock().workers -= 1;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Waits for the next parcel; `None` once the threads are to end.
    pub(super) fn take(&self) -> Option<Parcel> {
        let idle = |state: &mut QueueState| state.waiting.is_empty() && !state.stopping;
        let waited = self.changed.wait_while(self.lock(), idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stopping {
            return None;
        }
        let next = state.waiting.pop_front();
        state.under_way += usize::from(next.is_some());
        next
    }

    /// Notes that a parcel that was taken is done.
    pub(super) fn finished(&self) {
        self.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Waits before the next attempt; `false` if the threads are to end.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let pause = if state.hurried {
            pause.min(LONGEST_HURRIED_PAUSE)
        } else {
            pause
        };
        let calm = |state: &mut QueueState| !state.stopping;
        let waited = self.changed.wait_timeout_while(state, pause, calm);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
