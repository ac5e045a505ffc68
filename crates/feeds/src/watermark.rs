//! The watermark of an appending run: the highest value that was read. Pure.

use std::fmt;
use std::time::Duration;

use lakehook_base::clock::Micros;

/// A watermark value. How it is written is the business of a [`super::mark_format::MarkFormat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A time with microseconds.
    Time(Micros),
    /// A number that only grows, and is no time.
    Serial(i128),
    /// Text, which is compared byte by byte.
    Text(String),
}

/// How far before the highest value seen the next run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// For times.
    pub time: Duration,
    /// For serial numbers.
    pub count: u64,
}

impl Mark {
    /// The later of two values; if their kinds differ, `self`.
    #[must_use]
    pub fn later(self, seen: Self) -> Self {
        let is_later = match (&self, &seen) {
            (Self::Time(a), Self::Time(b)) => b > a,
            (Self::Serial(a), Self::Serial(b)) => b > a,
            (Self::Text(a), Self::Text(b)) => b > a,
            _ => false,
        };
        if is_later { seen } else { self }
    }

    /// The later of two optional values.
    pub fn latest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.later(b)),
            (a, b) => a.or(b),
        }
    }

    /// The value, but a time is at most `now`: a record from the future must not hide those that
    /// come before it.
    #[must_use]
    pub fn not_after(self, now: Micros) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.min(now)),
            other => other,
        }
    }

    /// The value reduced by a lag. Text has none.
    #[must_use]
    pub fn minus(self, lag: Lag) -> Self {
        match self {
            Self::Time(time) => Self::Time(time.minus(lag.time)),
            Self::Serial(number) => Self::Serial(number.saturating_sub(lag.count.into())),
            Self::Text(text) => Self::Text(text),
        }
    }
}

impl fmt::Display for Mark {
    /// Writes the value as it is remembered, whatever its format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Serial(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_one_counts_and_no_time_is_of_the_future() {
        let (a, b) = (Mark::Serial(3), Mark::Serial(5));
        assert_eq!(
            (a.clone().later(b.clone()), b.clone().later(a.clone())),
            (b.clone(), b.clone())
        );
        let late = Mark::Time(Micros(900));
        assert_eq!(late.clone().not_after(Micros(500)), Mark::Time(Micros(500)));
        assert_eq!(a.clone().later(late.clone()), a);
        let text = |text: &str| Mark::Text(text.to_owned());
        assert_eq!(text("a1").later(text("a2")), text("a2"));
        // A serial number is bounded by no time, however large it is.
        let now = Micros(1_795_000_000_000_000);
        for number in [7, 1_795_000_009, 1_795_000_000_001, i128::MAX] {
            let serial = Mark::Serial(number);
            assert_eq!(serial.clone().not_after(now), serial);
        }
    }

    #[test]
    fn a_lag_is_in_the_unit_of_its_mark() {
        let lag = Lag {
            time: Duration::from_micros(400),
            count: 2,
        };
        assert_eq!(Mark::Serial(5).minus(lag), Mark::Serial(3));
        assert_eq!(Mark::Serial(i128::MIN).minus(lag), Mark::Serial(i128::MIN));
        assert_eq!(Mark::Time(Micros(900)).minus(lag), Mark::Time(Micros(500)));
        let text = Mark::Text("x".to_owned());
        assert_eq!(text.clone().minus(lag), text);
    }
}
