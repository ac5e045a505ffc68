//! Takes the records of a page, one by one: each becomes a row, or a row of the quarantine.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::collect::{Collector, MAX_HELD_BYTES, MAX_SAMPLES, PIECE_BYTES};
use super::errors::RunError;
use super::mark_format::{ASK_FOR_FORMAT, Ambiguous};
use super::watermark::Mark;
use lakehook_base::record::Rows;
use lakehook_contract::entity::{Taken, Target};
use lakehook_contract::quarantine::FieldError;

impl<R: Clone + Serialize + DeserializeOwned> Collector<'_, R> {
    /// Whether a record of a page that is read again is in the log already; fails if the records
    /// have changed.
    fn skip(&mut self, index: u64) -> Result<bool, RunError> {
        let (flushed, hash) = self.page.flushed;
        if index + 1 == flushed && self.page.hash != hash {
            return Err(RunError::Drift(format!(
                "page {}: read again after it broke off, it holds other records than before",
                self.page.number
            )));
        }
        Ok(index < flushed)
    }

    fn note_id(&mut self, index: u64, id: Option<u128>, content: u128) -> Result<(), RunError> {
        if !self.plan.is_snapshot {
            return Ok(());
        }
        let Some(id) = id else {
            if self.ids.insert(content) {
                self.pending.ids.push(content);
            } else {
                self.pending.repeated += 1;
            }
            return Ok(());
        };
        if !self.ids.insert(id) {
            return Err(RunError::Drift(format!(
                "page {}: record {index} has the id of a record before; expected each once: the set \
                 changes while it is read, or {}.{}.id names no unique key",
                self.page.number, self.plan.section, self.plan.stream
            )));
        }
        self.pending.ids.push(id);
        Ok(())
    }

    fn note_mark(&mut self, index: u64, raw: Option<&str>) -> Result<(), RunError> {
        let (Some(format), Some(raw)) = (self.plan.mark, raw) else {
            return Ok(());
        };
        let mark = format.read(raw).map_err(|Ambiguous(number)| {
            RunError::Failed(format!(
                "page {}: record {index} has the number {number} at {}.{}.watermark.field, which may be a \
                 time or a serial number; {ASK_FOR_FORMAT}",
                self.page.number, self.plan.section, self.plan.stream
            ))
        })?;
        if let Some(mark) = mark {
            self.marked += 1;
            let highest = self.pending.highest.take();
            self.pending.highest = Mark::latest(highest, Some(mark.not_after(self.latest)));
        }
        Ok(())
    }

    /// Starts reading the page from its beginning, possibly again because an attempt broke off.
    pub fn begin_page(&mut self) {
        let held = std::mem::take(&mut self.held).into_iter();
        for piece in held.chain([std::mem::take(&mut self.pending)]) {
            for id in piece.ids {
                self.ids.remove(&id);
            }
        }
        self.page.hash = 0;
    }

    /// Tells of records of a snapshot without ids that came more than once.
    pub fn check_repeats(&mut self) {
        let (repeated, records) = (self.repeated, self.counts.records);
        if repeated > 0 {
            self.warn(format!(
                "{repeated} of {records} records are equal to one before, and `id` is not set; if each should be \
                 there once, set it, and check pagination.first and pagination.step"
            ));
        }
    }

    /// Tells of what is probably a mistake of the configuration, in the report of the run.
    pub fn warn(&mut self, text: String) {
        if self.counts.warnings.len() < MAX_SAMPLES {
            self.counts.warnings.push(text);
        }
    }

    /// Fails if the run may take no further record.
    fn check_count(&self) -> Result<(), RunError> {
        let unflushed: u64 = self.unflushed().map(|piece| piece.records).sum();
        if self.counts.records + unflushed >= self.plan.max_records {
            return Err(RunError::Failed(format!(
                "page {}: more than {} records (max_records), which can be raised",
                self.page.number, self.plan.max_records
            )));
        }
        Ok(())
    }

    /// Takes a record that cannot be one, of which the first bytes are known, and the length and the
    /// hash of all of it.
    pub fn take_refused(
        &mut self,
        index: u64,
        known: (&[u8], u64, u128),
        (code, detail): (&'static str, &str),
    ) -> Result<(), RunError> {
        let error = FieldError::of_body(code, detail);
        let hash = known.2;
        self.page.hash = xxh3_64_with_seed(&hash.to_le_bytes(), self.page.hash);
        if self.skip(index)? {
            return Ok(());
        }
        self.check_count()?;
        let target = Target {
            partition: &self.sink.partition,
            quarantine: &self.quarantine,
            is_snapshot: self.plan.is_snapshot,
            may_be_older: self.known.may_have_older(),
        };
        let mark = RowsMark::of(&self.pending.rows);
        let (entities, rows) = (self.plan.entities, &mut self.pending.rows);
        entities.refuse_known(known, &error, &self.origin, target, rows);
        self.pending.records += 1;
        self.note_invalid(index, hash as u64, &error, mark);
        if self.pending.rows.bytes.len() >= PIECE_BYTES {
            self.end_piece()?;
        }
        Ok(())
    }

    /// Notes an invalid record, whose row is behind `mark`.
    fn note_invalid(&mut self, index: u64, content: u64, error: &FieldError, mark: RowsMark) {
        let pending = &mut self.pending;
        pending.content = pending.content.wrapping_add(u128::from(content));
        if !self.plan.is_snapshot && self.known.knows_invalid(content) {
            mark.cut(&mut pending.rows);
        } else {
            pending.invalid.push(content);
            pending.tally.refuse(error);
            self.evidence.keep_last(content, &pending.rows);
        }
        if pending.samples.len() < MAX_SAMPLES {
            let (page, code) = (self.page.number, error.code);
            let (pointer, detail) = (&error.pointer, &error.detail);
            let sample = format!("page {page}, record {index}: {code} at {pointer:?}: {detail}");
            pending.samples.push(sample);
        }
    }

    /// Takes the next record of the page; `index` counts from 0.
    pub fn take(&mut self, index: u64, raw: &str) -> Result<(), RunError> {
        self.page.hash = xxh3_64_with_seed(raw.as_bytes(), self.page.hash);
        if self.skip(index)? {
            return Ok(());
        }
        self.check_count()?;
        let target = Target {
            partition: &self.sink.partition,
            quarantine: &self.quarantine,
            is_snapshot: self.plan.is_snapshot,
            may_be_older: self.known.may_have_older(),
        };
        let pending = &mut self.pending;
        let before = RowsMark::of(&pending.rows);
        let entities = self.plan.entities;
        let taken = entities.take(raw, &self.origin, target, &mut pending.rows);
        pending.records += 1;
        match taken {
            Taken::Row { id, content, mark } => {
                pending.tally.add();
                pending.content = pending.content.wrapping_add(content);
                self.note_id(index, id, content)?;
                self.note_mark(index, mark)?;
            }
            Taken::Invalid { content, error } => self.note_invalid(index, content, &error, before),
        }
        if self.pending.rows.bytes.len() >= PIECE_BYTES {
            self.end_piece()?;
        }
        Ok(())
    }

    /// Appends the rows that were collected, or holds them back until their page is judged.
    fn end_piece(&mut self) -> Result<(), RunError> {
        if self.plan.is_snapshot || self.plan.accept {
            return self.flush(false);
        }
        self.held.push(std::mem::take(&mut self.pending));
        let held = self.held.iter().map(|piece| piece.rows.bytes.len());
        if held.sum::<usize>() < MAX_HELD_BYTES {
            return Ok(());
        }
        self.judge_page()?;
        self.flush(false)
    }
}

/// The end of the rows at some time, to cut off what was added since.
#[derive(Clone, Copy)]
struct RowsMark {
    bytes: usize,
    rows: usize,
    partitions: usize,
}

impl RowsMark {
    fn of(rows: &Rows) -> Self {
        Self {
            bytes: rows.bytes.len(),
            rows: rows.rows.len(),
            partitions: rows.partitions.len(),
        }
    }

    fn cut(self, rows: &mut Rows) {
        rows.bytes.truncate(self.bytes);
        rows.rows.truncate(self.rows);
        rows.partitions.truncate(self.partitions);
    }
}
