//! Requests and events: each follows from the seed and its number, so it need not be stored, and rows that are found
//! can be compared with what was sent.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::{MICROS_PER_SECOND, Micros};
use crate::upstream::chance::Chance;

/// Events in each request.
pub const PER_REQUEST: u64 = 20;
/// In the order of the default configuration.
const TYPES: [&str; 7] = [
    "click", "view", "purchase", "signup", "pray", "share", "like",
];
/// The type that the default configuration drops.
const DROPPED: &str = "signup";
const SOURCES: [&str; 3] = ["web", "apple", "android"];
const DAY_SECONDS: i64 = 86_400;
/// Timestamps lie in this many days before the day of the run.
const DAYS: u32 = 3;
/// Padding of an event in a heavy request; the log does not compress.
const PADDING_BYTES: usize = 16 << 10;
/// The number of an event is the lower half of its id, without the two bits of the variant.
const NUMBER_MASK: u64 = 0x3fff_ffff_ffff_ffff;
const BODY_START: &str = r#"{"events":["#;

/// Whether a request is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Every event is valid: must be answered 200.
    Sound,
    /// One event breaks the contract: must be answered 400, and nothing of it stored.
    Invalid,
    /// The end is missing, so it is not JSON: must be answered 400, and nothing of it stored.
    Cut,
}

/// Generates requests and events.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    seed: u64,
    /// The start of the day on which the run began.
    day: Micros,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id: random bits that follow from the seed, and the number.
    pub id: Uuid,
    /// The members as they are sent, without padding.
    pub sent: Value,
    number: u64,
}

impl Source {
    /// Generates from that seed, for the day of `now`, because timestamps must be near the time of receipt.
    pub fn new(seed: u64, now: Micros) -> Self {
        let day = now.0.div_euclid(DAY_SECONDS * MICROS_PER_SECOND);
        Self {
            seed,
            day: Micros(day * DAY_SECONDS * MICROS_PER_SECOND),
        }
    }

    fn chance(&self, number: u64, salt: u64) -> Chance {
        let mixed = number.wrapping_mul(0x9e6c_63d0_876a_68de).rotate_left(17);
        Chance::from_seed(self.seed ^ mixed ^ salt)
    }

    /// Whether the request of that number is valid.
    pub fn kind(&self, request: u64) -> RequestKind {
        match self.chance(request, 1).below(100) {
            0..5 => RequestKind::Invalid,
            5..7 => RequestKind::Cut,
            _ => RequestKind::Sound,
        }
    }

    /// Whether it is sent again after its answer.
    pub fn is_repeated(&self, request: u64) -> bool {
        self.chance(request, 2).hits(0.05)
    }

    /// Whether one of its ids is sent again with other content.
    pub fn is_contested(&self, request: u64) -> bool {
        self.kind(request) == RequestKind::Sound && self.chance(request, 3).hits(0.03)
    }

    /// The numbers of its events.
    pub fn numbers(request: u64) -> std::ops::Range<u64> {
        request * PER_REQUEST..(request + 1) * PER_REQUEST
    }

    /// The event of that number.
    pub fn event(&self, number: u64) -> Event {
        let chance = self.chance(number, 4);
        let high = chance.bits() & !0xf000 | 0x4000;
        let low = number & NUMBER_MASK | 1 << 63;
        let id = Uuid::from_u128(u128::from(high) << 64 | u128::from(low));
        let age = i64::from(chance.below(DAYS * 86_400_000)) * 1000;
        let kind = type_of(number);
        let user = match number % 32 {
            0 => Value::Null,
            1 => json!({"user_id": format!("user-{number}"), "name": "Ada"}),
            _ => json!(format!("user-{}", chance.below(1000))),
        };
        let properties = match kind {
            "purchase" => {
                json!({"amount": f64::from(chance.below(90)) + 0.5, "product_id": format!("product-{}", number % 9)})
            }
            "view" | "share" | "like" => {
                json!({"content_id": format!("content-{}", chance.below(500)), "number": number})
            }
            _ => json!({"page": format!("/home/{number}")}),
        };
        let sent = json!({
            "event_id": id.to_string(),
            "user_id": user,
            "event_type": kind,
            "source": chance.pick(&SOURCES),
            "timestamp": Micros(self.day.0 - age).to_string(),
            "properties": properties,
        });
        Event { id, sent, number }
    }

