//! Parses a page as it arrives: its records one by one, and what it says besides.
//!
//! It reads a stream, never a whole page: memory holds one record, and what lies between records is
//! bounded too. A record is handed out as the text between its ends, without a copy; whether that is
//! JSON is for whoever takes it. What nobody asked for is passed over.

use std::io::Read;

use serde_json::Value;

use super::extent::{Extent, is_space};
use super::facts::PageFacts;
use super::form::RecordsAs;
use super::notes::{Notes, off_the_way};
use super::read_error::ReadError;
use super::record::{Giver, Take, pass_long, text};
use super::wanted::{RECORDS, Set, Wanted, bits};
use super::window::Window;

/// Most bytes of a page besides its records.
const MAX_AROUND_BYTES: u64 = 16 << 20;
/// Most bytes of white space in one place.
const MAX_SPACE_BYTES: u64 = 1 << 20;
/// Most bytes of a key.
const MAX_KEY_BYTES: usize = 64 << 10;
/// Most bytes of a value that is not a record: a cursor whose every byte is escaped fits.
const MAX_VALUE_BYTES: usize = 512 << 10;

/// Reads a page, and passes each record to `take` as it arrives.
pub fn read_page<E>(
    stream: impl Read,
    wanted: &Wanted,
    max_record: u64,
    take: &mut Take<'_, E>,
) -> Result<PageFacts, ReadError<E>> {
    let mut window = Window::new(stream);
    window.skip_mark()?;
    let mut reading = Reading {
        wanted,
        window,
        giver: Giver::new(wanted, max_record, take),
        notes: Notes::default(),
        left: MAX_AROUND_BYTES,
    };
    match reading.next_byte() {
        Err(ReadError::CutOff) => return Err(ReadError::NoBody),
        other => other?,
    };
    reading.value(wanted.all(), 0)?;
    reading.space()?;
    if reading.window.peek()?.is_some() {
        return Err(reading.not_json("the end of the body"));
    }
    let Reading { giver, notes, .. } = reading;
    notes.conclude(wanted, giver.into_facts()?)
}

struct Reading<'w, 't, R, E> {
    wanted: &'w Wanted,
    window: Window<R>,
    giver: Giver<'w, 't, E>,
    notes: Notes,
    /// Bytes that the page may still have besides its records.
    left: u64,
}

impl<R: Read, E> Reading<'_, '_, R, E> {
    /// Passes over white space.
    #[inline]
    fn space(&mut self) -> Result<(), ReadError<E>> {
        let mut left = MAX_SPACE_BYTES;
        loop {
            let bytes = self.window.bytes();
            let count = bytes.iter().position(|byte| !is_space(*byte));
            if let Some(count) = count {
                self.window.advance(count);
                return Ok(());
            }
            let count = bytes.len();
            left = left.saturating_sub(count as u64);
            if left == 0 {
                let rule =
                    format!("more than {MAX_SPACE_BYTES} bytes of white space; expected less");
                return Err(ReadError::form(rule));
            }
            self.window.advance(count);
            if !self.window.more()? {
                return Ok(());
            }
        }
    }

    /// The next byte that is no white space; it is not passed.
    #[inline]
    fn next_byte(&mut self) -> Result<u8, ReadError<E>> {
        self.space()?;
        self.window.peek()?.ok_or(ReadError::CutOff)
    }

    /// Passes the next byte, which must be one of two; whether it is the first one.
    #[inline]
    fn one_of(&mut self, first: u8, second: u8) -> Result<bool, ReadError<E>> {
        let byte = self.next_byte()?;
        if byte != first && byte != second {
            let expected = format!("{:?} or {:?}", char::from(first), char::from(second));
            return Err(self.not_json(&expected));
        }
        self.window.advance(1);
        Ok(byte == first)
    }

    /// The error of a byte that cannot be there.
    fn not_json(&self, expected: &str) -> ReadError<E> {
        let at = self.window.position();
        let byte = self.window.bytes().first().copied().unwrap_or(b' ');
        let found = if byte.is_ascii_graphic() {
            format!("{:?}", char::from(byte))
        } else {
            format!("the byte 0x{byte:02x}")
        };
        let hint = if byte == b'<' {
            " (it looks like HTML)"
        } else {
            ""
        };
        ReadError::form(format!(
            "not JSON: {found} at byte {at}{hint}; expected {expected}"
        ))
    }

    /// Counts bytes that are not records.
    fn spend(&mut self, count: u64) -> Result<(), ReadError<E>> {
        self.left = self.left.checked_sub(count).ok_or_else(|| {
            ReadError::form("what is not a record is longer than it may be; expected less")
        })?;
        Ok(())
    }

