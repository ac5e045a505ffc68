//! The rows of a request as bytes, and back.
//!
//! A body is a table of contents and then the messages, each in two parts: what is known of the request and its rows, and
//! the bytes of the rows. So the receiver can put each request's rows where they stay as they arrive.
//!
//! ```text
//! body      = count u32 · count × (bytes of part 1 u32 · bytes of part 2 u32 · CRC-32C of both parts u32) · messages
//! message   = part 1 · part 2
//! part 1    = received_at i64 · dropped varint · flags u8 · endpoint text · request id text
//!             · address (0 | 4 · 4 bytes | 6 · 16 bytes) · partitions: count varint · texts
//!             · rows: count varint · count × row · identities of earlier versions, if flagged: count × identity
//!             · fields of later versions: (name u8 · bytes)*
//! row       = bytes u32 · place of the LSN u32 · partition u16 · kind u8 · 0 u8 · content u32 · tag u64
//! identity  = tag u64 · content u32
//! part 2    = the bytes of all rows
//! ```
//!
//! A body of outlines has part 1 of each message alone; the table says that part 2 has no bytes, and the checksum is that of
//! part 1.
//!
//! Integers have their lowest byte first; a varint is LEB128; texts and bytes have their length before them. A field of a
//! later version with an even name may be ignored; one with an odd name may not. A row has 24 bytes, however small it is, so
//! that what is decoded takes hardly more memory than what was sent.

use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

use bytes::Bytes;

use super::limits::{MAX_BODY, MAX_GATHERED};
use super::malformed::Malformed;
use crate::checksum::Crc32c;
use crate::clock::Micros;
use crate::record::{Identity, Origin, Row, RowKind, Rows};
use crate::wal::ledger::coding::{
    put_bytes, put_varint, take_array, take_bytes, take_text, take_varint,
};
use crate::wal::request::{Append, NO_RUN};

const CHANGED_IS_DUPLICATE: u8 = 1;
const HAS_FORMER: u8 = 2;
const FLAGS: u8 = CHANGED_IS_DUPLICATE | HAS_FORMER;

const RECORD: u8 = 0;
const QUARANTINED: u8 = 1;
const REFUSED: u8 = 2;

const ROW_BYTES: usize = 24;
const IDENTITY_BYTES: usize = 12;
/// Rows of so many bytes are a part of a body of their own; others are copied.
const OWN_PART: usize = 16 << 10;
/// Bytes of the count of messages.
pub(super) const COUNT_BYTES: usize = 4;
/// Bytes of an entry of the table of contents.
pub(super) const ENTRY_BYTES: usize = 12;

/// Lengths and checksum of a message: an entry of the table of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) about: usize,
    pub(super) rows: usize,
    crc: u32,
}

/// A request on its way to another node.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its outline, encoded: everything but the bytes of its rows.
    pub(super) about: Bytes,
    pub(super) append: Append,
}

impl Message {
    /// Encodes what is known of a request; `None` if it belongs to a run, or has more rows or partitions than this form
    /// can say.
    pub(super) fn of(append: Append) -> Option<Self> {
        if append.run != NO_RUN || append.cursor.is_some() {
            return None;
        }
        let rows = &append.rows;
        let names: usize = rows.partitions.iter().map(|name| name.len() + 5).sum();
        let about_bytes =
            256 + names + rows.rows.len() * ROW_BYTES + rows.former.len() * IDENTITY_BYTES;
        let mut about = Vec::with_capacity(about_bytes);
        put_origin(&mut about, &append);
        put_varint(&mut about, rows.partitions.len() as u64);
        for partition in &rows.partitions {
            put_bytes(&mut about, partition.as_bytes());
        }
        put_varint(&mut about, rows.rows.len() as u64);
        let mut start = 0;
        for row in &rows.rows {
            put_row(&mut about, row, row.end - start)?;
            start = row.end;
        }
        for former in &rows.former {
            about.extend_from_slice(&former.tag.to_le_bytes());
            about.extend_from_slice(&former.content.to_le_bytes());
        }
        let about = Bytes::from(about);
        Some(Self { about, append })
    }

