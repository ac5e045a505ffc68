//! The projection: from frames to the state of a log. A start, a reload after a frame that failed,
//! and an inspection all use it.

use std::time::Duration;

use super::batch::{Chunk, Sums};
use super::entry::{Entry, Malformed, RowsEntry, StoredRow};
use super::facts::RowCounts;
use super::frame::row_bytes;
use super::packed::Packed;
use super::state::{Contradiction, State};
use crate::journal::errors::OpenError;
use crate::journal::seam::{Frame, Frames};
use lakehook_base::record::{Identity, Lsn, RowKind, row_hash};

/// Why a frame cannot be projected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// A state to which frames are applied in order.
pub(crate) struct Projection {
    pub(crate) state: State,
    /// Whether the checkpoint with which reading begins has been applied.
    is_loaded: bool,
}

impl Projection {
    /// Adds to that state. Once all is read, [`State::count_ages`] says how old the open batches are.
    pub(crate) fn new(state: State) -> Self {
        Self {
            state,
            is_loaded: false,
        }
    }

    /// Whether a checkpoint has been applied, so that further frames can be.
    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Applies one frame; calls `see` for the identity of each record in it.
    pub(crate) fn apply(
        &mut self,
        frame: &Frame,
        see: &mut dyn FnMut(Identity),
    ) -> Result<(), ApplyError> {
        for entry in Entry::all(frame.body()) {
            self.add(entry?, frame, see)?;
        }
        self.state.batches.forget_empty();
        Ok(())
    }

    /// Starts from the checkpoint at the beginning of a frame, as if there were nothing before it.
    pub(crate) fn load(&mut self, frame: &Frame) -> Result<(), ApplyError> {
        match Entry::all(frame.body()).next() {
            Some(Ok(Entry::Checkpoint(checkpoint))) => {
                self.state.load(&checkpoint, frame.at.segment());
                self.is_loaded = true;
                Ok(())
            }
            _ => Err(no_checkpoint()),
        }
    }

    fn add(
        &mut self,
        entry: Entry<'_>,
        frame: &Frame,
        see: &mut dyn FnMut(Identity),
    ) -> Result<(), ApplyError> {
        let state = &mut self.state;
        match entry {
            Entry::Checkpoint(checkpoint) if !self.is_loaded => {
                state.load(&checkpoint, frame.at.segment());
                self.is_loaded = true;
            }
            _ if !self.is_loaded => return Err(no_checkpoint()),
            Entry::Checkpoint(checkpoint) => state.meet(&checkpoint)?,
            Entry::Rows(rows) => {
                let (sums, counts) = sum_rows(&rows, state.next_lsn, see)?;
                let chunk = Chunk {
                    frame: frame.at,
                    offset: rows.payload_at as u64,
                    bytes: rows.payload.len() as u64,
                    rows: rows.count,
                    first_lsn: state.next_lsn,
                };
                let slot = state.batches.run_slot(rows.run, rows.partition);
                let now = Duration::ZERO;
                state.add_rows(slot, &chunk, &sums, &counts, rows.received, now);
            }
            Entry::Counts(counts) => state.add_counts(&counts),
            Entry::Seal(seal) => state.add_seal(&seal, frame.at)?,
            Entry::Commit(commit) => state.add_commit(&commit)?,
            Entry::Void { first, count } => state.add_void(first, count)?,
            Entry::Close => {}
            Entry::RunBegin { run, .. } => state.begin_run(run)?,
            Entry::Cut { run, partition } => {
                let slot = state.batches.run_slot(run, partition);
                state.batches.cut(slot);
            }
            Entry::RunEnd(end) => state.end_run(&end, frame.at),
            Entry::RunAbandoned(abandoned) => state.abandon_run(&abandoned),
            Entry::Published { run } => state.runs.published(run),
            Entry::Cursor { poll, cursor } => state.runs.set_cursor(poll, cursor),
        }
        Ok(())
    }
}

fn no_checkpoint() -> ApplyError {
    Contradiction("it should begin with a checkpoint".into()).into()
}

/// What the rows of an entry add up to. For packed ones, that is what was noted when they were appended:
/// the checksum of the frame covers it.
fn sum_rows(
    rows: &RowsEntry<'_>,
    first_lsn: Lsn,
    see: &mut dyn FnMut(Identity),
) -> Result<(Sums, RowCounts), Contradiction> {
    let count = rows.count;
    let mut sums = Sums::default();
    let mut counts = RowCounts::default();
    let mut count_row = |kind: RowKind| {
        counts.add(kind);
        if let RowKind::Record(identity) = kind {
            see(identity);
        }
    };
    if Packed::is_one(rows.payload) {
        let section = Packed::parse(rows.payload)
            .filter(|section| {
                section.head.first_lsn == first_lsn && section.head.sums.count == count
            })
            .ok_or_else(|| Contradiction(format!("the section of LSN {first_lsn} is malformed")))?;
        let found = section.kinds().map(&mut count_row).count() as u64;
        return if found == count && count > 0 {
            Ok((section.head.sums, counts))
        } else {
            Err(contradicts(count, found))
        };
    }
    let mut rest = rows.payload;
    while let Some(row) = StoredRow::take(&mut rest) {
        let hash = row_hash(row.bytes);
        sums.add(&Sums {
            count: 1,
            bytes: row_bytes(row.bytes),
            row_hash: hash,
            lsn_hash: 0,
        });
        count_row(row.kind);
    }
    if rest.is_empty() && sums.count == count && count > 0 {
        Ok((sums, counts))
    } else {
        Err(contradicts(count, sums.count))
    }
}

fn contradicts(expected: u64, found: u64) -> Contradiction {
    Contradiction(format!("{expected} rows expected, {found} found"))
}

/// Whether the last entry of a frame is [`Entry::Close`].
pub(crate) fn ends_with_close(frame: &Frame) -> bool {
    matches!(Entry::all(frame.body()).last(), Some(Ok(Entry::Close)))
}

/// The error for a frame that is whole but cannot follow from those before it.
pub(crate) fn contradiction<R: Frames>(
    frames: &R,
    frame: &Frame,
    detail: &dyn std::fmt::Display,
) -> OpenError {
    OpenError::Contradiction {
        frame: frames.name_of(frame.at),
        detail: detail.to_string(),
    }
}