    /// Reads the value that comes next, in which all of `live` are wanted; `depth` steps lead to it.
    fn value(&mut self, live: Set, depth: usize) -> Result<(), ReadError<E>> {
        let first = self.begin_value()?;
        let here = self.wanted.ending(live, depth);
        if here & RECORDS != 0 {
            return self.records(first, live, depth);
        }
        let below = live & !here;
        if self.wanted.hard(here) != 0 {
            let value = self.capture(here)?;
            return self.notes.all_in(self.wanted, &value, live, depth);
        }
        match first {
            b'{' if below != 0 => self.object(here, below, depth),
            b'[' if below != 0 => self.list(here, below, depth),
            b'{' | b'[' => self.pass_over(),
            _ if here != 0 || self.wanted.hard(below) != 0 => {
                let value = self.capture(here)?;
                self.notes.all_in(self.wanted, &value, live, depth)
            }
            _ => self.pass_over(),
        }
    }

    /// The first byte of the value that comes next.
    #[inline]
    fn begin_value(&mut self) -> Result<u8, ReadError<E>> {
        let byte = self.next_byte()?;
        match byte {
            b'{' | b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9' => Ok(byte),
            _ => Err(self.not_json("a value")),
        }
    }

    /// Reads the members of an object.
    fn object(&mut self, here: Set, below: Set, depth: usize) -> Result<(), ReadError<E>> {
        self.window.advance(1);
        if self.next_byte()? == b'}' {
            self.window.advance(1);
            return Ok(());
        }
        self.notes.is_not_empty(self.wanted, here);
        loop {
            let live = self.key(below, depth)?;
            if live == 0 {
                self.begin_value()?;
                self.pass_over()?;
            } else {
                self.value(live, depth + 1)?;
            }
            if self.one_of(b'}', b',')? {
                return Ok(());
            }
        }
    }

    /// Passes a key and its colon; which of `below` may lie below it.
    fn key(&mut self, below: Set, depth: usize) -> Result<Set, ReadError<E>> {
        let length = self.key_length()?;
        let raw = &self.window.bytes()[..length];
        let live = match std::str::from_utf8(raw)
            .ok()
            .and_then(lakehook_base::json::text)
        {
            Some(key) => self.wanted.below_key(below, depth, &key),
            // A key that is no text is none that is looked for.
            None => 0,
        };
        self.pass_key(length)?;
        Ok(live)
    }

    /// The length of the key that comes next, with its quotes.
    fn key_length(&mut self) -> Result<usize, ReadError<E>> {
        if self.next_byte()? != b'"' {
            return Err(self.not_json("a key"));
        }
        self.extent(MAX_KEY_BYTES)?.ok_or_else(|| {
            let rule =
                format!("a key is longer than {MAX_KEY_BYTES} bytes; expected a shorter one");
            ReadError::form(rule)
        })
    }

    fn pass_key(&mut self, length: usize) -> Result<(), ReadError<E>> {
        self.spend(length as u64)?;
        self.window.advance(length);
        if self.next_byte()? != b':' {
            return Err(self.not_json("':'"));
        }
        self.window.advance(1);
        Ok(())
    }

    /// Reads the elements of a list in which something lies by its index.
    fn list(&mut self, here: Set, below: Set, depth: usize) -> Result<(), ReadError<E>> {
        self.window.advance(1);
        if self.next_byte()? == b']' {
            self.window.advance(1);
            self.notes.nothing |= below;
            return Ok(());
        }
        self.notes.is_not_empty(self.wanted, here);
        let lost = self.wanted.hard(below) & !self.wanted.in_lists(below, depth);
        if let Some(index) = bits(lost).next() {
            return Err(off_the_way(self.wanted, index));
        }
        for index in 0.. {
            let live = self.wanted.below_index(below, depth, index);
            if live == 0 {
                self.begin_value()?;
                self.pass_over()?;
            } else {
                self.value(live, depth + 1)?;
            }
            if self.one_of(b']', b',')? {
                break;
            }
        }
        Ok(())
    }

    /// Reads what stands where the records are.
    fn records(&mut self, first: u8, live: Set, depth: usize) -> Result<(), ReadError<E>> {
        let wanted = self.wanted;
        if first == b'n' {
            let value = self.capture(live)?;
            return self.notes.all_in(wanted, &value, RECORDS, depth);
        }
        if !wanted.records().has_each() {
            self.notes.note_once(wanted, 0)?;
        }
        self.notes.found |= RECORDS;
        match (wanted.records_as, first) {
            (RecordsAs::List, b'[') => self.elements(),
            (RecordsAs::Map, b'{') => self.members(),
            (RecordsAs::Object, b'{') => self.record(false),
            (RecordsAs::List, b'{') if wanted.records().has_each() => self.record(false),
            _ => self.mismatch(first, live & !RECORDS, depth),
        }
    }

