//! The open contract: events as senders have them already, without the envelope that the default contract asks for.
//!
//! A body is `{"events":[…]}`, an array, or a single event. Nothing is required: a type or source that is missing is
//! `unknown`, a missing time is that of the receipt, a missing id is a new one. What is there must be of its kind, and
//! readable to engines. Members that the envelope does not know are kept under `extra`.

use std::borrow::Cow;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::check::{BYTE_ORDER_MARK, behind_mark, not_utf8};
use super::checked::{Checked, MAX_ERRORS, Refusal};
use super::event::{Event, User, is_number, own_user_id, wrong_type};
use super::event_ids::{made_of, uuid_of};
use super::faults::{Errors, Faults as _};
use super::row::RowWriter;
use super::rules::OnInvalid;
use super::slow::syntax;
use super::strict::Scanner;
use super::terms::Contract;
use crate::quarantine::MAX_ROW_ERRORS;
use lakehook_base::clock::Micros;
use lakehook_base::instant;
use lakehook_base::json::{self, Members, push_json};
use lakehook_base::record::Origin;

/// What is not said.
const UNKNOWN: &str = "unknown";
/// The longest type or source.
const MAX_NAME_CHARS: usize = 256;

/// What an open contract needs of a request besides its body.
pub struct OpenRequest<'a> {
    /// Where the request came from.
    pub origin: &'a Origin,
    /// The sender's `Idempotency-Key`: events without an id get one that is made of it and of their place.
    pub idempotency_key: Option<&'a str>,
    /// Makes an id for an event that has none.
    pub fresh: &'a dyn Fn() -> Uuid,
}

/// A body that an open contract has checked.
#[derive(Debug, Default)]
pub struct OpenChecked {
    /// The rows.
    pub checked: Checked,
    /// The ids of all events in their order, if some of them were given one.
    pub event_ids: Vec<Uuid>,
}

impl Contract {
    /// Checks the body of a request by the open contract.
    pub fn check_open(
        &self,
        body: &[u8],
        request: &OpenRequest<'_>,
    ) -> Result<OpenChecked, Refusal> {
        let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let mark_bytes = body.len() - text.len();
        let text = std::str::from_utf8(text)
            .map_err(|error| not_utf8(&body[..mark_bytes + error.valid_up_to()]))?;
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| behind_mark(syntax(&error), mark_bytes))?;
        let (events, prefix) = events_of(raw.get());
        let rules = self.rules();
        let (max_events, max_event_bytes) = (rules.max_events, rules.max_event_bytes);
        if events.len() > max_events {
            return Err(Refusal::TooManyEvents { max_events });
        }
        if let Some(index) = events
            .iter()
            .position(|event| event.len() > max_event_bytes)
        {
            return Err(Refusal::EventTooLarge {
                index,
                max_event_bytes,
            });
        }
        self.check_all(&events, prefix, body.len(), request)
    }

    fn check_all(
        &self,
        events: &[&str],
        prefix: Prefix,
        body_bytes: usize,
        request: &OpenRequest<'_>,
    ) -> Result<OpenChecked, Refusal> {
        let keeps_good_ones = self.rules().on_invalid == OnInvalid::Quarantine;
        let mut errors = Errors::below(String::new(), MAX_ERRORS);
        let mut writer = RowWriter::new(self, request.origin, body_bytes);
        let (mut event_ids, mut has_new_ids) = (Vec::new(), false);
        for (index, raw) in events.iter().enumerate() {
            let max_listed = MAX_ROW_ERRORS.max(errors.room());
            let mut found = Errors::below(prefix.of(index), max_listed);
            let mut owned = Vec::new();
            let gathered = Gathered::of(raw, &mut found);
            let id = gathered.id(index, request);
            event_ids.push(id);
            has_new_ids |= gathered.id.is_none();
            let event = self.open_event(gathered, id, request, &mut owned, &mut found);
            writer.settle(event.as_ref(), raw, &mut found, keeps_good_ones);
            errors.append(&found);
        }
        let checked = writer.end(errors, keeps_good_ones)?;
        event_ids.truncate(if has_new_ids { event_ids.len() } else { 0 });
        Ok(OpenChecked { checked, event_ids })
    }

    /// The event, if nothing is wrong with it. `owned` holds what is written besides what was sent.
    fn open_event<'e>(
        &self,
        gathered: Gathered<'e>,
        id: Uuid,
        request: &OpenRequest<'_>,
        owned: &'e mut Vec<(&'static str, String)>,
        errors: &mut Errors,
    ) -> Option<Event<'e>> {
        let received = request.origin.received_at;
        let (user, time) = (gathered.user, gathered.time);
        let is_usable = |time: &Micros| self.is_near(*time, received);
        let time = time.map(|text| (instant::parse(&text).filter(is_usable), text));
        let (time, unusable) = match time {
            None => (None, None),
            Some((Some(time), _)) => (Some(time), None),
            Some((None, text)) => (None, Some(text)),
        };
        let mut own = |name: &'static str, text: &str| {
            let mut json = Vec::new();
            push_json(&mut json, text);
            owned.push((name, String::from_utf8(json).unwrap_or_default()));
        };
        if let Some(id_text) = gathered.id.filter(|text| Uuid::try_parse(text).is_err()) {
            own("provider_id", &id_text);
        }
        if let Some(text) = unusable {
            own("provider_time", &text);
        }
        let event_type = self.named_type(gathered.event_type.unwrap_or(Cow::Borrowed(UNKNOWN)));
        let source = self.named_source(gathered.source.unwrap_or(Cow::Borrowed(UNKNOWN)));
        let properties = gathered.properties.unwrap_or("{}");
        if errors.total() == 0
            && let Some(schema) = event_type.index().and_then(|index| self.schema(index))
        {
            schema.check(properties, "/properties", errors);
        }
        if errors.total() > 0 {
            return None;
        }
        let mut extra = gathered.extra;
        let own = owned
            .iter()
            .map(|(name, json)| (Cow::Borrowed(*name), json.as_str()));
        let own: Vec<_> = own
            .filter(|(name, _)| {
                !extra
                    .iter()
                    .any(|(known, _)| known.eq_ignore_ascii_case(name))
            })
            .collect();
        extra.extend(own);
        Some(Event {
            id,
            user: user.unwrap_or(User::Nobody),
            event_type,
            source,
            time: time.unwrap_or(received),
            is_timed: time.is_some(),
            properties,
            extra,
        })
    }
}

