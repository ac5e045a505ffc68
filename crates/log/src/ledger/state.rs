//! The state of a log: a projection of its entries, the same whether they were just written or are
//! read again after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use super::batch::{Batches, Chunk, Chunks, Limits, OpenBatch, Sums};
use super::facts::{
    Abandoned, AsOf, Checkpoint, Commit, Counts, LsnSet, RowCounts, RunEnd, Seal, Span, Totals,
};
use super::lateness::Calendar;
use super::runs::Runs;
use crate::journal::seam::At;
pub use crate::journal::seam::At as SealAt;
use lakehook_base::clock::{Micros, Now};
use lakehook_base::record::{Lsn, NO_RUN};

/// How far the watermark stays behind the newest `received_at`: requests that were received before
/// a seal and reach the log after it must not fall behind a watermark that was published.
pub const WATERMARK_LAG: Duration = Duration::from_secs(5);

/// A sealed batch without its commit: in memory only its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Where the seal is.
    pub at: At,
    /// How many rows.
    pub rows: u64,
    /// The earliest `received_at` among them.
    pub oldest_received: Micros,
    /// Whether it is a batch of a late partition.
    pub is_late: bool,
    /// LSN of its first row.
    pub first_lsn: Lsn,
    /// Rows in each segment.
    per_segment: Vec<(u64, u64)>,
}

/// The rows without commit, and those of late partitions among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The earliest `received_at`; `i64::MAX` if none waits.
    pub oldest: Micros,
    /// The same without the rows of late partitions.
    pub oldest_current: Micros,
    /// How many rows of late partitions wait.
    pub late_rows: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            oldest: Micros(i64::MAX),
            oldest_current: Micros(i64::MAX),
            late_rows: 0,
        }
    }
}

/// The log contradicts itself: its frames are whole, but they don't follow from each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log contradicts itself: {0}")]
pub struct Contradiction(pub String);

/// The projection of a log.
#[derive(Clone, Debug)]
pub struct State {
    /// LSN of the next row.
    pub next_lsn: Lsn,
    /// Sum of the hashes of all LSNs before it.
    pub lsn_hash: u128,
    /// Running totals.
    pub totals: Totals,
    /// LSNs that no row will ever have.
    pub void: LsnSet,
    /// Number of the last seal.
    pub last_seal: u64,
    /// The open batches.
    pub batches: Batches,
    /// Seals without commit, by number.
    pub sealed: BTreeMap<u64, Sealed>,
    /// Runs of polls, and their cursors.
    pub runs: Runs,
    /// Oldest segment that is needed.
    pub oldest_segment: u64,
    /// Oldest id file in force.
    pub oldest_ids: u64,
    /// The newest `received_at` in the log.
    pub newest_received: Micros,
    /// Rows without commit in each segment.
    uncommitted: BTreeMap<u64, u64>,
    /// The segment from which on the log was read; before it everything is committed.
    read_from: u64,
    /// Number of the last seal before that.
    read_from_seal: u64,
}

impl State {
    /// Of an empty log.
    pub fn new(limits: Limits, calendar: Calendar) -> Self {
        Self {
            next_lsn: Lsn(1),
            lsn_hash: 0,
            totals: Totals::default(),
            void: LsnSet::default(),
            last_seal: 0,
            batches: Batches::new(limits, calendar),
            sealed: BTreeMap::new(),
            runs: Runs::default(),
            oldest_segment: 1,
            oldest_ids: 1,
            newest_received: Micros(i64::MIN),
            uncommitted: BTreeMap::new(),
            read_from: 1,
            read_from_seal: 0,
        }
    }

    /// Starts from the checkpoint of a segment, as if everything before it were gone.
    pub fn load(&mut self, checkpoint: &Checkpoint, segment: u64) {
        self.read_from = segment;
        self.read_from_seal = checkpoint.last_seal;
        self.next_lsn = checkpoint.next_lsn;
        self.lsn_hash = checkpoint.lsn_hash;
        self.last_seal = checkpoint.last_seal;
        self.totals = checkpoint.totals;
        self.void = checkpoint.void;
        self.oldest_segment = checkpoint.oldest_segment;
        self.oldest_ids = checkpoint.oldest_ids;
        self.newest_received = checkpoint.newest_received;
    }

