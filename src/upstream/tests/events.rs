//! What the generator makes: the documented envelope, references that hold, repeats in their share.

use super::*;
use crate::clock::Micros;
use crate::upstream::activity::{Activity, Body};
use crate::upstream::chance::Chance;
use crate::upstream::population::{MEDIA_TYPES, PRAYER_TYPES, Population};

const NOW: Micros = Micros(1_763_683_200_123_456);

fn activity(duplicates: f64) -> Activity {
    Activity {
        population: Population {
            seed: 5,
            users: 50,
            content: 20,
        },
        duplicates,
        clock: Clock::manual(NOW),
        chance: Chance::from_seed(11),
    }
}

/// A batch, as it goes over the wire.
fn batch(activity: &Activity, count: u32) -> Vec<Value> {
    let events = activity.batch(count);
    let body = serde_json::to_value(Body { events: &events }).unwrap();
    body["events"].as_array().unwrap().clone()
}

fn assert_fits(event: &Value, population: &Population) {
    let text = |field: &str| event[field].as_str().unwrap();
    assert_eq!(event.as_object().unwrap().len(), 6);
    let id = uuid::Uuid::try_parse(text("event_id")).unwrap();
    assert_eq!((id.get_version_num(), text("event_id").len()), (4, 36));
    assert!(["web", "apple", "android"].contains(&text("source")));
    let time = chrono::DateTime::parse_from_rfc3339(text("timestamp")).unwrap();
    assert_eq!(time.timestamp(), NOW.0 / 1_000_000);
    assert!(time.timestamp_micros() <= NOW.0);

    let user = &event["user_id"];
    let user_id = user.as_str().or(user["user_id"].as_str()).unwrap();
    let known = (0..population.users).map(|n| population.user(n));
    let known = known.into_iter().find(|u| u.user_id == user_id).unwrap();
    if user.is_object() {
        assert_eq!(user["name"], known.name);
        assert_eq!(
            (&user["age"], &user["country"]),
            (&known.age.into(), &known.country.into())
        );
    }
    assert_properties_fit(text("event_type"), &event["properties"], population);
}

fn assert_properties_fit(event_type: &str, properties: &Value, population: &Population) {
    let has =
        |field: &str, choices: &[&str]| choices.contains(&properties[field].as_str().unwrap());
    match event_type {
        "click" => assert!(properties["page"].is_string() && properties["element"].is_string()),
        "signup" => assert!(properties["plan"].is_string()),
        "purchase" => {
            assert!(properties["amount"].as_f64().unwrap() >= 0.0);
            assert!(properties["product_id"].is_string() && properties["currency"].is_string());
        }
        "pray" => {
            assert!(properties["duration_seconds"].is_u64());
            assert!(has("prayer_type", &PRAYER_TYPES));
        }
        "view" | "share" | "like" => {
            assert!(has("media_type", &MEDIA_TYPES) && has("prayer_type", &PRAYER_TYPES));
            let id = properties["content_id"].as_str().unwrap();
            assert!((0..population.content).any(|n| population.item(n).content_id == id));
        }
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn every_event_has_the_documented_form() {
    let activity = activity(0.0);
    let events = batch(&activity, 3000);
    for event in &events {
        assert_fits(event, &activity.population);
    }
    assert_eq!(distinct(&events, "event_type").len(), 7);
    assert_eq!(distinct(&events, "event_id").len(), 3000);
    // Six offsets with seven precisions each.
    assert_eq!(distinct(&events, "timestamp").len(), 42);
    let embedded = events.iter().filter(|e| e["user_id"].is_object()).count();
    assert!((2250..=2550).contains(&embedded), "{embedded} of 3000");
}

#[test]
fn repeats_are_exact_and_in_their_share() {
    let activity = activity(0.03);
    let (mut made, mut repeats) = (0, 0);
    for round in 0..4000 {
        let events = batch(&activity, 1 + round % 10);
        for (index, event) in events.iter().enumerate() {
            let same_id = |e: &&Value| e["event_id"] == event["event_id"];
            if let Some(earlier) = events[..index].iter().find(same_id) {
                assert_eq!(earlier, event);
                repeats += 1;
            }
            made += 1;
        }
    }
    // 3 % of 22 000, less what a batch of one cannot have.
    assert_eq!(made, 22_000);
    assert!((570..=740).contains(&repeats), "{repeats} of {made}");
}

#[test]
fn broken_events_break_one_rule() {
    let activity = activity(0.0);
    let (mut types, mut times) = (0, 0);
    for _ in 0..200 {
        let event = serde_json::to_value(activity.broken()).unwrap();
        let time = event["timestamp"].as_str().unwrap();
        types += u32::from(event["event_type"] == "teleport");
        times += u32::from(chrono::DateTime::parse_from_rfc3339(time).is_err());
    }
    assert_eq!(types + times, 200);
    assert!((60..=140).contains(&types), "{types} of 200");
}
