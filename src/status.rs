//! The service's status: may it accept, and if not, why. Set by whoever knows, read for each request.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::clock::{Micros, Now};
use crate::version::commit_time;

/// How far a clock may be off before it is called wrong.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(3600);
/// A clock that was set is trusted again once it has kept pace for so long.
const CLOCK_PROBATION: Duration = Duration::from_secs(60);

/// Why no request is accepted now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The log is being read.
    #[error("the service is starting: it reads its write-ahead log")]
    Recovering,
    /// A stop was asked for.
    #[error("the service is stopping")]
    Draining,
    /// The log cannot be written any more.
    #[error("storage failed: {0}")]
    Failed(String),
    /// Something else is under our key in the lake.
    #[error("{0}")]
    Foreign(String),
    /// The disk is nearly full.
    #[error("there is too little free space on disk")]
    LowSpace,
    /// The machine's clock cannot be right.
    #[error("the clock of this machine is wrong")]
    WrongClock,
}

/// The status of a service.
#[derive(Debug, Default)]
pub struct Status {
    recovered: AtomicBool,
    draining: AtomicBool,
    low_space: AtomicBool,
    failed: OnceLock<String>,
    foreign: OnceLock<String>,
    held: Mutex<Vec<String>>,
    newest_received: AtomicI64,
    /// Wall minus monotonic time in microseconds, as first seen or last trusted.
    clock_offset: OnceLock<AtomicI64>,
    /// After the clock was set: the new offset.
    probation: Mutex<Option<Probation>>,
}

#[derive(Debug)]
struct Probation {
    offset: i64,
    /// By the monotonic clock.
    since: Duration,
}

/// Held batches are named up to this number.
const MAX_HELD_NAMED: usize = 20;

impl Status {
    /// The log is read; the newest `received_at` in it.
    pub fn set_recovered(&self, newest_received: Micros) {
        self.newest_received
            .store(newest_received.0, Ordering::Relaxed);
        self.recovered.store(true, Ordering::Release);
    }

    /// A stop was asked for.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether a stop was asked for.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The log cannot be written any more. The first reason stays.
    pub fn set_failed(&self, why: String) {
        let _later = self.failed.set(why);
    }

    /// Something else is under our key. The first reason stays.
    pub fn set_foreign(&self, why: String) {
        let _later = self.foreign.set(why);
    }

    /// Whether shipping has met something foreign.
    pub fn is_foreign(&self) -> bool {
        self.foreign.get().is_some()
    }

    /// Whether the disk is nearly full.
    pub fn set_low_space(&self, low: bool) {
        self.low_space.store(low, Ordering::Relaxed);
    }

    /// A batch cannot be read back.
    pub fn add_held(&self, why: String) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < MAX_HELD_NAMED {
            held.push(why);
        }
    }

    /// The batches that cannot be read back.
    pub fn held(&self) -> Vec<String> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why no request is accepted now, if none is.
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
        self.clock_is_wrong(now).then_some(Unavailable::WrongClock)
    }

    /// The wall time, unless the clock is wrong.
    pub fn right_time(&self, now: Now) -> Option<Micros> {
        (!self.clock_is_wrong(now)).then_some(now.wall)
    }

    /// Whether the clock is before the build, far before the newest record, or was just set by more
    /// than an hour. After a minute at a steady pace a clock that was set is trusted: a machine that
    /// slept looks the same.
    fn clock_is_wrong(&self, now: Now) -> bool {
        let newest = Micros(self.newest_received.load(Ordering::Relaxed));
        if now.wall.plus(MAX_CLOCK_ERROR) < newest || now.wall < commit_time() {
            return true;
        }
        let mono = i64::try_from(now.mono.as_micros()).unwrap_or(i64::MAX);
        let offset = now.wall.0.saturating_sub(mono);
        let trusted = self.clock_offset.get_or_init(|| AtomicI64::new(offset));
        if is_near(offset, trusted.load(Ordering::Relaxed)) {
            // Slow drift and small corrections are followed.
            trusted.store(offset, Ordering::Relaxed);
            return false;
        }
        self.is_on_probation(offset, now.mono, trusted)
    }

    fn is_on_probation(&self, offset: i64, mono: Duration, trusted: &AtomicI64) -> bool {
        let mut probation = self
            .probation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if is_near(offset, trusted.load(Ordering::Relaxed)) {
            // Another request has just found it steady.
            return false;
        }
        let Some(known) = probation
            .as_ref()
            .filter(|known| is_near(offset, known.offset))
        else {
            tracing::warn!("the clock was set by over an hour; refusing requests for a minute");
            let since = mono;
            *probation = Some(Probation { offset, since });
            return true;
        };
        if mono.saturating_sub(known.since) < CLOCK_PROBATION {
            return true;
        }
        trusted.store(offset, Ordering::Relaxed);
        *probation = None;
        false
    }
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
        assert_eq!(status.refusal(clock.now()), None);
        status
    }

    fn today() -> Micros {
        commit_time().plus(Duration::from_secs(86_400 * 30))
    }

    #[test]
    fn a_clock_that_jumps_is_refused_and_trusted_again_when_steady() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        clock.jump_to(Micros(today().0 + 24 * HOUR));
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
        clock.advance(Duration::from_secs(59));
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
        clock.advance(Duration::from_secs(2));
        assert_eq!(status.refusal(clock.now()), None);
    }

    #[test]
    fn the_first_request_and_the_first_poll_may_ask_at_once() {
        let clock = Clock::manual(today());
        for _ in 0..2_000 {
            let status = Status::default();
            status.set_recovered(clock.now().wall);
            let together = std::sync::Barrier::new(3);
            let ask = || {
                together.wait();
                status.refusal(clock.now())
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
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
        status.set_recovered(Micros(today().0 + HOUR / 2));
        assert_eq!(status.refusal(clock.now()), None);
        let clock = Clock::manual(Micros(0));
        let status = Status::default();
        status.set_recovered(Micros(i64::MIN));
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::WrongClock));
    }

    #[test]
    fn small_steps_are_followed() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        for _ in 0..10 {
            clock.jump_to(clock.now().wall.plus(Duration::from_secs(1800)));
            assert_eq!(status.refusal(clock.now()), None);
        }
    }

    #[test]
    fn the_first_reason_stays() {
        let clock = Clock::manual(today());
        let status = ready(&clock);
        status.set_draining();
        assert_eq!(status.refusal(clock.now()), Some(Unavailable::Draining));
        status.set_failed("a".into());
        status.set_failed("b".into());
        assert_eq!(
            status.refusal(clock.now()),
            Some(Unavailable::Failed("a".into()))
        );
    }
}