    /// Bytes of both parts.
    pub(super) fn len(&self) -> usize {
        self.about.len() + rows_of(&self.append).len()
    }
}

/// The bytes of a request's rows. What stands behind the last one is no row.
fn rows_of(append: &Append) -> &[u8] {
    let end = append.rows.rows.last().map_or(0, |row| row.end);
    &append.rows.bytes[..end]
}

/// Requests that go to another node in one body.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    abouts: Vec<Bytes>,
    pub(super) appends: Vec<Append>,
}

impl Messages {
    pub(super) fn push(&mut self, message: Message) {
        self.abouts.push(message.about);
        self.appends.push(message.append);
    }

    /// Bytes of all rows.
    pub(super) fn row_bytes(&self) -> usize {
        self.appends
            .iter()
            .map(|append| rows_of(append).len())
            .sum()
    }

    /// A body with the outlines of the requests.
    pub(super) fn outlines(&self) -> Bytes {
        let bytes: usize = self.abouts.iter().map(Bytes::len).sum();
        let entries = self.abouts.iter().map(|about| Entry::of(about, &[]));
        let mut body = contents(entries, bytes);
        for about in &self.abouts {
            body.extend_from_slice(about);
        }
        Bytes::from(body)
    }

    /// A body with the requests, in parts.
    pub(super) fn whole(self) -> VecDeque<Bytes> {
        let messages = self.abouts.iter().zip(&self.appends);
        let entries = messages.map(|(about, append)| Entry::of(about, rows_of(append)));
        let mut part = contents(entries, 0);
        let mut parts = VecDeque::new();
        for (about, append) in self.abouts.iter().zip(self.appends) {
            part.extend_from_slice(about);
            let length = rows_of(&append).len();
            if length < OWN_PART {
                part.extend_from_slice(rows_of(&append));
                continue;
            }
            parts.push_back(Bytes::from(std::mem::take(&mut part)));
            parts.push_back(Bytes::from(append.rows.bytes).slice(..length));
        }
        if !part.is_empty() {
            parts.push_back(Bytes::from(part));
        }
        parts
    }
}

impl Entry {
    fn of(about: &[u8], rows: &[u8]) -> Self {
        let mut crc = Crc32c::default();
        crc.update(about);
        crc.update(rows);
        Self {
            about: about.len(),
            rows: rows.len(),
            crc: crc.value(),
        }
    }
}

fn put_origin(out: &mut Vec<u8>, append: &Append) {
    let Origin {
        received_at,
        endpoint,
        request_id,
        client,
    } = &append.origin;
    out.extend_from_slice(&received_at.0.to_le_bytes());
    put_varint(out, append.dropped);
    let mut flags = 0;
    if append.rows.changed_is_duplicate {
        flags |= CHANGED_IS_DUPLICATE;
    }
    if !append.rows.former.is_empty() {
        flags |= HAS_FORMER;
    }
    out.push(flags);
    put_bytes(out, endpoint.as_bytes());
    put_bytes(out, request_id.as_bytes());
    match client {
        None => out.push(0),
        Some(IpAddr::V4(address)) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
}

fn put_row(out: &mut Vec<u8>, row: &Row, length: usize) -> Option<()> {
    let none = Identity { tag: 0, content: 0 };
    let (kind, identity) = match row.kind {
        RowKind::Record(identity) => (RECORD, identity),
        RowKind::Quarantined => (QUARANTINED, none),
        RowKind::Refused => (REFUSED, none),
        RowKind::Snapshot => return None,
    };
    let mut bytes = [0; ROW_BYTES];
    bytes[0..4].copy_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    bytes[4..8].copy_from_slice(&row.lsn_at.to_le_bytes());
    bytes[8..10].copy_from_slice(&u16::try_from(row.partition).ok()?.to_le_bytes());
    bytes[10] = kind;
    bytes[12..16].copy_from_slice(&identity.content.to_le_bytes());
    bytes[16..24].copy_from_slice(&identity.tag.to_le_bytes());
    out.extend_from_slice(&bytes);
    Some(())
}

/// The beginning of a body: the count of messages and the table of contents. There is room for so many bytes behind it.
fn contents(entries: impl ExactSizeIterator<Item = Entry>, bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(COUNT_BYTES + entries.len() * ENTRY_BYTES + bytes);
    let narrow = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&narrow(entries.len()).to_le_bytes());
    for entry in entries {
        out.extend_from_slice(&narrow(entry.about).to_le_bytes());
        out.extend_from_slice(&narrow(entry.rows).to_le_bytes());
        out.extend_from_slice(&entry.crc.to_le_bytes());
    }
    out
}

