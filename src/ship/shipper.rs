//! The threads that ship, which never give up.
//!
//! Two parcels are under way at a time. A failure is retried for ever with backoff and jitter; one that only
//! an operator can mend is logged as an error. A batch that waits for something of its stream alone, such as a
//! note of its columns, lets the others pass. A batch that cannot be read back is held, and the others go
//! on. A foreign object under our key stops everything.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::commit::{ShipError, Shipment, Shipper};
use super::landings::{Landing, Landings};
use super::queue::{Parcel, Queue};
use crate::clock::Clock;
use crate::files::Files;
use crate::ids::Ids;
use crate::lake::{LakeError, Trouble};
use crate::metrics::Metrics;
use crate::status::Status;
use crate::traces::PutSpan;
use crate::wal::entry::Commit;
use crate::wal::journal::local::LocalFrames;
use crate::wal::journal::seam::Frames;
use crate::wal::log::Log;
use crate::wal::request::AppendError;

/// How many batches are under way at once: one is encoded while the other is uploaded.
const THREADS: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest time for which a parcel waits aside.
const LONGEST_ASIDE: Duration = Duration::from_mins(5);
/// Failures are logged as warnings once the pause between attempts is longer than this.
const QUIET_PAUSE: Duration = Duration::from_millis(800);

/// What the threads share.
pub struct ShippingContext<F: Files, R: Frames = LocalFrames<F>> {
    /// The parcels that wait to be shipped.
    pub queue: Arc<Queue>,
    /// Ships one batch or publication.
    pub shipper: Shipper<F, R>,
    /// The log, which is told what was committed and published.
    pub log: Log,
    /// The status, which shows held batches and foreign objects.
    pub status: Arc<Status>,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// The clock.
    pub clock: Clock,
    /// Random numbers for jitter.
    pub ids: Ids,
    /// Says in the program's log what is in the lake.
    pub landings: Landings,
}

/// The running threads.
pub struct Shipping {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Shipping {
    /// Starts threads that ship what is in the queue and what is added to it later.
    pub fn start<F: Files, R: Frames>(context: ShippingContext<F, R>) -> io::Result<Self> {
        let queue = Arc::clone(&context.queue);
        queue.set_workers(THREADS);
        let context = Arc::new(context);
        let mut threads = Vec::new();
        for number in 0..THREADS {
            let context = Arc::clone(&context);
            let name = format!("ship-{number}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || context.work())?,
            );
        }
        Ok(Self { queue, threads })
    }

    /// Ends after the attempts under way. What was not shipped stays in the log.
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

/// What became of a parcel.
enum Fate {
    Shipped,
    /// It waits so long, and others go first.
    Aside(Duration),
    /// Shipping ends.
    End,
}

impl<F: Files, R: Frames> ShippingContext<F, R> {
    fn work(&self) {
        while let Some((mut parcel, waited)) = self.queue.take(&self.clock) {
            let fate = self.ship(&mut parcel, waited);
            if let Fate::Aside(pause) = fate {
                self.queue.put_aside(parcel, pause, &self.clock);
            }
            self.queue.finished();
            if matches!(fate, Fate::End) {
                break;
            }
        }
        self.queue.worker_ended();
    }

