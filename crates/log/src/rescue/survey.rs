//! Surveys a damaged log: which of its rows are known to be in the lake, and which LSNs cannot be
//! read any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::scan::{Damaged, See, Segments};
use crate::dedup::id_files;
use crate::journal::layout::segment_path;
use crate::journal::seam::Frame;
use crate::ledger::entry::{Entry, NO_RUN, RowsEntry, StoredRow};
use crate::ledger::packed::{SectionError, SectionReader};
use lakehook_base::clock::Micros;
use lakehook_base::files::Files;
use lakehook_base::record::Lsn;

/// What can be read of a log.
pub struct Survey {
    /// What cannot be read, in order; empty if nothing is damaged.
    pub damaged: Vec<Damaged>,
    /// Ranges of LSNs that no whole frame mentions, between ranges that frames do mention; in
    /// order. Some of them may be in the lake, or were never acknowledged.
    pub unread: Vec<RangeInclusive<u64>>,
    /// The first LSN that can be read, if there may have been others before it.
    pub unread_before: Option<Lsn>,
    /// The LSN after the last one that can be read, if there may be others from there on.
    pub unread_from: Option<Lsn>,
    /// For each partition, the range of LSNs in which it may have rows that are not in the lake.
    pub open: BTreeMap<Box<str>, RangeInclusive<u64>>,
    /// Identities of the lakes for which batches were sealed whose objects may not be there yet.
    pub lakes: BTreeSet<String>,
    /// Number of runs that are abandoned; their polls read the data again.
    pub runs: usize,
    /// Cursors of polls, up to the first damage.
    pub(crate) cursors: BTreeMap<String, Vec<u8>>,
    pub(crate) segments: Segments,
    pub(crate) oldest_ids: u64,
    /// The earliest time of receipt of any row.
    pub(crate) oldest_received: Micros,
    committed: Committed,
}

/// A row without a readable commit.
pub struct Unshipped<'a> {
    /// Its LSN in the old log.
    pub lsn: Lsn,
    /// Its partition key.
    pub partition: &'a str,
    /// The row.
    pub row: StoredRow<'a>,
}

/// Ranges of LSNs of committed seals by partition, in order: a seal covers every row of its
/// partition between the first and the last.
#[derive(Default)]
struct Committed(BTreeMap<Box<str>, Vec<RangeInclusive<u64>>>);

impl Committed {
    fn hold(&self, partition: &str, lsn: u64) -> bool {
        let Some(ranges) = self.0.get(partition) else {
            return false;
        };
        let behind = ranges.partition_point(|range| *range.start() <= lsn);
        behind > 0 && ranges[behind - 1].contains(&lsn)
    }
}

/// Reads everything that can be read. Changes nothing.
pub fn survey<F: Files>(files: &F, dir: &Path) -> io::Result<Survey> {
    let mut segments = Segments::take(files, dir)?;
    let mut needed = Needed(1, 1);
    segments.scan(files, dir, &mut needed)?;
    let Needed(oldest, oldest_ids) = needed;
    segments.all.retain(|number, _| *number >= oldest);
    let mut reading = Reading::default();
    if segments
        .all
        .keys()
        .next()
        .is_some_and(|first| *first > oldest)
    {
        reading.damage(Damaged {
            path: segment_path(dir, oldest),
            offset: 0,
            detail: "the segment is missing".to_owned(),
        });
    }
    if segments.all.is_empty() && !id_files::list(files, dir)?.0.is_empty() {
        reading.damage(Damaged {
            path: dir.to_owned(),
            offset: 0,
            detail: "every segment is missing".to_owned(),
        });
    }
    segments.scan(files, dir, &mut reading)?;
    Ok(reading.into_survey(segments, oldest_ids))
}

impl Survey {
    /// Calls `take` for each row without a readable commit, in the order of their LSNs. Rows of
    /// runs are left out.
    pub fn each_unshipped<F: Files>(
        &self,
        files: &F,
        dir: &Path,
        take: &mut dyn FnMut(Unshipped<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut rows = Rows {
            committed: &self.committed,
            numbers: Numbers::default(),
            sections: SectionReader::default(),
            take,
        };
        self.segments.scan(files, dir, &mut rows)
    }
}

/// The oldest segment and id file in force, as the newest readable checkpoint says.
struct Needed(u64, u64);

impl See for Needed {
    fn frame(&mut self, _: u64, frame: &Frame) -> io::Result<()> {
        for entry in Entry::all(frame.body()).flatten() {
            if let Entry::Checkpoint(checkpoint) = entry {
                self.0 = self.0.max(checkpoint.oldest_segment);
                self.1 = self.1.max(checkpoint.oldest_ids);
            }
        }
        Ok(())
    }

