//! The clock, as a plain value: wall time for what is written, monotonic time for waits.
//!
//! All code that needs the time takes a [`Clock`], so that tests and simulations decide what time
//! it is. Nothing else may ask the system (`clippy.toml` forbids it).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01T00:00:00Z, UTC. Negative before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

/// Microseconds in one second.
pub const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Micros {
    /// This time moved by `duration` into the past.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(duration)))
    }

    /// This time moved by `duration` into the future.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(duration)))
    }

    /// How long this is after `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }

    /// The time as a calendar value; `None` beyond the years that chrono knows.
    pub fn to_utc(self) -> Option<chrono::DateTime<chrono::Utc>> {
        chrono::DateTime::from_timestamp_micros(self.0)
    }
}

impl fmt::Display for Micros {
    /// RFC 3339 in UTC with `Z` and always six fraction digits: the form of every time in the lake.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(27);
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Micros {
    /// Appends the RFC 3339 form (27 bytes for the years 0000 to 9999) without allocating.
    pub fn write(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let fraction = self.0.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        // Narrow integers, because their division is much cheaper. Only a year can be too large, by
        // the range of the clock.
        let second_of_day = second_of_day.unsigned_abs() as u32;
        let (year, fraction) = (
            (year.unsigned_abs() % 10_000) as u32,
            fraction.unsigned_abs() as u32,
        );
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        put_two(&mut text, 0, year / 100);
        put_two(&mut text, 2, year % 100);
        put_two(&mut text, 5, month);
        put_two(&mut text, 8, day);
        put_two(&mut text, 11, second_of_day / 3600);
        put_two(&mut text, 14, second_of_day / 60 % 60);
        put_two(&mut text, 17, second_of_day % 60);
        put_two(&mut text, 20, fraction / 10_000);
        put_two(&mut text, 22, fraction / 100 % 100);
        put_two(&mut text, 24, fraction % 100);
        out.extend_from_slice(&text);
    }
}

/// Writes a number below a hundred in two digits.
#[inline]
fn put_two(text: &mut [u8; 27], at: usize, number: u32) {
    text[at..at + 2].copy_from_slice(&TWO_DIGITS[number as usize]);
}

const TWO_DIGITS: [[u8; 2]; 100] = {
    let mut all = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        all[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    all
};

/// Year, month (1–12) and day (1–31) of a day number (0 is 1970-01-01), proleptic Gregorian.
///
/// The algorithm of Neri and Schneider ("Euclidean affine functions and their application to
/// calendar algorithms"), which multiplies where others divide.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    // Years start on 1 March here, so that the leap day comes last; an era is 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097).unsigned_abs() as u32;
    let quarters = 4 * day_of_era + 3;
    let (century, day_of_century) = (quarters / 146_097, quarters % 146_097 / 4);
    let product = 2_939_745 * u64::from(4 * day_of_century + 3);
    let year_of_century = (product >> 32) as u32;
    let day_of_year = product as u32 / 2_939_745 / 4;
    let months = 2141 * day_of_year + 197_913;
    let (month_from_march, day) = (months >> 16, (months & 0xffff) / 2141 + 1);
    let is_next_year = day_of_year >= 306;
    let month = month_from_march - if is_next_year { 12 } else { 0 };
    let year = 400 * era + i64::from(100 * century + year_of_century + u32::from(is_next_year));
    (year, month, day)
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall time. May jump.
    pub wall: Micros,
    /// Time since the clock was made. Never goes back.
    pub mono: Duration,
}

/// A source of the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The operating system's clocks.
    System {
        /// The zero of the monotonic readings.
        start: Instant,
    },
    /// A clock that moves only when told to.
    Manual(Arc<ManualClock>),
}

/// The state of a manual clock.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_micros: AtomicI64,
    mono_micros: AtomicU64,
}

impl Clock {
    /// The system's clock.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the seam through which time comes in"
    )]
    pub fn system() -> Self {
        Self::System {
            start: Instant::now(),
        }
    }

    /// A clock that stands at `wall` until [`Clock::advance`] moves it.
    pub fn manual(wall: Micros) -> Self {
        let clock = ManualClock::default();
        clock.wall_micros.store(wall.0, Ordering::Relaxed);
        Self::Manual(Arc::new(clock))
    }

    /// Wall time alone.
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the seam through which time comes in"
    )]
    pub fn wall(&self) -> Micros {
        match self {
            Self::System { .. } => {
                let since_epoch = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                Micros(micros_of(since_epoch))
            }
            Self::Manual(clock) => Micros(clock.wall_micros.load(Ordering::Relaxed)),
        }
    }

    /// Monotonic time alone.
    pub fn mono(&self) -> Duration {
        match self {
            Self::System { start } => start.elapsed(),
            Self::Manual(clock) => Duration::from_micros(clock.mono_micros.load(Ordering::Relaxed)),
        }
    }

    /// Time since the machine was started, which goes on while it sleeps or a process is stopped.
    pub fn boot(&self) -> Duration {
        match self {
            Self::System { .. } => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
                let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
            }
            Self::Manual(_) => self.mono(),
        }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        Now {
            wall: self.wall(),
            mono: self.mono(),
        }
    }

    /// Moves a manual clock forward, wall and monotonic time alike; does nothing to the system's.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(clock) = self {
            clock
                .wall_micros
                .fetch_add(micros_of(by), Ordering::Relaxed);
            let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
            clock.mono_micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    /// Sets the wall time of a manual clock alone, as when the machine's clock is set.
    pub fn jump_to(&self, wall: Micros) {
        if let Self::Manual(clock) = self {
            clock.wall_micros.store(wall.0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn written_times_are_those_of_chrono(micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let expected = Micros(micros).to_utc().map(|t| t.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
            prop_assert_eq!(Some(Micros(micros).to_string()), expected);
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Micros(5));
        assert_eq!(clock.now(), clock.now());
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now().wall, Micros(1_000_005));
        clock.jump_to(Micros(0));
        assert_eq!(clock.now().mono, Duration::from_secs(1));
    }
}
