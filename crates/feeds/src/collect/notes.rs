//! What a collector notes of each record: its id, its mark, and what was wrong with it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::parts::{RowsMark, Unseen};
use super::{Collector, MAX_SAMPLES};
use crate::errors::RunError;
use crate::mark_format::{ASK_FOR_FORMAT, Ambiguous};
use crate::watermark::Mark;
use lakehook_base::tables::LiveShape;
use lakehook_contract::quarantine::FieldError;

impl<R: Clone + Serialize + DeserializeOwned> Collector<'_, R> {
    pub(super) fn note_id(&mut self, index: u64, id: Option<u128>, content: u128) {
        if self.plan.is_snapshot {
            self.pending.unseen.push(Unseen {
                index,
                hash: id.unwrap_or(content),
                is_id: id.is_some(),
            });
        }
    }

    /// Looks whether an id of the rows that were collected has come before. It is done for many at once, because the
    /// processor then waits for memory only once for several.
    pub(super) fn see_ids(&mut self) -> Result<(), RunError> {
        for Unseen { index, hash, is_id } in std::mem::take(&mut self.pending.unseen) {
            if self.seen.ids.insert(hash) {
                continue;
            }
            if is_id {
                return Err(RunError::Drift(format!(
                    "page {}: record {index} has the id of a record before; expected each once: the set \
                     changes while it is read, or {}.{}.id names no unique key",
                    self.page.number, self.plan.section, self.plan.stream
                )));
            }
            self.pending.repeated += 1;
        }
        Ok(())
    }

    pub(super) fn note_mark(&mut self, index: u64, raw: Option<&str>) -> Result<(), RunError> {
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
            self.seen.marked += 1;
            let highest = self.pending.highest.take();
            self.pending.highest = Mark::latest(highest, Some(mark.not_after(self.marks.latest)));
        }
        Ok(())
    }

    /// Tells of records of a snapshot without ids that came more than once.
    pub fn check_repeats(&mut self) {
        let (repeated, records) = (self.seen.repeated, self.counts.records);
        if repeated > 0 {
            self.warn(format!(
                "{repeated} of {records} records are equal to one before, and `id` is not set; if each should be \
                 there once, set it, and check pagination.first and pagination.step"
            ));
        }
    }

    /// Tells of values that do not fit the columns which were found in earlier records.
    pub fn check_columns(&mut self) {
        for (index, count) in std::mem::take(&mut self.seen.unfit) {
            let live = self.plan.entities.live();
            let Some(column) = live.and_then(|live| live.column(index)) else {
                continue;
            };
            let (name, kind) = (column.name, column.kind);
            let stream = self.plan.stream;
            self.warn(format!(
                "{count} values of {name} do not fit its column, which holds {kind}, and stand under extra; a schema \
                 says what a column holds (lakehook schema {stream} prints one to edit)"
            ));
        }
    }

    /// Writes down durably the columns that were found in records.
    pub(super) fn keep_columns(&self) -> Result<(), RunError> {
        let kept = self.plan.entities.live().map_or(Ok(()), LiveShape::keep);
        kept.map_err(|error| {
            let stream = self.plan.stream;
            RunError::Failed(format!(
                "failed to write down the columns that were found in the records of {stream}, which is done before they \
                 are stored: {error}"
            ))
        })
    }

    /// Notes an invalid record, whose row is behind `mark`.
    pub(super) fn note_invalid(
        &mut self,
        index: u64,
        content: u64,
        error: &FieldError,
        mark: RowsMark,
    ) {
        let pending = &mut self.pending;
        pending.content = pending.content.wrapping_add(u128::from(content));
        if !self.plan.is_snapshot && self.known.knows_invalid(content) {
            mark.cut(&mut pending.rows);
        } else {
            pending.invalid.push(content);
            pending.tally.refuse(error);
            self.judged.evidence.keep_last(content, &pending.rows);
        }
        if pending.samples.len() < MAX_SAMPLES {
            let (page, code) = (self.page.number, error.code);
            let (pointer, detail) = (&error.pointer, &error.detail);
            let sample = format!("page {page}, record {index}: {code} at {pointer:?}: {detail}");
            pending.samples.push(sample);
        }
    }
}
