//! The published contract: a JSON Schema of the whole body, for senders.
//!
//! It is generated from the types below, which exist only for this, and narrowed to the rules. A schema cannot
//! express limits of time and the finer points of readable JSON, so those are missing.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::rules::Rules;

/// The body of a request to the webhook.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "lakehook events")]
#[expect(dead_code, reason = "describes the body; the passes read it")]
struct Body {
    /// The events, in the order in which they are to be stored.
    events: Vec<Event>,
}

/// One event. Fields that are not listed are kept under `extra`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes an event; the passes read it")]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the contract"
)]
struct Event {
    /// A UUID, the same whenever the event is sent again.
    #[schemars(regex(
        pattern = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
    ))]
    event_id: String,
    /// Who did it: an id, a whole user, or null.
    user_id: User,
    /// What happened.
    event_type: String,
    /// Where it happened.
    source: String,
    /// When it happened: RFC 3339 with `T` and `Z` or an offset.
    #[schemars(
        extend("format" = "date-time"),
        regex(
            pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])$"
        )
    )]
    timestamp: String,
    /// What the event type is about; may have a schema of its own.
    properties: Map<String, Value>,
}

/// The user who did it.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes a user; the passes read it")]
enum User {
    /// No known user.
    Nobody,
    /// The user's id.
    Id(#[schemars(length(min = 1, max = 256))] String),
    /// A whole user, which is kept as it was sent.
    Embedded(EmbeddedUser),
}

/// A user: its id, and any other members.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a user; the passes read it")]
struct EmbeddedUser {
    /// The user's id.
    #[schemars(length(min = 1, max = 256))]
    user_id: String,
}

/// The JSON Schema (draft 2020-12) of the bodies that a feed with these rules takes.
pub fn event_schema(rules: &Rules) -> Value {
    if rules.beyond.is_open {
        return open_schema(rules);
    }
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Body>().to_value();
    let mut narrow = |pointer: &str, keyword: &str, value: Value| {
        let place = schema.pointer_mut(pointer).and_then(Value::as_object_mut);
        debug_assert!(place.is_some(), "{pointer} is in the schema");
        if let Some(place) = place {
            place.insert(keyword.to_owned(), value);
        }
    };
    narrow("/properties/events", "maxItems", json!(rules.max_events));
    let event = "/$defs/Event/properties";
    if !rules.beyond.any_type {
        narrow(&format!("{event}/event_type"), "enum", json!(rules.types));
    }
    if !rules.beyond.any_source {
        narrow(&format!("{event}/source"), "enum", json!(rules.sources));
    }
    schema
}

/// The schema of bodies of an open contract.
fn open_schema(rules: &Rules) -> Value {
    let reference = json!({"$ref": "#/$defs/Event"});
    let list = json!({"type": "array", "items": reference, "maxItems": rules.max_events});
    let name = |about: &str| json!({"description": about, "type": ["string", "number", "null"], "maxLength": 256});
    let user_id = json!({"type": ["string", "number"], "minLength": 1, "maxLength": 256});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lakehook events",
        "description": "One event, a list of them, or an object that holds the list.",
        "anyOf": [
            {
                "type": "object",
                "properties": {"events": list},
                "required": ["events"],
                "additionalProperties": false,
            },
            list,
            {
                "allOf": [reference, {"not": {
                    "type": "object",
                    "properties": {"events": {"type": "array"}},
                    "required": ["events"],
                    "maxProperties": 1,
                }}],
            },
        ],
        "$defs": {"Event": {
            "description": "One event. Nothing is required, and fields that are not listed are kept under `extra`.",
            "type": "object",
            "properties": {
                "event_id": {
                    "description": "The same whenever the event is sent again; by default a new one.",
                    "type": ["string", "number", "null"],
                },
                "user_id": {
                    "description": "Who did it: an id, a whole user, or null.",
                    "anyOf": [
                        {"type": "null"},
                        user_id,
                        {"type": "object", "properties": {"user_id": user_id}, "required": ["user_id"]},
                    ],
                },
                "event_type": name("What happened."),
                "source": name("Where it happened."),
                "timestamp": {
                    "description": "When it happened; by default, and where it says nothing certain, the time of receipt.",
                    "type": ["string", "number", "null"],
                },
                "properties": {"description": "What it is about.", "type": ["object", "null"]},
            },
        }},
    })
}
