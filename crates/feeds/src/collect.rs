//! Turns the records of a page into rows in the log; every feed uses it.
//!
//! Rows are appended in portions of about a mebibyte, however large a page is; and a page that
//! breaks off can be read again from its beginning. A page of an appending run is held back until its guard
//! has judged it.

mod flush;
mod held;
mod ids;
mod judge;
mod notes;
mod parts;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::added::Added;
use super::cursor::FeedCursor;
use super::errors::RunError;
use super::guards::Guards;
use super::mark_format::MarkFormat;
use super::wait::Waiter;
use super::watermark::Mark;
use held::Held;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, Origin};
use lakehook_contract::entity::{Entities, Taken, Target};
use lakehook_contract::quarantine::{self, FieldError};
use lakehook_log::log::Log;
use parts::{CurrentPage, Judged, Pending, RowsMark, Seen};

/// Rows go to the log once they have this many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Most rows that a run shows which writes nothing.
const MAX_FIRST: usize = 3;
/// Most invalid records that are described.
const MAX_SAMPLES: usize = 5;

/// What the collector needs to know of a stream. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct CollectPlan<'a> {
    /// Section of the feed in the configuration, for errors.
    pub section: &'static str,
    /// Name of the stream.
    pub stream: &'a str,
    /// Turns records into rows.
    pub entities: &'a Entities,
    /// Whether a run is a snapshot, whose rows are held until it is complete.
    pub is_snapshot: bool,
    /// The format of the watermark's field, if records have one.
    pub mark: Option<&'a MarkFormat>,
    /// Most records of a run.
    pub max_records: u64,
    /// What must hold before rows become visible.
    pub guards: Guards,
    /// Whether a person has said that this run's records are accepted as they are.
    pub accept: bool,
}

/// What a run has read and stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Number of records, invalid ones included.
    pub records: u64,
    /// Number of rows that are new.
    pub stored: u64,
    /// Number of rows that were stored before.
    pub duplicates: u64,
    /// Number of records in the quarantine.
    pub quarantined: u64,
    /// Number of parents that the source does not know.
    pub missing: u64,
    /// Errors of the first invalid records, as messages.
    pub samples: Vec<String>,
    /// How many values column rules have made null, by column.
    pub nulls: BTreeMap<String, u64>,
    /// What is probably a mistake of the configuration.
    pub warnings: Vec<String>,
    /// The first rows as they would be stored, in a run that writes nothing.
    pub first: Vec<String>,
}

/// Destination of the rows of a run.
#[derive(Clone)]
pub struct Sink<'a> {
    /// The log; `None` for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// Directory of the log, where rows of a large page are held back.
    pub dir: Option<&'a Path>,
    /// The run that rows are held for, or [`lakehook_base::record::NO_RUN`].
    pub run: Lsn,
    /// Name of the run.
    pub name: String,
    /// Partition key of the rows.
    pub partition: String,
    /// When the run started, which decides the day in the quarantine.
    pub started: Micros,
}

/// What is known of the values of the watermark's field.
#[derive(Debug)]
struct MarkBounds {
    /// The highest one of the records that are in the log.
    highest: Option<Mark>,
    /// Upper bound: records that change during a run are left to the next one.
    latest: Micros,
}

/// Collects the rows of one run.
pub struct Collector<'a, R> {
    plan: CollectPlan<'a>,
    waiter: &'a Waiter,
    sink: Sink<'a>,
    origin: Origin,
    quarantine: String,
    /// Full pieces of a page that is not judged yet.
    held: Held,
    pending: Pending,
    judged: Judged,
    counts: RunCounts,
    seen: Seen,
    marks: MarkBounds,
    known: FeedCursor<R>,
    /// The cursor that this run has stored in the log last.
    stored: Option<FeedCursor<R>>,
    page: CurrentPage,
    /// What each record gets.
    added: Added,
}

impl<'a, R: Clone + Serialize + DeserializeOwned> Collector<'a, R> {
    /// A collector for one run; `known` is the cursor of the poll.
    pub fn new(
        plan: CollectPlan<'a>,
        waiter: &'a Waiter,
        sink: Sink<'a>,
        known: FeedCursor<R>,
    ) -> Self {
        let origin = Origin {
            received_at: sink.started,
            endpoint: plan.stream.into(),
            request_id: sink.name.as_str().into(),
            client: None,
        };
        Self {
            quarantine: quarantine::partition(plan.stream, sink.started),
            plan,
            waiter,
            origin,
            held: Held::default(),
            pending: Pending::default(),
            judged: Judged::default(),
            counts: RunCounts::default(),
            seen: Seen::default(),
            marks: MarkBounds {
                highest: None,
                latest: sink.started,
            },
            known,
            stored: None,
            page: CurrentPage {
                number: 1,
                ..CurrentPage::default()
            },
            added: Added::default(),
            sink,
        }
    }

    /// Adds members to each record from now on: their names and their values, as JSON.
    pub fn add_to_records(&mut self, members: Vec<(String, String)>) {
        self.added = Added::new(members);
    }

    /// Notes that the source has nothing for a parent.
    pub fn note_missing(&mut self) {
        self.counts.missing += 1;
    }

