//! The status of a service: whether it accepts requests, and if not, why. Each part sets what it knows; every request
//! reads it.
//!
//! The clock is followed by [`Status::observe`] alone, which the service calls once a second. Reading the status changes
//! nothing.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::{Micros, Now};
use crate::version::commit_time;

/// How far a clock may be off before it counts as wrong.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(3600);
/// How long the log counts as full after a request was refused.
const FULL_LASTS: Duration = Duration::from_secs(30);
/// The bucket of the log counts as away for this long after a request failed.
const AWAY_LASTS: Duration = Duration::from_secs(60);
/// A clock that was set is trusted again once it has run steadily for this long.
const CLOCK_PROBATION: Duration = Duration::from_secs(60);

/// Why no request is accepted now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The log is being read.
    #[error("the service is starting: it reads its write-ahead log")]
    Recovering,
    /// The service will stop in a moment. Requests are still accepted; only `/ready` says so.
    #[error("the service is about to stop; requests are still accepted")]
    Leaving,
    /// The service is stopping.
    #[error("the service is stopping")]
    Draining,
    /// The log can no longer be written.
    #[error("storage failed: {0}")]
    Failed(String),
    /// The lake holds a foreign object under one of our keys.
    #[error("{0}")]
    Foreign(String),
    /// The disk is nearly full.
    #[error("there is too little free space on disk")]
    LowSpace,
    /// The bucket that keeps the log does not answer.
    #[error("the replica of the write-ahead log does not answer")]
    ReplicaAway,
    /// The clock of the machine is wrong.
    #[error("the clock of this machine is wrong")]
    WrongClock,
}

/// The status of a service.
#[derive(Debug, Default)]
pub struct Status {
    recovered: AtomicBool,
    leaving: AtomicBool,
    draining: AtomicBool,
    low_space: AtomicBool,
    /// When a request to the bucket of the log failed last, by the monotonic clock in milliseconds; 0 if it answers.
    replica_failed_at: AtomicU64,
    failed: OnceLock<String>,
    foreign: OnceLock<String>,
    held: Mutex<Vec<String>>,
    /// When a request was last refused because the log is full, by the monotonic clock in milliseconds; 0 if it has
    /// room again.
    full_at: AtomicU64,
    newest_received: AtomicI64,
    /// Wall time minus monotonic time in microseconds, as first observed or last trusted.
    clock_offset: OnceLock<AtomicI64>,
    /// The new offset, after the clock was set and until it is trusted.
    probation: Mutex<Option<Probation>>,
}

#[derive(Debug)]
struct Probation {
    offset: i64,
    /// When it was first observed, by the monotonic clock.
    since: Duration,
}

/// Most held batches that are named.
const MAX_HELD_NAMED: usize = 20;

impl Status {
    /// The log has been read; `newest_received` is the newest `received_at` in it.
    pub fn set_recovered(&self, newest_received: Micros) {
        self.newest_received
            .store(newest_received.0, Ordering::Relaxed);
        self.recovered.store(true, Ordering::Release);
    }

    /// The service will stop in a moment; until then nothing is refused.
    pub fn set_leaving(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Why senders should go elsewhere, if they should: because requests are refused, or soon will be.
    pub fn unready(&self, now: Now) -> Option<Unavailable> {
        let leaving = || {
            let leaves = self.leaving.load(Ordering::Acquire);
            leaves.then_some(Unavailable::Leaving)
        };
        self.refusal(now).or_else(leaving)
    }

    /// The service has been asked to stop.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the service has been asked to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The log can no longer be written. The first reason is kept.
    pub fn set_failed(&self, why: String) {
        let _later = self.failed.set(why);
    }

    /// The lake holds a foreign object under one of our keys. The first reason is kept.
    pub fn set_foreign(&self, why: String) {
        let _later = self.foreign.set(why);
    }

    /// Whether shipping has found a foreign object.
    pub fn is_foreign(&self) -> bool {
        self.foreign.get().is_some()
    }

    /// Records whether the disk is nearly full.
    pub fn set_low_space(&self, low: bool) {
        self.low_space.store(low, Ordering::Relaxed);
    }

    /// The bucket that keeps the log has not answered for some time.
    pub fn replica_is_away(&self, now: Now) {
        let millis = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX);
        self.replica_failed_at
            .store(millis.max(1), Ordering::Relaxed);
    }

