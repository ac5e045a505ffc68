//! The slow pass: collects everything that is wrong with a body, or separates its valid events from those for
//! the quarantine.
//!
//! It reads the body as a list of raw events first, so that limits are checked before anything else. Then it
//! reads each event as a list of raw members, so that an error in one does not hide errors in others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::checked::{Checked, MAX_ERRORS, Refusal};
use super::event::{Field, Fields, Judge, wrong_type};
use super::faults::{Errors, Faults as _};
use super::pointer::segment;
use super::row::RowWriter;
use super::rules::OnInvalid;
use super::strict::{duplicate_key, lone_surrogate, unescaped};
use super::terms::Contract;
use crate::quarantine::MAX_ROW_ERRORS;
use lakehook_base::json::{self, Members, between_quotes};
use lakehook_base::record::Origin;

/// The form of a body, as errors show it.
const FORM: &str = r#"{"events":[…]}"#;

/// What takes events of other forms.
const OPEN: &str = "events of any other form are taken with contract = \"open\" under [events], or by \
                    `lakehook serve --contract open`";

/// Checks a body that the fast pass did not accept.
pub(super) fn check(contract: &Contract, body: &str, origin: &Origin) -> Result<Checked, Refusal> {
    let rules = contract.rules();
    let mut errors = Errors::below(String::new(), MAX_ERRORS);
    let events = outline(body, rules.max_events, &mut errors)?;
    let max_event_bytes = rules.max_event_bytes;
    if let Some(index) = events
        .iter()
        .position(|event| event.len() > max_event_bytes)
    {
        return Err(Refusal::EventTooLarge {
            index,
            max_event_bytes,
        });
    }
    // A body that is not of the form is refused in any case.
    let keeps_good_ones = rules.on_invalid == OnInvalid::Quarantine && errors.total() == 0;
    errors.sort();

    let mut judge = Judge::new(contract, origin.received_at);
    let mut writer = RowWriter::new(contract, origin, body.len());
    for (index, &raw) in events.iter().enumerate() {
        let max_listed = if keeps_good_ones {
            MAX_ROW_ERRORS.max(errors.room())
        } else {
            errors.room()
        };
        let mut found = Errors::below(format!("/events/{index}"), max_listed);
        let fields = gather(raw, &mut found);
        if let Some(dropped) = unchecked(contract, &fields, raw) {
            writer.count_dropped(dropped);
            continue;
        }
        let event = judge.judge(fields, None, &mut found);
        writer.settle(event.as_ref(), raw, &mut found, keeps_good_ones);
        errors.append(&found);
    }
    writer.end(errors, keeps_good_ones)
}

/// The raw events of a body. Anything else in it is added to `errors`.
fn outline<'a>(
    body: &'a str,
    max_events: usize,
    errors: &mut Errors,
) -> Result<Vec<&'a str>, Refusal> {
    let mut outline = Outline {
        max_events,
        errors,
        events: None,
        has_too_many: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    let is_object = body.trim_ascii_start().starts_with('{');
    let read = if is_object {
        deserializer.deserialize_map(&mut outline)
    } else {
        IgnoredAny::deserialize(&mut deserializer).map(|_| ())
    };
    let read = read.and_then(|()| deserializer.end());
    if outline.has_too_many {
        return Err(Refusal::TooManyEvents { max_events });
    }
    if let Err(error) = read {
        return Err(syntax(&error));
    }
    if let Some(events) = outline.events {
        return Ok(events);
    }
    // This is probably a single event without the list, and one error explains it better than one for each
    // key.
    let mut instead = Errors::below(String::new(), MAX_ERRORS);
    let detail = format!("a body of the form {FORM}; {OPEN}");
    instead.add("not_events", String::new, || detail);
    let (errors, errors_total) = instead.into_parts();
    Err(Refusal::Invalid {
        errors,
        errors_total,
    })
}

fn wrong_form(pointer: &str, errors: &mut Errors) {
    errors.add(
        "not_events",
        || pointer.to_owned(),
        || format!("a body of the form {FORM}"),
    );
}

pub(super) fn syntax(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let detail = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(what, _)| what);
    Refusal::Syntax {
        line: error.line().max(1),
        column: error.column().max(1),
        detail: detail.to_owned(),
    }
}

