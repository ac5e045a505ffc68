//! Reserved rows: the node that has received rows packs them, and the writer of the log gives them LSNs only.
//!
//! Packing takes most of a writer's time, and a packed section holds the LSNs of its rows. So a
//! process that sends requests to the owner of a log first sends *outlines*, which are requests
//! without the bytes of their rows. The writer looks the ids up, and *offers* LSNs for the rows that
//! are new. The sender packs the rows with these LSNs, and *fills* the reservation. The writer waits
//! for that before it appends the frame, and refuses the reservation if it waits in vain.
//!
//! Both sides divide the rows into sections by [`plan`], so nobody needs to send how.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::arriving::{Append, Appended};
use super::batch::Sums;
use super::entry::{Span, StoredRow, put_row, take_row_header};
use super::facts::RowCounts;
use super::frame::sums_of;
use super::packed::{Packed, Packing, SectionPacker};
use lakehook_base::checksum::crc32c;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, Row, RowKind, line_overhead};

/// Requests whose rows somebody else packs.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The requests, without the bytes of their rows.
    pub outlines: Arc<Vec<Append>>,
    /// Who has the bytes.
    pub lender: Arc<dyn Lender>,
}

impl Reservation {
    /// When the first of the requests was received.
    pub(crate) fn received_at(&self) -> Option<Micros> {
        let outlines = self.outlines.iter();
        outlines.map(|outline| outline.origin.received_at).min()
    }
}

/// Whoever has the bytes of reserved rows.
pub trait Lender: fmt::Debug + Send + Sync {
    /// Takes the LSNs.
    fn offer(&self, offer: Offer);

    /// Waits for the sections, for so long at most. What comes later is refused.
    fn filling(&self, patience: Duration) -> Option<Filling>;
}

/// LSNs for reserved rows. They are given out only once the reservation is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// How sections are packed.
    pub packing: Packing,
    /// LSN of the first row of the first section.
    pub first_lsn: Lsn,
    /// For each row of all requests whether it is left out: it is a duplicate.
    pub left_out: Bits,
    /// What each request is told once the rows are durable.
    pub appended: Vec<Appended>,
}

/// A list of bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    /// The first `count` bits of these bytes; `None` if they are fewer, or more than needed.
    pub fn of(bytes: &[u8], count: usize) -> Option<Self> {
        let fits = bytes.len() == count.div_ceil(8);
        fits.then(|| Self {
            bytes: bytes.to_vec(),
            count,
        })
    }

    /// Adds a bit.
    pub fn push(&mut self, bit: bool) {
        if self.count.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if bit && let Some(last) = self.bytes.last_mut() {
            *last |= 1 << (self.count % 8);
        }
        self.count += 1;
    }

    /// A bit; `false` behind the last one.
    pub fn get(&self, at: usize) -> bool {
        let byte = self.bytes.get(at / 8).copied().unwrap_or(0);
        byte & (1 << (at % 8)) != 0
    }

    /// How many bits there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes that the bits take.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The payloads of the sections of a reservation, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filling {
    /// The payloads.
    pub bytes: Vec<u8>,
    /// Where each of them ends.
    pub ends: Vec<usize>,
}

impl Filling {
    /// The payloads.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied();
        starts
            .zip(ends)
            .map(|(start, end)| self.bytes.get(start..end).unwrap_or_default())
    }
}

/// A section to be: rows of one partition.
#[derive(Debug)]
pub struct Planned {
    /// The partition.
    pub partition: Box<str>,
    /// Its rows: the number of the request, and that of the row in it.
    rows: Vec<(u32, u32)>,
    /// Bytes of the rows, each with its line end.
    bytes: u64,
}

impl Planned {
    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.rows.len() as u64
    }

    /// What the rows add up to, without their hashes.
    pub(crate) fn size(&self) -> Sums {
        Sums {
            count: self.count(),
            bytes: self.bytes,
            row_hash: 0,
            lsn_hash: 0,
        }
    }

    /// Number of rows of each kind.
    pub(crate) fn counts(&self, outlines: &[Append]) -> RowCounts {
        let mut counts = RowCounts::default();
        for &(request, row) in &self.rows {
            let (row, _) = row_of(outlines, request, row);
            counts.add(row.kind);
        }
        counts
    }

    /// Earliest and newest time of receipt.
    pub(crate) fn received(&self, outlines: &[Append]) -> Span {
        let mut received = Span::EMPTY;
        let mut last = None;
        for &(request, _) in &self.rows {
            if last.replace(request) != Some(request) {
                received = received.including(outlines[request as usize].origin.received_at);
            }
        }
        received
    }

    /// What the rows of a payload add up to, if it is this section with these LSNs.
    ///
    /// The piece of a packed section is not unpacked: shipping does that, as it does with sections
    /// that the writer has packed.
    pub(crate) fn sums_of(
        &self,
        outlines: &[Append],
        payload: &[u8],
        first_lsn: Lsn,
        packing: &Packing,
    ) -> Option<Sums> {
        if Packed::is_one(payload) {
            self.packed_sums(outlines, payload, first_lsn, packing)
        } else {
            self.plain_sums(outlines, payload)
        }
    }

    fn packed_sums(
        &self,
        outlines: &[Append],
        payload: &[u8],
        first_lsn: Lsn,
        packing: &Packing,
    ) -> Option<Sums> {
        let Packed {
            head,
            headers: mut rest,
            stored,
        } = Packed::parse(payload)?;
        let says_so = head.codec == packing.codec
            && head.first_lsn == first_lsn
            && head.sums.count == self.count()
            && head.sums.bytes == self.bytes
            && head.stored_crc == crc32c(stored);
        if !says_so {
            return None;
        }
        for &(request, row) in &self.rows {
            let header = take_row_header(&mut rest)?;
            if !is_that_of(row_of(outlines, request, row), header) {
                return None;
            }
        }
        (rest.is_empty() && self.line_bytes(first_lsn) == head.line_bytes as u64)
            .then_some(head.sums)
    }

    /// Bytes of the rows as lines with these LSNs.
    fn line_bytes(&self, first_lsn: Lsn) -> u64 {
        let count = self.count();
        let last = Lsn((first_lsn.0 + count).saturating_sub(1));
        let each = line_overhead(first_lsn) as u64;
        // The overhead of a line has its end, which is counted here, too.
        let rows = self.bytes - count;
        if line_overhead(last) as u64 == each {
            return rows + count * each;
        }
        let lsns = (0..count).map(|n| line_overhead(Lsn(first_lsn.0 + n)) as u64);
        rows + lsns.sum::<u64>()
    }

    fn plain_sums(&self, outlines: &[Append], mut payload: &[u8]) -> Option<Sums> {
        let mut sums = Sums::default();
        for &(request, row) in &self.rows {
            let stored = StoredRow::take(&mut payload)?;
            let header = (stored.kind, stored.lsn_at, stored.bytes.len());
            if !is_that_of(row_of(outlines, request, row), header) {
                return None;
            }
            sums.add(&sums_of(stored.bytes));
        }
        payload.is_empty().then_some(sums)
    }
}

