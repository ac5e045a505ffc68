//! Activity: the events of the population, in the form of the real system.
//!
//! Its form is odd on purpose: events embed their users, local times vary in precision, and requests repeat events. All
//! of them are valid; only [`Activity::broken`] makes an event that is not.

use std::ops::RangeInclusive;

use chrono::FixedOffset;
use uuid::Builder;

use crate::clock::{Clock, MICROS_PER_SECOND, Micros};

use super::chance::Chance;
use super::population::{ContentItem, PRAYER_TYPES, Population};

const SOURCES: [&str; 3] = ["web", "apple", "android"];
const CURRENCIES: [&str; 3] = ["EUR", "USD", "BRL"];
const PAGES: [&str; 4] = ["home", "library", "profile", "search"];
const ELEMENTS: [&str; 4] = ["banner", "menu", "play", "subscribe"];
const PLANS: [&str; 3] = ["free", "monthly", "yearly"];
const OFFSETS_MINUTES: [i32; 6] = [0, 60, 120, -180, -300, 330];
const PRODUCTS: u32 = 50;
const PRICE_CENTS: RangeInclusive<u32> = 99..=19_999;
const PRAYER_SECONDS: RangeInclusive<u32> = 30..=3600;

/// Share of events that hold the whole user instead of the id.
const EMBEDDED_USERS: f64 = 0.8;

/// The types of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventType {
    Click,
    View,
    Purchase,
    Signup,
    Pray,
    Share,
    Like,
}

impl EventType {
    const ALL: [Self; 7] = [
        Self::Click,
        Self::View,
        Self::Purchase,
        Self::Signup,
        Self::Pray,
        Self::Share,
        Self::Like,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Click => "click",
            Self::View => "view",
            Self::Purchase => "purchase",
            Self::Signup => "signup",
            Self::Pray => "pray",
            Self::Share => "share",
            Self::Like => "like",
        }
    }
}

/// One event, in the form of the webhook.
#[allow(clippy::struct_field_names, reason = "the names are those of the wire")]
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Event {
    event_id: String,
    user_id: UserReference,
    event_type: &'static str,
    source: &'static str,
    timestamp: String,
    properties: Properties,
}

/// The user of an event: the id, or the user as the upstream knew it at that time.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
enum UserReference {
    Id(String),
    Embedded {
        user_id: String,
        name: String,
        age: u32,
        country: &'static str,
    },
}

/// The members that depend on the type.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
enum Properties {
    Click {
        page: &'static str,
        element: &'static str,
    },
    Content {
        content_id: String,
        media_type: &'static str,
        prayer_type: &'static str,
    },
    Purchase {
        amount: f64,
        product_id: String,
        currency: &'static str,
    },
    Signup {
        plan: &'static str,
    },
    Pray {
        duration_seconds: u32,
        prayer_type: &'static str,
    },
}

/// The body of a request or page.
#[derive(serde::Serialize)]
pub(super) struct Body<'a> {
    /// Its events.
    pub(super) events: &'a [Event],
}

/// Makes events.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) population: Population,
    /// Share of events that repeat an earlier one of their batch.
    pub(super) duplicates: f64,
    pub(super) clock: Clock,
    pub(super) chance: Chance,
}

impl Activity {
    /// The events of a request; about the configured share of them repeat earlier ones.
    pub(super) fn batch(&self, count: u32) -> Vec<Event> {
        // The first event has nothing to repeat, so the others repeat a little more often.
        let later = f64::from(count.saturating_sub(1).max(1));
        let share_of_later = self.duplicates * f64::from(count) / later;
        let mut events: Vec<Event> = Vec::new();
        for made in 0..count {
            let earlier = usize::try_from(self.chance.below(made)).unwrap_or(0);
            let repeat = events
                .get(earlier)
                .filter(|_| self.chance.hits(share_of_later))
                .cloned();
            events.push(repeat.unwrap_or_else(|| self.event()));
        }
        events
    }