/// How the pointer to an event begins.
#[derive(Clone, Copy)]
enum Prefix {
    Events,
    Array,
    Alone,
}

impl Prefix {
    fn of(self, index: usize) -> String {
        match self {
            Self::Events => format!("/events/{index}"),
            Self::Array => format!("/{index}"),
            Self::Alone => String::new(),
        }
    }
}

fn elements(raw: &str) -> Vec<&str> {
    let list: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    list.into_iter().map(RawValue::get).collect()
}

/// The events of a body.
fn events_of(raw: &str) -> (Vec<&str>, Prefix) {
    if raw.starts_with('[') {
        return (elements(raw), Prefix::Array);
    }
    if let Ok(Members(members)) = serde_json::from_str(raw)
        && let [(key, value)] = members.as_slice()
        && json::text(key).as_deref() == Some("events")
        && value.starts_with('[')
    {
        return (elements(value), Prefix::Events);
    }
    (vec![raw], Prefix::Alone)
}

/// What an event says of itself.
#[derive(Default)]
struct Gathered<'e> {
    id: Option<Cow<'e, str>>,
    user: Option<User<'e>>,
    event_type: Option<Cow<'e, str>>,
    source: Option<Cow<'e, str>>,
    time: Option<Cow<'e, str>>,
    properties: Option<&'e str>,
    extra: Vec<(Cow<'e, str>, &'e str)>,
}

impl<'e> Gathered<'e> {
    fn of(raw: &'e str, errors: &mut Errors) -> Self {
        let mut gathered = Self::default();
        let Ok(Members(members)) = serde_json::from_str(raw) else {
            wrong_type("", "an object", errors);
            return gathered;
        };
        Scanner::default().scan(raw, &String::new, errors);
        if errors.total() > 0 {
            return gathered;
        }
        for (key, value) in members {
            let Some(key) = json::text(key) else { continue };
            match &*key {
                "event_id" => gathered.id = text_or_number(value, "/event_id", errors),
                "event_type" => gathered.event_type = name(value, "/event_type", errors),
                "source" => gathered.source = name(value, "/source", errors),
                "timestamp" => gathered.time = text_or_number(value, "/timestamp", errors),
                "user_id" => gathered.user = user(value, errors),
                "properties" if value == "null" => {}
                "properties" if value.starts_with('{') => gathered.properties = Some(value),
                "properties" => wrong_type("/properties", "an object", errors),
                _ => gathered.extra.push((key, value)),
            }
        }
        gathered
    }

    /// The id: a UUID as it is, another id as a UUID that is made of it, or a new one.
    fn id(&self, index: usize, request: &OpenRequest<'_>) -> Uuid {
        match (&self.id, request.idempotency_key) {
            (Some(text), _) => uuid_of("id", text),
            (None, Some(key)) => made_of("key", &format!("{index} {key}")),
            (None, None) => (request.fresh)(),
        }
    }
}

/// Text, or the digits of a number; nothing for null or an empty text.
fn text_or_number<'e>(raw: &'e str, pointer: &str, errors: &mut Errors) -> Option<Cow<'e, str>> {
    match raw.as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => json::text(raw).filter(|text| !text.is_empty()),
        Some(b'-' | b'0'..=b'9') => Some(Cow::Borrowed(raw)),
        _ => {
            wrong_type(pointer, "a string or a number", errors);
            None
        }
    }
}

/// The name of a type or source.
fn name<'e>(raw: &'e str, pointer: &str, errors: &mut Errors) -> Option<Cow<'e, str>> {
    let name = text_or_number(raw, pointer, errors)?;
    if name.len() > MAX_NAME_CHARS && name.chars().count() > MAX_NAME_CHARS {
        let detail = || format!("a string of 1 to {MAX_NAME_CHARS} characters");
        errors.add("wrong_length", || pointer.to_owned(), detail);
        return None;
    }
    Some(name)
}

/// The user: an id, or an object with one. An id may be a number, which becomes text.
fn user<'e>(raw: &'e str, errors: &mut Errors) -> Option<User<'e>> {
    if raw == "null" {
        return None;
    }
    if is_number(raw) {
        return Some(User::Id(raw));
    }
    if raw.starts_with('{')
        && let Some(id) = own_user_id(raw).filter(|id| is_number(id))
    {
        return Some(User::Embedded { id, user: raw });
    }
    let user = super::event::user_of(raw, errors);
    if user.is_none() && errors.total() == 0 {
        wrong_type("/user_id", "a string, null, or a user object", errors);
    }
    user
}