fn is_that_of((row, bytes): (&Row, Range<usize>), header: (RowKind, usize, usize)) -> bool {
    (row.kind, row.lsn_at as usize, bytes.len()) == header
}

/// A row of a request, and where its bytes are among those of the request.
fn row_of(outlines: &[Append], request: u32, row: u32) -> (&Row, Range<usize>) {
    let (rows, at) = (&outlines[request as usize].rows.rows, row as usize);
    let start = at.checked_sub(1).map_or(0, |before| rows[before].end);
    (&rows[at], start..rows[at].end)
}

/// Divides the rows of requests into sections, in the order in which they get LSNs.
pub fn plan(outlines: &[Append], left_out: &Bits, packing: &Packing) -> Vec<Planned> {
    let mut sections: Vec<Planned> = Vec::new();
    // The section that each partition's next row goes into.
    let mut open: Vec<usize> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let mut before = 0;
    for (request, outline) in outlines.iter().enumerate() {
        let partitions = outline.rows.partitions.iter();
        let of_request = partitions.map(|name| number_of(&mut numbers, &mut open, name));
        let of_request: Vec<usize> = of_request.collect();
        let rows = &outline.rows.rows;
        let mut start = 0;
        for (number, row) in rows.iter().enumerate() {
            let bytes = (row.end - start) as u64 + 1;
            start = row.end;
            if left_out.get(before + number) {
                continue;
            }
            let at = &mut open[of_request[row.partition as usize]];
            let has_room = |section: &Planned| !packing.is_full(&section.size(), bytes);
            if !sections.get(*at).is_some_and(has_room) {
                *at = sections.len();
                let partition = outline.rows.partitions[row.partition as usize].as_str();
                sections.push(Planned {
                    partition: partition.into(),
                    rows: Vec::new(),
                    bytes: 0,
                });
            }
            let section = &mut sections[*at];
            section.rows.push((narrow(request), narrow(number)));
            section.bytes += bytes;
        }
        before += rows.len();
    }
    sections
}

/// The number of a partition, which has no open section at first.
fn number_of<'a>(
    numbers: &mut HashMap<&'a str, usize>,
    open: &mut Vec<usize>,
    partition: &'a str,
) -> usize {
    *numbers.entry(partition).or_insert_with(|| {
        open.push(usize::MAX);
        open.len() - 1
    })
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Packs reserved rows; it keeps its buffers.
#[derive(Debug, Default)]
pub struct Filler {
    packer: SectionPacker,
}

impl Filler {
    /// What fills a reservation for these requests, which have the bytes of their rows.
    pub fn fill(&mut self, appends: &[Append], offer: &Offer) -> Filling {
        let mut filling = Filling::default();
        let mut lsn = offer.first_lsn;
        for planned in plan(appends, &offer.left_out, &offer.packing) {
            self.put_section(&mut filling.bytes, &planned, appends, lsn, &offer.packing);
            filling.ends.push(filling.bytes.len());
            lsn.0 += planned.count();
        }
        filling
    }

    fn put_section(
        &mut self,
        out: &mut Vec<u8>,
        planned: &Planned,
        appends: &[Append],
        first_lsn: Lsn,
        packing: &Packing,
    ) {
        let rows = || {
            planned.rows.iter().map(|&(request, number)| {
                let (row, at) = row_of(appends, request, number);
                (row, &appends[request as usize].rows.bytes[at])
            })
        };
        let mut sums = Sums::default();
        let mut lsn = first_lsn;
        self.packer.begin();
        for (row, bytes) in rows() {
            self.packer.push(row.kind, lsn, row.lsn_at, bytes);
            sums.add(&sums_of(bytes));
            lsn.0 += 1;
        }
        match self.packer.finish(packing, first_lsn, &sums) {
            Some(packed) => out.extend_from_slice(packed),
            None => rows().for_each(|(row, bytes)| put_row(out, row.kind, row.lsn_at, bytes)),
        }
    }
}

#[cfg(test)]
#[path = "reservation_tests.rs"]
mod tests;
