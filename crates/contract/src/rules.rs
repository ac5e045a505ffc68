//! The settings of a contract: the configured types, limits, drop rules and partitions.
//!
//! Plain values. If a single value can be wrong, its constructor checks it.

use std::time::Duration;

use chrono::{Datelike as _, Timelike as _};

use lakehook_base::clock::Micros;

/// Name of the feed of events, which is part of every identity, and of their stream in the lake.
pub const EVENTS: &str = "events";

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
const MIB: usize = 1024 * 1024;

/// An hour in microseconds.
const HOUR: i64 = 3600 * lakehook_base::clock::MICROS_PER_SECOND;

/// What happens to a request some of whose events are invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// The whole request is refused.
    Reject,
    /// The invalid events go to the quarantine, the others are stored.
    Quarantine,
}

/// What a contract accepts beyond its lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Whether other types are accepted too.
    pub any_type: bool,
    /// Whether other sources are accepted too.
    pub any_source: bool,
    /// Whether events without an envelope are accepted: the open contract.
    pub is_open: bool,
}

/// The rules of one feed of events.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The feed's configured name. It is part of every identity, so renaming a feed makes it forget all ids.
    pub feed: String,
    /// The event types that are accepted.
    pub types: Vec<String>,
    /// The sources that are accepted.
    pub sources: Vec<String>,
    /// What is accepted beyond these lists.
    pub beyond: Beyond,
    /// Event types that are validated and counted, but not stored.
    pub drop: Vec<String>,
    /// Whether events of these types are dropped whatever else is wrong with them.
    pub drop_unchecked: bool,
    /// What happens to invalid events.
    pub on_invalid: OnInvalid,
    /// The most events that a request may hold.
    pub max_events: usize,
    /// The most bytes that an event may have, as it was sent.
    pub max_event_bytes: usize,
    /// How far an event's timestamp may be before its receipt.
    pub max_age: Duration,
    /// How far an event's timestamp may be after its receipt.
    pub max_ahead: Duration,
    /// The partitions of rows.
    pub partition: Partitioning,
    /// JSON Pointers into an event: the parts that are ignored when two copies of it are compared.
    pub dedup_ignore: Vec<String>,
    /// The most bytes of an invalid event that the quarantine keeps.
    pub max_quarantine_raw_bytes: usize,
}

impl Default for Rules {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            feed: EVENTS.to_owned(),
            types: words(&[
                "click", "view", "purchase", "signup", "pray", "share", "like",
            ]),
            sources: words(&["web", "apple", "android"]),
            beyond: Beyond::default(),
            drop: words(&["signup"]),
            drop_unchecked: true,
            on_invalid: OnInvalid::Reject,
            max_events: 10_000,
            max_event_bytes: MIB,
            max_age: Duration::from_secs(365 * SECONDS_PER_DAY),
            max_ahead: Duration::from_secs(SECONDS_PER_DAY),
            partition: Partitioning::default(),
            dedup_ignore: Vec::new(),
            max_quarantine_raw_bytes: MIB,
        }
    }
}

/// Which time of an event decides about its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionBy {
    /// The event's own `timestamp`.
    Timestamp,
    /// When the request was received.
    ReceivedAt,
}

/// How partition keys are made: a stream and a pattern over a time in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitioning {
    stream: String,
    pattern: String,
    /// The span of a partition in microseconds: times in the same span, counted from 1970, have the same key.
    span_micros: i64,
    by: PartitionBy,
}

/// Why a partition pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// Every row would go to one partition.
    #[error("partition pattern {0:?} names no part of the time; use for example \"dt=%Y-%m-%d\"")]
    NoTime(String),
    /// A part between slashes is not `name=value`.
    #[error(
        "partition pattern {0:?} must consist of name=value segments of letters, digits, '-', '_' \
         and '.', joined by '/'"
    )]
    Segment(String),
    /// A name occurs twice, or is or could be the name of a column.
    #[error(
        "partition pattern {0:?} has the name {1:?} twice, or a column has it; choose another, such as dt"
    )]
    Name(String, String),
    /// A conversion that is not supported.
    #[error("partition pattern {0:?} may only use %Y, %m, %d, %H and %j")]
    Conversion(String),
}

/// The names of the columns that every event has.
const COLUMNS: [&str; 10] = [
    "event_id",
    "user_id",
    "user",
    "event_type",
    "source",
    "timestamp",
    "received_at",
    "lsn",
    "properties",
    "extra",
];

impl Default for Partitioning {
    fn default() -> Self {
        Self {
            stream: EVENTS.to_owned(),
            pattern: "dt=%Y-%m-%d".to_owned(),
            span_micros: 24 * HOUR,
            by: PartitionBy::Timestamp,
        }
    }
}

