//! Batches: which rows of the log are still open, per partition, and when a batch is due to be sealed.
//!
//! Pure: time is passed in, nothing is read or written. A batch keeps no row in memory, only one [`Chunk`] for its
//! rows in each frame, so that memory grows with the number of frames, not of rows.

use std::collections::HashMap;
use std::time::Duration;

pub use super::chunks::{Chunk, Chunks};
use super::lateness::{Calendar, Current, Lateness};
use lakehook_base::clock::Micros;
use lakehook_base::record::{Lsn, NO_RUN};

/// When a batch is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of logged rows, before compression.
    pub max_bytes: u64,
    /// Rows.
    pub max_records: u64,
    /// Age of the first row.
    pub max_age: Duration,
    /// The same for batches of late partitions; not under `max_age`.
    pub late_max_age: Duration,
    /// While so many seals wait for their commit, age does not seal: an outage of the lake must not
    /// end in thousands of tiny objects.
    pub max_waiting_seals: usize,
}

/// Why a batch was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SealReason {
    /// It has `max_bytes` or the next row would exceed them.
    Bytes,
    /// It has `max_records`.
    Records,
    /// It is as old as it may get.
    Age,
    /// The log is filling up and this batch keeps its oldest segment; or late rows keep too much of the log.
    Room,
    /// The service stops, or was asked to flush.
    Flush,
    /// The run that it belongs to has ended.
    Run,
}

impl SealReason {
    /// All of them, for metrics.
    pub const ALL: [Self; 6] = [
        Self::Bytes,
        Self::Records,
        Self::Age,
        Self::Room,
        Self::Flush,
        Self::Run,
    ];

    /// The metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Records => "records",
            Self::Age => "age",
            Self::Room => "room",
            Self::Flush => "flush",
            Self::Run => "run",
        }
    }
}

/// What rows add up to, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many rows.
    pub count: u64,
    /// Bytes of the rows, with one for the line end each.
    pub bytes: u64,
    /// Sum of the rows' hashes modulo 2^128.
    pub row_hash: u128,
    /// Sum of the LSNs' hashes modulo 2^128.
    pub lsn_hash: u128,
}

impl Sums {
    /// Adds rows.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.row_hash = self.row_hash.wrapping_add(other.row_hash);
        self.lsn_hash = self.lsn_hash.wrapping_add(other.lsn_hash);
    }
}

/// The rows of one partition since its last seal; or those that a run has in it since its last cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBatch {
    /// The run that its rows belong to; 0 for none.
    pub run: Lsn,
    /// The partition key.
    pub partition: Box<str>,
    /// What its rows add up to.
    pub sums: Sums,
    /// Where they are.
    pub chunks: Chunks,
    /// LSN of its first row.
    pub first_lsn: Lsn,
    /// LSN of its last row.
    pub last_lsn: Lsn,
    /// Segment that holds its first row.
    pub first_segment: u64,
    /// Monotonic time of its first row, or of the restart …
    opened_at: Duration,
    /// … and how old the row was then.
    age_then: Duration,
    /// When its first row was received, as the log says.
    pub first_received: Micros,
    /// The earliest `received_at` among its rows.
    pub oldest_received: Micros,
    /// Whether its partition is late.
    pub lateness: Lateness,
}

impl OpenBatch {
    fn empty(run: Lsn, partition: &str) -> Self {
        Self {
            run,
            partition: partition.into(),
            sums: Sums::default(),
            chunks: Chunks::default(),
            first_lsn: Lsn(0),
            last_lsn: Lsn(0),
            first_segment: 0,
            opened_at: Duration::ZERO,
            age_then: Duration::ZERO,
            first_received: Micros(i64::MAX),
            oldest_received: Micros(i64::MAX),
            lateness: Lateness::Current,
        }
    }

    /// When it will be as old as it may get, on the monotonic clock.
    fn due_at(&self, limits: &Limits) -> Duration {
        let max_age = match self.lateness {
            Lateness::Current => limits.max_age,
            Lateness::Late => limits.late_max_age,
            Lateness::Overtaken => Duration::ZERO,
        };
        let left = max_age.saturating_sub(self.age_then);
        self.opened_at.saturating_add(left)
    }
}

/// What a run has cut off: complete as an object, and held until the run ends.
#[derive(Clone, Debug)]
struct Piece {
    batch: OpenBatch,
    /// The run has ended, so it may be sealed, at once.
    is_ready: bool,
}

/// The open batches of a log.
///
/// Batches of a run are held: none is due before the run has ended.
#[derive(Clone, Debug)]
pub struct Batches {
    limits: Limits,
    open: Vec<OpenBatch>,
    /// Of the partitions' own slots; those of runs are few and looked for.
    index: HashMap<Box<str>, usize>,
    pieces: Vec<Piece>,
    current: Current,
}

