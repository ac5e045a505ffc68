//! Lateness: which partitions are current, and which are late. Pure.
//!
//! A partition is current from its beginning until an hour after its end. All others are late, and so are those that
//! have not begun. What counts is the clock of the log, which is the newest time of receipt: never a time that an
//! event claims. So one event that is dated tomorrow changes nothing, and a reader of the log decides the same.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lakehook_base::clock::{MICROS_PER_SECOND, Micros};

/// How long after its end a partition is still current.
const GRACE: Duration = Duration::from_secs(3600);
/// A calendar's keys stay the same for this long, from each full hour of UTC on.
const HOUR: i64 = 3600 * MICROS_PER_SECOND;

/// Makes the keys of the partitions that a time falls into: one for each stream.
///
/// They are the same for all times of an hour of UTC.
#[derive(Clone)]
pub struct Calendar(Arc<dyn Fn(Micros) -> Vec<String> + Send + Sync>);

impl Calendar {
    /// With keys that this function makes.
    pub fn new(keys: impl Fn(Micros) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(keys))
    }

    /// Without a partition that is ever current: for logs that are only looked at.
    pub fn empty() -> Self {
        Self::new(|_| Vec::new())
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calendar")
    }
}

/// Whether the partition of a batch is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// It was current when a row was received for it.
    Current,
    /// It was late whenever a row was received for it.
    Late,
    /// So it was, but it has become current since.
    Overtaken,
}

impl Lateness {
    /// Whether no row was received while the partition was current.
    pub fn is_late(self) -> bool {
        self != Self::Current
    }
}

/// The partitions that are current at a time.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    calendar: Calendar,
    /// Number of the hour; [`i64::MIN`] before the first.
    hour: i64,
    keys: Vec<String>,
}

impl Current {
    /// At no time yet.
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self {
            calendar,
            hour: i64::MIN,
            keys: Vec::new(),
        }
    }

    /// Moves to another time; `true` if other partitions may be current then.
    pub(crate) fn move_to(&mut self, time: Micros) -> bool {
        let hour = time.0.div_euclid(HOUR);
        if hour == self.hour {
            return false;
        }
        self.hour = hour;
        self.keys = (self.calendar.0)(time);
        self.keys.extend((self.calendar.0)(time.minus(GRACE)));
        true
    }

    /// Whether the partition is current.
    pub(crate) fn includes(&self, partition: &str) -> bool {
        self.keys.iter().any(|key| key == partition)
    }
}
