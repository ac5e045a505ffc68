//! The population: the users and the content of the sample upstream.
//!
//! Pure: each entity is computed from the seed and its number when it is needed, so nothing is stored, and equal seeds
//! give equal entities.

use crate::clock::{MICROS_PER_SECOND, Micros};

use super::chance::Chance;

/// The media of content.
pub(super) const MEDIA_TYPES: [&str; 3] = ["text", "video", "audio"];
/// The prayers that content is for.
pub(super) const PRAYER_TYPES: [&str; 6] = [
    "academic",
    "podcast",
    "reflection",
    "lectio_divina",
    "rosary",
    "meditation",
];

const FIRST_NAMES: [&str; 12] = [
    "Ada", "Bruno", "Chiara", "Dmitri", "Elena", "Fatima", "Goran", "Hana", "Inês", "Jonas",
    "Kofi", "Lucía",
];
const LAST_NAMES: [&str; 10] = [
    "Almeida", "Brandt", "Costa", "Dvořák", "Eriksen", "Fischer", "García", "Huang", "Ivanova",
    "Jansen",
];
const COUNTRIES: [&str; 10] = ["BR", "DE", "ES", "FR", "GB", "IT", "MX", "PL", "PT", "US"];
const SUBSCRIPTIONS: [&str; 3] = ["free", "monthly", "yearly"];
const INTERESTS: [&str; 7] = [
    "family",
    "history",
    "music",
    "nature",
    "saints",
    "scripture",
    "silence",
];
const MOODS: [&str; 6] = ["Quiet", "Bright", "Daily", "Evening", "Simple", "Winter"];
const SUBJECTS: [&str; 6] = ["Hours", "Letters", "Paths", "Psalms", "Songs", "Voices"];

/// 2024-01-01T00:00:00Z, the first day of the sample world.
const FIRST_DAY: Micros = Micros(1_704_067_200 * MICROS_PER_SECOND);
const SECONDS_IN_TWO_YEARS: u32 = 2 * 365 * 86_400;

/// Makes users draw other random numbers than content with the same number.
const USER_DRAWS: u64 = 0x7573_6572 << 32;
const CONTENT_DRAWS: u64 = 0x6974_656d << 32;

/// One user, as `GET /api/users` shows it.
#[allow(clippy::struct_field_names, reason = "the names are those of the wire")]
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct User {
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) age: u32,
    pub(super) country: &'static str,
    pub(super) subscription: &'static str,
    pub(super) created_at: String,
    pub(super) interests: Vec<&'static str>,
}

/// A content item, as `GET /api/content` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct ContentItem {
    pub(super) content_id: String,
    pub(super) title: String,
    pub(super) media_type: &'static str,
    pub(super) prayer_type: &'static str,
    pub(super) duration_seconds: u32,
    pub(super) author: String,
    pub(super) published_at: String,
}

/// The users and the content that events refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Population {
    pub(super) seed: u64,
    pub(super) users: u32,
    pub(super) content: u32,
}

impl Population {
    /// The user of that number, from 0.
    pub(super) fn user(&self, number: u32) -> User {
        let chance = Chance::from_seed(self.seed ^ USER_DRAWS ^ u64::from(number));
        let (first, last) = (chance.pick(&FIRST_NAMES), chance.pick(&LAST_NAMES));
        let age = chance.within(&(18..=90));
        User {
            user_id: format!("user-{number:05}"),
            name: format!("{first} {last}"),
            email: format!("user.{number}@example.com"),
            age,
            country: chance.pick(&COUNTRIES),
            subscription: chance.pick(&SUBSCRIPTIONS),
            created_at: some_time(&chance),
            interests: INTERESTS.into_iter().filter(|_| chance.hits(0.4)).collect(),
        }
    }

    /// The content item of that number, from 0.
    pub(super) fn item(&self, number: u32) -> ContentItem {
        let chance = Chance::from_seed(self.seed ^ CONTENT_DRAWS ^ u64::from(number));
        let (mood, subject) = (chance.pick(&MOODS), chance.pick(&SUBJECTS));
        let (first, last) = (chance.pick(&FIRST_NAMES), chance.pick(&LAST_NAMES));
        ContentItem {
            content_id: format!("content-{number:04}"),
            title: format!("{mood} {subject} {number}"),
            media_type: chance.pick(&MEDIA_TYPES),
            prayer_type: chance.pick(&PRAYER_TYPES),
            duration_seconds: chance.within(&(60..=3600)),
            author: format!("{first} {last}"),
            published_at: some_time(&chance),
        }
    }
}

/// A time in the first two years of the sample world; never now, so that the seed alone decides.
fn some_time(chance: &Chance) -> String {
    let seconds = i64::from(chance.below(SECONDS_IN_TWO_YEARS));
    Micros(FIRST_DAY.0 + seconds * MICROS_PER_SECOND).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population(seed: u64) -> Population {
        Population {
            seed,
            users: 10,
            content: 10,
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(population(1).user(3), population(1).user(3));
        assert_eq!(population(1).item(3), population(1).item(3));
        assert_ne!(population(1).user(3), population(2).user(3));
        assert_ne!(population(1).item(3), population(2).item(3));
    }

    #[test]
    fn people_differ() {
        let (a, b) = (population(1).user(0), population(1).user(1));
        assert_ne!(a.user_id, b.user_id);
        assert_ne!(a.created_at, b.created_at);
        assert!(a.created_at.starts_with("2024-") || a.created_at.starts_with("2025-"));
    }
}
