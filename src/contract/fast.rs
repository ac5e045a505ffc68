//! The fast pass: reads a body once, on borrowed bytes, and writes rows as it goes.
//!
//! It says yes or nothing. Whatever is off makes it give up, and the slow pass finds out.

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Checked;
use super::check::Contract;
use super::event::{Event, Field, Fields, Judge, Text};
use super::faults::Counted;
use super::row::Writer;
use crate::record::Origin;

/// The rows of a body in which every event is valid; `None` for any other.
pub(super) fn check(contract: &Contract, body: &str, origin: &Origin) -> Option<Checked> {
    let mut pass = Pass {
        judge: Judge::new(contract, origin.received_at),
        writer: Writer::new(contract, origin, body.len()),
        events: 0,
        max_events: contract.rules().max_events,
        // No event is larger than the body, so mostly none needs to be measured.
        max_event_bytes: Some(contract.rules().max_event_bytes).filter(|max| body.len() > *max),
    };
    let mut deserializer = serde_json::Deserializer::from_str(body);
    deserializer.deserialize_map(Body(&mut pass)).ok()?;
    deserializer.end().ok()?;
    Some(pass.writer.finish())
}

struct Pass<'c, 'a> {
    judge: Judge<'c, 'a>,
    writer: Writer<'c>,
    events: usize,
    max_events: usize,
    max_event_bytes: Option<usize>,
}

impl<'a> Pass<'_, 'a> {
    fn judge(&mut self, fields: Fields<'a>) -> Option<Event<'a>> {
        self.judge.judge(fields, &mut Counted::default())
    }
}

/// Visits `{"events":[…]}`.
struct Body<'p, 'c, 'a>(&'p mut Pass<'c, 'a>);

impl<'a> Visitor<'a> for Body<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Some(Text(key)) = map.next_key()? else {
            return Err(off());
        };
        if key != "events" {
            return Err(off());
        }
        map.next_value_seed(Events(self.0))?;
        match map.next_key::<Text<'_>>()? {
            Some(_) => Err(off()),
            None => Ok(()),
        }
    }
}

/// Visits the array of events.
struct Events<'p, 'c, 'a>(&'p mut Pass<'c, 'a>);

impl<'a> DeserializeSeed<'a> for Events<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for Events<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(One(self.0))?.is_some() {}
        Ok(())
    }
}

/// Visits one event, and stores it.
struct One<'p, 'c, 'a>(&'p mut Pass<'c, 'a>);

impl<'a> DeserializeSeed<'a> for One<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let pass = self.0;
        pass.events += 1;
        if pass.events > pass.max_events {
            return Err(off());
        }
        let fields = match pass.max_event_bytes {
            None => deserializer.deserialize_map(Gather)?,
            Some(max_bytes) => gather_measured(deserializer, max_bytes)?,
        };
        let event = pass.judge(fields).ok_or_else(off)?;
        pass.writer.take(&event);
        Ok(())
    }
}

/// Reads the event twice: there is no other way to know its length.
fn gather_measured<'a, D: Deserializer<'a>>(
    deserializer: D,
    max_bytes: usize,
) -> Result<Fields<'a>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?.get();
    if raw.len() > max_bytes {
        return Err(off());
    }
    let mut inner = serde_json::Deserializer::from_str(raw);
    inner.deserialize_map(Gather).map_err(|_| off())
}

/// Gathers the fields of an event.
struct Gather;

impl<'a> Visitor<'a> for Gather {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "event_id" => text(&mut fields.event_id, &mut map)?,
                "user_id" => raw(&mut fields.user_id, &mut map)?,
                "event_type" => text(&mut fields.event_type, &mut map)?,
                "source" => text(&mut fields.source, &mut map)?,
                "timestamp" => text(&mut fields.timestamp, &mut map)?,
                "properties" => raw(&mut fields.properties, &mut map)?,
                _ => fields
                    .extra
                    .push((key, map.next_value::<&RawValue>()?.get())),
            }
        }
        Ok(fields)
    }
}

fn text<'a, A: MapAccess<'a>>(
    field: &mut Field<std::borrow::Cow<'a, str>>,
    map: &mut A,
) -> Result<(), A::Error> {
    let Text(value) = map.next_value()?;
    set(field, value)
}

fn raw<'a, A: MapAccess<'a>>(field: &mut Field<&'a str>, map: &mut A) -> Result<(), A::Error> {
    let value: &RawValue = map.next_value()?;
    set(field, value.get())
}

fn set<T, E: serde::de::Error>(field: &mut Field<T>, value: T) -> Result<(), E> {
    if !matches!(field, Field::Missing) {
        return Err(off());
    }
    *field = Field::Is(value);
    Ok(())
}

/// The only thing this pass says about what is wrong.
fn off<E: serde::de::Error>() -> E {
    E::custom("")
}