    /// The bucket that keeps the log has answered.
    pub fn replica_is_back(&self) {
        if self.replica_failed_at.load(Ordering::Relaxed) != 0 {
            self.replica_failed_at.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the bucket of the log has not answered lately. After a while without failures nobody knows, and the
    /// next request finds out.
    fn is_replica_away(&self, now: Now) -> bool {
        match self.replica_failed_at.load(Ordering::Relaxed) {
            0 => false,
            at => now.mono.saturating_sub(Duration::from_millis(at)) < AWAY_LASTS,
        }
    }

    /// A request was refused because the log is full.
    pub fn log_is_full(&self, now: Now) {
        let millis = u64::try_from(now.mono.as_millis()).unwrap_or(u64::MAX);
        if self.full_at.swap(millis.max(1), Ordering::Relaxed) == 0 {
            tracing::warn!(
                "the write-ahead log is full: requests are answered 503 until batches are in the lake; is the lake \
                 reachable, and is wal.max_bytes enough?"
            );
        }
    }

    /// A request was stored.
    pub fn log_has_room(&self) {
        if self.full_at.load(Ordering::Relaxed) != 0 && self.full_at.swap(0, Ordering::Relaxed) != 0
        {
            tracing::warn!("the write-ahead log has room again");
        }
    }

    /// Whether a request was refused lately because the log is full, and none was stored since. After a while without
    /// requests nobody knows, and the next one finds out.
    pub fn is_log_full(&self, now: Now) -> bool {
        match self.full_at.load(Ordering::Relaxed) {
            0 => false,
            at => now.mono.saturating_sub(Duration::from_millis(at)) < FULL_LASTS,
        }
    }

    /// Adds a batch that cannot be read back.
    pub fn add_held(&self, why: String) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < MAX_HELD_NAMED {
            held.push(why);
        }
    }

    /// Forgets held batches: they are those of a log that another process owns now.
    pub fn forget_held(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clear();
    }

    /// The batches that cannot be read back.
    pub fn held(&self) -> Vec<String> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why no request is accepted now; `None` if requests are accepted.
    pub fn refusal(&self, now: Now) -> Option<Unavailable> {
        if let Some(why) = self.failed.get() {
            return Some(Unavailable::Failed(why.clone()));
        }
        if let Some(why) = self.foreign.get() {
            return Some(Unavailable::Foreign(why.clone()));
        }
        if self.is_draining() {
            return Some(Unavailable::Draining);
        }
        if !self.recovered.load(Ordering::Acquire) {
            return Some(Unavailable::Recovering);
        }
        if self.low_space.load(Ordering::Relaxed) {
            return Some(Unavailable::LowSpace);
        }
        if self.is_replica_away(now) {
            return Some(Unavailable::ReplicaAway);
        }
        self.clock_is_wrong(now).then_some(Unavailable::WrongClock)
    }

    /// The wall time; `None` if the clock is wrong.
    pub fn right_time(&self, now: Now) -> Option<Micros> {
        (!self.clock_is_wrong(now)).then_some(now.wall)
    }

    /// Whether the clock is before the build, far before the newest record, or not the one that is trusted.
    fn clock_is_wrong(&self, now: Now) -> bool {
        self.is_before_the_records(now)
            || self
                .clock_offset
                .get()
                .is_some_and(|trusted| !is_near(offset_of(now), trusted.load(Ordering::Relaxed)))
    }

    fn is_before_the_records(&self, now: Now) -> bool {
        let newest = Micros(self.newest_received.load(Ordering::Relaxed));
        now.wall.plus(MAX_CLOCK_ERROR) < newest || now.wall < commit_time()
    }

    /// Follows the clock: trusts the first offset it sees and small corrections of it. A clock that was set by more
    /// than an hour is trusted again after a minute at a steady pace, because a machine that slept looks the same.
    /// To be called regularly, by any number of threads.
    pub fn observe(&self, now: Now) {
        let has_read_the_log = self.recovered.load(Ordering::Acquire);
        if !has_read_the_log || self.is_before_the_records(now) {
            return;
        }
        let offset = offset_of(now);
        let trusted = self.clock_offset.get_or_init(|| AtomicI64::new(offset));
        if is_near(offset, trusted.load(Ordering::Relaxed)) {
            trusted.store(offset, Ordering::Relaxed);
            return;
        }
        let mut probation = self
            .probation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if is_near(offset, trusted.load(Ordering::Relaxed)) {
            // Another thread has just found it steady.
            return;
        }
        match probation.as_ref() {
            Some(known) if is_near(offset, known.offset) => {
                if now.mono.saturating_sub(known.since) >= CLOCK_PROBATION {
                    trusted.store(offset, Ordering::Relaxed);
                    *probation = None;
                }
            }
            _ => {
                tracing::warn!(
                    "the clock was set by over an hour; requests are refused for a minute, check that it is right"
                );
                let since = now.mono;
                *probation = Some(Probation { offset, since });
            }
        }
    }
}

/// Wall time minus monotonic time, in microseconds.
fn offset_of(now: Now) -> i64 {
    let mono = i64::try_from(now.mono.as_micros()).unwrap_or(i64::MAX);
    now.wall.0.saturating_sub(mono)
}

fn is_near(offset: i64, other: i64) -> bool {
    u128::from(offset.abs_diff(other)) <= MAX_CLOCK_ERROR.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const HOUR: i64 = 3_600_000_000;

    fn ready(clock: &Clock) -> Status {
        let status = Status::default();
        status.set_recovered(clock.now().wall);
        assert_eq!(asked(&status, clock), None);
        status
    }

    /// The refusal, once the clock was observed.
    fn asked(status: &Status, clock: &Clock) -> Option<Unavailable> {
        status.observe(clock.now());
        status.refusal(clock.now())
    }

    fn today() -> Micros {
        commit_time().plus(Duration::from_secs(86_400 * 30))
    }

    #[test]
    fn a_clock_that_jumps_is_refused_and_trusted_again_when_steady() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        clock.jump_to(Micros(today().0 + 24 * HOUR));
        assert_eq!(asked(&status, &clock), Some(Unavailable::WrongClock));
        clock.advance(Duration::from_secs(59));
        assert_eq!(asked(&status, &clock), Some(Unavailable::WrongClock));
        clock.advance(Duration::from_secs(2));
        assert_eq!(asked(&status, &clock), None);
    }

