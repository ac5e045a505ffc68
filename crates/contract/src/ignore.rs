//! Writes the parts of an event that count when two copies of it are compared: everything except the ignored
//! fields.
//!
//! Some senders change a field when they retry (an attempt counter, `sent_at`). If that field is ignored, the
//! retry is a duplicate instead of a conflict.

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::event::{Event, User};
use super::named::Named;
use super::raw::{push_raw, push_string};
use super::terms::Contract;
use lakehook_base::json::{Text, push_json};

/// Appends the parts that count. Their order is fixed, except that extra fields stay in the sender's order.
pub(super) fn write_counted(contract: &Contract, event: &Event<'_>, out: &mut Vec<u8>) {
    let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
    out.extend_from_slice(event.id.hyphenated().encode_lower(&mut id).as_bytes());
    let ignored: Vec<&[String]> = contract.ignored().iter().map(Vec::as_slice).collect();

    member(out, "user_id", &ignored, |out, inner| match event.user {
        User::Nobody => out.extend_from_slice(b"null"),
        User::Id(id) => push_string(out, id),
        User::Embedded { user, .. } => push_without(out, user, inner),
    });
    member(out, "event_type", &ignored, |out, _| {
        match &event.event_type {
            Named::Listed(index) => out.extend_from_slice(contract.event_type(*index).json()),
            Named::Other(name) => push_json(out, &**name),
        }
    });
    member(out, "source", &ignored, |out, _| match &event.source {
        Named::Listed(index) => out.extend_from_slice(contract.source(*index).json()),
        Named::Other(name) => push_json(out, &**name),
    });
    if event.is_timed {
        member(out, "timestamp", &ignored, |out, _| event.time.write(out));
    }
    member(out, "properties", &ignored, |out, inner| {
        push_without(out, event.properties, inner);
    });
    for (key, value) in &event.extra {
        member(out, key, &ignored, |out, inner| {
            push_without(out, value, inner);
        });
    }
}

/// Appends a member unless it is ignored; `write` gets the ignored pointers below it.
fn member(
    out: &mut Vec<u8>,
    key: &str,
    ignored: &[&[String]],
    write: impl FnOnce(&mut Vec<u8>, &[&[String]]),
) {
    let Some(inner) = within(ignored, key) else {
        return;
    };
    out.push(b',');
    push_json(out, key);
    out.push(b':');
    write(out, &inner);
}

/// The pointers below a member, relative to it; `None` if the member itself is ignored.
fn within<'i>(ignored: &[&'i [String]], key: &str) -> Option<Vec<&'i [String]>> {
    let mut inner = Vec::new();
    for pointer in ignored {
        match pointer.split_first() {
            Some((first, [])) if first == key => return None,
            Some((first, rest)) if first == key => inner.push(rest),
            _ => {}
        }
    }
    Some(inner)
}

/// Appends a raw value without its ignored parts. Recurses at most as deep as the longest pointer.
pub(super) fn push_without(out: &mut Vec<u8>, raw: &str, ignored: &[&[String]]) {
    let is_container = raw.starts_with(['{', '[']);
    if ignored.is_empty() || !is_container {
        push_raw(out, raw);
        return;
    }
    out.extend_from_slice(&raw.as_bytes()[..1]);
    let container =
        serde_json::Deserializer::from_str(raw).deserialize_any(Without { out, ignored });
    debug_assert!(container.is_ok(), "the value was read before");
}

/// Copies the members or elements of a container that count, and its closing bracket.
struct Without<'o, 'i> {
    out: &'o mut Vec<u8>,
    ignored: &'o [&'i [String]],
}

impl<'a> Visitor<'a> for Without<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            member(self.out, &key, self.ignored, |out, inner| {
                push_without(out, value.get(), inner);
            });
        }
        self.out.push(b'}');
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0_usize;
        while let Some(value) = seq.next_element::<&RawValue>()? {
            member(self.out, &index.to_string(), self.ignored, |out, inner| {
                push_without(out, value.get(), inner);
            });
            index += 1;
        }
        self.out.push(b']');
        Ok(())
    }
}
