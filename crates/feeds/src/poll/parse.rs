//! Parses a page as it arrives: its records one by one, and the total and the next page.
//!
//! It reads a stream, never a whole page: memory holds one record, and what lies between records is
//! bounded too.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use serde_json::value::RawValue;

use super::pages::PageFacts;

/// Most bytes of a page besides its records.
const MAX_AROUND_BYTES: u64 = 16 << 20;
/// Most bytes between two records.
const SLACK_BYTES: u64 = 4 << 10;
/// Most bytes of a cursor or a URL that names the next page.
const MAX_NEXT_BYTES: usize = 4 << 10;
/// Most bytes of a total, a flag or a link, with the quotes, escapes and spaces around it.
const MAX_SCALAR_BYTES: u64 = 32 << 10;
const BUFFER_BYTES: usize = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where values are in a page, as the keys that lead to them from the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The list of records.
    pub records: Vec<String>,
    /// The number of all records.
    pub total: Option<Vec<String>>,
    /// Whether there is a next page.
    pub more: Option<Vec<String>>,
    /// The next page's cursor or URL.
    pub next: Option<Vec<String>>,
}

/// Why a page cannot be read.
#[derive(Debug)]
pub enum ReadError<E> {
    /// The stream failed.
    Stream(io::Error),
    /// The page ended before the JSON was complete.
    CutOff,
    /// The page has another form than declared; the message says what was expected.
    Form(String),
    /// The callback that takes records failed.
    Taker(E),
}

/// Reads a page, and passes each record to `take` as it arrives, with its index from 0.
pub fn read_page<E>(
    stream: impl Read,
    places: &Places,
    max_record: u64,
    take: &mut dyn FnMut(u64, &str) -> Result<(), E>,
) -> Result<PageFacts, ReadError<E>> {
    let left = Rc::new(Cell::new(MAX_AROUND_BYTES));
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream);
    skip_mark(&mut reader).map_err(ReadError::Stream)?;
    let metered = Metered {
        reader,
        left: Rc::clone(&left),
    };
    let mut reading = Reading {
        places,
        max_record,
        left,
        take,
        stopped: None,
        facts: PageFacts::default(),
        found: [false; 4],
        in_records: false,
    };
    let mut json = serde_json::Deserializer::from_reader(metered);
    let walk = Walk {
        reading: &mut reading,
        depth: 0,
        live: [true; 4],
    };
    let read = walk.deserialize(&mut json).and_then(|()| json.end());
    if let Some(stopped) = reading.stopped {
        return Err(ReadError::Taker(stopped));
    }
    match read {
        Ok(()) => reading.complete(),
        Err(error) if error.is_eof() => Err(ReadError::CutOff),
        Err(error) if error.is_io() => Err(reading.stream_error(error.into())),
        Err(error) => Err(ReadError::Form(Reading::<E>::form_error(&error))),
    }
}

/// Skips a byte order mark. Its first byte is enough to recognise it, because no JSON begins with
/// that.
fn skip_mark(reader: &mut BufReader<impl Read>) -> io::Result<()> {
    if reader.fill_buf()?.first() == BYTE_ORDER_MARK.first() {
        let mut mark = [0; BYTE_ORDER_MARK.len()];
        reader.read_exact(&mut mark)?;
    }
    Ok(())
}

/// A reader that stops after an allowance of bytes.
struct Metered<R> {
    reader: BufReader<R>,
    left: Rc<Cell<u64>>,
}

/// Error of [`Metered`] when the allowance is used up.
#[derive(Debug, thiserror::Error)]
#[error("too long")]
struct TooLong;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(TooLong));
        }
        let most = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.reader.read(&mut out[..most])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// Indices of the four values that are looked for.
const RECORDS: usize = 0;
const TOTAL: usize = 1;
const MORE: usize = 2;
const NEXT: usize = 3;

struct Reading<'p, E> {
    places: &'p Places,
    max_record: u64,
    left: Rc<Cell<u64>>,
    take: &'p mut dyn FnMut(u64, &str) -> Result<(), E>,
    stopped: Option<E>,
    facts: PageFacts,
    found: [bool; 4],
    in_records: bool,
}

