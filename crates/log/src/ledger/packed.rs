//! Packed sections: rows of one partition in one frame, as one compressed piece of the object that
//! they will be in.
//!
//! The payload of an entry of rows is either the rows, one after the other, or a packed section. That
//! begins with a head: what the piece is, which LSNs it has, and what its rows add up to, as of when
//! they were appended. Then come the headers of the rows, which are not compressed, so that a start
//! knows the ids again without unpacking anything. Then comes the piece: the rows as lines of the
//! lake. Each part has a checksum of its own, because shipping reads sections by themselves, without
//! the frame around them.

use super::batch::Sums;
use super::entry::{StoredRow, put_row_header, take_row_header};
use super::frame::sums_of;
use crate::journal::layout::MAX_FRAME;
use lakehook_base::checksum::{Crc32c, crc32c};
use lakehook_base::codec::{Codec, Packer, Unpacker};
use lakehook_base::record::{Lsn, MAX_LINE_OVERHEAD, RowKind, line_overhead, put_line, take_line};

/// The first byte of a packed section; the rows of a section that is not packed begin with their kind.
pub const PACKED: u8 = 0x10;
/// Bytes of the head.
pub const HEAD: usize = 58;

/// Largest buffer that is kept from one section to the next; more than a full section takes.
const KEPT_BYTES: usize = 3 << 20;

const GZ: u8 = 1;
const ZST: u8 = 2;

/// Which sections are packed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// How they are compressed.
    pub codec: Codec,
    /// Sections with fewer bytes of rows stay as they are: alone they would be compressed badly.
    pub least_bytes: usize,
    /// Most bytes of rows in a section, unless one row alone has more.
    pub most_bytes: usize,
}

impl Packing {
    /// Sections of at least 16 KiB, and at most 1 MiB.
    pub fn of(codec: Codec) -> Self {
        Self {
            codec,
            least_bytes: 16 << 10,
            most_bytes: 1 << 20,
        }
    }

    /// Whether a section with these rows takes no further row of so many bytes.
    pub(crate) fn is_full(&self, sums: &Sums, row_bytes: u64) -> bool {
        let overhead = (sums.count + 1) * MAX_LINE_OVERHEAD as u64;
        sums.count > 0 && sums.bytes + row_bytes + overhead > self.most_bytes as u64
    }
}

/// The head of a packed section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How the piece is compressed.
    pub codec: Codec,
    /// Bytes of the headers of the rows.
    pub headers_bytes: usize,
    /// Bytes of the lines in the piece.
    pub line_bytes: usize,
    /// Bytes of the piece.
    pub stored_bytes: usize,
    /// CRC-32C of the piece.
    pub stored_crc: u32,
    /// LSN of the first row.
    pub first_lsn: Lsn,
    /// What the rows add up to, except for their LSNs.
    pub sums: Sums,
    /// CRC-32C of the rest of the head, and of the headers of the rows.
    crc: u32,
}

impl Head {
    /// Encodes the head; its checksum covers the headers of the rows, too.
    fn encode(&self, headers: &[u8]) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[0] = PACKED;
        head[5] = match self.codec {
            Codec::Plain => 0,
            Codec::Gz => GZ,
            Codec::Zst => ZST,
        };
        let lengths = [self.headers_bytes, self.line_bytes, self.stored_bytes];
        for (at, length) in [6, 10, 14].into_iter().zip(lengths) {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            head[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        head[18..22].copy_from_slice(&self.stored_crc.to_le_bytes());
        head[22..30].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        let rows = u32::try_from(self.sums.count).unwrap_or(u32::MAX);
        head[30..34].copy_from_slice(&rows.to_le_bytes());
        head[34..42].copy_from_slice(&self.sums.bytes.to_le_bytes());
        head[42..58].copy_from_slice(&self.sums.row_hash.to_le_bytes());
        let crc = crc_of(&head, headers);
        head[1..5].copy_from_slice(&crc.to_le_bytes());
        head
    }

    /// Decodes a head; `None` if the bytes do not begin with one. [`Packed::parse`] compares the
    /// checksum.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<HEAD>()?;
        let codec = match (head[0], head[5]) {
            (PACKED, GZ) => Codec::Gz,
            (PACKED, ZST) => Codec::Zst,
            _ => return None,
        };
        let length = |at| usize::try_from(u32_at(head, at)).ok();
        let mut row_hash = [0; 16];
        row_hash.copy_from_slice(&head[42..58]);
        let decoded = Self {
            codec,
            headers_bytes: length(6)?,
            line_bytes: length(10)?,
            stored_bytes: length(14)?,
            stored_crc: u32_at(head, 18),
            first_lsn: Lsn(u64_at(head, 22)),
            sums: Sums {
                count: u64::from(u32_at(head, 30)),
                bytes: u64_at(head, 34),
                row_hash: u128::from_le_bytes(row_hash),
                lsn_hash: 0,
            },
            crc: u32_at(head, 1),
        };
        // No frame has more, so nothing that says so is believed.
        let is_possible = decoded.line_bytes <= MAX_FRAME && decoded.bytes() <= MAX_FRAME;
        is_possible.then_some(decoded)
    }

