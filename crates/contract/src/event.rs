//! One event: the fields that a pass gathered, and the judge that decides whether they are valid.
//!
//! Both passes use the same judge. They differ in how they gather fields and in whether they need to know
//! what is wrong.

use std::borrow::Cow;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::faults::Faults;
use super::keys::Keys;
use super::named::{Named, place_of};
use super::pointer::segment;
use super::reader::Member;
use super::strict::{Scanner, duplicate_key, lone_surrogate, nul_in_key};
use super::terms::Contract;
use lakehook_base::clock::Micros;
use lakehook_base::json::{Text, text};
use lakehook_base::rfc3339;

const MAX_USER_ID_CHARS: usize = 256;
const OWN_USER_ID: &str = "/user_id/user_id";
const CANONICAL_UUID_BYTES: usize = 36;

/// A required field as it was gathered.
#[derive(Debug, Default)]
pub(super) enum Field<T> {
    #[default]
    Missing,
    /// It was present but invalid, and its error has been reported.
    Bad,
    Is(T),
}

/// The fields of an event before they are judged. Raw values are valid JSON without white space around them.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) event_id: Field<Cow<'a, str>>,
    pub(super) user_id: Field<&'a str>,
    pub(super) event_type: Field<Cow<'a, str>>,
    pub(super) source: Field<Cow<'a, str>>,
    pub(super) timestamp: Field<Cow<'a, str>>,
    pub(super) properties: Field<&'a str>,
    pub(super) extra: Vec<(Cow<'a, str>, &'a str)>,
}

/// A valid event. Raw values are as they were sent.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the contract"
)]
pub(super) struct Event<'a> {
    pub(super) id: Uuid,
    pub(super) user: User<'a>,
    pub(super) event_type: Named<'a>,
    pub(super) source: Named<'a>,
    pub(super) time: Micros,
    /// Whether the sender said when it happened. Otherwise `time` is that of the receipt, and does not count when two
    /// copies are compared.
    pub(super) is_timed: bool,
    pub(super) properties: &'a str,
    pub(super) extra: Vec<(Cow<'a, str>, &'a str)>,
}

/// The user of an event.
#[derive(Debug)]
pub(super) enum User<'a> {
    Nobody,
    /// The id, as a JSON string.
    Id(&'a str),
    /// A whole user, and its id as a JSON string.
    Embedded {
        id: &'a str,
        user: &'a str,
    },
}

/// Judges the events of one request.
#[derive(Debug)]
pub(super) struct Judge<'c, 'a> {
    contract: &'c Contract,
    earliest: Micros,
    latest: Micros,
    scanner: Scanner<'a>,
    extra_keys: Keys<'a>,
}

impl<'c, 'a> Judge<'c, 'a> {
    pub(super) fn new(contract: &'c Contract, received_at: Micros) -> Self {
        Self {
            contract,
            earliest: received_at.minus(contract.rules().max_age),
            latest: received_at.plus(contract.rules().max_ahead),
            scanner: Scanner::default(),
            extra_keys: Keys::default(),
        }
    }

    /// Returns the event if it is valid. Otherwise adds what is wrong with it to `faults` and returns `None`.
    /// It also returns `None` if `faults` was not empty before.
    ///
    /// `members` are the members of the properties, if a [`Reader`](super::reader::Reader) has read the event
    /// and so has checked its raw values. Without them, raw values are scanned here.
    pub(super) fn judge(
        &mut self,
        fields: Fields<'a>,
        members: Option<&[Member<'a>]>,
        faults: &mut impl Faults,
    ) -> Option<Event<'a>> {
        let is_read = members.is_some();
        let id = event_id(fields.event_id, faults);
        let user = self.user(fields.user_id, is_read, faults);
        let event_type = self.event_type(fields.event_type, faults);
        let source = self.source(fields.source, faults);
        let time = self.time(fields.timestamp, faults);
        let type_index = event_type.as_ref().and_then(Named::index);
        let properties = self.properties(fields.properties, members, type_index, faults);
        self.extra(&fields.extra, is_read, faults);
        if faults.total() > 0 {
            return None;
        }
        Some(Event {
            id: id?,
            user: user?,
            event_type: event_type?,
            source: source?,
            time: time?,
            is_timed: true,
            properties: properties?,
            extra: fields.extra,
        })
    }