    /// An event that breaks the contract, by its type or by its timestamp.
    pub(super) fn broken(&self) -> Event {
        let event = self.event();
        if self.chance.hits(0.5) {
            Event {
                event_type: "teleport",
                ..event
            }
        } else {
            Event {
                timestamp: "yesterday at noon".to_owned(),
                ..event
            }
        }
    }

    fn event(&self) -> Event {
        let event_type = self.chance.pick(&EventType::ALL);
        let now = self.clock.now().wall;
        let offset_minutes = self.chance.pick(&OFFSETS_MINUTES);
        let fraction_digits = self.chance.pick(&[0, 1, 2, 3, 4, 5, 6]);
        Event {
            event_id: self.event_id(),
            user_id: self.user(),
            event_type: event_type.as_str(),
            source: self.chance.pick(&SOURCES),
            timestamp: local_time(now, offset_minutes, fraction_digits),
            properties: self.properties(event_type),
        }
    }

    /// A random UUID, version 4.
    fn event_id(&self) -> String {
        let random = u128::from(self.chance.bits()) << 64 | u128::from(self.chance.bits());
        Builder::from_random_bytes(random.to_le_bytes())
            .into_uuid()
            .to_string()
    }

    fn user(&self) -> UserReference {
        let number = self.chance.below(self.population.users);
        let user = self.population.user(number);
        if self.chance.hits(EMBEDDED_USERS) {
            UserReference::Embedded {
                user_id: user.user_id,
                name: user.name,
                age: user.age,
                country: user.country,
            }
        } else {
            UserReference::Id(user.user_id)
        }
    }

    fn properties(&self, event_type: EventType) -> Properties {
        let chance = &self.chance;
        match event_type {
            EventType::Click => Properties::Click {
                page: chance.pick(&PAGES),
                element: chance.pick(&ELEMENTS),
            },
            EventType::View | EventType::Share | EventType::Like => about(self.some_content()),
            EventType::Purchase => Properties::Purchase {
                amount: f64::from(chance.within(&PRICE_CENTS)) / 100.0,
                product_id: format!("product-{:03}", chance.below(PRODUCTS)),
                currency: chance.pick(&CURRENCIES),
            },
            EventType::Signup => Properties::Signup {
                plan: chance.pick(&PLANS),
            },
            EventType::Pray => Properties::Pray {
                duration_seconds: chance.within(&PRAYER_SECONDS),
                prayer_type: chance.pick(&PRAYER_TYPES),
            },
        }
    }

    fn some_content(&self) -> ContentItem {
        let number = self.chance.below(self.population.content);
        self.population.item(number)
    }
}

fn about(item: ContentItem) -> Properties {
    Properties::Content {
        content_id: item.content_id,
        media_type: item.media_type,
        prayer_type: item.prayer_type,
    }
}

/// RFC 3339 as a device writes it that many minutes east of UTC, with 0 to 6 fraction digits.
fn local_time(now: Micros, offset_minutes: i32, fraction_digits: usize) -> String {
    let offset = FixedOffset::east_opt(offset_minutes * 60);
    let (Some(utc), Some(offset)) = (now.to_utc(), offset) else {
        return now.to_string();
    };
    let local = utc.with_timezone(&offset);
    let seconds = local.format("%Y-%m-%dT%H:%M:%S");
    let micros = now.0.rem_euclid(MICROS_PER_SECOND);
    let point_and_digits = match fraction_digits {
        0 => String::new(),
        digits => format!(".{micros:06}").chars().take(1 + digits).collect(),
    };
    match offset_minutes {
        0 => format!("{seconds}{point_and_digits}Z"),
        _ => format!("{seconds}{point_and_digits}{}", local.format("%:z")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_keep_the_moment_and_vary_in_form() {
        let now = Micros(1_763_683_200_123_456);
        assert_eq!(local_time(now, 0, 0), "2025-11-21T00:00:00Z");
        assert_eq!(local_time(now, 120, 3), "2025-11-21T02:00:00.123+02:00");
        assert_eq!(local_time(now, -300, 6), "2025-11-20T19:00:00.123456-05:00");
        assert_eq!(
            local_time(Micros(1_000), 330, 6),
            "1970-01-01T05:30:00.001000+05:30"
        );
    }
}