    /// Bytes of head, headers and piece.
    pub fn bytes(&self) -> usize {
        self.stored_at() + self.stored_bytes
    }

    /// LSN of the last row.
    pub fn last_lsn(&self) -> Lsn {
        Lsn((self.first_lsn.0 + self.sums.count).saturating_sub(1))
    }

    /// Offset of the piece in the section.
    pub fn stored_at(&self) -> usize {
        HEAD + self.headers_bytes
    }

    /// Whether these are the bytes of the section before the piece, as they were written.
    pub fn covers(&self, before_piece: &[u8]) -> bool {
        let Some((head, headers)) = before_piece.split_first_chunk::<HEAD>() else {
            return false;
        };
        headers.len() == self.headers_bytes && crc_of(head, headers) == self.crc
    }
}

fn crc_of(head: &[u8; HEAD], headers: &[u8]) -> u32 {
    let mut crc = Crc32c::default();
    crc.update(&head[5..]);
    crc.update(headers);
    crc.value()
}

fn u32_at(head: &[u8; HEAD], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&head[at..at + 4]);
    u32::from_le_bytes(value)
}

fn u64_at(head: &[u8; HEAD], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&head[at..at + 8]);
    u64::from_le_bytes(value)
}

/// A packed section whose head and row headers are as they were written.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// The head.
    pub head: Head,
    pub(crate) headers: &'a [u8],
    pub(crate) stored: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Whether a payload is a packed section, and not just rows.
    pub fn is_one(payload: &[u8]) -> bool {
        payload.first() == Some(&PACKED)
    }

    /// The section that is the whole of a payload; `None` if it is not as it was written. The piece is
    /// not looked at.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let head = Head::decode(payload)?;
        let (before, stored) = payload.split_at_checked(head.stored_at())?;
        let is_whole = head.covers(before) && stored.len() == head.stored_bytes;
        is_whole.then_some(Self {
            head,
            headers: &before[HEAD..],
            stored,
        })
    }

    /// The kinds of its rows; ends early where a header is malformed.
    pub fn kinds(&self) -> impl Iterator<Item = RowKind> + 'a {
        let mut rest = self.headers;
        std::iter::from_fn(move || take_row_header(&mut rest).map(|(kind, _, _)| kind))
    }
}

/// The kinds of the rows of a payload, packed or not; ends early where it is malformed.
pub fn kinds_of(payload: &[u8]) -> impl Iterator<Item = RowKind> + '_ {
    let packed = Packed::is_one(payload).then(|| Packed::parse(payload));
    let mut headers = packed.flatten().map(|section| section.headers);
    let mut rows = payload;
    std::iter::from_fn(move || match &mut headers {
        Some(headers) => take_row_header(headers).map(|(kind, _, _)| kind),
        None => StoredRow::take(&mut rows).map(|row| row.kind),
    })
}

/// Packs sections; it keeps its buffers.
#[derive(Debug, Default)]
pub struct SectionPacker {
    packer: Packer,
    headers: Vec<u8>,
    lines: Vec<u8>,
    stored: Vec<u8>,
    packed: Vec<u8>,
    /// Bytes of the rows.
    raw_bytes: usize,
}

impl SectionPacker {
    /// Packs rows that are one after the other in `payload`, the first of them with this LSN. `None` if
    /// they are too few, or if packing does not make them smaller: then they stay as they are.
    pub fn pack(
        &mut self,
        packing: &Packing,
        payload: &[u8],
        first_lsn: Lsn,
        sums: &Sums,
    ) -> Option<&[u8]> {
        if payload.len() < packing.least_bytes || packing.codec == Codec::Plain {
            return None;
        }
        self.begin();
        let mut rest = payload;
        let mut lsn = first_lsn;
        while let Some(row) = StoredRow::take(&mut rest) {
            self.push(row.kind, lsn, u32::try_from(row.lsn_at).ok()?, row.bytes);
            lsn.0 += 1;
        }
        self.finish(packing, first_lsn, sums)
    }

