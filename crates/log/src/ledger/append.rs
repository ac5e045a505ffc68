//! Appends rows to a frame: which of them are new, which section they go to, and how many bytes a
//! request may take.

use super::batch::{Chunk, Sums};
use super::entry::{Counts, Entry, NO_RUN};
use super::frame::{ROW_OVERHEAD, Section, row_bytes};
use super::request::{Append, Appended, WriteError};
use super::writer::{SLACK, Writer};
use crate::dedup::recent::Known;
use crate::journal::seam::Journal;
use lakehook_base::clock::{Micros, Now};
use lakehook_base::files::Files;
use lakehook_base::record::{Origin, RowKind, Rows};

/// Most bytes that a quarantine row of a conflicting event has beyond twice the event's.
const CONFLICT_OVERHEAD: usize = 640;
/// Most bytes of the name of a quarantine's partition.
const CONFLICT_PARTITION: usize = 128;
/// Most bytes that a section takes besides its partition and its rows.
const SECTION_OVERHEAD: usize = 40;
/// Most bytes that a chunk takes in a seal.
const MAX_CHUNK: usize = 40;

/// Most bytes that a section with these rows takes in a frame.
fn pending_bytes(partition: &str, sums: &Sums) -> usize {
    // The rows without their line ends, which `sums.bytes` counts.
    let rows = sums.bytes - sums.count + sums.count * ROW_OVERHEAD as u64;
    partition.len() + SECTION_OVERHEAD + usize::try_from(rows).unwrap_or(usize::MAX)
}

impl<J: Journal, F: Files> Writer<J, F> {
    pub(crate) fn append(&mut self, append: &Append, now: Now) -> Result<Appended, WriteError> {
        let slots: Vec<usize> = {
            let partitions = append.rows.partitions.iter();
            partitions
                .map(|partition| self.state.batches.run_slot(append.run, partition))
                .collect()
        };
        let identities = append.rows.rows.iter().filter_map(|row| match row.kind {
            RowKind::Record(identity) => Some(identity),
            RowKind::Snapshot | RowKind::Quarantined | RowKind::Refused => None,
        });
        self.dedup.look_ahead(identities);
        let mut appended = Appended::default();
        // Until the request is complete, a seal must not publish a watermark later than its time of
        // receipt.
        self.building.appending = append.origin.received_at;
        self.building.counts.received += append.dropped;
        self.building.counts.dropped += append.dropped;
        let mut former = append.rows.former.iter();
        for (row, bytes) in append.rows.iter() {
            let slot = slots[row.partition as usize];
            let received_at = append.origin.received_at;
            match row.kind {
                RowKind::Record(identity) => {
                    let known = self.dedup.insert_unless(identity, former.next());
                    match known {
                        Known::New => {
                            self.building.inserted.push(identity);
                            self.push_row(slot, row.kind, row.lsn_at, bytes, received_at, now)?;
                            appended.accepted += 1;
                        }
                        Known::Conflict if !append.rows.changed_is_duplicate => {
                            self.push_conflict(&append.origin, bytes, now)?;
                            appended.conflicts += 1;
                            appended.quarantined += 1;
                        }
                        Known::Duplicate | Known::Conflict => {
                            self.count_duplicate(known, &mut appended);
                        }
                    }
                    // Counted last: adding the row may seal the batch before it, and that seal's
                    // totals must add up.
                    self.building.counts.received += 1;
                }
                RowKind::Snapshot => {
                    self.push_row(slot, row.kind, row.lsn_at, bytes, received_at, now)?;
                    self.building.counts.received += 1;
                    appended.accepted += 1;
                }
                RowKind::Quarantined => {
                    self.push_row(slot, row.kind, row.lsn_at, bytes, received_at, now)?;
                    self.building.counts.received += 1;
                    appended.quarantined += 1;
                }
                RowKind::Refused => {
                    self.push_row(slot, row.kind, row.lsn_at, bytes, received_at, now)?;
                }
            }
        }
        self.building.appending = Micros(i64::MAX);
        if let Some(cursor) = &append.cursor {
            self.flush_sections(now);
            self.put_cursor(&cursor.poll, &cursor.bytes);
        }
        Ok(appended)
    }

    fn count_duplicate(&mut self, known: Known, appended: &mut Appended) {
        self.building.counts.duplicate += 1;
        appended.duplicates += 1;
        appended.changed += u64::from(known == Known::Conflict);
    }

    pub(crate) fn push_conflict(
        &mut self,
        origin: &Origin,
        row: &[u8],
        now: Now,
    ) -> Result<(), WriteError> {
        let partition = (self.settings.conflict_partition)(origin);
        let slot = self.state.batches.slot(&partition);
        let mut scratch = std::mem::take(&mut self.building.scratch);
        scratch.clear();
        let lsn_at = (self.settings.conflict_row)(origin, row, &mut scratch);
        let received_at = origin.received_at;
        let pushed = self.push_row(
            slot,
            RowKind::Quarantined,
            lsn_at,
            &scratch,
            received_at,
            now,
        );
        self.building.scratch = scratch;
        pushed
    }

