//! Runs of polls, as the log knows them (open, ended, published or abandoned), and the cursor of
//! each poll. They are part of the projection of the log.
//!
//! The rows of a run are held: no rule seals them until the run has ended. A run that fails, or has
//! no end when the log is read again, is abandoned, and its LSNs are void. An ended run, and with
//! it the segment of its end, is kept until its marker is known to be in the lake.

use std::collections::BTreeMap;

pub use super::facts::{Abandoned, RowCounts, RunEnd, RunObject};
use crate::journal::seam::At;
use lakehook_base::record::Lsn;

/// A run that has begun and has neither ended nor been abandoned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenRun {
    /// Number of its rows of each kind.
    pub counts: RowCounts,
}

/// A run that has ended and is not yet known to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedRun {
    /// Position of the frame that holds its end.
    pub at: At,
    /// Format of its objects.
    pub format: Box<str>,
    /// Keys of the objects that are not committed yet, by their first LSN.
    left: BTreeMap<Lsn, Box<str>>,
}

impl EndedRun {
    /// Whether all of its objects are in the lake, so that its marker is due.
    pub fn is_complete(&self) -> bool {
        self.left.is_empty()
    }
}

/// The runs and cursors of a log.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    open: BTreeMap<Lsn, OpenRun>,
    ended: BTreeMap<Lsn, EndedRun>,
    cursors: BTreeMap<Box<str>, Box<[u8]>>,
    /// Ended runs whose last object was committed since the last call of [`Self::take_complete`].
    complete: Vec<(Lsn, At)>,
}

impl Runs {
    /// The runs that are open.
    pub fn open(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.open.keys().copied()
    }

    /// The runs whose markers are not known to be in the lake.
    pub fn ended(&self) -> impl Iterator<Item = (Lsn, &EndedRun)> + '_ {
        self.ended.iter().map(|(run, ended)| (*run, ended))
    }

    /// The cursor of a poll.
    pub fn cursor(&self, poll: &str) -> Option<&[u8]> {
        self.cursors.get(poll).map(|cursor| &**cursor)
    }

    /// All cursors.
    pub fn cursors(&self) -> impl Iterator<Item = (&str, &[u8])> + '_ {
        self.cursors
            .iter()
            .map(|(poll, cursor)| (&**poll, &**cursor))
    }

    /// Most bytes that the cursors take in a frame.
    pub fn cursor_bytes(&self) -> usize {
        let bytes = |(poll, cursor): (&str, &[u8])| poll.len() + cursor.len() + 16;
        self.cursors().map(bytes).sum()
    }

    /// The runs whose last object was committed since the last call. A run without objects is
    /// complete when it ends.
    pub fn take_complete(&mut self) -> Vec<(Lsn, At)> {
        std::mem::take(&mut self.complete)
    }

    /// Key and format of the object whose first row has this LSN, if it belongs to a run.
    pub fn object_at(&self, first_lsn: Lsn) -> Option<(&str, &str)> {
        let mut ended = self.ended.values();
        ended.find_map(|run| Some((&**run.left.get(&first_lsn)?, &*run.format)))
    }

    /// The oldest segment that holds the end of a run without a marker.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.ended.values().map(|ended| ended.at.segment()).min()
    }

    pub(crate) fn is_open(&self, run: Lsn) -> bool {
        self.open.contains_key(&run)
    }

    pub(crate) fn begin(&mut self, run: Lsn) {
        self.open.insert(run, OpenRun::default());
    }

    pub(crate) fn add_rows(&mut self, run: Lsn, counts: &RowCounts) {
        // If reading starts after the run's beginning, its first rows open it.
        let counted = &mut self.open.entry(run).or_default().counts;
        counted.stored += counts.stored;
        counted.quarantined += counts.quarantined;
        counted.refused += counts.refused;
    }

    pub(crate) fn set_cursor(&mut self, poll: &str, cursor: &[u8]) {
        self.cursors.insert(poll.into(), cursor.into());
    }

    pub(crate) fn end(&mut self, end: &RunEnd, at: At) {
        self.open.remove(&end.run);
        self.set_cursor(&end.poll, &end.cursor);
        let pieces = end.pieces.iter();
        let left: BTreeMap<_, _> = pieces
            .map(|piece| (piece.first_lsn, piece.key.as_str().into()))
            .collect();
        if left.is_empty() {
            self.complete.push((end.run, at));
        }
        let ended = EndedRun {
            at,
            format: end.format.as_str().into(),
            left,
        };
        self.ended.insert(end.run, ended);
    }

    /// Number of rows of each kind in an open run.
    pub(crate) fn counts_of(&self, run: Lsn) -> RowCounts {
        self.open
            .get(&run)
            .map_or_else(RowCounts::default, |run| run.counts)
    }

    pub(crate) fn abandon(&mut self, run: Lsn) {
        self.open.remove(&run);
    }

    /// Notes that the object whose first row has this LSN is in the lake.
    pub(crate) fn committed(&mut self, first_lsn: Lsn) {
        for (run, ended) in &mut self.ended {
            if ended.left.remove(&first_lsn).is_some() {
                if ended.left.is_empty() {
                    self.complete.push((*run, ended.at));
                }
                return;
            }
        }
    }

    pub(crate) fn published(&mut self, run: Lsn) {
        self.ended.remove(&run);
        self.complete.retain(|(other, _)| *other != run);
    }
}
