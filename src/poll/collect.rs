//! From the records of a page to rows in the log: in pieces of about a mebibyte, however large a page
//! is, and so that a page that breaks off can be read again from its beginning.

use std::collections::HashSet;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cursor::PollCursor;
use super::fetch::{RunError, TakeRecords};
use super::plan::Plan;
use super::wait::{Interrupted, Waiter};
use super::watermark::Mark;
use crate::clock::Micros;
use crate::config::Mode;
use crate::contract::entity::{Taken, Target, stamp};
use crate::quarantine;
use crate::record::{Lsn, Origin, Rows};
use crate::wal::log::Log;
use crate::wal::request::{Append, AppendError, Appended, Cursor, FULL_PAUSE, MAX_CURSOR};

/// Rows go to the log once they are so many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// So many invalid records are described.
const MAX_SAMPLES: usize = 5;

/// What a run has read and stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, invalid ones included.
    pub records: u64,
    /// Rows that are new.
    pub stored: u64,
    /// Rows that were stored before.
    pub duplicates: u64,
    /// Records in the quarantine.
    pub quarantined: u64,
    /// What is wrong with the first invalid ones.
    pub samples: Vec<String>,
}

/// Where the rows of a run go.
#[derive(Clone)]
pub struct Sink<'a> {
    /// The log; none for a run that writes nothing.
    pub log: Option<&'a Log>,
    /// The run that rows are held for, or [`crate::record::NO_RUN`].
    pub run: Lsn,
    /// Its name.
    pub name: String,
    /// The partition of rows.
    pub partition: String,
    /// The day of the run, for the quarantine.
    pub started: Micros,
}

/// Rows that are not in the log yet, and what they add once they are.
#[derive(Debug, Default)]
struct Piece {
    rows: Rows,
    records: u64,
    /// Quarantined records that were not before.
    invalid: Vec<u64>,
    ids: Vec<u128>,
    content: u128,
    highest: Option<Mark>,
    samples: Vec<String>,
}

/// Collects the rows of one run.
pub struct Collector<'a> {
    plan: &'a Plan,
    waiter: &'a Waiter,
    sink: Sink<'a>,
    origin: Origin,
    quarantine: String,
    piece: Piece,
    counts: Counts,
    ids: HashSet<u128>,
    content: u128,
    highest: Option<Mark>,
    /// No mark is later: what changes while a run goes on is for the next one to see.
    latest: Micros,
    known: PollCursor,
    /// What the log holds of it by now.
    stored: Option<PollCursor>,
    /// How many records had a value of the watermark's field.
    marked: u64,
    /// The page at hand, from 1.
    page: u64,
    /// Stands for the records of the page that were taken in this attempt.
    page_hash: u64,
    /// How many records of the page are in the log, and what stands for them.
    flushed: (u64, u64),
}

impl<'a> Collector<'a> {
    /// For a run; `known` is what the poll remembers.
    pub fn new(plan: &'a Plan, waiter: &'a Waiter, sink: Sink<'a>, known: PollCursor) -> Self {
        let origin = Origin {
            received_at: sink.started,
            endpoint: plan.name.as_str().into(),
            request_id: sink.name.as_str().into(),
            client: None,
        };
        Self {
            quarantine: quarantine::partition(&plan.name, sink.started),
            plan,
            waiter,
            origin,
            piece: Piece::default(),
            counts: Counts::default(),
            ids: HashSet::new(),
            content: 0,
            highest: None,
            latest: sink.started,
            known,
            stored: None,
            marked: 0,
            page: 1,
            page_hash: 0,
            flushed: (0, 0),
            sink,
        }
    }

    /// What was read and stored.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Stands for the content of all records, in whatever order they came.
    pub fn content(&self) -> u128 {
        self.content
    }

    /// The highest value of the watermark's field, in what is not flushed yet too.
    pub fn highest(&self) -> Option<Mark> {
        later(self.highest, self.piece.highest)
    }

    /// Goes on behind an interrupted run, which began at that time and has seen values up to that one.
    pub fn go_on(&mut self, began: Micros, highest: Option<Mark>) {
        self.latest = self.latest.min(began);
        self.highest = highest;
    }

    /// What the poll remembers.
    pub fn known(&mut self) -> &mut PollCursor {
        &mut self.known
    }

    /// What the log holds of it, if this run has stored any.
    pub fn stored(&self) -> Option<&PollCursor> {
        self.stored.as_ref()
    }

    /// A watermark that no record has is a slip: nothing would ever be known to be new.
    pub fn check_marks(&self) -> Result<(), RunError> {
        let has_rows = self.counts.stored + self.counts.duplicates + self.piece_rows() > 0;
        if self.plan.watermark.is_some() && has_rows && self.marked == 0 {
            return Err(RunError::Failed(format!(
                "page {}: no record has a value at poll.{}.watermark.field that is a time (RFC 3339, with \
                 an offset) or a whole number; expected one in each",
                self.page, self.plan.name
            )));
        }
        Ok(())
    }

    fn piece_rows(&self) -> u64 {
        self.piece.rows.rows.len() as u64 - self.piece.invalid.len() as u64
    }

    /// Stands for the records of the page that was just read.
    pub fn page_hash(&self) -> u64 {
        self.page_hash
    }

    /// The next page is at hand.
    pub fn next_page(&mut self, number: u64) {
        self.page = number;
        self.page_hash = 0;
        self.flushed = (0, 0);
    }

    /// The page was read to its end, and held so many records.
    pub fn end_page(&self, records: u64) -> Result<(), RunError> {
        if records < self.flushed.0 {
            return Err(RunError::Drift(format!(
                "page {}: read again after it broke off, it holds fewer records than before",
                self.page
            )));
        }
        Ok(())
    }

