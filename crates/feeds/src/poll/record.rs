//! Hands out the records of a page: as they are, or in the form of an object.

use std::io::Read;

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3Default;

use super::extent::Extent;
use super::facts::{self, PageFacts};
use super::form::NextAs;
use super::place::Place;
use super::read_error::ReadError;
use super::wanted::Wanted;
use super::window::Window;

/// Bytes that are kept of a record that is too long.
const KEPT_BYTES: usize = 16 << 10;

/// One record of a page.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// Its text.
    Whole(&'a str),
    /// What is known of one that cannot be taken.
    Refused(&'a Refused),
}

/// What is known of a record that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its first bytes.
    pub first: Vec<u8>,
    /// Number of its bytes.
    pub bytes: u64,
    /// Hash of all of them.
    pub hash: u128,
    /// A word for the rule that it breaks.
    pub code: &'static str,
    /// What was expected.
    pub detail: String,
}

/// Takes the records of a page, with their index from 0.
pub(super) type Take<'t, E> = dyn FnMut(u64, Record<'_>) -> Result<(), E> + 't;

/// Hands out records.
pub(super) struct Giver<'w, 't, E> {
    map_key: Option<&'w str>,
    edge: Option<&'w (Place, bool)>,
    next_as: NextAs,
    pub(super) max_record: u64,
    take: &'t mut Take<'t, E>,
    count: u64,
    /// The next record's name in the map, as JSON.
    key: String,
    shaped: String,
    /// The first or the last record, whichever names the next page.
    kept: Option<String>,
}

impl<'w, 't, E> Giver<'w, 't, E> {
    pub(super) fn new(wanted: &'w Wanted, max_record: u64, take: &'t mut Take<'t, E>) -> Self {
        Self {
            map_key: wanted.map_key.as_deref(),
            edge: wanted.edge.as_ref(),
            next_as: wanted.next_as,
            max_record,
            take,
            count: 0,
            key: String::new(),
            shaped: String::new(),
            kept: None,
        }
    }

    /// Sets the name of the next record, as JSON.
    pub(super) fn set_key(&mut self, key: &str) {
        if self.map_key.is_some() {
            self.key.clear();
            self.key.push_str(key);
        }
    }

    /// Hands out a record.
    #[inline]
    pub(super) fn give(&mut self, raw: &str, has_key: bool) -> Result<(), ReadError<E>> {
        let map_key = self.map_key.filter(|_| has_key);
        let is_object = raw.starts_with('{');
        let raw = if is_object && map_key.is_none() || raw == "null" && !has_key {
            raw
        } else {
            shape(
                &mut self.shaped,
                map_key.map(|name| (name, &*self.key)),
                raw,
            );
            &self.shaped
        };
        if let Some((_, is_last)) = self.edge
            && (*is_last || self.count == 0)
        {
            let kept = self.kept.get_or_insert_default();
            kept.clear();
            kept.push_str(raw);
        }
        (self.take)(self.count, Record::Whole(raw)).map_err(ReadError::Taker)?;
        self.count += 1;
        Ok(())
    }

    /// Hands out what is known of a record that cannot be taken.
    pub(super) fn refuse(&mut self, refused: &Refused) -> Result<(), ReadError<E>> {
        if let Some((_, is_last)) = self.edge
            && (*is_last || self.count == 0)
        {
            self.kept = Some(String::new());
        }
        (self.take)(self.count, Record::Refused(refused)).map_err(ReadError::Taker)?;
        self.count += 1;
        Ok(())
    }

    /// Number of the records, and the next page if one of them names it.
    pub(super) fn into_facts(self) -> Result<PageFacts, ReadError<E>> {
        let mut facts = PageFacts {
            records: self.count,
            ..PageFacts::default()
        };
        if let (Some((place, is_last)), Some(raw)) = (self.edge, self.kept) {
            let value: Value = serde_json::from_str(&raw).unwrap_or_default();
            facts.next = match self.next_as {
                NextAs::Text => place.find(&value).and_then(facts::next).flatten(),
                _ => place.find(&value).and_then(facts::json),
            };
            if facts.next.is_none() {
                let which = if *is_last { "last" } else { "first" };
                return Err(ReadError::form(format!(
                    "the {which} record has nothing at {place} that can name the next page; expected \
                     text or a number"
                )));
            }
        }
        Ok(facts)
    }
}

/// Makes an object of a record, with its name in the map if it has one.
fn shape(out: &mut String, named: Option<(&str, &str)>, raw: &str) {
    out.clear();
    out.push('{');
    if let Some((key, name)) = named {
        out.push_str(key);
        out.push(':');
        out.push_str(name);
    }
    let Some(members) = raw.strip_prefix('{') else {
        out.push_str(if named.is_some() {
            ",\"value\":"
        } else {
            "\"value\":"
        });
        out.push_str(raw);
        out.push('}');
        return;
    };
    if !members.trim_start().starts_with('}') {
        out.push(',');
    }
    out.push_str(members);
}

/// A record that is passed over instead of held.
#[derive(Default)]
pub(super) struct Passed {
    first: Vec<u8>,
    bytes: u64,
    hash: Xxh3Default,
}

impl Passed {
    /// Adds its next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES - self.first.len();
        self.first
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// All of it was added, and it is longer than `max` bytes.
    pub(super) fn too_long(self, max: u64) -> Refused {
        let detail = format!("a record of at most {max} bytes (max_record)");
        self.refused("too_long", detail)
    }

    /// All of it was added, and it cannot be taken.
    pub(super) fn refused(self, code: &'static str, detail: String) -> Refused {
        Refused {
            first: self.first,
            bytes: self.bytes,
            hash: self.hash.digest128(),
            code,
            detail,
        }
    }
}

/// Passes over a value that is too long to be held.
pub(super) fn pass_long<R: Read, E>(window: &mut Window<R>) -> Result<Passed, ReadError<E>> {
    let mut extent = Extent::default();
    let mut passed = Passed::default();
    loop {
        let held = window.bytes();
        let end = extent.feed(held);
        let count = end.unwrap_or(held.len());
        passed.add(&held[..count]);
        window.advance(count);
        if end.is_some() {
            return Ok(passed);
        }
        if !window.more()? {
            return if extent.may_end() {
                Ok(passed)
            } else {
                Err(ReadError::CutOff)
            };
        }
    }
}

/// The first bytes that the window holds, as text.
#[inline]
pub(super) fn text<R: Read, E>(window: &Window<R>, length: usize) -> Result<&str, ReadError<E>> {
    std::str::from_utf8(&window.bytes()[..length]).map_err(|error| {
        let at = window.position() + error.valid_up_to() as u64;
        ReadError::form(format!("not UTF-8 at byte {at}; expected JSON in UTF-8"))
    })
}