/// How many messages a body has, from its first bytes.
pub(super) fn count(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut rest = bytes;
    let count = take_array(&mut rest).ok_or(Malformed("the count of messages"))?;
    let count = u32::from_le_bytes(count) as usize;
    if count == 0 || count > MAX_GATHERED {
        return Err(Malformed("the count of messages"));
    }
    Ok(count)
}

/// Reads the table of contents of a body; `left` bytes follow it.
pub(super) fn entries(mut table: &[u8], left: usize) -> Result<Vec<Entry>, Malformed> {
    let mut entries = Vec::with_capacity(table.len() / ENTRY_BYTES);
    let mut sum = 0;
    while !table.is_empty() {
        let malformed = Malformed("the table of contents");
        let mut number = || {
            take_array(&mut table)
                .map(u32::from_le_bytes)
                .ok_or(malformed)
        };
        let (about, rows, crc) = (number()? as usize, number()? as usize, number()?);
        sum += about + rows;
        entries.push(Entry { about, rows, crc });
    }
    if sum != left {
        return Err(Malformed("the lengths of messages"));
    }
    Ok(entries)
}

/// Decodes a request from the two parts of its message.
pub(super) fn decode(entry: Entry, about: &[u8], rows: Vec<u8>) -> Result<Append, Malformed> {
    let mut crc = Crc32c::default();
    crc.update(about);
    crc.update(&rows);
    if crc.value() != entry.crc {
        return Err(Malformed("the checksum of a message"));
    }
    let mut append = outline(about)?;
    if append.rows.rows.last().map_or(0, |row| row.end) != rows.len() {
        return Err(Malformed("the lengths of a request's rows"));
    }
    append.rows.bytes = rows;
    Ok(append)
}

/// Decodes an outline: a request without the bytes of its rows.
pub(super) fn decode_outline(entry: Entry, about: &[u8]) -> Result<Append, Malformed> {
    let mut crc = Crc32c::default();
    crc.update(about);
    if crc.value() != entry.crc {
        return Err(Malformed("the checksum of an outline"));
    }
    outline(about)
}

/// Decodes the first part of a message.
fn outline(about: &[u8]) -> Result<Append, Malformed> {
    let mut rest = about;
    let (origin, dropped, flags) = take_origin(&mut rest)?;
    let partitions = take_partitions(&mut rest)?;
    let (taken, records) = take_rows(&mut rest, partitions.len())?;
    let former = match flags & HAS_FORMER {
        0 => Vec::new(),
        _ => take_former(&mut rest, records)?,
    };
    skip_fields(&mut rest)?;
    Ok(Append {
        rows: Rows {
            bytes: Vec::new(),
            rows: taken,
            partitions,
            former,
            changed_is_duplicate: flags & CHANGED_IS_DUPLICATE != 0,
        },
        dropped,
        origin,
        run: NO_RUN,
        cursor: None,
    })
}

fn take_origin(rest: &mut &[u8]) -> Result<(Origin, u64, u8), Malformed> {
    let malformed = Malformed("where a request came from");
    let received_at = take_array(rest).map(i64::from_le_bytes).ok_or(malformed)?;
    let dropped = take_varint(rest).ok_or(malformed)?;
    let [flags] = take_array(rest).ok_or(malformed)?;
    if flags & !FLAGS != 0 {
        return Err(Malformed("flags that this version does not know"));
    }
    let endpoint = take_text(rest).ok_or(malformed)?;
    let request_id = take_text(rest).ok_or(malformed)?;
    let [family] = take_array(rest).ok_or(malformed)?;
    let client = match family {
        0 => None,
        4 => take_array::<4>(rest).map(IpAddr::from),
        6 => take_array::<16>(rest).map(IpAddr::from),
        _ => return Err(malformed),
    };
    if client.is_none() && family != 0 {
        return Err(malformed);
    }
    let origin = Origin {
        received_at: Micros(received_at),
        endpoint: endpoint.into(),
        request_id: request_id.into(),
        client,
    };
    Ok((origin, dropped, flags))
}

