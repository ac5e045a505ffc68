//! The writer: the one owner of the log's file, its LSNs, its dedup index and its batches.
//!
//! A plain synchronous struct. [`Writer::turn`] takes what waits, writes it as one frame, syncs once,
//! and only then gives the answers; so nothing is answered that is not durable, and no lock is needed.
//! What a frame does to the state is done by the same functions that recovery calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Micros, Now};
use crate::files::Files;
use crate::ids::{Ids, NodeId};
use crate::record::{Identity, Lsn};
use crate::wal::dedup::archived::Older;
use crate::wal::dedup::id_files::{IdFiles, SegmentIds};
use crate::wal::dedup::recent::RecentIds;
use crate::wal::helper::Helper;
use crate::wal::journal::layout::{FRAME_HEADER, FrameHeader, MAX_FRAME};
use crate::wal::journal::segment::{Segment, Spare};
use crate::wal::ledger::batch::SealReason;
use crate::wal::ledger::entry::{Counts, Entry, NO_RUN};
use crate::wal::ledger::frame::{FrameBuilder, Section};
use crate::wal::ledger::request::{
    AppendError, Appended, Reply, Request, Settings, Turn, WriteError,
};
use crate::wal::ledger::space::is_out_of_space;
use crate::wal::ledger::state::{SealAt, State};

/// A frame takes no further request once it has so many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// Room for the entries that may go into any frame: void note, trim, counts.
pub(crate) const SLACK: usize = 1024;
/// A spare for the next segment.
pub(crate) enum NextSpare<F: Files> {
    /// Not asked for.
    None,
    /// The helper makes it.
    Preparing,
    /// Here.
    Ready(Spare<F>),
    /// It could not be made, at that time.
    Failed(Duration),
}

/// Room for something in the current frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Yes,
    NextFrame,
    Never,
}

/// The owner of a log.
pub struct Writer<F: Files> {
    pub(crate) files: F,
    pub(crate) dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) node: NodeId,
    pub(crate) state: State,
    pub(crate) dedup: RecentIds,
    pub(crate) older: Older<F>,
    pub(crate) segment: Segment<F>,
    pub(crate) helper: Helper<F>,
    pub(crate) spare: NextSpare<F>,
    /// A further one, for seals, commits and trims alone.
    pub(crate) kept_spare: Option<Spare<F>>,
    pub(crate) spares_made: u64,
    /// Sizes of the segments that exist.
    pub(crate) segments: BTreeMap<u64, u64>,
    /// The id files that exist.
    pub(crate) id_files: IdFiles,
    /// Identities in the current segment.
    pub(crate) active_ids: SegmentIds,
    /// Identities of closed segments that no file holds yet, and whether the helper has them.
    pub(crate) unwritten_ids: VecDeque<(u64, SegmentIds)>,
    /// How many identities the helper is writing.
    pub(crate) ids_in_flight: u64,
    /// Whether the helper merges id files.
    pub(crate) merging: bool,
    /// Last segments of id files of which a merge has failed.
    pub(crate) unmergeable: BTreeSet<u64>,
    /// When, on the monotonic clock, writing them is tried again.
    pub(crate) ids_retry_at: Duration,
    /// After a failed sync nothing more may go into the current segment.
    pub(crate) segment_failed: bool,
    /// LSNs of a failed frame, to be noted in the next one.
    pub(crate) void_debt: Option<(Lsn, u64)>,
    pub(crate) watermark: Micros,
    pub(crate) closed: bool,
    /// Why the log cannot go on.
    pub(crate) broken: Option<Arc<str>>,
    pub(crate) building: Building,
}

/// The frame under construction, and what must be undone or done once it failed or is durable.
pub(crate) struct Building {
    pub(crate) frame: FrameBuilder,
    pub(crate) sections: Vec<Section>,
    /// Most that the sections will take.
    pub(crate) pending_bytes: usize,
    pub(crate) counts: Counts,
    pub(crate) inserted: Vec<Identity>,
    pub(crate) sealed: Vec<(u64, SealAt)>,
    pub(crate) reasons: Vec<SealReason>,
    /// The latest that a seal in this frame publishes.
    pub(crate) watermark: Micros,
    /// When the request was received whose rows are being added.
    pub(crate) appending: Micros,
    pub(crate) scratch: Vec<u8>,
    pub(crate) trimmed: bool,
}