    fn user(
        &mut self,
        field: Field<&'a str>,
        is_read: bool,
        faults: &mut impl Faults,
    ) -> Option<User<'a>> {
        let raw = present(field, "/user_id", faults)?;
        // A character has at least one byte, and a string that was read has no lone surrogate.
        let bytes = raw.len().saturating_sub(2);
        if is_read && raw.starts_with('"') && (1..=MAX_USER_ID_CHARS).contains(&bytes) {
            return Some(User::Id(raw));
        }
        if raw.starts_with('{') && !is_read {
            let before = faults.total();
            self.scanner.scan(raw, &|| "/user_id".to_owned(), faults);
            if faults.total() > before {
                return None;
            }
        }
        user_of(raw, faults)
    }

    fn event_type(
        &self,
        field: Field<Cow<'a, str>>,
        faults: &mut impl Faults,
    ) -> Option<Named<'a>> {
        let rules = self.contract.rules();
        let words = (rules.types.as_slice(), rules.beyond.any_type);
        one_of(words, field, "/event_type", "unknown_event_type", faults)
    }

    fn source(&self, field: Field<Cow<'a, str>>, faults: &mut impl Faults) -> Option<Named<'a>> {
        let rules = self.contract.rules();
        let words = (rules.sources.as_slice(), rules.beyond.any_source);
        one_of(words, field, "/source", "unknown_source", faults)
    }

    fn time(&self, field: Field<Cow<'a, str>>, faults: &mut impl Faults) -> Option<Micros> {
        let text = present(field, "/timestamp", faults)?;
        let pointer = || "/timestamp".to_owned();
        let Some(time) = rfc3339::parse(&text) else {
            let detail = || "an RFC 3339 time such as 2026-11-20T17:00:00Z".to_owned();
            faults.add("invalid_timestamp", pointer, detail);
            return None;
        };
        if time < self.earliest {
            let detail = || format!("a time not before {}", self.earliest);
            faults.add("timestamp_too_old", pointer, detail);
        }
        if time > self.latest {
            let detail = || format!("a time not after {}", self.latest);
            faults.add("timestamp_in_future", pointer, detail);
        }
        Some(time)
    }

    fn properties(
        &mut self,
        field: Field<&'a str>,
        members: Option<&[Member<'a>]>,
        type_index: Option<usize>,
        faults: &mut impl Faults,
    ) -> Option<&'a str> {
        let raw = present(field, "/properties", faults)?;
        if !raw.starts_with('{') {
            wrong_type("/properties", "an object", faults);
            return None;
        }
        let before = faults.total();
        if members.is_none() {
            self.scanner.scan(raw, &|| "/properties".to_owned(), faults);
        }
        let is_readable = faults.total() == before;
        let schema = type_index.and_then(|index| self.contract.schema(index));
        if let (true, Some(schema)) = (is_readable, schema)
            && !members.is_some_and(|members| schema.is_surely_met(members))
        {
            schema.check(raw, "/properties", faults);
        }
        Some(raw)
    }

    fn extra(
        &mut self,
        extra: &[(Cow<'a, str>, &'a str)],
        is_read: bool,
        faults: &mut impl Faults,
    ) {
        if extra.is_empty() {
            return;
        }
        self.extra_keys.clear();
        for (key, raw) in extra {
            let pointer = || segment(key);
            if key.contains('\0') {
                nul_in_key(pointer, faults);
            }
            if !self.extra_keys.insert(key.clone()) {
                duplicate_key(pointer, faults);
            }
            if !is_read {
                self.scanner.scan(raw, &pointer, faults);
            }
        }
    }
}