fn take_partitions(rest: &mut &[u8]) -> Result<Vec<String>, Malformed> {
    let malformed = Malformed("the partitions of a request");
    let count = take_varint(rest).ok_or(malformed)?;
    // Each has at least the byte of its length.
    if count > rest.len() as u64 || count > u64::from(u16::MAX) + 1 {
        return Err(malformed);
    }
    let mut partitions = Vec::new();
    let mut known = HashSet::new();
    for _ in 0..count {
        let partition = take_text(rest).ok_or(malformed)?;
        if partition.is_empty() || !known.insert(partition) {
            return Err(malformed);
        }
        partitions.push(partition.to_owned());
    }
    Ok(partitions)
}

/// The rows, and how many of them are records.
fn take_rows(rest: &mut &[u8], partitions: usize) -> Result<(Vec<Row>, usize), Malformed> {
    let malformed = Malformed("the rows of a request");
    let count = take_varint(rest).ok_or(malformed)?;
    if count > (rest.len() / ROW_BYTES) as u64 {
        return Err(malformed);
    }
    let mut rows = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let (mut end, mut records) = (0, 0);
    for _ in 0..count {
        let row: [u8; ROW_BYTES] = take_array(rest).ok_or(malformed)?;
        let (row, length) = row_of(&row, end).ok_or(malformed)?;
        if row.lsn_at as usize > length || row.partition as usize >= partitions {
            return Err(malformed);
        }
        end = row.end;
        records += usize::from(matches!(row.kind, RowKind::Record(_)));
        rows.push(row);
    }
    if end > MAX_BODY {
        return Err(Malformed("the lengths of a request's rows"));
    }
    Ok((rows, records))
}

fn row_of(bytes: &[u8; ROW_BYTES], start: usize) -> Option<(Row, usize)> {
    let mut rest = bytes.as_slice();
    let length = u32::from_le_bytes(take_array(&mut rest)?) as usize;
    let lsn_at = u32::from_le_bytes(take_array(&mut rest)?);
    let partition = u32::from(u16::from_le_bytes(take_array(&mut rest)?));
    let [kind, zero] = take_array(&mut rest)?;
    let content = u32::from_le_bytes(take_array(&mut rest)?);
    let tag = u64::from_le_bytes(take_array(&mut rest)?);
    let kind = match (kind, zero) {
        (RECORD, 0) => RowKind::Record(Identity { tag, content }),
        (QUARANTINED, 0) if tag == 0 && content == 0 => RowKind::Quarantined,
        (REFUSED, 0) if tag == 0 && content == 0 => RowKind::Refused,
        _ => return None,
    };
    let row = Row {
        end: start + length,
        lsn_at,
        partition,
        kind,
    };
    Some((row, length))
}

fn take_former(rest: &mut &[u8], records: usize) -> Result<Vec<Identity>, Malformed> {
    let malformed = Malformed("identities of earlier versions");
    if records == 0 || records > rest.len() / IDENTITY_BYTES {
        return Err(malformed);
    }
    let mut former = Vec::with_capacity(records);
    for _ in 0..records {
        let tag = take_array(rest).map(u64::from_le_bytes).ok_or(malformed)?;
        let content = take_array(rest).map(u32::from_le_bytes).ok_or(malformed)?;
        former.push(Identity { tag, content });
    }
    Ok(former)
}

/// Passes over fields of later versions that may be ignored.
fn skip_fields(rest: &mut &[u8]) -> Result<(), Malformed> {
    while !rest.is_empty() {
        let malformed = Malformed("a field of a later version");
        let [name] = take_array(rest).ok_or(malformed)?;
        take_bytes(rest).ok_or(malformed)?;
        if name % 2 == 1 {
            return Err(Malformed(
                "a field of a later version that must not be ignored; upgrade this node",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "message_tests.rs"]
pub(super) mod tests;