impl Building {
    pub(crate) fn new(first_lsn: Lsn) -> Self {
        Self {
            frame: FrameBuilder::new(first_lsn),
            sections: Vec::new(),
            pending_bytes: 0,
            counts: Counts::default(),
            inserted: Vec::new(),
            sealed: Vec::new(),
            reasons: Vec::new(),
            watermark: Micros(i64::MIN),
            appending: Micros(i64::MAX),
            scratch: Vec::new(),
            trimmed: false,
        }
    }

    fn restart(&mut self, first_lsn: Lsn) {
        self.frame.restart(first_lsn);
        self.sections.iter_mut().for_each(Section::clear);
        self.pending_bytes = 0;
        self.counts = Counts::default();
        self.inserted.clear();
        self.sealed.clear();
        self.reasons.clear();
        self.watermark = Micros(i64::MIN);
        self.appending = Micros(i64::MAX);
        self.trimmed = false;
    }
}

impl<F: Files> Writer<F> {
    /// The projection of the log; means nothing after a fatal error.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whose log it is.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Bytes of segments, spares and id files.
    pub fn used_bytes(&self) -> u64 {
        let spare = match &self.spare {
            NextSpare::Ready(spare) => spare.bytes,
            NextSpare::Preparing => self.settings.segment_bytes,
            NextSpare::None | NextSpare::Failed(_) => 0,
        };
        let kept = self.kept_spare.as_ref().map_or(0, |spare| spare.bytes);
        self.segments.values().sum::<u64>() + self.bytes_of_ids() + spare + kept
    }

    /// The time from which on duplicates are recognised; `None` while none was forgotten.
    pub fn duplicates_known_since(&self) -> Option<Micros> {
        self.older.known_since()
    }

    /// No request with an earlier `received_at` is taken any more.
    pub fn watermark(&self) -> Micros {
        self.watermark
    }

    /// When a batch will be due next, on the monotonic clock.
    pub fn next_due(&self) -> Option<Duration> {
        self.state.batches.next_due(self.state.sealed.len())
    }

    /// Takes what waits, as far as it fits into one frame, makes it durable, and answers.
    ///
    /// Jobs that don't fit stay in the queue for the next turn. With an empty queue it seals what is
    /// due. After a fatal error every further turn refuses everything.
    pub fn turn<T>(&mut self, jobs: &mut VecDeque<(Request, T)>) -> Turn<T> {
        if let Some(why) = &self.broken {
            return refuse_all(jobs, why);
        }
        let now = self.clock.now();
        self.take_results(now);
        self.building.restart(self.state.next_lsn);
        let mut replies = Vec::new();
        let built = self.build(jobs, &mut replies, now);
        let outcome = built.and_then(|()| self.finish(now));
        let mut turn = Turn {
            replies,
            sealed: Vec::new(),
            reasons: Vec::new(),
            complete: Vec::new(),
            rows: self.building.frame.rows,
            sync: Duration::ZERO,
            fatal: None,
        };
        match outcome {
            Ok(sync) => {
                turn.sync = sync;
                turn.sealed = std::mem::take(&mut self.building.sealed);
                turn.reasons = std::mem::take(&mut self.building.reasons);
                turn.complete = self.state.runs.take_complete();
            }
            Err(error) => {
                turn.rows = 0;
                let message: Arc<str> = error.to_string().into();
                for (_, reply) in turn.replies.iter_mut().filter(|(_, reply)| reply.is_ok()) {
                    *reply = Err(AppendError::Storage(Arc::clone(&message)));
                }
                turn.fatal = self.after_failure(error).err();
                self.broken = turn.fatal.as_ref().map(|fatal| fatal.to_string().into());
            }
        }
        self.state.batches.forget_empty();
        turn
    }

    /// Notes that nothing is in flight, if that is not noted already: on a clean stop, and after a
    /// second of idleness. It narrows what a torn tail can explain later.
    pub fn close(&mut self) -> Result<(), WriteError> {
        if let Some(why) = &self.broken {
            return Err(WriteError::Broken(Arc::clone(why)));
        }
        if self.closed || self.is_short_of_space() {
            return Ok(());
        }
        let closed = self.write_close();
        self.broken = closed.as_ref().err().map(|fatal| fatal.to_string().into());
        closed
    }