    /// Brings what is collected into the log, and what the poll remembers with it if `with_cursor`.
    pub fn flush(&mut self, with_cursor: bool) -> Result<(), RunError> {
        let piece = std::mem::take(&mut self.piece);
        let mut next = self.known.clone();
        next.add_invalid(&piece.invalid);
        let quarantined = piece.invalid.len() as u64;
        let stored = piece.rows.rows.len() as u64 - quarantined;
        let appended = match self.sink.log {
            Some(log) if with_cursor || !piece.rows.rows.is_empty() => {
                let cursor = with_cursor.then(|| self.cursor(&next));
                self.append(log, piece.rows, cursor.as_ref())?
            }
            // Without a log all are taken for new.
            _ => Appended {
                accepted: stored,
                ..Appended::default()
            },
        };
        // Only what is durable is known.
        self.known = next;
        if with_cursor {
            self.stored = Some(self.known.clone());
        }
        let counts = &mut self.counts;
        counts.records += piece.records;
        counts.quarantined += quarantined;
        counts.stored += stored.saturating_sub(appended.duplicates);
        counts.duplicates += appended.duplicates;
        let room = MAX_SAMPLES - counts.samples.len();
        counts.samples.extend(piece.samples.into_iter().take(room));
        self.content = self.content.wrapping_add(piece.content);
        self.highest = later(self.highest, piece.highest);
        self.flushed = (self.flushed.0 + piece.records, self.page_hash);
        Ok(())
    }

    /// What the poll remembers, as it is stored; without the resume position if that is too long.
    fn cursor(&self, known: &PollCursor) -> Cursor {
        let mut bytes = known.write();
        if bytes.len() > MAX_CURSOR {
            let mut shorter = known.clone();
            shorter.resume = None;
            bytes = shorter.write();
        }
        Cursor {
            poll: self.plan.name.as_str().into(),
            bytes,
        }
    }

    fn append(
        &self,
        log: &Log,
        mut rows: Rows,
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
                run: self.sink.run,
                cursor: cursor.cloned(),
            };
            match self.waiter.wait(Duration::MAX, log.append(append)) {
                Ok(Ok(appended)) => return Ok(appended),
                // Stamped again, once the clock is where it was, it is not late.
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
            self.page
        ))
    }

    /// A record that is in the log already, of a page that is read again: it must be the same.
    fn skip(&mut self, index: u64) -> Result<bool, RunError> {
        let (flushed, hash) = self.flushed;
        if index + 1 == flushed && self.page_hash != hash {
            return Err(RunError::Drift(format!(
                "page {}: read again after it broke off, it holds other records than before",
                self.page
            )));
        }
        Ok(index < flushed)
    }

    fn note_id(&mut self, index: u64, id: Option<u128>) -> Result<(), RunError> {
        let Some(id) = id.filter(|_| self.plan.mode == Mode::Snapshot) else {
            return Ok(());
        };
        if !self.ids.insert(id) {
            return Err(RunError::Drift(format!(
                "page {}: record {index} has the id of a record before; expected each once: the set \
                 changes while it is read, or poll.{}.id names no unique key",
                self.page, self.plan.name
            )));
        }
        self.piece.ids.push(id);
        Ok(())
    }
}

impl TakeRecords for Collector<'_> {
    fn begin_page(&mut self) {
        for id in std::mem::take(&mut self.piece).ids {
            self.ids.remove(&id);
        }
        self.page_hash = 0;
    }

    fn take(&mut self, index: u64, raw: &str) -> Result<(), RunError> {
        self.page_hash = xxh3_64_with_seed(raw.as_bytes(), self.page_hash);
        if self.skip(index)? {
            return Ok(());
        }
        if self.counts.records + self.piece.records >= self.plan.limits.max_records {
            return Err(RunError::Failed(format!(
                "page {}: more than {} records (max_records), which can be raised",
                self.page, self.plan.limits.max_records
            )));
        }
        let target = Target {
            partition: &self.sink.partition,
            quarantine: &self.quarantine,
            is_snapshot: self.plan.mode == Mode::Snapshot,
        };
        let piece = &mut self.piece;
        let rows = &piece.rows;
        let before = (rows.bytes.len(), rows.rows.len(), rows.partitions.len());
        let entities = &self.plan.entities;
        let taken = entities.take(raw, &self.origin, target, &mut piece.rows);
        piece.records += 1;
        match taken {
            Taken::Row { id, content, mark } => {
                piece.content = piece.content.wrapping_add(content);
                let mark = mark.and_then(Mark::parse_json);
                let mark = mark.map(|mark| mark.not_after(self.latest));
                self.marked += u64::from(mark.is_some());
                piece.highest = later(piece.highest, mark);
                self.note_id(index, id)?;
            }
            Taken::Invalid { content, error } => {
                piece.content = piece.content.wrapping_add(u128::from(content));
                if self.plan.mode == Mode::Append && self.known.knows_invalid(content) {
                    piece.rows.bytes.truncate(before.0);
                    piece.rows.rows.truncate(before.1);
                    piece.rows.partitions.truncate(before.2);
                } else {
                    piece.invalid.push(content);
                }
                if piece.samples.len() < MAX_SAMPLES {
                    let (page, code) = (self.page, error.code);
                    let (pointer, detail) = (error.pointer, error.detail);
                    let sample =
                        format!("page {page}, record {index}: {code} at {pointer:?}: {detail}");
                    piece.samples.push(sample);
                }
            }
        }
        if self.piece.rows.bytes.len() >= PIECE_BYTES {
            self.flush(false)?;
        }
        Ok(())
    }
}

fn later(a: Option<Mark>, b: Option<Mark>) -> Option<Mark> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.later(b)),
        (a, b) => a.or(b),
    }
}