    /// Notes that the records are no records, and reads on to learn why.
    fn mismatch(&mut self, first: u8, live: Set, depth: usize) -> Result<(), ReadError<E>> {
        let place = self.wanted.records();
        let (expected, found) = match self.wanted.records_as {
            RecordsAs::List => ("a list of records", "an object"),
            RecordsAs::Map => ("an object of records by name", "a list"),
            RecordsAs::Object => ("an object, which is the record", "a list"),
        };
        if first == b'[' && self.is_empty_list()? {
            // PHP writes an empty map as an empty list.
            return Ok(());
        }
        let found = if matches!(first, b'{' | b'[') {
            found
        } else {
            "a single value"
        };
        let advice = if (expected, found) == ("a list of records", "an object") {
            "; `records` says where the list is, such as \"/items\""
        } else {
            ""
        };
        let mismatch = format!("expected {expected} at {place}, found {found}{advice}");
        self.notes.mismatch = Some(mismatch);
        let soft = live & !self.wanted.hard(live);
        self.value(soft, depth)
    }

    /// Passes a list if it is empty.
    fn is_empty_list(&mut self) -> Result<bool, ReadError<E>> {
        let mut at = 1;
        loop {
            match self.window.bytes().get(at).copied() {
                Some(b']') => {
                    self.window.advance(at + 1);
                    return Ok(true);
                }
                Some(byte) if is_space(byte) && at < MAX_KEY_BYTES => at += 1,
                Some(_) => return Ok(false),
                None if self.window.more()? => {}
                None => return Err(ReadError::CutOff),
            }
        }
    }

    /// Reads the records of a list.
    fn elements(&mut self) -> Result<(), ReadError<E>> {
        self.window.advance(1);
        if self.next_byte()? == b']' {
            self.window.advance(1);
            return Ok(());
        }
        loop {
            self.begin_value()?;
            self.record(false)?;
            if self.one_of(b']', b',')? {
                return Ok(());
            }
        }
    }

    /// Reads the records of a map.
    fn members(&mut self) -> Result<(), ReadError<E>> {
        self.window.advance(1);
        if self.next_byte()? == b'}' {
            self.window.advance(1);
            return Ok(());
        }
        loop {
            let length = self.key_length()?;
            let key = text(&self.window, length)?;
            self.giver.set_key(key);
            // The keys are part of the records.
            self.left = self.left.saturating_add(length as u64);
            self.pass_key(length)?;
            self.begin_value()?;
            self.record(true)?;
            if self.one_of(b'}', b',')? {
                return Ok(());
            }
        }
    }

    /// Hands out the record that comes next.
    #[inline]
    fn record(&mut self, has_key: bool) -> Result<(), ReadError<E>> {
        let max = usize::try_from(self.giver.max_record).unwrap_or(usize::MAX);
        let Some(length) = self.extent(max)? else {
            let passed = pass_long(&mut self.window)?;
            let refused = passed.too_long(self.giver.max_record);
            return self.giver.refuse(&refused);
        };
        let raw = text(&self.window, length)?;
        self.giver.give(raw, has_key)?;
        self.window.advance(length);
        Ok(())
    }

    /// The length of the value that comes next, which the window then holds; `None` if it is longer
    /// than `max`.
    #[inline]
    fn extent(&mut self, max: usize) -> Result<Option<usize>, ReadError<E>> {
        let mut extent = Extent::default();
        let mut seen = 0;
        loop {
            let bytes = self.window.bytes();
            if let Some(count) = extent.feed(&bytes[seen..]) {
                seen += count;
                break;
            }
            seen = bytes.len();
            if seen > max {
                break;
            }
            if !self.window.more()? {
                if extent.may_end() {
                    break;
                }
                return Err(ReadError::CutOff);
            }
        }
        Ok(Some(seen).filter(|seen| *seen <= max))
    }

    /// Reads the value that comes next.
    fn capture(&mut self, here: Set) -> Result<Value, ReadError<E>> {
        let Some(length) = self.extent(MAX_VALUE_BYTES)? else {
            if let Some(index) = bits(self.wanted.hard(here)).next() {
                let place = &self.wanted.target(index).place;
                let rule = format!("{place} has more than {MAX_VALUE_BYTES} bytes; expected fewer");
                return Err(ReadError::form(rule));
            }
            self.pass_over()?;
            return Ok(Value::Null);
        };
        self.spend(length as u64)?;
        let raw = text(&self.window, length)?;
        let value = serde_json::from_str(raw).map_err(|error| {
            let at = self.window.position();
            ReadError::form(format!(
                "not JSON: the value at byte {at}: {error}; expected JSON"
            ))
        })?;
        self.window.advance(length);
        Ok(value)
    }

    /// Passes over the value that comes next.
    fn pass_over(&mut self) -> Result<(), ReadError<E>> {
        let mut extent = Extent::default();
        loop {
            let bytes = self.window.bytes();
            let held = bytes.len();
            let end = extent.feed(bytes);
            let count = end.unwrap_or(held);
            self.spend(count as u64)?;
            self.window.advance(count);
            if end.is_some() {
                return Ok(());
            }
            if !self.window.more()? {
                return if extent.may_end() {
                    Ok(())
                } else {
                    Err(ReadError::CutOff)
                };
            }
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