    fn write_close(&mut self) -> Result<(), WriteError> {
        let now = self.clock.now();
        self.take_results(now);
        self.building.restart(self.state.next_lsn);
        if self.room_for(SLACK, true, now)? != Room::Yes {
            return Ok(());
        }
        self.building.frame.put(&Entry::Close);
        match self.finish(now) {
            Ok(_) => {
                self.closed = true;
                Ok(())
            }
            Err(error) => self.after_failure(error),
        }
    }

    fn build<T>(
        &mut self,
        jobs: &mut VecDeque<(Request, T)>,
        replies: &mut Vec<(T, Reply)>,
        now: Now,
    ) -> Result<(), WriteError> {
        self.seal_due(now)?;
        let mut waiting = Vec::new();
        let taken = self.take_jobs(jobs, &mut waiting, replies, now);
        for job in waiting.into_iter().rev() {
            jobs.push_front(job);
        }
        taken?;
        self.seal_for_room(now)?;
        self.note_trim();
        Ok(())
    }

    /// Takes jobs as far as they fit into the frame.
    ///
    /// Commits and flushes for which there is no room at all go to `waiting`: only freed space helps
    /// them, and the requests behind them are answered nevertheless.
    fn take_jobs<T>(
        &mut self,
        jobs: &mut VecDeque<(Request, T)>,
        waiting: &mut Vec<(Request, T)>,
        replies: &mut Vec<(T, Reply)>,
        now: Now,
    ) -> Result<(), WriteError> {
        while let Some((request, _)) = jobs.front() {
            let internal = request.is_internal();
            let cost = match request {
                Request::Append(append) => self.cost_of(append),
                Request::EndRun(end) => self.cost_of_end(end),
                _ => SLACK,
            };
            let refusal = self.refusal_of(request, cost);
            let room = match refusal {
                None => self.room_for(cost, internal, now)?,
                Some(_) => Room::Never,
            };
            if room == Room::NextFrame && internal && self.is_idle() {
                waiting.extend(jobs.pop_front());
                continue;
            }
            if room == Room::NextFrame {
                break;
            }
            let Some((request, ticket)) = jobs.pop_front() else {
                break;
            };
            let reply = match (room, refusal) {
                (Room::Yes, _) => self.perform(&request, now)?,
                (_, refusal) => Err(refusal.unwrap_or(AppendError::Full)),
            };
            replies.push((ticket, reply));
        }
        Ok(())
    }

    /// Whether nothing is in the frame yet.
    fn is_idle(&self) -> bool {
        self.building.frame.is_empty() && self.building.pending_bytes == 0
    }

    fn refusal_of(&self, request: &Request, cost: usize) -> Option<AppendError> {
        let append = match request {
            Request::Append(append) => append,
            Request::EndRun(end) if !self.state.runs.is_open(end.run) => {
                return Some(AppendError::NoSuchRun);
            }
            Request::EndRun(_) => return self.too_large(cost),
            _ => return None,
        };
        if append.run != NO_RUN && !self.state.runs.is_open(append.run) {
            return Some(AppendError::NoSuchRun);
        }
        if let Some(refusal) = self.too_large(cost) {
            return Some(refusal);
        }
        // A seal in this very frame counts too.
        let watermark = self.watermark.max(self.building.watermark);
        (append.origin.received_at < watermark).then_some(AppendError::Late)
    }

    /// What needs more than a frame holds never fits.
    fn too_large(&self, cost: usize) -> Option<AppendError> {
        let cursors = self.state.runs.cursor_bytes();
        let max_bytes = MAX_FRAME - FRAME_HEADER - 2 * SLACK - cursors;
        let bytes = cost;
        (cost > max_bytes).then_some(AppendError::TooLarge { bytes, max_bytes })
    }

