//! The threads that ship sealed batches, with unlimited patience.
//!
//! Two batches are on their way at a time. A failure is retried for ever with backoff and jitter; what
//! an operator must mend is said loudly. A batch that cannot be read back is held and the others go on;
//! something foreign under our key stops everything.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::commit::{ShipError, Shipment, Shipper};
use crate::files::Files;
use crate::ids::Ids;
use crate::lake::{LakeError, Trouble};
use crate::metrics::Metrics;
use crate::record::Lsn;
use crate::status::Status;
use crate::wal::entry::Commit;
use crate::wal::log::Log;
use crate::wal::state::SealAt;

/// Batches on their way at once: one is encoded while the other is uploaded.
const THREADS: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Sealed batches that wait to be shipped, the oldest first; as many as seals wait in the log, which
/// bounds them.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// How a wait for the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Nothing is left.
    Empty,
    /// Something is left, and is being shipped.
    Busy,
    /// Something is left, and nobody ships.
    Abandoned,
}

/// What is to be put.
enum Parcel {
    /// The object of a sealed batch.
    Batch(Shipment),
    /// The marker of a run, all of whose objects are there.
    Marker(Lsn, SealAt),
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Parcel>,
    under_way: usize,
    stopping: bool,
    /// Threads that still ship.
    workers: usize,
    /// Attempts are made at once, without pauses: a stop waits for them.
    hurried: bool,
}

impl Queue {
    /// Adds batches that were sealed.
    pub fn push(&self, sealed: &[(u64, SealAt)]) {
        let shipments = sealed
            .iter()
            .map(|(number, at)| Parcel::Batch(Shipment::new(*number, *at)));
        self.lock().waiting.extend(shipments);
        self.changed.notify_all();
    }

    /// Adds runs that are complete in the lake but for their markers.
    pub fn push_complete(&self, runs: &[(Lsn, SealAt)]) {
        let markers = runs.iter().map(|(run, at)| Parcel::Marker(*run, *at));
        self.lock().waiting.extend(markers);
        self.changed.notify_all();
    }

    /// Waits until nothing is left to ship, or nobody ships any more, or the time is over.
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

    fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    fn take(&self) -> Option<Parcel> {
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

    fn finished(&self) {
        self.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Waits before the next attempt; `false` if the threads are to end. A stop that waits for the
    /// lake shortens the pause.
    fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let pause = if state.hurried {
            pause.min(FIRST_PAUSE * 5)
        } else {
            pause
        };
        let calm = |state: &mut QueueState| !state.stopping;
        let waited = self.changed.wait_timeout_while(state, pause, calm);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    fn worker_ended(&self) {
        self.lock().workers -= 1;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the threads share.
pub struct Yard<F: Files> {
    /// Sealed batches.
    pub queue: Arc<Queue>,
    /// How a batch is shipped.
    pub shipper: Shipper<F>,
    /// Where commits go.
    pub log: Log,
    /// Who is told about trouble.
    pub status: Arc<Status>,
    /// Counts and times.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// For jitter.
    pub ids: Ids,
}

/// The running threads.
pub struct Shipping {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Shipping {
    /// Starts to ship what is in the queue and what comes.
    pub fn start<F: Files>(yard: Yard<F>) -> io::Result<Self> {
        let queue = Arc::clone(&yard.queue);
        queue.lock().workers = THREADS;
        let yard = Arc::new(yard);
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let yard = Arc::clone(&yard);
            let name = format!("ship-{number}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || yard.work())?,
            );
        }
        Ok(Self { queue, threads })
    }

    /// Ends after the attempts that are under way. What is not shipped stays in the log.
    pub fn stop(self) {
        self.queue.stop();
        for thread in self.threads {
            let _panicked = thread.join();
        }
    }
}

/// What to do after an attempt.
enum Next {
    Done,
    Again,
    End,
}

impl<F: Files> Yard<F> {
    fn work(&self) {
        while let Some(mut parcel) = self.queue.take() {
            let goes_on = self.ship(&mut parcel);
            self.queue.finished();
            if !goes_on {
                break;
            }
        }
        self.queue.worker_ended();
    }

    /// Ships one batch or marker; `false` if shipping ends.
    fn ship(&self, parcel: &mut Parcel) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            if self.status.is_foreign() {
                return false;
            }
            match self.attempt(parcel, pause) {
                Next::Done => return true,
                Next::End => return false,
                Next::Again => {}
            }
            if !self.queue.pause(self.with_jitter(pause)) {
                return false;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, parcel: &mut Parcel, pause: Duration) -> Next {
        let (number, outcome) = match parcel {
            Parcel::Batch(shipment) => {
                let prepared = self.shipper.prepare(shipment);
                let put = prepared.and_then(|()| self.put(shipment));
                let noted = put.map(|commit| self.log.commit(commit));
                (shipment.number(), noted)
            }
            Parcel::Marker(run, at) => {
                let put = self.shipper.publish(*run, *at);
                (run.0, put.map(|()| self.log.published(*run)))
            }
        };
        match outcome {
            Ok(Ok(())) => Next::Done,
            // The log has ended; the next start finds the object in the lake.
            Ok(Err(_)) => Next::End,
            Err(ShipError::Lake(LakeError::Foreign { key, detail })) => {
                let why = format!(
                    "{key} in the lake is not ours ({detail}): this log directory was copied or \
                     restored, or somebody else writes there. Nothing more is accepted or uploaded; if it \
                     is a copy, stop this service, and `lakehook wal adopt` gives it a node id of its own"
                );
                tracing::error!(why);
                self.status.set_foreign(why);
                Next::End
            }
            Err(ShipError::Lake(LakeError::Retry { kind, message })) => {
                self.metrics.put_failed(kind);
                complain(number, kind, &message, pause);
                Next::Again
            }
            Err(ShipError::Lake(LakeError::Unusable(message))) => {
                self.metrics.put_failed(Trouble::Missing);
                complain(number, Trouble::Missing, &message, pause);
                Next::Again
            }
            Err(ShipError::Spool(error)) => {
                self.metrics.put_failed(Trouble::Space);
                complain(number, Trouble::Space, &error.to_string(), pause);
                Next::Again
            }
            Err(ShipError::Held(why)) => {
                tracing::error!(seal = number, why, "a batch is held back");
                self.status.add_held(why);
                Next::Done
            }
        }
    }

    fn put(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        let before = self.clock.now().mono;
        let outcome = self.shipper.put(shipment);
        let took = self.clock.now().mono.saturating_sub(before);
        self.metrics.lake_put_seconds.record(took.as_secs_f64());
        outcome
    }

    /// Between half and all of the pause.
    fn with_jitter(&self, pause: Duration) -> Duration {
        let share = u32::try_from(self.ids.next().unwrap_or(0) % 1000).unwrap_or(0);
        pause / 2 + pause / 2 * share / 1000
    }
}

fn complain(seal: u64, kind: Trouble, message: &str, pause: Duration) {
    let kind_name = kind.as_str();
    if kind.needs_operator() {
        tracing::error!(
            seal,
            kind = kind_name,
            message,
            "failed to put an object; trying again"
        );
    } else if pause > FIRST_PAUSE * 8 {
        tracing::warn!(
            seal,
            kind = kind_name,
            message,
            "failed to put an object; trying again"
        );
    } else {
        tracing::debug!(
            seal,
            kind = kind_name,
            message,
            "failed to put an object; trying again"
        );
    }
}