fn event_id(field: Field<Cow<'_, str>>, faults: &mut impl Faults) -> Option<Uuid> {
    let text = present(field, "/event_id", faults)?;
    // The uuid crate also accepts other forms, but only the canonical form has this length.
    let is_canonical = text.len() == CANONICAL_UUID_BYTES;
    let id = is_canonical.then(|| Uuid::try_parse(&text).ok()).flatten();
    if id.is_none() {
        let detail = || "a UUID in its 8-4-4-4-12 form".to_owned();
        faults.add("invalid_uuid", || "/event_id".to_owned(), detail);
    }
    id
}

fn present<T>(field: Field<T>, pointer: &str, faults: &mut impl Faults) -> Option<T> {
    match field {
        Field::Is(value) => Some(value),
        Field::Bad => None,
        Field::Missing => {
            faults.add(
                "missing",
                || pointer.to_owned(),
                || "a required field".to_owned(),
            );
            None
        }
    }
}

pub(super) fn wrong_type(pointer: &str, expected: &str, faults: &mut impl Faults) {
    faults.add("wrong_type", || pointer.to_owned(), || expected.to_owned());
}

/// The longest type or source where any is taken.
const MAX_NAME_BYTES: usize = 256;

fn one_of<'a>(
    (words, takes_any): (&[String], bool),
    field: Field<Cow<'a, str>>,
    pointer: &str,
    code: &'static str,
    faults: &mut impl Faults,
) -> Option<Named<'a>> {
    let text = present(field, pointer, faults)?;
    if let Some(index) = place_of(words, &text) {
        return Some(Named::Listed(index));
    }
    if takes_any && (1..=MAX_NAME_BYTES).contains(&text.len()) {
        return Some(Named::Other(text));
    }
    let detail = || {
        if takes_any {
            format!("a string of 1 to {MAX_NAME_BYTES} bytes")
        } else {
            format!("one of {}", words.join(", "))
        }
    };
    faults.add(code, || pointer.to_owned(), detail);
    None
}

/// The user of a raw value that was scanned before.
pub(super) fn user_of<'a>(raw: &'a str, faults: &mut impl Faults) -> Option<User<'a>> {
    match raw.as_bytes().first() {
        Some(b'n') => Some(User::Nobody),
        Some(b'"') => check_user_id(raw, "/user_id", faults).map(User::Id),
        Some(b'{') => {
            let id = match own_user_id(raw) {
                Some(id) => Field::Is(id),
                None => Field::Missing,
            };
            let id = check_user_id(present(id, OWN_USER_ID, faults)?, OWN_USER_ID, faults)?;
            Some(User::Embedded { id, user: raw })
        }
        _ => {
            wrong_type("/user_id", "a string, null, or a user object", faults);
            None
        }
    }
}

/// Whether a raw value is a number of few enough digits for a user id.
pub(super) fn is_number(raw: &str) -> bool {
    raw.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && raw.len() <= MAX_USER_ID_CHARS
}

/// Returns `raw` if it is a string with the length of a user id.
fn check_user_id<'a>(raw: &'a str, pointer: &str, faults: &mut impl Faults) -> Option<&'a str> {
    if !raw.starts_with('"') {
        wrong_type(pointer, "a string", faults);
        return None;
    }
    let Some(id) = text(raw) else {
        lone_surrogate(|| pointer.to_owned(), faults);
        return None;
    };
    let is_short = id.len() <= MAX_USER_ID_CHARS || id.chars().count() <= MAX_USER_ID_CHARS;
    if id.is_empty() || !is_short {
        let detail = || format!("a string of 1 to {MAX_USER_ID_CHARS} characters");
        faults.add("wrong_length", || pointer.to_owned(), detail);
        return None;
    }
    Some(raw)
}

/// The raw value of `user_id` in an object.
pub(super) fn own_user_id(object: &str) -> Option<&str> {
    struct OwnId;
    impl<'de> Visitor<'de> for OwnId {
        type Value = Option<&'de str>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut id = None;
            while let Some(Text(key)) = map.next_key()? {
                let value: &RawValue = map.next_value()?;
                if key == "user_id" {
                    id = Some(value.get());
                }
            }
            Ok(id)
        }
    }
    serde_json::Deserializer::from_str(object)
        .deserialize_map(OwnId)
        .ok()
        .flatten()
}