    /// Adds a row to its partition's section. If the batch would exceed its limits, seals it first.
    pub(crate) fn push_row(
        &mut self,
        slot: usize,
        kind: RowKind,
        lsn_at: u32,
        row: &[u8],
        received_at: Micros,
        now: Now,
    ) -> Result<(), WriteError> {
        if self.building.sections.len() <= slot {
            self.building
                .sections
                .resize_with(slot + 1, Section::default);
        }
        let pending = self.building.sections[slot].sums;
        if let Some(reason) = self.state.batches.overflows(slot, &pending, row_bytes(row)) {
            self.flush_sections(now);
            if self.state.batches.get(slot).run == NO_RUN {
                self.seal(slot, reason, now)?;
            } else {
                self.cut(slot);
            }
            debug_assert_eq!(
                self.state.batches.get(slot).sums.count,
                0,
                "a batch exceeds its limits only by a single row"
            );
        }
        let packing = self.settings.packing;
        let pending = &self.building.sections[slot].sums;
        if packing.is_some_and(|packing| packing.is_full(pending, row_bytes(row))) {
            self.flush_section(slot, now);
        }
        if self.building.sections[slot].sums.count == 0 {
            let partition = &self.state.batches.get(slot).partition;
            self.building.pending_bytes += partition.len() + SECTION_OVERHEAD;
        }
        self.building.sections[slot].push(kind, lsn_at, row, received_at);
        self.building.pending_bytes += row.len() + ROW_OVERHEAD;
        Ok(())
    }

    /// Turns the sections into entries, which gives their rows LSNs, and puts the counts beside
    /// them, so that the totals are right at every seal.
    pub(crate) fn flush_sections(&mut self, now: Now) {
        for slot in 0..self.building.sections.len() {
            self.flush_section(slot, now);
        }
        debug_assert_eq!(self.building.pending_bytes, 0, "no section is left");
        let building = &mut self.building;
        if building.counts != Counts::default() {
            building.frame.put(&Entry::Counts(building.counts));
            self.state.add_counts(&building.counts);
            building.counts = Counts::default();
        }
    }

    /// Turns one section into an entry, packed if it is large enough. Its rows get their LSNs here, so
    /// that they can be packed with them.
    fn flush_section(&mut self, slot: usize, now: Now) {
        let frame = self.journal.next();
        let building = &mut self.building;
        let section = &mut building.sections[slot];
        if section.sums.count == 0 {
            return;
        }
        let first_lsn = self.state.next_lsn;
        let packing = self.settings.packing.as_ref();
        let sections = &mut building.packer;
        let packed = packing.and_then(|packing| {
            sections.pack(packing, section.payload(), first_lsn, &section.sums)
        });
        let batch = self.state.batches.get(slot);
        let (run, partition) = (batch.run, &*batch.partition);
        building.pending_bytes -= pending_bytes(partition, &section.sums);
        let offset = building.frame.put_section(run, partition, section, packed);
        let chunk = Chunk {
            frame,
            offset,
            bytes: packed.unwrap_or(section.payload()).len() as u64,
            rows: section.sums.count,
            first_lsn,
        };
        let (sums, counts) = (&section.sums, &section.counts);
        self.state
            .add_rows(slot, &chunk, sums, counts, section.received, now.mono);
        section.clear();
    }

    /// An upper bound of the bytes that a request adds to a frame.
    pub(crate) fn cost_of(&self, append: &Append) -> usize {
        let Rows {
            rows,
            bytes,
            partitions,
            ..
        } = &append.rows;
        let cursor = append.cursor.as_ref();
        let cursor_bytes = cursor.map_or(0, |cursor| cursor.poll.len() + cursor.bytes.len());
        let records = rows
            .iter()
            .any(|row| matches!(row.kind, RowKind::Record(_)));
        // Any record may conflict with a known one, and is then stored escaped in the quarantine.
        let row_bytes = if records && !append.rows.changed_is_duplicate {
            2 * bytes.len() + rows.len() * CONFLICT_OVERHEAD
        } else {
            bytes.len() + rows.len() * ROW_OVERHEAD
        };
        let partitions = partitions.iter().map(String::as_str);
        self.cost_of_rows(rows.len(), row_bytes, partitions)
            .saturating_add(cursor_bytes)
    }

    /// An upper bound of the bytes that so many rows of these partitions add to a frame, with the seals
    /// that they may cause; `row_bytes` are those of the rows with what each has around it.
    pub(crate) fn cost_of_rows<'p>(
        &self,
        rows: usize,
        row_bytes: usize,
        partitions: impl ExactSizeIterator<Item = &'p str> + Clone,
    ) -> usize {
        let longest = partitions.clone().map(str::len).max().unwrap_or(0);
        let longest = longest.max(CONFLICT_PARTITION);
        let seals = self.seals_within(rows, row_bytes, partitions.len() + 1);
        let seal_bytes = SLACK + 3 * longest + self.settings.lake.len();
        // Each seal ends all sections, and each section is a chunk in a seal. A section that is full
        // ends, too: two in a row have more than its bound between them, and a line is less than
        // twice its row with the overhead.
        let most_bytes = self.settings.packing.map_or(usize::MAX, |p| p.most_bytes);
        let full = 4 * row_bytes / most_bytes.max(1);
        let sections = rows.min((partitions.len() + 1) * (seals + 1) + full);
        let section_bytes = longest + SECTION_OVERHEAD + MAX_CHUNK;
        let open_chunks: usize = partitions
            .map(|partition| self.state.batches.chunk_bytes(partition))
            .sum();
        SLACK
            .saturating_add(row_bytes)
            .saturating_add(open_chunks)
            .saturating_add(seals.saturating_mul(seal_bytes))
            .saturating_add(sections.saturating_mul(section_bytes))
    }

    /// Most seals that this many rows can cause: two batches in a row have more than `max_bytes`
    /// between them, and the first row of each partition may close the batch that was open before.
    pub(crate) fn seals_within(&self, rows: usize, bytes: usize, partitions: usize) -> usize {
        let limits = self.state.batches.limits();
        let by_records = rows as u64 / limits.max_records.max(1);
        let by_bytes = 2 * bytes as u64 / limits.max_bytes.max(1);
        let seals = usize::try_from(by_records + by_bytes).unwrap_or(rows);
        (seals + partitions).min(rows)
    }
}