impl<E> Reading<'_, E> {
    fn place(&self, index: usize) -> Option<&[String]> {
        let places = self.places;
        match index {
            RECORDS => Some(&places.records),
            TOTAL => places.total.as_deref(),
            MORE => places.more.as_deref(),
            _ => places.next.as_deref(),
        }
    }

    /// Checks that every required value was found.
    fn complete(self) -> Result<PageFacts, ReadError<E>> {
        for index in [RECORDS, TOTAL, MORE] {
            let missing = self.place(index).filter(|_| !self.found[index]);
            if let Some(keys) = missing {
                let (place, what) = (shown(keys), expected(index));
                let rule = format!("there is nothing at {place}; expected {what} there");
                return Err(ReadError::Form(rule));
            }
        }
        let names_next = self.place(NEXT).is_none() || self.found[NEXT];
        Ok(PageFacts {
            next_is_absent: !names_next,
            ..self.facts
        })
    }

    fn stream_error(&self, error: io::Error) -> ReadError<E> {
        let inner = error.get_ref();
        let is_too_long = inner
            .and_then(|inner| inner.downcast_ref::<TooLong>())
            .is_some();
        if !is_too_long {
            return ReadError::Stream(error);
        }
        ReadError::Form(if self.in_records {
            format!(
                "record {} is longer than {} bytes (max_record)",
                self.facts.records, self.max_record
            )
        } else {
            "what is not a record is longer than it may be; expected less".to_owned()
        })
    }

    fn form_error(error: &serde_json::Error) -> String {
        let text = error.to_string();
        if text.contains("invalid unicode code point") || text.contains("invalid UTF-8") {
            let (line, column) = (error.line(), error.column());
            return format!("not UTF-8 at line {line} column {column}; expected JSON in UTF-8");
        }
        if error.is_data() {
            return text;
        }
        format!("not JSON: {text}; expected JSON")
    }

    /// Notes a value other than the list of records.
    fn note(&mut self, index: usize, value: &Value) -> Result<(), String> {
        let facts = &mut self.facts;
        let is_sound = match index {
            TOTAL => {
                facts.total = value.as_u64();
                facts.total.is_some()
            }
            MORE => {
                facts.more = value.as_bool();
                facts.more.is_some()
            }
            NEXT => {
                facts.next = match value {
                    Value::String(text) if !text.is_empty() => Some(text.clone()),
                    Value::Number(number) => Some(number.to_string()),
                    _ => None,
                };
                let is_end = value.is_null() || *value == Value::Bool(false) || *value == "";
                let is_short = facts
                    .next
                    .as_ref()
                    .is_none_or(|n| n.len() <= MAX_NEXT_BYTES);
                (facts.next.is_some() || is_end) && is_short
            }
            _ => false,
        };
        if is_sound {
            return Ok(());
        }
        let keys = self.place(index).unwrap_or_default();
        Err(format!("{} is not {}", shown(keys), expected(index)))
    }
}

fn expected(index: usize) -> String {
    match index {
        RECORDS => "a list of records".to_owned(),
        TOTAL => "a whole number".to_owned(),
        MORE => "true or false".to_owned(),
        _ => format!("null, or text of at most {MAX_NEXT_BYTES} bytes that names the next page"),
    }
}

fn shown(keys: &[String]) -> String {
    if keys.is_empty() {
        return "the body".to_owned();
    }
    keys.iter()
        .fold(String::new(), |path, key| path + "/" + key)
}

/// A value on the way to those that are looked for.
struct Walk<'r, 'p, E> {
    reading: &'r mut Reading<'p, E>,
    depth: usize,
    /// Whether each of the four values may lie below this one.
    live: [bool; 4],
}

impl<E> Walk<'_, '_, E> {
    /// Whether each of the four values may lie below a key.
    fn below(&self, key: &str) -> [bool; 4] {
        let leads = |index: usize| {
            let keys = self.reading.place(index);
            let own = keys.and_then(|keys| keys.get(self.depth));
            self.live[index] && own.is_some_and(|own| own == key)
        };
        [leads(RECORDS), leads(TOTAL), leads(MORE), leads(NEXT)]
    }

    /// Index of the value that is here, if it is one of the four.
    fn here(&self) -> Option<usize> {
        (0..4).find(|&index| {
            let keys = self.reading.place(index);
            self.live[index] && keys.is_some_and(|keys| keys.len() == self.depth)
        })
    }
}

impl<'de, E> DeserializeSeed<'de> for Walk<'_, '_, E> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(index) = self.here() else {
            return deserializer.deserialize_any(self);
        };
        if std::mem::replace(&mut self.reading.found[index], true) {
            let keys = self.reading.place(index).unwrap_or_default();
            let rule = format!("{} is there twice", shown(keys));
            return Err(D::Error::custom(rule));
        }
        if index == RECORDS {
            let reading = self.reading;
            return deserializer.deserialize_any(Records(reading));
        }
        let around = self.reading.left.replace(MAX_SCALAR_BYTES);
        let value = <Value as serde::Deserialize>::deserialize(deserializer)?;
        self.reading.left.set(around);
        self.reading.note(index, &value).map_err(D::Error::custom)
    }
}

impl<'de, E> Visitor<'de> for Walk<'_, '_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = (0..4).find(|&index| self.live[index]);
        let keys = first.and_then(|index| self.reading.place(index));
        let place = shown(keys.unwrap_or_default());
        write!(f, "an object on the way to {place}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let live = self.below(&key);
            if live == [false; 4] {
                let _ignored: IgnoredAny = map.next_value()?;
                continue;
            }
            map.next_value_seed(Walk {
                depth: self.depth + 1,
                live,
                reading: &mut *self.reading,
            })?;
        }
        Ok(())
    }
}

/// The list of records.
struct Records<'r, 'p, E>(&'r mut Reading<'p, E>);

impl<'de, E> Visitor<'de> for Records<'_, '_, E> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = shown(&self.0.places.records);
        write!(f, "a list of records at {place}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self(reading) = self;
        let around = reading.left.get();
        reading.in_records = true;
        loop {
            reading.left.set(reading.max_record + SLACK_BYTES);
            let Some(record) = list.next_element::<Box<RawValue>>()? else {
                break;
            };
            if record.get().len() as u64 > reading.max_record {
                reading.left.set(0);
                return Err(A::Error::custom(format!(
                    "record {} is longer than {} bytes (max_record)",
                    reading.facts.records, reading.max_record
                )));
            }
            if let Err(stopped) = (reading.take)(reading.facts.records, record.get()) {
                reading.stopped = Some(stopped);
                return Err(A::Error::custom("stopped"));
            }
            reading.facts.records += 1;
        }
        reading.in_records = false;
        reading.left.set(around);
        Ok(())
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
