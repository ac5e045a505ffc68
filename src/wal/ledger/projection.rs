//! Replay: what frames mean. The same projection for a start, for a reload after a failed frame, and
//! for a look from outside.

use std::path::Path;
use std::time::Duration;

use crate::files::Files;
use crate::record::{Identity, RowKind, row_hash};
use crate::wal::journal::layout::{BLOCK, SegmentEnd, segment_path};
use crate::wal::journal::read::{Frame, SegmentReader};
use crate::wal::ledger::batch::{Place, Sums};
use crate::wal::ledger::entry::{Entry, Malformed, StoredRow};
use crate::wal::ledger::frame::row_bytes;
use crate::wal::ledger::state::{Contradiction, RowCounts, SealAt, State};
use crate::wal::recover::OpenError;

/// Which part of a log to read.
#[derive(Clone, Copy, Debug)]
pub struct ReplayRange {
    /// First segment.
    pub first: u64,
    /// Last segment.
    pub last: u64,
    /// Where the last one ends.
    pub end: SegmentEnd,
    /// What the open batches' age counts from.
    pub now: Duration,
}

/// Projects a part of a log whose end is known.
pub fn replay<F: Files>(
    files: &F,
    dir: &Path,
    range: ReplayRange,
    state: &mut State,
) -> Result<(), OpenError> {
    let mut loaded = false;
    for number in range.first..=range.last {
        let mut reader = open_segment(files, dir, number, range.last, Some(range.end))?;
        while let Some(frame) = reader.next_frame()? {
            apply(state, number, &frame, &mut loaded, range.now, &mut |_| {})
                .map_err(|error| contradiction(reader.path(), &frame, &error))?;
        }
    }
    Ok(())
}

pub(crate) fn open_segment<F: Files>(
    files: &F,
    dir: &Path,
    number: u64,
    last: u64,
    last_end: Option<SegmentEnd>,
) -> Result<SegmentReader<F::File>, OpenError> {
    let known_end = if number == last {
        last_end
    } else {
        let next = SegmentReader::open(files, &segment_path(dir, number + 1), None)?;
        Some(next.header().previous)
    };
    Ok(SegmentReader::open(
        files,
        &segment_path(dir, number),
        known_end,
    )?)
}

/// Why a frame cannot be projected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// Projects one frame; `see` is called for the identity of each record in it.
pub(crate) fn apply(
    state: &mut State,
    segment: u64,
    frame: &Frame,
    loaded: &mut bool,
    now: Duration,
    see: &mut dyn FnMut(Identity),
) -> Result<(), ApplyError> {
    let block = frame.offset / BLOCK;
    for entry in Entry::all(frame.body()) {
        match entry? {
            Entry::Checkpoint(checkpoint) if !*loaded => {
                state.load(&checkpoint, segment);
                *loaded = true;
            }
            _ if !*loaded => {
                return Err(Contradiction("it should begin with a checkpoint".into()).into());
            }
            Entry::Checkpoint(checkpoint) => state.meet(&checkpoint)?,
            Entry::Rows(rows) => {
                let (sums, counts) = sum_rows(rows.payload, rows.count, see)?;
                let place = Place {
                    segment,
                    block,
                    at: rows.payload_at as u64,
                    bytes: rows.payload.len() as u64,
                    rows: rows.count,
                    first_lsn: state.next_lsn,
                };
                let slot = state.batches.run_slot(rows.run, rows.partition);
                state.add_rows(slot, &place, &sums, &counts, rows.received, now);
            }
            Entry::Counts(counts) => state.add_counts(&counts),
            Entry::Seal(seal) => {
                state.add_seal(&seal, SealAt { segment, block })?;
            }
            Entry::Commit(commit) => state.add_commit(&commit)?,
            Entry::Void { first, count } => state.add_void(first, count)?,
            Entry::Close => {}
            Entry::RunBegin { run, .. } => state.begin_run(run)?,
            Entry::Cut { run, partition } => {
                let slot = state.batches.run_slot(run, partition);
                state.batches.cut(slot);
            }
            Entry::RunEnd(end) => state.end_run(&end, SealAt { segment, block }),
            Entry::RunAbandoned(abandoned) => state.abandon_run(&abandoned),
            Entry::Published { run } => state.runs.published(run),
            Entry::Cursor { poll, cursor } => state.runs.set_cursor(poll, cursor),
        }
    }
    state.batches.forget_empty();
    Ok(())
}

fn sum_rows(
    payload: &[u8],
    count: u64,
    see: &mut dyn FnMut(Identity),
) -> Result<(Sums, RowCounts), Contradiction> {
    let mut rest = payload;
    let mut sums = Sums::default();
    let mut counts = RowCounts::default();
    while let Some(row) = StoredRow::take(&mut rest) {
        let hash = row_hash(row.bytes);
        sums.add(&Sums {
            count: 1,
            bytes: row_bytes(row.bytes),
            row_hash: hash,
            lsn_hash: 0,
        });
        counts.add(row.kind);
        if let RowKind::Record(identity) = row.kind {
            see(identity);
        }
    }
    if rest.is_empty() && sums.count == count && count > 0 {
        Ok((sums, counts))
    } else {
        Err(Contradiction(format!(
            "{count} rows expected, {} found",
            sums.count
        )))
    }
}

pub(crate) fn ends_with_close(frame: &Frame) -> bool {
    matches!(Entry::all(frame.body()).last(), Some(Ok(Entry::Close)))
}

pub(crate) fn contradiction(
    path: &Path,
    frame: &Frame,
    detail: &dyn std::fmt::Display,
) -> OpenError {
    OpenError::Contradiction {
        path: path.to_owned(),
        offset: frame.offset,
        detail: detail.to_string(),
    }
}