    fn damage(&mut self, _: Damaged) {}
}

/// Keeps track of the next LSN. If the frame before is missing, a frame's header gives it.
#[derive(Default)]
struct Numbers {
    next: u64,
    spoken: Vec<RangeInclusive<u64>>,
}

impl Numbers {
    fn begin(&mut self, frame: &Frame) {
        self.next = self.next.max(frame.header.first_lsn.0);
    }

    /// Assigns the next `count` LSNs, and returns the first.
    fn give(&mut self, count: u64) -> u64 {
        let first = self.next;
        self.next += count;
        self.speak(first, count);
        first
    }

    /// Notes LSNs that an entry names itself.
    fn name(&mut self, first: u64, count: u64) {
        self.next = self.next.max(first + count);
        self.speak(first, count);
    }

    fn speak(&mut self, first: u64, count: u64) {
        let Some(last) = (first + count).checked_sub(1).filter(|_| count > 0) else {
            return;
        };
        match self.spoken.last_mut() {
            Some(range) if first <= range.end() + 1 => {
                *range = *range.start()..=last.max(*range.end());
            }
            _ => self.spoken.push(first..=last),
        }
    }

    fn gaps(&self) -> Vec<RangeInclusive<u64>> {
        let pairs = self.spoken.windows(2);
        let between = |pair: &[RangeInclusive<u64>]| pair[0].end() + 1..=pair[1].start() - 1;
        pairs.map(between).collect()
    }
}

struct SealSeen {
    partition: Box<str>,
    lsns: RangeInclusive<u64>,
    lake: String,
}

#[derive(Default)]
struct Reading {
    damaged: Vec<Damaged>,
    numbers: Numbers,
    /// Whether the first frame that was read began with a checkpoint, after no damage: then nothing
    /// is missing before it.
    has_beginning: Option<bool>,
    /// Whether the scan last found damage.
    ends_in_damage: bool,
    oldest_received: Option<Micros>,
    rows: BTreeMap<Box<str>, RangeInclusive<u64>>,
    seals: BTreeMap<u64, SealSeen>,
    committed: Committed,
    cursors: BTreeMap<String, Vec<u8>>,
    open_runs: BTreeSet<Lsn>,
    ended_runs: BTreeMap<Lsn, (String, String)>,
}

impl See for Reading {
    fn frame(&mut self, _: u64, frame: &Frame) -> io::Result<()> {
        self.ends_in_damage = false;
        self.numbers.begin(frame);
        let mut entries = Entry::all(frame.body()).flatten().peekable();
        if self.has_beginning.is_none() {
            let first = entries.peek();
            self.has_beginning = Some(match first {
                Some(Entry::Checkpoint(_)) => self.damaged.is_empty(),
                _ => false,
            });
        }
        for entry in entries {
            self.entry(&entry);
        }
        Ok(())
    }

    fn damage(&mut self, damaged: Damaged) {
        self.ends_in_damage = true;
        self.damaged.push(damaged);
    }
}

impl Reading {
    fn entry(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Checkpoint(checkpoint) => self.numbers.name(checkpoint.next_lsn.0, 0),
            Entry::Rows(rows) => {
                let first = self.numbers.give(rows.count);
                if rows.run == NO_RUN {
                    let oldest = rows.received.oldest;
                    let before = self.oldest_received.unwrap_or(oldest);
                    self.oldest_received = Some(before.min(oldest));
                    self.add_rows(rows.partition, first, rows.count);
                }
            }
            Entry::Void { first, count } => self.numbers.name(first.0, *count),
            Entry::Seal(seal) => {
                let seen = SealSeen {
                    partition: seal.partition.as_str().into(),
                    lsns: seal.first_lsn.0..=seal.last_lsn.0,
                    lake: seal.lake.clone(),
                };
                self.seals.insert(seal.number, seen);
            }
            Entry::Commit(commit) => {
                if let Some(seal) = self.seals.remove(&commit.seal) {
                    let ranges = self.committed.0.entry(seal.partition).or_default();
                    ranges.push(seal.lsns);
                }
            }
            Entry::RunBegin { run, .. } => {
                self.numbers.name(run.0, 1);
                self.open_runs.insert(*run);
            }
            Entry::RunEnd(end) => {
                self.open_runs.remove(&end.run);
                self.ended_runs
                    .insert(end.run, (end.poll.clone(), end.lake.clone()));
                self.set_cursor(&end.poll, &end.cursor);
            }
            Entry::RunAbandoned(abandoned) => {
                self.open_runs.remove(&abandoned.run);
            }
            Entry::Published { run } => {
                self.ended_runs.remove(run);
            }
            Entry::Cursor { poll, cursor } => self.set_cursor(poll, cursor),
            Entry::Counts(_) | Entry::Close | Entry::Cut { .. } => {}
        }
    }