/// Visits the top level of a body, and its array of events.
struct Outline<'e, 'a> {
    max_events: usize,
    errors: &'e mut Errors,
    events: Option<Vec<&'a str>>,
    has_too_many: bool,
}

impl<'a> Visitor<'a> for &mut Outline<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORM)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            let key = unquoted(key.get());
            let value = map.next_value::<&RawValue>()?.get();
            let pointer = || segment(&key);
            if key != "events" {
                self.errors
                    .add("unknown_field", pointer, || format!("nothing but {FORM}"));
            } else if self.events.is_some() {
                duplicate_key(pointer, self.errors);
            } else if value.starts_with('[') {
                // The value is valid JSON, so this fails only by having too many.
                let list = serde_json::Deserializer::from_str(value).deserialize_seq(&mut *self);
                list.map_err(A::Error::custom)?;
            } else {
                self.events = Some(Vec::new());
                wrong_form("/events", self.errors);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element::<&RawValue>()? {
            if events.len() == self.max_events {
                self.has_too_many = true;
                return Err(A::Error::custom("too many events"));
            }
            events.push(event.get());
        }
        self.events = Some(events);
        Ok(())
    }
}

/// A raw key without quotes and escapes. Escapes that are not text are kept.
fn unquoted(key: &str) -> Cow<'_, str> {
    unescaped(between_quotes(key))
}

/// Gathers the fields of a raw event. What cannot be gathered is added to `errors`.
fn gather<'a>(raw: &'a str, errors: &mut Errors) -> Fields<'a> {
    let mut fields = Fields::default();
    let Ok(Members(members)) = serde_json::from_str(raw) else {
        wrong_type("", "an object", errors);
        return all_bad();
    };
    for (raw_key, value) in members {
        let Some(key) = json::text(raw_key) else {
            lone_surrogate(|| segment(&unquoted(raw_key)), errors);
            continue;
        };
        match &*key {
            "event_id" => set(
                &mut fields.event_id,
                text(value, &key, errors),
                &key,
                errors,
            ),
            "user_id" => set(&mut fields.user_id, Field::Is(value), &key, errors),
            "event_type" => set(
                &mut fields.event_type,
                text(value, &key, errors),
                &key,
                errors,
            ),
            "source" => set(&mut fields.source, text(value, &key, errors), &key, errors),
            "timestamp" => set(
                &mut fields.timestamp,
                text(value, &key, errors),
                &key,
                errors,
            ),
            "properties" => set(&mut fields.properties, Field::Is(value), &key, errors),
            _ => fields.extra.push((key, value)),
        }
    }
    fields
}

/// The type of an event that a rule drops, whatever else is wrong with it: what is not stored need not be right.
fn unchecked(contract: &Contract, fields: &Fields<'_>, raw: &str) -> Option<usize> {
    let rules = contract.rules();
    let Field::Is(event_type) = &fields.event_type else {
        return None;
    };
    let index = rules.types.iter().position(|known| known == event_type)?;
    let is_dropped = rules.drop_unchecked && contract.is_dropped(index);
    // A type that is there twice may be another one.
    is_dropped
        .then(|| serde_json::from_str(raw).ok())?
        .and_then(|Members(members)| {
            let types = members
                .iter()
                .filter(|(key, _)| json::text(key).as_deref() == Some("event_type"));
            (types.count() == 1).then_some(index)
        })
}

/// Fields that are all marked as bad, so that none of them is reported as missing: the value is not an event.
fn all_bad() -> Fields<'static> {
    Fields {
        event_id: Field::Bad,
        user_id: Field::Bad,
        event_type: Field::Bad,
        source: Field::Bad,
        timestamp: Field::Bad,
        properties: Field::Bad,
        extra: Vec::new(),
    }
}

fn text<'a>(raw: &'a str, key: &str, errors: &mut Errors) -> Field<Cow<'a, str>> {
    if let Some(text) = json::text(raw) {
        return Field::Is(text);
    }
    if raw.starts_with('"') {
        lone_surrogate(|| segment(key), errors);
    } else {
        wrong_type(&segment(key), "a string", errors);
    }
    Field::Bad
}

fn set<T>(field: &mut Field<T>, value: Field<T>, key: &str, errors: &mut Errors) {
    if matches!(field, Field::Missing) {
        *field = value;
    } else {
        duplicate_key(|| segment(key), errors);
    }
}