    fn perform(&mut self, request: &Request, now: Now) -> Result<Reply, WriteError> {
        self.closed = false;
        match request {
            Request::Append(append) => self.append(append, now).map(Ok),
            Request::Commit(commit) => {
                self.state.add_commit(commit)?;
                self.building.frame.put(&Entry::Commit(*commit));
                Ok(Ok(Appended::default()))
            }
            Request::Flush => {
                self.flush_sections(now);
                for slot in self.state.batches.reaching_back_to(u64::MAX) {
                    if self.room_for(self.seal_cost(slot), true, now)? != Room::Yes {
                        break;
                    }
                    self.seal(slot, SealReason::Flush, now)?;
                }
                self.seal_ready(now)?;
                Ok(Ok(Appended::default()))
            }
            Request::BeginRun(poll) => self.begin_run(poll, now).map(Ok),
            Request::EndRun(end) => {
                self.end_run(end, now)?;
                self.seal_ready(now)?;
                Ok(Ok(Appended::default()))
            }
            Request::AbandonRun(run) => {
                self.abandon_run(*run, now);
                Ok(Ok(Appended::default()))
            }
            Request::Published(run) => {
                self.published(*run);
                Ok(Ok(Appended::default()))
            }
        }
    }

    /// Finds room for so many bytes, in a new segment if need be.
    pub(crate) fn room_for(
        &mut self,
        cost: usize,
        internal: bool,
        now: Now,
    ) -> Result<Room, WriteError> {
        // A segment that was begun for a seal or a commit may have left more ids behind than a request would.
        if !internal && !self.ids_keep_up(2, now) {
            return Ok(Room::Never);
        }
        let taken = self.building.frame.len() + self.building.pending_bytes + SLACK;
        let reserve = if internal { 0 } else { self.reserve() };
        let fits = !self.segment_failed
            && (internal || !self.has_many_ids())
            && taken + cost <= MAX_FRAME
            && (taken + cost) as u64 + reserve <= self.segment.room();
        let empty = self.is_idle();
        if fits && (empty || internal || taken + cost <= GROUP_BYTES) {
            self.pay_void_debt()?;
            return Ok(Room::Yes);
        }
        if !empty {
            return Ok(Room::NextFrame);
        }
        if self.roll(cost, internal, now)? {
            self.pay_void_debt()?;
            return Ok(Room::Yes);
        }
        Ok(if internal {
            Room::NextFrame
        } else {
            Room::Never
        })
    }

    /// Writes the frame and makes it durable; then does what had to wait for it.
    fn finish(&mut self, now: Now) -> Result<Duration, WriteError> {
        self.flush_sections(now);
        if self.building.frame.is_empty() {
            return Ok(Duration::ZERO);
        }
        let header = FrameHeader {
            crc: 0,
            segment_id: 0,
            number: 0,
            body_bytes: 0,
            previous_crc: 0,
            first_lsn: self.building.frame.first_lsn,
            rows: self.building.frame.rows,
            written_at: now.wall,
        };
        let before = self.clock.now().mono;
        self.segment
            .append(&self.files, header, self.building.frame.bytes_mut())?;
        let sync = self.clock.now().mono.saturating_sub(before);
        self.active_ids
            .identities
            .append(&mut self.building.inserted);
        self.active_ids.newest_received = self.state.newest_received;
        self.watermark = self.watermark.max(self.building.watermark);
        if self.building.trimmed {
            self.remove_trimmed();
        }
        Ok(sync)
    }

    /// Takes back what the failed frame did. Only a full disk can be survived.
    fn after_failure(&mut self, error: WriteError) -> Result<(), WriteError> {
        for identity in self.building.inserted.drain(..) {
            self.dedup.remove(identity);
        }
        let WriteError::Io(io) = &error else {
            return Err(error);
        };
        if !is_out_of_space(io) {
            return Err(error);
        }
        tracing::error!(error = %io, "no space for the write-ahead log; refusing requests");
        self.segment_failed = true;
        let owed_already = self
            .void_debt
            .take()
            .map_or(0, |(first, count)| first.0 + count);
        let given_out = owed_already.max(self.state.next_lsn.0);
        self.reload()?;
        let next = self.state.next_lsn;
        self.void_debt = (given_out > next.0).then(|| (next, given_out - next.0));
        Ok(())
    }
}

/// Nothing may be written behind a frame of which nobody knows whether it is durable.
fn refuse_all<T>(jobs: &mut VecDeque<(Request, T)>, why: &Arc<str>) -> Turn<T> {
    let refusal = |(_, ticket)| (ticket, Err(AppendError::Storage(Arc::clone(why))));
    Turn {
        replies: jobs.drain(..).map(refusal).collect(),
        sealed: Vec::new(),
        reasons: Vec::new(),
        complete: Vec::new(),
        rows: 0,
        sync: Duration::ZERO,
        fatal: Some(WriteError::Broken(Arc::clone(why))),
    }
}