    /// What a checkpoint says now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            next_lsn: self.next_lsn,
            lsn_hash: self.lsn_hash,
            last_seal: self.last_seal,
            totals: self.totals,
            void: self.void,
            oldest_segment: self.oldest_segment,
            oldest_ids: self.oldest_ids,
            newest_received: self.newest_received,
        }
    }

    /// Compares with a checkpoint that was met on the way, and takes over what it lets go.
    pub fn meet(&mut self, checkpoint: &Checkpoint) -> Result<(), Contradiction> {
        let expected = Checkpoint {
            oldest_segment: checkpoint.oldest_segment,
            oldest_ids: checkpoint.oldest_ids,
            ..self.checkpoint()
        };
        if *checkpoint != expected {
            let message = format!("{checkpoint:?} where {expected:?} was expected");
            return Err(Contradiction(message));
        }
        self.oldest_segment = self.oldest_segment.max(checkpoint.oldest_segment);
        self.oldest_ids = self.oldest_ids.max(checkpoint.oldest_ids);
        Ok(())
    }

    /// Rows of one partition that are a chunk; `sums.lsn_hash` is computed here. Their first LSN must be
    /// the next one.
    pub fn add_rows(
        &mut self,
        slot: usize,
        chunk: &Chunk,
        sums: &Sums,
        counts: &RowCounts,
        received: Span,
        now: Duration,
    ) {
        let hash = lsn_hashes(chunk.first_lsn, chunk.rows);
        let sums = Sums {
            lsn_hash: hash,
            ..*sums
        };
        self.newest_received = self.newest_received.max(received.newest);
        let clock = self.newest_received;
        self.batches
            .add(slot, chunk, &sums, received.oldest, clock, now);
        self.next_lsn = Lsn(chunk.first_lsn.0 + chunk.rows);
        self.lsn_hash = self.lsn_hash.wrapping_add(hash);
        self.totals.stored += counts.stored;
        self.totals.quarantined += counts.quarantined;
        self.totals.refused += counts.refused;
        let run = self.batches.get(slot).run;
        if run != NO_RUN {
            self.runs.add_rows(run, counts);
        }
        *self.uncommitted.entry(chunk.frame.segment()).or_default() += chunk.rows;
    }

    /// Counts of answered requests.
    pub fn add_counts(&mut self, counts: &Counts) {
        self.totals.received += counts.received;
        self.totals.dropped += counts.dropped;
        self.totals.duplicate += counts.duplicate;
    }

    /// LSNs that were given out in vain.
    pub fn add_void(&mut self, first: Lsn, count: u64) -> Result<(), Contradiction> {
        if first != self.next_lsn {
            return Err(Contradiction(format!(
                "void from LSN {first}, next is {}",
                self.next_lsn
            )));
        }
        let hash = lsn_hashes(first, count);
        self.void.count += count;
        self.void.hash = self.void.hash.wrapping_add(hash);
        self.lsn_hash = self.lsn_hash.wrapping_add(hash);
        self.next_lsn = Lsn(first.0 + count);
        Ok(())
    }

    /// A run begins; its name takes the next LSN.
    pub fn begin_run(&mut self, run: Lsn) -> Result<(), Contradiction> {
        self.add_void(run, 1)?;
        self.runs.begin(run);
        Ok(())
    }

    /// A run is complete: its rows may be sealed.
    pub fn end_run(&mut self, end: &RunEnd, at: At) {
        self.batches.end_run(end.run);
        self.runs.end(end, at);
    }

    /// What is to be noted of a run that failed.
    pub fn abandonment_of(&self, run: Lsn) -> Abandoned {
        let batches = self.batches.open().filter(|batch| batch.run == run);
        let void = batches.fold(LsnSet::default(), |set, batch| LsnSet {
            count: set.count + batch.sums.count,
            hash: set.hash.wrapping_add(batch.sums.lsn_hash),
        });
        let counts = self.runs.counts_of(run);
        Abandoned { run, void, counts }
    }

    /// A run failed: its LSNs are void, and its rows are no longer waited for.
    pub fn abandon_run(&mut self, abandoned: &Abandoned) {
        // By the note alone: when the log is read again, the rows may be gone.
        let Abandoned { run, void, counts } = abandoned;
        self.runs.abandon(*run);
        self.totals.stored -= counts.stored;
        self.totals.quarantined -= counts.quarantined;
        self.totals.received -= counts.stored + counts.quarantined;
        self.void.count += void.count;
        self.void.hash = self.void.hash.wrapping_add(void.hash);
        for batch in self.batches.abandon_run(*run) {
            self.no_longer_waited_for(&per_segment(&batch.chunks));
        }
    }

    /// A seal of that open batch, with everything that follows from the log; key, nonce, format and
    /// lake are the caller's. Rows that were received from `pending` on may still come.
    pub fn seal_of(&self, batch: &OpenBatch, pending: Micros) -> Seal {
        Seal {
            number: self.last_seal + 1,
            partition: batch.partition.to_string(),
            first_lsn: batch.first_lsn,
            last_lsn: batch.last_lsn,
            sums: batch.sums,
            chunks: batch.chunks.clone(),
            as_of: self.as_of(batch, pending),
            ..Seal::default()
        }
    }

    fn as_of(&self, batch: &OpenBatch, pending: Micros) -> AsOf {
        let others = self
            .batches
            .open()
            .filter(|open| open.first_lsn != batch.first_lsn);
        let settled = self.settled().min(pending);
        let oldest_open = others.clone().map(|open| open.oldest_received).min();
        let open = others.clone().fold(LsnSet::default(), |set, open| LsnSet {
            count: set.count + open.sums.count,
            hash: set.hash.wrapping_add(open.sums.lsn_hash),
        });
        let lsn = Lsn(self.next_lsn.0 - 1);
        debug_assert!(
            open.count + self.void.count + batch.sums.count <= lsn.0,
            "no LSN is open, void and sealed at once"
        );
        AsOf {
            lsn,
            lsn_hash: self.lsn_hash,
            open,
            void: self.void,
            totals: self.totals,
            watermark: oldest_open.map_or(settled, |oldest| oldest.min(settled)),
        }
    }

    /// No watermark is later than this.
    pub fn settled(&self) -> Micros {
        self.newest_received.minus(WATERMARK_LAG)
    }

    /// Closes the batch that a seal names, and compares the two.
    pub fn add_seal(&mut self, seal: &Seal, at: At) -> Result<(), Contradiction> {
        if seal.number != self.last_seal + 1 {
            let message = format!("seal {} follows seal {}", seal.number, self.last_seal);
            return Err(Contradiction(message));
        }
        let (partition, first, last) = (&seal.partition, seal.first_lsn, seal.last_lsn);
        let piece = self.batches.take_piece(partition, first, last);
        let batch = piece.or_else(|| self.batches.take_partition(partition, first, last));
        // Rows in segments that are gone are committed; so is, later in the log, this seal.
        let is_cut = seal
            .chunks
            .iter()
            .next()
            .is_some_and(|p| p.frame.segment() < self.read_from);
        let covers = batch.as_ref().is_some_and(|batch| {
            batch.sums == seal.sums && batch.chunks.as_bytes() == seal.chunks.as_bytes()
        });
        if !covers && !is_cut {
            let message = format!("seal {} does not cover the rows before it", seal.number);
            return Err(Contradiction(message));
        }
        self.last_seal = seal.number;
        let is_late = batch.as_ref().is_some_and(|b| b.lateness.is_late());
        let oldest_received = batch.map_or(Micros(i64::MAX), |batch| batch.oldest_received);
        let sealed = Sealed {
            at,
            rows: seal.sums.count,
            oldest_received,
            is_late,
            first_lsn: seal.first_lsn,
            per_segment: per_segment(&seal.chunks),
        };
        self.sealed.insert(seal.number, sealed);
        Ok(())
    }

    fn no_longer_waited_for(&mut self, per_segment: &[(u64, u64)]) {
        for (segment, rows) in per_segment {
            if let Some(left) = self.uncommitted.get_mut(segment) {
                *left -= rows;
                if *left == 0 {
                    self.uncommitted.remove(segment);
                }
            }
        }
    }

    /// An object is in the lake: its rows no longer need their segments.
    pub fn add_commit(&mut self, commit: &Commit) -> Result<(), Contradiction> {
        let Some(sealed) = self.sealed.remove(&commit.seal) else {
            if commit.seal <= self.read_from_seal {
                return Ok(());
            }
            return Err(Contradiction(format!(
                "commit of seal {}, which is not open",
                commit.seal
            )));
        };
        self.no_longer_waited_for(&sealed.per_segment);
        self.runs.committed(sealed.first_lsn);
        Ok(())
    }

    /// After reading the log: every seal that still waits must have all its rows.
    pub fn check_read(&self) -> Result<(), Contradiction> {
        let cut = self.sealed.iter().find(|(_, sealed)| {
            sealed
                .per_segment
                .first()
                .is_some_and(|(segment, _)| *segment < self.read_from)
        });
        match cut {
            None => Ok(()),
            Some((number, _)) => {
                let message = format!("rows of seal {number} are gone and it has no commit");
                Err(Contradiction(message))
            }
        }
    }

    /// The oldest segment that holds rows without commit or the end of a run without marker, if any
    /// does.
    pub fn oldest_uncommitted(&self) -> Option<u64> {
        let rows = self.uncommitted.keys().next().copied();
        rows.into_iter().chain(self.runs.oldest_segment()).min()
    }

    /// Rows that are in the log and not yet, by what it knows, in the lake.
    pub fn uncommitted_rows(&self) -> u64 {
        self.uncommitted.values().sum()
    }

    /// What of the rows without commit is shown.
    pub fn waiting(&self) -> Waiting {
        let open = self.batches.open().map(|batch| {
            let is_late = batch.lateness.is_late();
            (batch.sums.count, batch.oldest_received, is_late)
        });
        let sealed = self
            .sealed
            .values()
            .map(|sealed| (sealed.rows, sealed.oldest_received, sealed.is_late));
        let mut waiting = Waiting::default();
        for (rows, oldest, is_late) in open.chain(sealed) {
            waiting.oldest = waiting.oldest.min(oldest);
            if is_late {
                waiting.late_rows += rows;
            } else {
                waiting.oldest_current = waiting.oldest_current.min(oldest);
            }
        }
        waiting
    }

    /// The time by the clock of the log, which never goes back: the wall time, but not before the newest row.
    pub fn clock(&self, wall: Micros) -> Micros {
        wall.max(self.newest_received)
    }

    /// The log was read: the ages of open batches count from the times in it.
    pub fn count_ages(&mut self, now: Now) {
        let clock = self.clock(now.wall);
        self.batches.count_ages(clock, now.mono);
    }
}

/// Rows in each segment.
fn per_segment(chunks: &Chunks) -> Vec<(u64, u64)> {
    let mut per_segment: Vec<(u64, u64)> = Vec::new();
    for chunk in chunks.iter() {
        let of_chunk = chunk.frame.segment();
        match per_segment.last_mut() {
            Some((segment, rows)) if *segment == of_chunk => *rows += chunk.rows,
            _ => per_segment.push((of_chunk, chunk.rows)),
        }
    }
    per_segment
}

/// Sum of the hashes of consecutive LSNs modulo 2^128.
pub(crate) fn lsn_hashes(first: Lsn, count: u64) -> u128 {
    (first.0..first.0 + count).fold(0, |sum, lsn| sum.wrapping_add(Lsn(lsn).hash()))
}