    fn add_rows(&mut self, partition: &str, first: u64, count: u64) {
        let last = first + count - 1;
        match self.rows.get_mut(partition) {
            Some(range) => *range = *range.start()..=last,
            None => {
                self.rows.insert(partition.into(), first..=last);
            }
        }
    }

    /// Keeps a cursor, unless damage came before: such a cursor would skip rows that are missing.
    fn set_cursor(&mut self, poll: &str, cursor: &[u8]) {
        if self.damaged.is_empty() {
            self.cursors.insert(poll.to_owned(), cursor.to_vec());
        }
    }

    fn into_survey(mut self, segments: Segments, oldest_ids: u64) -> Survey {
        let mut lakes: BTreeSet<String> = self.seals.into_values().map(|seal| seal.lake).collect();
        for ranges in self.committed.0.values_mut() {
            ranges.sort_by_key(|range| *range.start());
        }
        // With its cursor, the next run might name this one, whose marker may never come.
        for (poll, lake) in self.ended_runs.values() {
            self.cursors.remove(poll);
            lakes.insert(lake.clone());
        }
        let first_spoken = self.numbers.spoken.first().map(|range| *range.start());
        let unread_before = match self.has_beginning {
            Some(true) => None,
            _ => Some(Lsn(first_spoken.unwrap_or(self.numbers.next).max(1))),
        };
        Survey {
            unread: self.numbers.gaps(),
            unread_from: self.ends_in_damage.then_some(Lsn(self.numbers.next.max(1))),
            oldest_received: self.oldest_received.unwrap_or_default(),
            unread_before: unread_before.filter(|_| !self.damaged.is_empty()),
            open: open_ranges(self.rows, &self.committed),
            lakes,
            runs: self.open_runs.len() + self.ended_runs.len(),
            cursors: self.cursors,
            segments,
            oldest_ids,
            committed: self.committed,
            damaged: self.damaged,
        }
    }
}

/// For each partition, the range of LSNs after its leading committed batches.
fn open_ranges(
    rows: BTreeMap<Box<str>, RangeInclusive<u64>>,
    committed: &Committed,
) -> BTreeMap<Box<str>, RangeInclusive<u64>> {
    let mut open = BTreeMap::new();
    for (partition, range) in rows {
        let mut first = *range.start();
        for done in committed.0.get(&partition).into_iter().flatten() {
            if *done.start() > first {
                break;
            }
            first = first.max(done.end() + 1);
        }
        if first <= *range.end() {
            open.insert(partition, first..=*range.end());
        }
    }
    open
}

struct Rows<'a> {
    committed: &'a Committed,
    numbers: Numbers,
    sections: SectionReader,
    take: &'a mut dyn FnMut(Unshipped<'_>) -> io::Result<()>,
}

impl See for Rows<'_> {
    fn frame(&mut self, _: u64, frame: &Frame) -> io::Result<()> {
        self.numbers.begin(frame);
        for entry in Entry::all(frame.body()).flatten() {
            match entry {
                Entry::Checkpoint(checkpoint) => self.numbers.name(checkpoint.next_lsn.0, 0),
                Entry::Void { first, count } => self.numbers.name(first.0, count),
                Entry::RunBegin { run, .. } => self.numbers.name(run.0, 1),
                Entry::Rows(rows) => {
                    let first = self.numbers.give(rows.count);
                    self.rows(&rows, first)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn damage(&mut self, _: Damaged) {}
}

impl Rows<'_> {
    fn rows(&mut self, rows: &RowsEntry<'_>, first: u64) -> io::Result<()> {
        if rows.run != NO_RUN {
            return Ok(());
        }
        let Self {
            committed,
            sections,
            take,
            ..
        } = self;
        let read = sections.for_each(rows.payload, Lsn(first), &mut |lsn, row| {
            if committed.hold(rows.partition, lsn.0) {
                return Ok(());
            }
            take(Unshipped {
                lsn,
                partition: rows.partition,
                row: *row,
            })
        });
        match read {
            Ok(_) => Ok(()),
            Err(SectionError::Sink(error)) => Err(error),
            // The checksum of the frame is right, so this was written so.
            Err(SectionError::Damaged(detail)) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, detail))
            }
        }
    }
}
