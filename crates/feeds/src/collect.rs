//! Turns the records of a page into rows in the log; every feed uses it.
//!
//! Rows are appended in portions of about a mebibyte, however large a page is; and a page that
//! breaks off can be read again from its beginning. A page of an appending run is held back until its guard
//! has judged it, or until it has [`MAX_HELD_BYTES`]: then what was read of it is judged, and appended.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cursor::FeedCursor;
use super::errors::RunError;
use super::evidence::Evidence;
use super::guards::{Breach, Guards, Tally};
use super::mark_format::{ASK_FOR_FORMAT, Ambiguous, MarkFormat};
use super::wait::{FULL_PAUSE, Interrupted, Waiter};
use super::watermark::Mark;
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, NO_RUN, Origin, Rows};
use lakehook_contract::entity::{Entities, Taken, Target, stamp};
use lakehook_contract::quarantine::{self, FieldError};
use lakehook_log::log::Log;
use lakehook_log::request::{Append, AppendError, Appended, Cursor, MAX_CURSOR};

/// Rows go to the log once they have this many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// Most bytes of rows that are held back until their page is judged.
const MAX_HELD_BYTES: usize = 8 << 20;
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
    /// Errors of the first invalid records, as messages.
    pub samples: Vec<String>,
    /// What is probably a mistake of the configuration.
    pub warnings: Vec<String>,
}

/// Destination of the rows of a run.
#[derive(Clone)]
pub struct Sink<'a> {
    /// The log; `None` for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// The run that rows are held for, or [`lakehook_base::record::NO_RUN`].
    pub run: Lsn,
    /// Name of the run.
    pub name: String,
    /// Partition key of the rows.
    pub partition: String,
    /// When the run started, which decides the day in the quarantine.
    pub started: Micros,
}

/// Rows that are not in the log yet, and what is added to the totals once they are.
#[derive(Debug, Default)]
struct Pending {
    rows: Rows,
    records: u64,
    tally: Tally,
    /// Hashes of the invalid records among these rows.
    invalid: Vec<u64>,
    ids: Vec<u128>,
    /// Number of records of a snapshot without ids that are equal to one before.
    repeated: u64,
    content: u128,
    highest: Option<Mark>,
    samples: Vec<String>,
}

/// The page that is being read.
#[derive(Debug, Default)]
struct CurrentPage {
    /// Number of the page, from 1.
    number: u64,
    /// Hash of the records that this attempt has taken so far.
    hash: u64,
    /// Number of its records that are in the log, and their hash.
    flushed: (u64, u64),
    /// The records of it that are in the log.
    tally: Tally,
}