    /// The number of an event with that id; `None` if there is none.
    pub fn number_of(&self, id: &str) -> Option<u64> {
        let id = Uuid::try_parse(id).ok()?;
        let number = id.as_u64_pair().1 & NUMBER_MASK;
        (self.event(number).id == id).then_some(number)
    }

    /// The body of a request.
    pub fn body(&self, request: u64, heavy: bool) -> Vec<u8> {
        let kind = self.kind(request);
        let mut events: Vec<Value> = Self::numbers(request)
            .map(|number| self.event(number).weighed(heavy))
            .collect();
        if kind == RequestKind::Invalid {
            // What a rule drops need not be right.
            let last = events
                .iter_mut()
                .rfind(|event| event["event_type"] != DROPPED);
            if let Some(last) = last {
                last["source"] = json!("fax");
            }
        }
        body_of(&events, kind == RequestKind::Cut)
    }

    /// The request whose body this refused body is, if any.
    pub fn refused_request(&self, body: &[u8], heavy: impl Fn(u64) -> Option<bool>) -> Option<u64> {
        let start = BODY_START.len() + r#"{"event_id":""#.len();
        let id = std::str::from_utf8(body.get(start..start + 36)?).ok()?;
        let request = self.number_of(id)? / PER_REQUEST;
        let is_that = self.body(request, heavy(request)?) == body;
        (self.kind(request) != RequestKind::Sound && is_that).then_some(request)
    }

    /// The number of the event whose id comes again, where a request is contested: the first whose type is
    /// not dropped and asks nothing of its properties.
    pub fn contested(request: u64) -> u64 {
        let mut numbers = Self::numbers(request);
        let start = numbers.start;
        let free = numbers.find(|number| matches!(type_of(*number), "click" | "pray"));
        free.unwrap_or(start)
    }

    /// Other content under the id of [`Source::contested`].
    pub fn contest(&self, request: u64) -> Value {
        let mut event = self.event(Self::contested(request)).sent;
        event["properties"] = json!({"page": "/altered"});
        event
    }

    /// The body that sends it.
    pub fn contest_body(&self, request: u64) -> Vec<u8> {
        body_of(&[self.contest(request)], false)
    }
}

/// Whether a rule keeps the event of that number out of the lake.
pub fn is_dropped(number: u64) -> bool {
    type_of(number) == DROPPED
}

fn type_of(number: u64) -> &'static str {
    TYPES[usize::try_from(number % 7).unwrap_or(0)]
}

/// `event_id` comes first in each event, so that it can be found in a body that is cut.
fn body_of(events: &[Value], cut: bool) -> Vec<u8> {
    let mut body = BODY_START.as_bytes().to_vec();
    for (index, event) in events.iter().enumerate() {
        let id = event["event_id"].as_str().unwrap_or_default();
        let mut rest = event.clone();
        if let Some(members) = rest.as_object_mut() {
            members.remove("event_id");
        }
        let rest = rest.to_string();
        let comma = if index > 0 { "," } else { "" };
        let event = format!(r#"{comma}{{"event_id":"{id}",{}"#, &rest[1..]);
        body.extend_from_slice(event.as_bytes());
    }
    body.extend_from_slice(if cut { b"]" } else { b"]}" });
    body
}

impl Event {
    /// Whether a rule keeps it out of the lake.
    pub fn is_dropped(&self) -> bool {
        is_dropped(self.number)
    }

    /// The event as it is sent, with padding in a heavy request.
    pub fn weighed(&self, heavy: bool) -> Value {
        let mut event = self.sent.clone();
        if heavy {
            event["properties"]["padding"] = json!("lakehook ".repeat(PADDING_BYTES / 9));
        }
        event
    }

    /// The members of its row in the lake that do not depend on when it was received.
    pub fn row(&self, heavy: bool) -> Value {
        row_of(self.weighed(heavy))
    }
}

/// The row of an event, without the members that depend on its receipt.
pub fn row_of(mut event: Value) -> Value {
    let user = event["user_id"].take();
    event["user_id"] = if user.is_object() {
        user["user_id"].clone()
    } else {
        user.clone()
    };
    event["user"] = if user.is_object() { user } else { Value::Null };
    event["extra"] = Value::Null;
    event
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
