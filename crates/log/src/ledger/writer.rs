//! The writer: the one owner of a log's journal, its LSNs, its dedup index and its batches.
//!
//! It is a plain synchronous struct. [`Writer::turn`] takes the requests that wait, appends them to
//! the journal as one frame, and only then gives the answers; so nothing is answered that is not
//! durable, and no lock is needed. The functions that apply a frame to the state are those that
//! recovery calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::batch::SealReason;
pub(crate) use super::building::{Building, Room, SLACK};
use super::entry::Entry;
use super::request::{AppendError, Appended, Reply, Request, Settings, Turn, WriteError};
use super::reservation::Reservation;
use super::state::State;
use crate::dedup::tiers::Dedup;
use crate::journal::layout::{FRAME_HEADER, MAX_FRAME};
use crate::journal::seam::{Heading, Journal, JournalError, Purpose};
use lakehook_base::clock::{Clock, Micros, Now};
use lakehook_base::files::Files;
use lakehook_base::ids::{Ids, NodeId};
use lakehook_base::record::{Lsn, NO_RUN};

/// The owner of a log: of its journal `J`, and of the id files on the file system `F`.
pub struct Writer<J: Journal, F: Files> {
    pub(crate) journal: J,
    pub(crate) dedup: Dedup<F>,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) node: NodeId,
    pub(crate) state: State,
    /// Segment of the last durable frame.
    pub(crate) segment: u64,
    /// LSNs of a frame that failed, to be noted in the next one.
    pub(crate) void_debt: Option<(Lsn, u64)>,
    pub(crate) watermark: Micros,
    /// Whether the last entry is the note that nothing was in flight.
    pub(crate) closed: bool,
    /// Why the log cannot go on.
    pub(crate) broken: Option<Arc<str>>,
    /// Time since the machine was started at which the last durable frame was begun, if others may
    /// take the journal over.
    pub(crate) owned_at: Duration,
    /// Until then nothing is reserved: somebody let the log wait in vain.
    pub(crate) wary_until: Option<Duration>,
    pub(crate) building: Building,
}

impl<J: Journal, F: Files> Writer<J, F> {
    /// The writer of a log that was read up to its end.
    pub(crate) fn new(
        journal: J,
        dedup: Dedup<F>,
        state: State,
        settings: Settings,
        node: NodeId,
        (clock, ids): (Clock, Ids),
    ) -> Self {
        let owned_at = if journal.is_shared() {
            clock.boot()
        } else {
            Duration::ZERO
        };
        Self {
            // The frame with which the journal went on is durable.
            segment: journal.next().segment(),
            journal,
            dedup,
            settings,
            clock,
            ids,
            node,
            building: Building::new(state.next_lsn),
            // Removed segments may have held seals that published a later watermark than those that
            // were read.
            watermark: state.settled(),
            state,
            void_debt: None,
            closed: false,
            broken: None,
            owned_at,
            wary_until: None,
        }
    }

    /// The projection of the log; not valid after a fatal error.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The node that owns the log.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The projection, of a log that does not go on here.
    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// Reader of single frames and batches, for use while the log goes on.
    pub fn frames(&self) -> J::Frames {
        self.journal.frames()
    }

    /// Bytes of disk that the journal and the id files use.
    pub fn used_bytes(&self) -> u64 {
        self.journal.used() + self.dedup.archive().used()
    }

    /// The time of receipt from which on duplicates are recognised; `None` while no id was
    /// forgotten.
    pub fn duplicates_known_since(&self) -> Option<Micros> {
        self.dedup.archive().lookup().known_since()
    }

    /// The latest watermark that a seal has published: requests with an earlier `received_at` are
    /// refused.
    pub fn watermark(&self) -> Micros {
        self.watermark
    }

    /// Whether another process may take the log over while this one is alive.
    pub fn is_shared(&self) -> bool {
        self.journal.is_shared()
    }

    /// Time since the machine was started at which this process owned the log for certain, if
    /// [`Self::is_shared`].
    pub fn owned_at(&self) -> Duration {
        self.owned_at
    }

    /// Number and checksum of the last durable frame, if [`Self::is_shared`].
    pub fn last_frame(&self) -> (u64, u32) {
        self.journal.last()
    }