    /// Ships one parcel, with as many attempts as it takes. If it waited aside, it goes there again after an
    /// attempt that failed.
    fn ship(&self, parcel: &mut Parcel, waited: Option<Duration>) -> Fate {
        let mut pause = waited.unwrap_or(FIRST_PAUSE);
        loop {
            if self.status.is_foreign() {
                return Fate::End;
            }
            match self.attempt(parcel, pause) {
                Next::Done => return Fate::Shipped,
                Next::End => return Fate::End,
                Next::Again => {}
            }
            let waits =
                matches!(parcel, Parcel::Batch(shipment) if shipment.waits_for_its_stream());
            if waits && pause > QUIET_PAUSE {
                let longer = (pause * 2).min(LONGEST_ASIDE);
                return Fate::Aside(self.with_jitter(longer));
            }
            if !self.queue.pause(self.with_jitter(pause)) {
                return Fate::End;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes one attempt. `pause` is how long the next one would have to wait.
    fn attempt(&self, parcel: &mut Parcel, pause: Duration) -> Next {
        let began = self.clock.now().mono;
        let (number, noted) = match parcel {
            Parcel::Batch(shipment) => {
                let prepared = self.shipper.prepare(shipment);
                let put = prepared.and_then(|()| self.put(shipment));
                let noted = put.map(|commit| {
                    let noted = self.log.commit(commit);
                    if noted.is_ok() {
                        self.landed(shipment, commit, began);
                    }
                    noted
                });
                (shipment.number(), noted)
            }
            Parcel::Publication(id, at) => {
                let published = self.shipper.publish(*id, *at);
                (id.0, published.map(|()| self.log.published(*id)))
            }
        };
        match noted {
            Ok(Ok(())) => Next::Done,
            // The log has ended. The next start will find the object in the lake.
            Ok(Err(error)) if error == AppendError::Closed || self.is_log_over() => Next::End,
            // It has no space for the note at the moment.
            Ok(Err(error)) => {
                tracing::debug!(seal = number, %error, "an object is in the lake, and the log cannot note it yet");
                Next::Again
            }
            Err(error) => self.failed(number, error, pause),
        }
    }

    fn is_log_over(&self) -> bool {
        self.log.gauges().is_over.load(Ordering::Acquire)
    }

    fn failed(&self, number: u64, error: ShipError, pause: Duration) -> Next {
        let (kind, message) = match error {
            ShipError::Lake(LakeError::Foreign { key, detail }) => {
                let why = format!(
                    "{key} in the lake is not ours ({detail}): this log directory was copied or \
                     restored, or somebody else writes there. Nothing more is accepted or uploaded; if it \
                     is a copy, stop this service, and `lakehook wal adopt` gives it a node id of its own"
                );
                tracing::error!(
                    why,
                    "an object in the lake is not ours; nothing more is accepted or uploaded"
                );
                self.status.set_foreign(why);
                return Next::End;
            }
            ShipError::Held(why) => {
                tracing::error!(
                    seal = number,
                    why,
                    "a batch is held back; its rows are not in the lake"
                );
                self.status.add_held(why);
                return Next::Done;
            }
            ShipError::NotOurs => {
                tracing::error!(seal = number, "{}", ShipError::NotOurs);
                return Next::End;
            }
            ShipError::Lake(LakeError::Retry { kind, message }) => (kind, message),
            ShipError::Lake(LakeError::Unusable(message)) => (Trouble::Missing, message),
            ShipError::Spool(error) => (Trouble::Space, error.to_string()),
        };
        self.metrics.put_failed(kind);
        log_failure(number, kind, &message, pause);
        Next::Again
    }

    /// Counts an object that is in the lake and committed, and says so.
    fn landed(&self, shipment: &Shipment, commit: Commit, began: Duration) {
        let Some((key, rows)) = shipment.what() else {
            return;
        };
        self.metrics.landed(rows, commit.bytes);
        let now = self.clock.now().mono;
        let landing = Landing {
            key,
            rows,
            bytes: commit.bytes,
            took: now.saturating_sub(began),
        };
        self.landings.tell(&landing, now);
    }

    fn put(&self, shipment: &mut Shipment) -> Result<Commit, ShipError> {
        let before = self.clock.now().mono;
        let span = shipment.what().map(|(key, rows)| PutSpan::begin(key, rows));
        let put = self.shipper.put(shipment);
        if let Some(span) = span {
            span.end(put.is_ok());
        }
        let took = self.clock.now().mono.saturating_sub(before);
        self.metrics.lake_put_seconds.record(took.as_secs_f64());
        put
    }

    /// A random time between half of the pause and all of it.
    fn with_jitter(&self, pause: Duration) -> Duration {
        let share = u32::try_from(self.ids.dice() % 1000).unwrap_or(0);
        pause / 2 + pause / 2 * share / 1000
    }
}

fn log_failure(seal: u64, kind: Trouble, message: &str, pause: Duration) {
    const WHAT: &str = "failed to put an object; trying again";
    let kind_name = kind.as_str();
    if kind.needs_operator() {
        tracing::error!(seal, kind = kind_name, error = message, "{WHAT}");
    } else if pause > QUIET_PAUSE {
        tracing::warn!(seal, kind = kind_name, error = message, "{WHAT}");
    } else {
        tracing::debug!(seal, kind = kind_name, error = message, "{WHAT}");
    }
}
