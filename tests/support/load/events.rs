//! Valid events, made from a seed: the same seed and number give the same event, byte for byte.
//!
//! So a repeated request is the same request, and nobody has to remember what was sent.

use std::io::Write as _;
use std::time::Duration;

use lakehook::clock::Micros;

use crate::support::random::Random;

/// The event types of the default configuration, in equal shares.
pub(crate) const TYPES: [&str; 7] = [
    "click", "view", "purchase", "signup", "pray", "share", "like",
];

const SOURCES: [&str; 3] = ["web", "apple", "android"];
const DAY: Duration = Duration::from_hours(24);

/// What the lake will show of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Event {
    /// A UUID in lower case.
    pub(crate) id: String,
    /// One of [`TYPES`].
    pub(crate) kind: &'static str,
    /// The day of its timestamp, such as `2026-11-20`: its `dt`.
    pub(crate) day: String,
    timestamp: String,
    number: u64,
}

/// The source of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Other seeds give other events with other ids.
    pub(crate) seed: u64,
    /// The newest timestamp.
    pub(crate) now: Micros,
    /// Timestamps are spread evenly over this many days before it.
    pub(crate) days: u32,
}

impl Source {
    /// The event of that number; different numbers give different ids.
    pub(crate) fn event(&self, number: u64) -> Event {
        let random = Random::new(self.seed ^ number.wrapping_mul(0x9e6c_63d0_876a_68de));
        let high = random.bits() & !0xf000 | 0x4000;
        // The number itself is the lower half, so that no two events have the same id.
        let low = number & 0x3fff_ffff_ffff_ffff | 1 << 63;
        let bytes = u128::from(high) << 64 | u128::from(low);
        let age = DAY.mul_f64(f64::from(self.days) * random.unit());
        let timestamp = self.now.minus(age).to_string();
        Event {
            id: uuid::Uuid::from_u128(bytes).to_string(),
            kind: TYPES[usize::try_from(number % TYPES.len() as u64).unwrap_or(0)],
            day: timestamp[..10].to_owned(),
            timestamp,
            number,
        }
    }

    /// The body of a request with the events of these numbers.
    pub(crate) fn body(&self, numbers: std::ops::Range<u64>) -> Vec<u8> {
        let mut body = b"{\"events\":[".to_vec();
        for number in numbers.clone() {
            if number > numbers.start {
                body.push(b',');
            }
            self.event(number).write(&mut body);
        }
        body.extend_from_slice(b"]}");
        body
    }
}

impl Event {
    /// Appends it as JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Self {
            id,
            kind,
            timestamp,
            number,
            ..
        } = self;
        let source = SOURCES[usize::try_from(number / 7 % 3).unwrap_or(0)];
        let user = match number % 32 {
            0 => "null".to_owned(),
            1 => format!(r#"{{"user_id":"user-{number}","name":"Ada"}}"#),
            _ => format!(r#""user-{}""#, number % 1000),
        };
        let properties = match *kind {
            "purchase" => {
                format!(
                    r#"{{"amount":{}.50,"product_id":"product-{}"}}"#,
                    number % 90,
                    number % 7
                )
            }
            "view" | "share" | "like" => format!(
                r#"{{"content_id":"content-{}","media_type":"video","prayer_type":"rosary"}}"#,
                number % 500
            ),
            _ => format!(r#"{{"page":"/home/{}"}}"#, number % 10),
        };
        let written = write!(
            out,
            r#"{{"event_id":"{id}","user_id":{user},"event_type":"{kind}","source":"{source}","timestamp":"{timestamp}","properties":{properties}}}"#
        );
        written.expect("memory takes every write");
    }
}