    /// Counts of what was read and stored.
    pub fn counts(&self) -> &RunCounts {
        &self.counts
    }

    /// Hash of the contents of all records, whatever their order.
    pub fn content(&self) -> u128 {
        self.seen.content
    }

    /// The highest value of the watermark's field, records included that are not flushed yet.
    pub fn highest(&self) -> Option<Mark> {
        let unflushed = self.unflushed().map(|piece| piece.highest.clone());
        unflushed.fold(self.marks.highest.clone(), Mark::latest)
    }

    /// Continues an interrupted run, which began at `began` and has seen values up to `highest`.
    pub fn go_on(&mut self, began: Micros, highest: Option<Mark>) {
        self.marks.latest = self.marks.latest.min(began);
        self.marks.highest = highest;
    }

    /// The cursor that the next flush with a cursor stores.
    pub fn known(&mut self) -> &mut FeedCursor<R> {
        &mut self.known
    }

    /// The cursor that this run has stored in the log, if it has.
    pub fn stored(&self) -> Option<&FeedCursor<R>> {
        self.stored.as_ref()
    }

    /// Fails if no record has a value of the watermark's field: nothing would ever be recognised as new.
    pub fn check_marks(&self) -> Result<(), RunError> {
        let has_rows = self.counts.stored + self.counts.duplicates + self.pending_rows() > 0;
        let Some(format) = self.plan.mark.filter(|_| has_rows && self.seen.marked == 0) else {
            return Ok(());
        };
        Err(RunError::Failed(format!(
            "page {}: no record has a value at {}.{}.watermark.field that is {}; expected one in each",
            self.page.number,
            self.plan.section,
            self.plan.stream,
            format.expected()
        )))
    }

    /// What is not in the log yet, in order.
    fn unflushed(&self) -> impl Iterator<Item = &Pending> {
        self.held.parts().chain([&self.pending])
    }

    fn pending_rows(&self) -> u64 {
        let valid = |piece: &Pending| piece.tally.records - piece.tally.refused;
        self.unflushed().map(valid).sum()
    }

    /// Hash of the records of the page that was just read.
    pub fn page_hash(&self) -> u64 {
        self.page.hash
    }

    /// Begins the page with this number.
    pub fn next_page(&mut self, number: u64) {
        if !self.plan.is_snapshot {
            self.judged.evidence.clear();
        }
        self.page = CurrentPage {
            number,
            ..CurrentPage::default()
        };
    }

    /// Ends a page that was read completely and held this many records. Fails if it held more when
    /// it was read before, or if an appending run must not store it.
    pub fn end_page(&mut self, records: u64) -> Result<(), RunError> {
        if records < self.page.flushed.0 {
            return Err(RunError::Drift(format!(
                "page {}: read again after it broke off, it holds fewer records than before",
                self.page.number
            )));
        }
        if self.plan.is_snapshot {
            return self.see_ids();
        }
        self.judge_page()
    }

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

    /// Starts reading the page from its beginning, possibly again because an attempt broke off.
    pub fn begin_page(&mut self) {
        self.held = Held::default();
        self.pending.clear();
        if self.counts.records == 0 {
            self.counts.first.clear();
        }
        self.page.hash = 0;
    }

    /// Tells of what is probably a mistake of the configuration, in the report of the run.
    pub fn warn(&mut self, text: String) {
        if self.counts.warnings.len() < MAX_SAMPLES {
            self.counts.warnings.push(text);
        }
    }

    /// Fails if the run may take no further record.
    fn check_count(&self) -> Result<(), RunError> {
        let unflushed = self.held.records() + self.pending.records;
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

    /// Takes the next record of the page; `index` counts from 0.
    pub fn take(&mut self, index: u64, raw: &str) -> Result<(), RunError> {
        self.page.hash = xxh3_64_with_seed(raw.as_bytes(), self.page.hash);
        if self.skip(index)? {
            return Ok(());
        }
        self.check_count()?;
        let raw = self.added.to(raw);
        let target = Target {
            partition: &self.sink.partition,
            quarantine: &self.quarantine,
            is_snapshot: self.plan.is_snapshot,
            may_be_older: self.known.may_have_older(),
        };
        let pending = &mut self.pending;
        let before = RowsMark::of(&pending.rows);
        let entities = self.plan.entities;
        let taken = entities.take(&raw, &self.origin, target, &mut pending.rows);
        pending.records += 1;
        match taken {
            Taken::Row {
                id,
                content,
                mark,
                nulled,
                unfit,
            } => {
                if self.sink.log.is_none() && self.counts.first.len() < MAX_FIRST {
                    let shown = parts::first_row(&pending.rows);
                    self.counts.first.extend(shown);
                }
                for column in unfit {
                    *pending.unfit.entry(column).or_default() += 1;
                }
                for column in nulled {
                    *pending.nulls.entry(column).or_default() += 1;
                }
                pending.tally.add();
                pending.content = pending.content.wrapping_add(content);
                self.note_id(index, id, content);
                self.note_mark(index, mark)?;
            }
            Taken::Invalid { content, error } => self.note_invalid(index, content, &error, before),
        }
        if self.pending.rows.bytes.len() >= PIECE_BYTES {
            self.end_piece()?;
        }
        Ok(())
    }
}