impl Batches {
    /// None open.
    pub fn new(limits: Limits, calendar: Calendar) -> Self {
        Self {
            limits,
            current: Current::new(calendar),
            open: Vec::new(),
            index: HashMap::new(),
            pieces: Vec::new(),
        }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A number for the partition, good until [`Batches::forget_empty`].
    pub fn slot(&mut self, partition: &str) -> usize {
        if let Some(slot) = self.index.get(partition) {
            return *slot;
        }
        let slot = self.open.len();
        self.open.push(OpenBatch::empty(NO_RUN, partition));
        self.index.insert(partition.into(), slot);
        slot
    }

    /// The same for what a run has in the partition.
    pub fn run_slot(&mut self, run: Lsn, partition: &str) -> usize {
        if run == NO_RUN {
            return self.slot(partition);
        }
        let is_it = |batch: &OpenBatch| batch.run == run && *batch.partition == *partition;
        self.open.iter().position(is_it).unwrap_or_else(|| {
            self.open.push(OpenBatch::empty(run, partition));
            self.open.len() - 1
        })
    }

    /// The batch in a slot; it may have no rows.
    pub fn get(&self, slot: usize) -> &OpenBatch {
        &self.open[slot]
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.open.len()
    }

    /// Bytes that the chunks of a partition's open batch take.
    pub fn chunk_bytes(&self, partition: &str) -> usize {
        let slot = self.index.get(partition);
        slot.map_or(0, |slot| self.open[*slot].chunks.as_bytes().len())
    }

    /// The batches that have rows and no seal, those of runs among them.
    pub fn open(&self) -> impl Iterator<Item = &OpenBatch> + Clone {
        let open = self.open.iter().filter(|batch| batch.sums.count > 0);
        open.chain(self.pieces.iter().map(|piece| &piece.batch))
    }

    /// Those that have rows, in slots of their own, and are not held for a run.
    fn free(&self) -> impl Iterator<Item = (usize, &OpenBatch)> + Clone {
        let open = self.open.iter().enumerate();
        open.filter(|(_, batch)| batch.sums.count > 0 && batch.run == NO_RUN)
    }

    /// How many batches could be sealed now.
    pub fn sealable(&self) -> usize {
        let ready = self.pieces.iter().filter(|piece| piece.is_ready);
        self.free().count() + ready.count()
    }

    /// Adds rows that lie together in the log. By the clock of the log it is `clock`: that alone decides whether
    /// their partition is late.
    pub fn add(
        &mut self,
        slot: usize,
        chunk: &Chunk,
        sums: &Sums,
        received: Micros,
        clock: Micros,
        now: Duration,
    ) {
        let batch = &mut self.open[slot];
        let is_first = batch.sums.count == 0;
        if is_first {
            batch.first_lsn = chunk.first_lsn;
            batch.first_segment = chunk.frame.segment();
            batch.opened_at = now;
            batch.first_received = received;
        }
        let may_be_late = is_first || batch.lateness != Lateness::Current;
        if may_be_late && batch.run == NO_RUN {
            self.current.move_to(clock);
            if self.current.includes(&batch.partition) {
                batch.lateness = Lateness::Current;
            } else if is_first {
                batch.lateness = Lateness::Late;
            }
        }
        batch.last_lsn = Lsn(chunk.first_lsn.0 + chunk.rows - 1);
        batch.oldest_received = batch.oldest_received.min(received);
        batch.chunks.push(chunk);
        batch.sums.add(sums);
    }

    /// Whether a row of so many bytes must wait for the next batch, when the open one has `pending`
    /// rows in preparation already. A first row always fits.
    pub fn overflows(&self, slot: usize, pending: &Sums, row_bytes: u64) -> Option<SealReason> {
        if self.open[slot].sums.count + pending.count == 0 {
            return None;
        }
        let row = Sums {
            count: 1,
            bytes: row_bytes,
            row_hash: 0,
            lsn_hash: 0,
        };
        self.overflows_with(slot, pending, &row)
    }

    /// Whether rows of this size must wait for the next batch, when the open one has `pending` rows in
    /// preparation already.
    pub(crate) fn overflows_with(
        &self,
        slot: usize,
        pending: &Sums,
        size: &Sums,
    ) -> Option<SealReason> {
        let open = &self.open[slot].sums;
        if open.count + pending.count + size.count > self.limits.max_records {
            return Some(SealReason::Records);
        }
        let bytes = open.bytes + pending.bytes + size.bytes;
        (bytes > self.limits.max_bytes).then_some(SealReason::Bytes)
    }

    /// It is now `clock` by the clock of the log: late batches whose partition has become current are due at once,
    /// so that its rows don't join them.
    pub fn follow(&mut self, clock: Micros) {
        if !self.current.move_to(clock) {
            return;
        }
        for batch in &mut self.open {
            if batch.lateness == Lateness::Late && self.current.includes(&batch.partition) {
                batch.lateness = Lateness::Overtaken;
            }
        }
    }

    /// The log was read: ages count from the times in it. It is now `clock` by the clock of the log.
    pub fn count_ages(&mut self, clock: Micros, now: Duration) {
        for batch in &mut self.open {
            batch.opened_at = now;
            batch.age_then = clock.since(batch.first_received);
        }
    }

    /// The slots that are due now, with the reason.
    pub fn due(&self, now: Duration, waiting_seals: usize) -> Vec<(usize, SealReason)> {
        let age_counts = waiting_seals < self.limits.max_waiting_seals;
        let reason = |batch: &OpenBatch| {
            if batch.sums.count >= self.limits.max_records {
                Some(SealReason::Records)
            } else if batch.sums.bytes >= self.limits.max_bytes {
                Some(SealReason::Bytes)
            } else if age_counts && now >= batch.due_at(&self.limits) {
                Some(SealReason::Age)
            } else {
                None
            }
        };
        self.free()
            .filter_map(|(slot, batch)| Some((slot, reason(batch)?)))
            .collect()
    }

    /// The slots with rows in that segment or before it.
    pub fn reaching_back_to(&self, segment: u64) -> Vec<usize> {
        self.free()
            .filter(|(_, batch)| batch.first_segment <= segment)
            .map(|(slot, _)| slot)
            .collect()
    }

    /// The late batch whose first row is in the oldest segment: its slot, and the segment.
    pub fn oldest_late(&self) -> Option<(usize, u64)> {
        let late = self.free().filter(|(_, batch)| batch.lateness.is_late());
        late.map(|(slot, batch)| (slot, batch.first_segment))
            .min_by_key(|(_, segment)| *segment)
    }

    /// When the next batch will be due: by its age, or at once because its run has ended.
    pub fn next_due(&self, waiting_seals: usize) -> Option<Duration> {
        if self.ready().is_some() {
            return Some(Duration::ZERO);
        }
        if waiting_seals >= self.limits.max_waiting_seals {
            return None;
        }
        self.free()
            .map(|(_, batch)| batch.due_at(&self.limits))
            .min()
    }

    /// Takes the batch out; the slot goes on empty.
    pub fn take(&mut self, slot: usize) -> OpenBatch {
        let OpenBatch { run, partition, .. } = &self.open[slot];
        let empty = OpenBatch::empty(*run, partition);
        std::mem::replace(&mut self.open[slot], empty)
    }

    /// What a run has in a slot becomes a piece; the slot goes on empty.
    pub fn cut(&mut self, slot: usize) {
        if self.open[slot].sums.count > 0 {
            let batch = self.take(slot);
            let is_ready = false;
            self.pieces.push(Piece { batch, is_ready });
        }
    }

    /// The run has ended: cuts what is left of it, and lets its pieces be sealed.
    pub fn end_run(&mut self, run: Lsn) {
        for slot in 0..self.open.len() {
            if self.open[slot].run == run {
                self.cut(slot);
            }
        }
        for piece in &mut self.pieces {
            piece.is_ready |= piece.batch.run == run;
        }
    }

    /// The pieces of a run, in the order in which they were cut.
    pub fn pieces_of(&self, run: Lsn) -> impl Iterator<Item = &OpenBatch> {
        let batches = self.pieces.iter().map(|piece| &piece.batch);
        batches.filter(move |batch| batch.run == run)
    }

    /// Takes out everything that a run has.
    pub fn abandon_run(&mut self, run: Lsn) -> Vec<OpenBatch> {
        let slots = 0..self.open.len();
        for slot in slots
            .filter(|slot| self.open[*slot].run == run)
            .collect::<Vec<_>>()
        {
            self.cut(slot);
        }
        let (gone, kept) = std::mem::take(&mut self.pieces)
            .into_iter()
            .partition(|piece: &Piece| piece.batch.run == run);
        self.pieces = kept;
        gone.into_iter().map(|piece: Piece| piece.batch).collect()
    }

    /// The first piece that may be sealed.
    pub fn ready(&self) -> Option<&OpenBatch> {
        let mut pieces = self.pieces.iter();
        pieces
            .find(|piece| piece.is_ready)
            .map(|piece| &piece.batch)
    }

    /// Takes the piece out that lies within those LSNs.
    pub fn take_piece(&mut self, partition: &str, first: Lsn, last: Lsn) -> Option<OpenBatch> {
        let is_it = |piece: &Piece| {
            let batch = &piece.batch;
            *batch.partition == *partition && batch.first_lsn >= first && batch.last_lsn <= last
        };
        let at = self.pieces.iter().position(is_it)?;
        Some(self.pieces.remove(at).batch)
    }

    /// Takes the batch of a partition out, if it has rows, all of them within those LSNs.
    pub fn take_partition(&mut self, partition: &str, first: Lsn, last: Lsn) -> Option<OpenBatch> {
        let slot = *self.index.get(partition)?;
        let batch = &self.open[slot];
        let is_it = batch.sums.count > 0 && batch.first_lsn >= first && batch.last_lsn <= last;
        is_it.then(|| self.take(slot))
    }

    /// Frees the slots without rows, so that partitions of the past don't stay in memory. Slot
    /// numbers change.
    pub fn forget_empty(&mut self) {
        if self.open.iter().all(|batch| batch.sums.count > 0) {
            return;
        }
        self.open.retain(|batch| batch.sums.count > 0);
        self.index.clear();
        for (slot, batch) in self.open.iter().enumerate() {
            if batch.run == NO_RUN {
                self.index.insert(batch.partition.clone(), slot);
            }
        }
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