    /// How long the next frame should wait for more to come in.
    pub fn pause(&self) -> Duration {
        if self.journal.is_shared() {
            self.journal.pause(self.clock.now())
        } else {
            Duration::ZERO
        }
    }

    /// Monotonic time at which the next batch is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.state.batches.next_due(self.state.sealed.len())
    }

    /// Takes the requests that wait, as far as they fit into one frame, makes it durable, and
    /// returns the answers.
    ///
    /// Requests that don't fit stay in the queue for the next turn. With an empty queue it seals
    /// what is due. After a fatal error every further turn refuses everything.
    pub fn turn<T>(&mut self, jobs: &mut VecDeque<(Request, T)>) -> Turn<T> {
        if let Some(why) = &self.broken {
            return refuse_all(jobs, why);
        }
        let now = self.clock.now();
        self.tend(now);
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
                let refusal = self.refusal_by(&error);
                for (_, reply) in turn.replies.iter_mut().filter(|(_, reply)| reply.is_ok()) {
                    *reply = Err(refusal.clone());
                }
                turn.fatal = self.after_failure(error).err();
                self.broken = turn.fatal.as_ref().map(|fatal| fatal.to_string().into());
            }
        }
        self.state.batches.forget_empty();
        turn
    }

    /// Notes that nothing is in flight, unless the last entry says so already: on a clean stop, and
    /// after a second of idleness. The frames before such a note are followed by another one, so
    /// that damage to them is never taken for a torn tail.
    pub fn close(&mut self) -> Result<(), WriteError> {
        if let Some(why) = &self.broken {
            return Err(WriteError::Broken(Arc::clone(why)));
        }
        if self.closed || self.journal.is_short_of_space() {
            return Ok(());
        }
        let closed = self.write_close();
        self.broken = closed.as_ref().err().map(|fatal| fatal.to_string().into());
        closed
    }

    fn write_close(&mut self) -> Result<(), WriteError> {
        let now = self.clock.now();
        self.tend(now);
        self.building.restart(self.state.next_lsn);
        if self.room_for(SLACK, Purpose::Shipping, now)? != Room::Yes {
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
        let mut reservations = Vec::new();
        let taken = self.take_jobs(jobs, &mut reservations, &mut waiting, replies, now);
        for job in waiting.into_iter().rev() {
            jobs.push_front(job);
        }
        taken?;
        if !reservations.is_empty() {
            for (reservation, ticket) in self.lend(reservations, replies, now)?.into_iter().rev() {
                jobs.push_front((Request::Reserve(reservation), ticket));
            }
        }
        self.seal_late_for_room(now)?;
        self.seal_for_room(now)?;
        self.note_trim();
        Ok(())
    }

    /// Takes requests as far as they fit into the frame.
    ///
    /// Commits and flushes for which there is no room at all go to `waiting`: they need freed
    /// space, but the requests after them are still answered. Reservations come last in a frame.
    fn take_jobs<T>(
        &mut self,
        jobs: &mut VecDeque<(Request, T)>,
        reservations: &mut Vec<(Reservation, T)>,
        waiting: &mut Vec<(Request, T)>,
        replies: &mut Vec<(T, Reply)>,
        now: Now,
    ) -> Result<(), WriteError> {
        while let Some((request, _)) = jobs.front() {
            let purpose = request.purpose();
            let cost = match request {
                Request::Append(append) => self.cost_of(append),
                Request::EndRun(end) => self.cost_of_end(end),
                _ => SLACK,
            };
            let refusal = self.refusal_of(request, cost);
            let room = match refusal {
                None => self.room_for(cost, purpose, now)?,
                Some(_) => Room::Never,
            };
            if room == Room::NextFrame && purpose == Purpose::Shipping && self.is_idle() {
                waiting.extend(jobs.pop_front());
                continue;
            }
            if room == Room::NextFrame {
                break;
            }
            let Some((request, ticket)) = jobs.pop_front() else {
                break;
            };
            let request = match request {
                Request::Reserve(reservation) => {
                    reservations.push((reservation, ticket));
                    continue;
                }
                request => request,
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
    pub(crate) fn is_idle(&self) -> bool {
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
        // A seal in this frame counts too.
        let watermark = self.watermark.max(self.building.watermark);
        (append.origin.received_at < watermark).then_some(AppendError::Late)
    }

    /// A request that needs more than a frame holds never fits.
    pub(crate) fn too_large(&self, cost: usize) -> Option<AppendError> {
        let cursors = self.state.runs.cursor_bytes();
        let max_bytes = MAX_FRAME.saturating_sub(FRAME_HEADER + 2 * SLACK + cursors);
        let bytes = cost;
        (cost > max_bytes).then_some(AppendError::TooLarge { bytes, max_bytes })
    }

    fn perform(&mut self, request: &Request, now: Now) -> Result<Reply, WriteError> {
        self.closed &= matches!(request, Request::Knows(_));
        match request {
            Request::Append(append) => self.append(append, now).map(Ok),
            Request::Reserve(_) => Ok(Err(AppendError::NotReserved)),
            Request::Commit(commit) => {
                self.state.add_commit(commit)?;
                self.building.frame.put(&Entry::Commit(*commit));
                Ok(Ok(Appended::default()))
            }
            Request::Flush => {
                self.flush_sections(now);
                for slot in self.state.batches.reaching_back_to(u64::MAX) {
                    if self.room_for(self.seal_cost(slot), Purpose::Shipping, now)? != Room::Yes {
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
            Request::Prove => {
                self.building.proves = true;
                Ok(Ok(Appended::default()))
            }
            Request::Knows(identity) => Ok(Ok(Appended {
                duplicates: u64::from(self.dedup.knows(*identity)),
                ..Appended::default()
            })),
        }
    }

    /// Appends the frame to the journal, which makes it durable; then does what had to wait for
    /// that.
    fn finish(&mut self, now: Now) -> Result<Duration, WriteError> {
        self.flush_sections(now);
        if self.building.frame.is_empty() && self.building.proves {
            self.building.frame.put(&Entry::Close);
        }
        if self.building.frame.is_empty() {
            return Ok(Duration::ZERO);
        }
        let heading = Heading {
            first_lsn: self.building.frame.first_lsn,
            rows: self.building.frame.rows,
            written_at: now.wall,
        };
        self.check_frame();
        let began = self.journal.is_shared().then(|| self.clock.boot());
        let expected = self.journal.next();
        let before = self.clock.now().mono;
        let at = self
            .journal
            .append(heading, self.building.frame.bytes_mut())?;
        let sync = self.clock.now().mono.saturating_sub(before);
        debug_assert_eq!(at, expected, "seals in the frame say where it is");
        self.owned_at = began.unwrap_or_default();
        self.segment = at.segment();
        let newest_received = self.state.newest_received;
        self.dedup
            .settle(&mut self.building.inserted, newest_received);
        self.watermark = self.watermark.max(self.building.watermark);
        if self.building.trimmed {
            self.trim();
        }
        Ok(sync)
    }

    /// Checks what must be true of a frame that is about to be appended.
    fn check_frame(&self) {
        let (frame, state) = (&self.building.frame, &self.state);
        debug_assert!(frame.raw_len() <= MAX_FRAME, "it could never be read");
        debug_assert!(frame.first_lsn <= state.next_lsn, "LSNs only grow");
        debug_assert!(
            self.building.begins || !self.is_first(),
            "reading can begin at any segment"
        );
        debug_assert!(
            state.totals.add_up(),
            "received = stored + dropped + duplicate + quarantined: {:?}",
            state.totals
        );
    }

    /// What the requests of a frame are told that is not in the log.
    fn refusal_by(&self, error: &WriteError) -> AppendError {
        match error {
            // A replica has refused it for certain.
            WriteError::Journal(JournalError::NoSpace(_)) if self.journal.is_shared() => {
                AppendError::Full
            }
            error => AppendError::Storage(error.to_string().into()),
        }
    }

    /// Undoes what the failed frame did. The log can go on only after a lack of space.
    fn after_failure(&mut self, error: WriteError) -> Result<(), WriteError> {
        self.dedup.take_back(&mut self.building.inserted);
        let WriteError::Journal(JournalError::NoSpace(io)) = &error else {
            return Err(error);
        };
        tracing::error!(error = %io, "no space for the write-ahead log; requests are refused until there is some");
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

/// Refuses everything: nothing may be written after a frame that may or may not be durable.
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