impl Partitioning {
    /// Partitions of `stream` by a pattern such as `dt=%Y-%m-%d/hour=%H`.
    pub fn new(stream: &str, pattern: &str, by: PartitionBy) -> Result<Self, PartitionError> {
        if !pattern.contains('%') {
            return Err(PartitionError::NoTime(pattern.to_owned()));
        }
        for (index, _) in pattern.match_indices('%') {
            let conversion = pattern[index + 1..].chars().next();
            if !matches!(conversion, Some('Y' | 'm' | 'd' | 'H' | 'j')) {
                return Err(PartitionError::Conversion(pattern.to_owned()));
            }
        }
        if !pattern.split('/').all(is_segment) {
            return Err(PartitionError::Segment(pattern.to_owned()));
        }
        let mut names: Vec<String> = COLUMNS.map(str::to_owned).to_vec();
        for (name, _) in pattern.split('/').filter_map(|part| part.split_once('=')) {
            let lower = name.to_lowercase();
            if names.contains(&lower) || lower.starts_with("p_") {
                return Err(PartitionError::Name(pattern.to_owned(), name.to_owned()));
            }
            names.push(lower);
        }
        Ok(Self {
            stream: stream.to_owned(),
            pattern: pattern.to_owned(),
            span_micros: if pattern.contains("%H") {
                HOUR
            } else {
                24 * HOUR
            },
            by,
        })
    }

    /// The stream, which is the first part of every key.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// Which time of an event decides.
    pub fn by(&self) -> PartitionBy {
        self.by
    }

    /// The key of the partition that holds that time, such as `events/dt=2026-11-20`.
    pub fn key(&self, time: Micros) -> String {
        let time = time.to_utc().unwrap_or_default();
        if !(0..10_000).contains(&time.year()) {
            return format!("{}/{}", self.stream, time.format(&self.pattern));
        }
        let mut key = String::with_capacity(self.stream.len() + self.pattern.len() + 8);
        key.push_str(&self.stream);
        key.push('/');
        let mut parts = self.pattern.split('%');
        key.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (number, width) = match part.as_bytes().first() {
                Some(b'Y') => (time.year().unsigned_abs(), 4),
                Some(b'm') => (time.month(), 2),
                Some(b'd') => (time.day(), 2),
                Some(b'H') => (time.hour(), 2),
                _ => (time.ordinal(), 3),
            };
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(number);
            (digits.len()..width).for_each(|_| key.push('0'));
            key.push_str(digits);
            key.push_str(part.get(1..).unwrap_or_default());
        }
        key
    }

    /// The span of a partition in microseconds: times in the same span, counted from 1970, have the same key.
    pub(super) fn span_micros(&self) -> i64 {
        self.span_micros
    }
}

/// Whether a part of a pattern is `name=value`, without characters that are special in a path or URL.
fn is_segment(segment: &str) -> bool {
    let Some((name, value)) = segment.split_once('=') else {
        return false;
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name_is_plain = !name.is_empty() && name.chars().all(is_plain);
    let value_is_plain =
        !value.is_empty() && value.chars().all(|c| is_plain(c) || ".%".contains(c));
    name_is_plain && value_is_plain && !value.contains("..")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_pattern_becomes_a_key() {
        let time = Micros(1_795_133_598_000_000);
        let key = |pattern| {
            let partitioning = Partitioning::new("events", pattern, PartitionBy::Timestamp);
            partitioning.unwrap().key(time)
        };
        assert_eq!(key("dt=%Y-%m-%d"), "events/dt=2026-11-20");
        assert_eq!(key("dt=%Y-%m-%d/hour=%H"), "events/dt=2026-11-20/hour=00");
        assert_eq!(key("year=%Y/day=%j"), "events/year=2026/day=324");
        assert_eq!(Partitioning::default().key(time), "events/dt=2026-11-20");
    }

    proptest::proptest! {
        #[test]
        fn keys_are_those_that_chrono_writes(micros in -70_000_000_000_000_000_i64..260_000_000_000_000_000) {
            let pattern = "dt=%Y-%m-%d/hour=%H_x/day=j%j";
            let partitioning = Partitioning::new("events", pattern, PartitionBy::Timestamp).unwrap();
            let time = Micros(micros).to_utc().unwrap();
            let expected = format!("events/{}", time.format(pattern));
            proptest::prop_assert_eq!(partitioning.key(Micros(micros)), expected);
        }
    }

    #[test]
    fn a_pattern_that_is_none_is_refused() {
        let new = |pattern| Partitioning::new("events", pattern, PartitionBy::Timestamp);
        for pattern in ["", "dt=today", "a/b"] {
            assert!(matches!(new(pattern), Err(PartitionError::NoTime(_))));
        }
        for pattern in ["dt=%", "dt=%s", "dt=%Y-%-m", "dt=%%Y", "dt=%Y%é"] {
            let error = new(pattern);
            assert!(
                matches!(error, Err(PartitionError::Conversion(_))),
                "{pattern}"
            );
        }
        for pattern in [
            "%Y",
            "dt=%Y/",
            "/dt=%Y",
            "dt=%Y//hour=%H",
            "=%Y",
            "dt=/y=%Y",
            "dt=..%Y",
            "dt=%Y/../x=1",
            "dt=%Y x",
            "d%Y=1",
            "dt=a=%Y",
        ] {
            let error = new(pattern);
            assert!(
                matches!(error, Err(PartitionError::Segment(_))),
                "{pattern}"
            );
        }
    }
}