/// Collects the rows of one run.
pub struct Collector<'a, R> {
    plan: CollectPlan<'a>,
    waiter: &'a Waiter,
    sink: Sink<'a>,
    origin: Origin,
    quarantine: String,
    /// Full pieces of a page that is not judged yet.
    held: Vec<Pending>,
    pending: Pending,
    /// What the run has read and flushed.
    tally: Tally,
    evidence: Evidence,
    counts: RunCounts,
    /// Hashes of the ids of a snapshot, or of its records if they have no ids.
    ids: HashSet<u128>,
    repeated: u64,
    content: u128,
    highest: Option<Mark>,
    /// Upper bound of marks: records that change during a run are left to the next one.
    latest: Micros,
    known: FeedCursor<R>,
    /// The cursor that this run has stored in the log last.
    stored: Option<FeedCursor<R>>,
    /// Number of records with a value in the watermark's field.
    marked: u64,
    page: CurrentPage,
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
            held: Vec::new(),
            pending: Pending::default(),
            tally: Tally::default(),
            evidence: Evidence::default(),
            counts: RunCounts::default(),
            ids: HashSet::new(),
            repeated: 0,
            content: 0,
            highest: None,
            latest: sink.started,
            known,
            stored: None,
            marked: 0,
            page: CurrentPage {
                number: 1,
                ..CurrentPage::default()
            },
            sink,
        }
    }

    /// Counts of what was read and stored.
    pub fn counts(&self) -> &RunCounts {
        &self.counts
    }

    /// Hash of the contents of all records, whatever their order.
    pub fn content(&self) -> u128 {
        self.content
    }

    /// The highest value of the watermark's field, records included that are not flushed yet.
    pub fn highest(&self) -> Option<Mark> {
        let unflushed = self.unflushed().map(|piece| piece.highest.clone());
        unflushed.fold(self.highest.clone(), Mark::latest)
    }

    /// Continues an interrupted run, which began at `began` and has seen values up to `highest`.
    pub fn go_on(&mut self, began: Micros, highest: Option<Mark>) {
        self.latest = self.latest.min(began);
        self.highest = highest;
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
        let Some(format) = self.plan.mark.filter(|_| has_rows && self.marked == 0) else {
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
        self.held.iter().chain([&self.pending])
    }

    fn pending_rows(&self) -> u64 {
        let valid = |piece: &Pending| piece.rows.rows.len() - piece.invalid.len();
        self.unflushed().map(|piece| valid(piece) as u64).sum()
    }

    /// Hash of the records of the page that was just read.
    pub fn page_hash(&self) -> u64 {
        self.page.hash
    }

    /// Begins the page with this number.
    pub fn next_page(&mut self, number: u64) {
        if !self.plan.is_snapshot {
            self.evidence.clear();
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
            return Ok(());
        }
        self.judge_page()
    }

    /// Fails if the guards refuse what was read of the page.
    fn judge_page(&mut self) -> Result<(), RunError> {
        if self.plan.accept {
            return Ok(());
        }
        let mut tally = self.page.tally.clone();
        self.unflushed().for_each(|piece| tally.merge(&piece.tally));
        let number = self.page.number;
        self.plan.guards.judge(&tally).map_or(Ok(()), |breach| {
            let what = format!("page {number}: {}", breach.what);
            let kept = "nothing of the page is stored, and the watermark stays where it was";
            Err(self.broken(&Breach { what, ..breach }, kept))
        })
    }

    /// Fails if the guards refuse the run, a complete copy whose pages are all flushed. `before` is the number
    /// of valid records of the copy that is visible.
    pub fn judge_copy(&mut self, before: Option<u64>) -> Result<(), RunError> {
        if self.plan.accept {
            return Ok(());
        }
        let breach = self.plan.guards.judge_copy(&self.tally, before);
        breach.map_or(Ok(()), |breach| {
            let kept = "nothing of this run is visible, and what was visible before stays";
            Err(self.broken(&breach, kept))
        })
    }

    /// The error of a run that breaks a guard. Leaves its first refused records in the quarantine.
    fn broken(&mut self, breach: &Breach, kept: &str) -> RunError {
        self.leave_evidence();
        let (section, stream) = (self.plan.section, self.plan.stream);
        RunError::Guarded(format!(
            "{what}; {kept}. Mend the source, the schema or {section}.{stream}.guards.{key}, or take it as it is: \
             lakehook {section} --accept {stream}",
            what = breach.what,
            key = breach.key
        ))
    }

    fn leave_evidence(&mut self) {
        let evidence = std::mem::take(&mut self.evidence);
        let (rows, hashes) = evidence.rows(&self.quarantine, &self.known.shown);
        let Some(log) = self.sink.log.filter(|_| !hashes.is_empty()) else {
            return;
        };
        let mut next = self.known.clone();
        next.add_shown(&hashes);
        let cursor = self.cursor(&next);
        // The rows of the run itself are discarded.
        match self.append(log, rows, NO_RUN, Some(&cursor)) {
            Ok(_) => {
                self.known = next;
                self.stored = Some(self.known.clone());
            }
            Err(error) => {
                let stream = self.plan.stream;
                tracing::warn!(%error, stream, "failed to keep the first refused records in the quarantine");
            }
        }
    }

    /// Appends the collected rows to the log, together with the cursor if `with_cursor`.
    pub fn flush(&mut self, with_cursor: bool) -> Result<(), RunError> {
        let last = std::mem::take(&mut self.pending);
        for piece in std::mem::take(&mut self.held) {
            self.flush_piece(piece, false)?;
        }
        self.flush_piece(last, with_cursor)
    }

    fn flush_piece(&mut self, pending: Pending, with_cursor: bool) -> Result<(), RunError> {
        let mut next = self.known.clone();
        next.add_invalid(&pending.invalid);
        let quarantined = pending.invalid.len() as u64;
        let stored = pending.rows.rows.len() as u64 - quarantined;
        let appended = match self.sink.log {
            Some(log) if with_cursor || !pending.rows.rows.is_empty() => {
                let cursor = with_cursor.then(|| self.cursor(&next));
                self.append(log, pending.rows, self.sink.run, cursor.as_ref())?
            }
            // Without a log, all rows count as new.
            _ => Appended {
                accepted: stored,
                ..Appended::default()
            },
        };
        // The cursor advances only when the rows are durable.
        self.known = next;
        if with_cursor {
            self.stored = Some(self.known.clone());
        }
        let counts = &mut self.counts;
        counts.records += pending.records;
        counts.quarantined += quarantined;
        counts.stored += stored.saturating_sub(appended.duplicates);
        counts.duplicates += appended.duplicates;
        let room = MAX_SAMPLES - counts.samples.len();
        counts
            .samples
            .extend(pending.samples.into_iter().take(room));
        self.repeated += pending.repeated;
        self.content = self.content.wrapping_add(pending.content);
        self.highest = Mark::latest(self.highest.take(), pending.highest);
        self.tally.merge(&pending.tally);
        self.page.tally.merge(&pending.tally);
        self.page.flushed = (self.page.flushed.0 + pending.records, self.page.hash);
        Ok(())
    }

    /// The cursor as it is stored; without the resume position if it would be too long.
    fn cursor(&self, known: &FeedCursor<R>) -> Cursor {
        let mut bytes = known.write();
        if bytes.len() > MAX_CURSOR {
            let mut shorter = known.clone();
            shorter.resume = None;
            bytes = shorter.write();
        }
        Cursor {
            poll: self.plan.stream.into(),
            bytes,
        }
    }

    fn append(
        &self,
        log: &Log,
        mut rows: Rows,
        run: Lsn,
        cursor: Option<&Cursor>,
    ) -> Result<Appended, RunError> {
        loop {
            let received_at = self.waiter.clock().now().wall;
            stamp(&mut rows, received_at);
            let append = Append {
                rows: rows.clone(),
                dropped: 0,
                origin: Origin {
                    received_at,
                    ..self.origin.clone()
                },
                run,
                cursor: cursor.cloned(),
            };
            match self
                .waiter
                .wait_for("the log", Duration::MAX, log.append(append))
            {
                Ok(Ok(appended)) => return Ok(appended),
                // With a new time of receipt, the request is no longer late.
                Ok(Err(AppendError::Late | AppendError::Full)) => {
                    let paused = self.waiter.pause(FULL_PAUSE);
                    paused.map_err(|why| self.full(why))?;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(why) => return Err(self.full(why)),
            }
        }
    }

    fn full(&self, why: Interrupted) -> RunError {
        if why == Interrupted::Cancelled {
            return RunError::Cancelled;
        }
        RunError::OutOfTime(format!(
            "page {}: the log of polls was full until the run's budget was used up: the lake does not \
             take what is waiting, or a snapshot is larger than polls.max_bytes",
            self.page.number
        ))
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
        error: &FieldError,
    ) -> Result<(), RunError> {
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
        entities.refuse_known(known, error, &self.origin, target, rows);
        self.pending.records += 1;
        self.note_invalid(index, hash as u64, error, mark);
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