    /// Begins a section.
    pub(crate) fn begin(&mut self) {
        self.raw_bytes = 0;
        for buffer in [
            &mut self.headers,
            &mut self.lines,
            &mut self.stored,
            &mut self.packed,
        ] {
            buffer.clear();
            // One huge row must not take this memory for good.
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
    }

    /// Adds a row to the section.
    pub(crate) fn push(&mut self, kind: RowKind, lsn: Lsn, lsn_at: u32, bytes: &[u8]) {
        put_row_header(&mut self.headers, kind, lsn_at, bytes.len());
        put_line(&mut self.lines, lsn, lsn_at as usize, bytes);
        self.raw_bytes += bytes.len();
    }

    /// Packs the rows that were added since [`Self::begin`], if that is worth it.
    pub(crate) fn finish(
        &mut self,
        packing: &Packing,
        first_lsn: Lsn,
        sums: &Sums,
    ) -> Option<&[u8]> {
        let raw_bytes = self.headers.len() + self.raw_bytes;
        if raw_bytes < packing.least_bytes || packing.codec == Codec::Plain {
            return None;
        }
        let packed = self
            .packer
            .pack(packing.codec, &self.lines, &mut self.stored);
        if let Err(error) = packed {
            tracing::warn!(%error, "rows cannot be compressed; they are stored as they are");
            return None;
        }
        let head = Head {
            codec: packing.codec,
            headers_bytes: self.headers.len(),
            line_bytes: self.lines.len(),
            stored_bytes: self.stored.len(),
            stored_crc: crc32c(&self.stored),
            first_lsn,
            sums: *sums,
            crc: 0,
        };
        if head.bytes() >= raw_bytes {
            return None;
        }
        self.packed.extend_from_slice(&head.encode(&self.headers));
        self.packed.extend_from_slice(&self.headers);
        self.packed.extend_from_slice(&self.stored);
        Some(&self.packed)
    }
}

/// Why the rows of a payload cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum SectionError<E> {
    /// The bytes are not those of rows with these LSNs.
    #[error("{0}")]
    Damaged(String),
    /// The caller could not take a row.
    #[error(transparent)]
    Sink(E),
}

/// Gives the rows of payloads, packed or not; it keeps its buffers.
#[derive(Debug, Default)]
pub struct SectionReader {
    unpacker: Unpacker,
    lines: Vec<u8>,
    row: Vec<u8>,
}

impl SectionReader {
    /// Hands each row of a whole payload to `see`; returns what they add up to, except for their LSNs.
    ///
    /// What a packed section says of itself is compared with what is in it. Rows that are not packed
    /// have nothing to compare with here.
    pub fn for_each<E>(
        &mut self,
        payload: &[u8],
        first_lsn: Lsn,
        see: &mut impl FnMut(Lsn, &StoredRow<'_>) -> Result<(), E>,
    ) -> Result<Sums, SectionError<E>> {
        if Packed::is_one(payload) {
            return self.unpack(payload, first_lsn, see);
        }
        let mut rest = payload;
        let mut sums = Sums::default();
        while let Some(row) = StoredRow::take(&mut rest) {
            let lsn = Lsn(first_lsn.0 + sums.count);
            sums.add(&sums_of(row.bytes));
            see(lsn, &row).map_err(SectionError::Sink)?;
        }
        if rest.is_empty() {
            Ok(sums)
        } else {
            let after = sums.count;
            Err(SectionError::Damaged(format!("no row after {after} rows")))
        }
    }

    fn unpack<E>(
        &mut self,
        payload: &[u8],
        first_lsn: Lsn,
        see: &mut impl FnMut(Lsn, &StoredRow<'_>) -> Result<(), E>,
    ) -> Result<Sums, SectionError<E>> {
        let damaged = |what: &str| {
            let detail = format!("the section from LSN {first_lsn} on {what}");
            SectionError::Damaged(detail)
        };
        let section = Packed::parse(payload).ok_or_else(|| damaged("is not as it was written"))?;
        let Packed {
            head,
            headers,
            stored,
        } = section;
        if head.first_lsn != first_lsn {
            return Err(damaged(&format!("begins with LSN {}", head.first_lsn)));
        }
        if crc32c(stored) != head.stored_crc {
            return Err(damaged("does not match its checksum"));
        }
        let Self {
            unpacker,
            lines,
            row,
        } = self;
        unpacker
            .unpack(head.codec, stored, head.line_bytes, lines)
            .map_err(|error| damaged(&format!("cannot be unpacked: {error}")))?;
        let mut lines = lines.as_slice();
        let mut headers = headers;
        let mut sums = Sums::default();
        let mut lsn = first_lsn;
        while let Some((kind, lsn_at, bytes)) = take_row_header(&mut headers) {
            let line_bytes = bytes.saturating_add(line_overhead(lsn));
            let (line, after) = lines
                .split_at_checked(line_bytes)
                .ok_or_else(|| damaged("has a row that is too long"))?;
            row.clear();
            take_line(row, lsn, lsn_at, line)
                .ok_or_else(|| damaged(&format!("has another row under LSN {lsn}")))?;
            lines = after;
            sums.add(&sums_of(row));
            let stored = StoredRow {
                kind,
                lsn_at,
                bytes: row,
            };
            see(lsn, &stored).map_err(SectionError::Sink)?;
            lsn.0 += 1;
        }
        if headers.is_empty() && lines.is_empty() && sums == head.sums {
            Ok(sums)
        } else {
            Err(damaged("has other rows than it says"))
        }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
