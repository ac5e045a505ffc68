//! Figures of a log, which others read without asking its thread.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::ledger::state::WATERMARK_LAG;
use lakehook_base::clock::{Clock, Micros};

/// Figures of the log, which others read without asking its thread.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Rows in the log that are not yet in the lake.
    pub uncommitted_rows: AtomicU64,
    /// Bytes of segments, spares and id files.
    pub used_bytes: AtomicU64,
    /// Number of open batches.
    pub open_batches: AtomicU64,
    /// Number of seals without a commit.
    pub waiting_seals: AtomicU64,
    /// Runs that have ended and whose marker is not in the lake yet.
    pub unpublished_runs: AtomicU64,
    /// The watermark that seals carry, in microseconds: a row with an earlier `received_at` is
    /// refused.
    pub floor: AtomicI64,
    /// Wall time in microseconds at which the thread last looked at its queue.
    pub seen_at: AtomicI64,
    /// The earliest `received_at` of a row that is not in the lake, in microseconds; `i64::MAX` if
    /// there is none.
    pub oldest_received: AtomicI64,
    /// The same without the rows of late partitions.
    pub oldest_current: AtomicI64,
    /// Rows of late partitions that are not in the lake.
    pub late_rows: AtomicU64,
    /// What depends on who owns the log.
    pub owning: Owning,
    /// Whether the log cannot go on.
    pub is_over: AtomicBool,
    /// Whether another process owns the log, and a stand-in answers here.
    pub is_elsewhere: AtomicBool,
    /// Since when duplicates are known, in microseconds; 0 if nothing was forgotten.
    pub known_since: AtomicI64,
    /// Number and checksum of the last durable frame, if another process may take the log over.
    pub last_frame: Mutex<(u64, u32)>,
}

/// How sure the owner of a log can be that it is the owner.
#[derive(Debug, Default)]
pub struct Owning {
    /// Microseconds since the machine was started at which this process owned the log for certain, if
    /// another one may take it over.
    pub owned_at: AtomicU64,
    /// Microseconds since the machine was started at which the frame was begun that has no verdict
    /// yet, if another process may take the log over; 0 if there is none.
    pub pending_since: AtomicU64,
}

impl Gauges {
    /// The time of receipt for a request that arrives now; never before a watermark that was
    /// published, whatever the clock does.
    pub fn receipt(&self, now: Micros) -> Micros {
        now.max(Micros(self.floor.load(Ordering::Relaxed)))
    }

    /// The time before which everything acknowledged is in the lake.
    ///
    /// It is measured from when the thread last looked at its queue, because `oldest_received` does
    /// not know requests that wait for a slow sync. While the clock is wrong there is no `now`, and
    /// the watermark stays at the last sealed value: a fast clock would publish one that later
    /// records precede.
    pub fn watermark(&self, now: Option<Micros>) -> Micros {
        let oldest = Micros(self.oldest_received.load(Ordering::Relaxed));
        self.settled(now).min(oldest)
    }

    /// The same for everything but the rows of late partitions.
    pub fn current_watermark(&self, now: Option<Micros>) -> Micros {
        let oldest = Micros(self.oldest_current.load(Ordering::Relaxed));
        self.settled(now).min(oldest)
    }

    /// For how long a frame has been without a verdict.
    pub fn pending_for(&self, clock: &Clock) -> Duration {
        match self.owning.pending_since.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            since => clock.boot().saturating_sub(Duration::from_micros(since)),
        }
    }

    /// Number and checksum of the last durable frame, if another process may take the log over.
    pub fn last_frame(&self) -> (u64, u32) {
        *self
            .last_frame
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_last_frame(&self, last: (u64, u32)) {
        *self
            .last_frame
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// The figures of a log that another process owns.
    pub(crate) fn clear(&self) {
        for figure in [
            &self.uncommitted_rows,
            &self.used_bytes,
            &self.open_batches,
            &self.waiting_seals,
            &self.unpublished_runs,
            &self.late_rows,
            &self.owning.owned_at,
            &self.owning.pending_since,
        ] {
            figure.store(0, Ordering::Release);
        }
        for oldest in [&self.oldest_received, &self.oldest_current] {
            oldest.store(i64::MAX, Ordering::Relaxed);
        }
        self.known_since.store(0, Ordering::Relaxed);
    }

    /// No watermark is later than this.
    fn settled(&self, now: Option<Micros>) -> Micros {
        let seen_at = Micros(self.seen_at.load(Ordering::Relaxed));
        match now {
            Some(now) => seen_at.min(now).minus(WATERMARK_LAG),
            None => Micros(self.floor.load(Ordering::Relaxed).max(0)),
        }
    }
}