    #[test]
    fn asking_changes_nothing() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        clock.jump_to(Micros(today().0 + 24 * HOUR));
        // Refused at once, before anybody has observed it; and asking does not begin the minute.
        for _ in 0..3 {
            assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
            assert_eq!(status.right_time(clock.now()), None);
            clock.advance(CLOCK_PROBATION);
        }
        assert_eq!(asked(&status, &clock), Some(Unavailable::WrongClock));
        clock.advance(CLOCK_PROBATION);
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
        status.observe(clock.now());
        assert_eq!(status.refusal(clock.now()), None);
    }

    #[test]
    fn a_clock_is_not_trusted_before_the_log_has_been_read() {
        let clock = Clock::manual(today());
        let status = Status::default();
        status.observe(clock.now());
        clock.jump_to(Micros(today().0 + 24 * HOUR));
        status.set_recovered(clock.now().wall);
        assert_eq!(status.refusal(clock.now()), None);
    }

    #[test]
    fn the_first_requests_and_the_first_tick_may_come_at_once() {
        let clock = Clock::manual(today());
        for _ in 0..2_000 {
            let status = Status::default();
            status.set_recovered(clock.now().wall);
            let together = std::sync::Barrier::new(3);
            let ask = || {
                together.wait();
                asked(&status, &clock)
            };
            std::thread::scope(|scope| {
                let asked = [scope.spawn(ask), scope.spawn(ask), scope.spawn(ask)];
                for one in asked {
                    assert_eq!(one.join().expect("no panic"), None);
                }
            });
        }
    }

    #[test]
    fn a_clock_before_the_log_or_the_build_is_wrong() {
        let clock = Clock::manual(today());
        let status = Status::default();
        status.set_recovered(Micros(today().0 + 2 * HOUR));
        assert_eq!(asked(&status, &clock), Some(Unavailable::WrongClock));
        status.set_recovered(Micros(today().0 + HOUR / 2));
        assert_eq!(asked(&status, &clock), None);
        let clock = Clock::manual(Micros(0));
        let status = Status::default();
        status.set_recovered(Micros(i64::MIN));
        assert_eq!(asked(&status, &clock), Some(Unavailable::WrongClock));
    }

    #[test]
    fn small_steps_are_followed() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        for _ in 0..10 {
            clock.jump_to(clock.now().wall.plus(Duration::from_secs(1800)));
            assert_eq!(asked(&status, &clock), None);
        }
    }

    #[test]
    fn who_leaves_is_not_ready_and_accepts() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        assert_eq!(status.unready(clock.now()), None);
        status.set_leaving();
        assert_eq!(status.unready(clock.now()), Some(Unavailable::Leaving));
        assert_eq!(status.refusal(clock.now()), None);
        status.set_draining();
        assert_eq!(status.unready(clock.now()), Some(Unavailable::Draining));
    }

    #[test]
    fn the_first_reason_stays() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        status.set_draining();
        assert_eq!(asked(&status, &clock), Some(Unavailable::Draining));
        status.set_failed("a".into());
        status.set_failed("b".into());
        assert_eq!(
            asked(&status, &clock),
            Some(Unavailable::Failed("a".into()))
        );
    }
}
