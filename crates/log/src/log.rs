//! The thread that owns the log's writer, and the handle by which others use it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

pub use crate::gauges::Gauges;
use crate::jobs::{Job, Seat, Ticket, refuse_all};
use crate::journal::seam::{At, Journal};
use crate::ledger::batch::SealReason;
use crate::ledger::entry::Commit;
use crate::ledger::request::{Append, AppendError, EndRun, Reply, Request, Turn, WriteError};
use crate::ledger::writer::Writer;
use crate::stand_in::StandIn;
use lakehook_base::clock::{Clock, Micros};
use lakehook_base::files::Files;
use lakehook_base::record::{Identity, Lsn};

/// Most requests that wait. There are fewer connections, so only a bug or a flood fills the queue.
const MAX_WAITING: usize = 8192;
/// Most requests that one turn looks at.
const MAX_GROUP: usize = 4096;
/// After this long without work, the log notes that nothing is in flight.
const IDLE: Duration = Duration::from_secs(1);
/// How long a durable frame shows that this process owns the log.
pub const OWNED_FOR: Duration = Duration::from_secs(60);
/// Pause before requests for which there was no room are tried again.
const BLOCKED: Duration = Duration::from_millis(50);

/// A handle to a log; cheap to clone. It stays the same when the log gets another owner, see
/// [`seat`](crate::seat).
#[derive(Clone)]
pub struct Log {
    pub(crate) jobs: SyncSender<Job>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) seat: Arc<Mutex<Seat>>,
    /// Who answers in the place of another process that owns the log.
    pub(crate) stand_in: Arc<RwLock<Option<Arc<dyn StandIn>>>>,
    /// How often it has changed who answers requests.
    pub(crate) term: Arc<AtomicU64>,
    /// Whether other processes have sent what comes through this handle.
    pub(crate) of_peers: bool,
}

/// Receives the numbers of sealed batches and the positions of their seals.
pub type SealedListener = Box<dyn Fn(&[(u64, At)]) + Send>;

/// Receives the names of runs all of whose objects are in the lake, and the positions of their
/// ends.
pub type CompleteListener = Box<dyn Fn(&[(Lsn, At)]) + Send>;

/// Figures of one frame that was written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// How long it took to write the frame and to make it durable.
    pub sync: Duration,
    /// Rows in the frame.
    pub rows: u32,
    /// Why batches were sealed in it.
    pub reasons: &'a [SealReason],
}

/// Callbacks of the log's thread.
pub struct Listeners {
    /// Called when batches are sealed, durably.
    pub sealed: SealedListener,
    /// Called when runs are complete in the lake, durably: their markers are due.
    pub complete: CompleteListener,
    /// Called when the log cannot go on.
    pub failed: Box<dyn Fn(&WriteError) + Send>,
    /// Called when a frame is durable.
    pub written: Box<dyn Fn(&Written<'_>) + Send>,
}

impl Log {
    /// Starts the thread that owns the writer.
    pub fn start<J: Journal + Send + 'static, F: Files>(
        writer: Writer<J, F>,
        clock: Clock,
        listeners: Listeners,
    ) -> io::Result<Self> {
        let log = Self::unowned();
        log.own(writer, clock, listeners)?;
        Ok(log)
    }

    /// A log whose requests wait until somebody answers them.
    pub fn unowned() -> Self {
        let (jobs, queue) = sync_channel(MAX_WAITING);
        Self {
            jobs,
            gauges: Arc::default(),
            seat: Arc::new(Mutex::new(Seat::Free(queue))),
            stand_in: Arc::default(),
            term: Arc::default(),
            of_peers: false,
        }
    }

    /// Lets a writer answer from now on, instead of whoever did before.
    pub fn own<J: Journal + Send + 'static, F: Files>(
        &self,
        writer: Writer<J, F>,
        clock: Clock,
        listeners: Listeners,
    ) -> io::Result<()> {
        let gauges = Arc::clone(&self.gauges);
        self.seat("wal-writer", move |queue, term| {
            gauges.is_over.store(false, Ordering::Release);
            gauges.is_elsewhere.store(false, Ordering::Release);
            let mut owner = Owner {
                writer,
                clock,
                listeners,
                gauges,
                waiting: VecDeque::new(),
                term,
            };
            owner.show();
            move || {
                owner.run(&queue);
                queue
            }
        })
    }

    /// The figures of the log.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Stores a request; the answer means that it is durable.
    pub async fn append(&self, append: Append) -> Reply {
        self.begin_append(append).answer().await
    }

    /// Begins a run of a poll, and returns the LSN that names it.
    pub async fn begin_run(&self, poll: &str) -> Result<Lsn, AppendError> {
        let reply = self.request(Request::BeginRun(poll.into())).await;
        reply.map(|appended| appended.run)
    }

    /// Ends a run whose rows are all in the log.
    pub async fn end_run(&self, end: EndRun) -> Result<(), AppendError> {
        let reply = self.request(Request::EndRun(Box::new(end))).await;
        reply.map(drop)
    }

    /// Abandons a run that failed: its rows become void.
    pub async fn abandon_run(&self, run: Lsn) -> Result<(), AppendError> {
        self.request(Request::AbandonRun(run)).await.map(drop)
    }

    /// Whether a record with this identity was stored, as far back as identities are kept. Its row is durable.
    pub async fn knows(&self, identity: Identity) -> Result<bool, AppendError> {
        let reply = self.request(Request::Knows(identity)).await;
        reply.map(|appended| appended.duplicates > 0)
    }

    /// Notes durably that the marker of a run is in the lake. Blocks.
    pub fn published(&self, run: Lsn) -> Result<(), AppendError> {
        self.ask(Request::Published(run))
    }

    /// Why nothing can be stored by this process; `None` if it owns the log, and a frame has proved it.
    pub async fn why_elsewhere(&self) -> Option<AppendError> {
        self.request(Request::Prove).await.err()
    }

    /// Makes sure that this process owns the log, by a frame. Blocks.
    pub fn prove(&self) -> Result<(), AppendError> {
        self.ask(Request::Prove)
    }

    /// Whether something may be put into the lake that another owner of the log would not put any
    /// more: only if the last frame is not old. If it is, another one is written first. Blocks.
    ///
    /// A process that was stopped for long may have lost the log, and what it wants to put may have
    /// been erased meanwhile.
    pub fn may_put(&self, clock: &Clock) -> bool {
        if self.gauges.is_over.load(Ordering::Acquire) {
            return false;
        }
        let owned_at = Duration::from_micros(self.gauges.owning.owned_at.load(Ordering::Acquire));
        clock.boot().saturating_sub(owned_at) < OWNED_FOR || self.prove().is_ok()
    }

    /// Notes durably that an object is in the lake. Blocks.
    pub fn commit(&self, commit: Commit) -> Result<(), AppendError> {
        self.ask(Request::Commit(commit))
    }

    /// Seals every open batch. Blocks.
    pub fn flush(&self) -> Result<(), AppendError> {
        self.ask(Request::Flush)?;
        // One frame may not have room for all seals.
        while self.gauges.open_batches.load(Ordering::Acquire) > 0 {
            self.ask(Request::Flush)?;
        }
        Ok(())
    }
}

/// What the log's thread owns.
struct Owner<J: Journal, F: Files> {
    writer: Writer<J, F>,
    clock: Clock,
    listeners: Listeners,
    gauges: Arc<Gauges>,
    waiting: VecDeque<(Request, Ticket)>,
    term: u64,
}

impl<J: Journal, F: Files> Owner<J, F> {
    fn run(&mut self, queue: &Receiver<Job>) {
        if !self.go_on(queue) {
            refuse_all(queue, self.term);
        }
    }

    /// Answers requests; `false` if the log cannot go on, `true` if it was closed.
    fn go_on(&mut self, queue: &Receiver<Job>) -> bool {
        let mut idle_since = self.clock.now().mono;
        loop {
            let closing = self.gather(queue, idle_since);
            if closing {
                self.finish();
                return true;
            }
            let had_work = !self.waiting.is_empty() || self.is_due();
            if had_work {
                idle_since = self.clock.now().mono;
            } else if self.clock.now().mono.saturating_sub(idle_since) >= IDLE
                && let Err(error) = self.writer.close()
            {
                self.fail(&error);
                return false;
            }
            if had_work && self.wait_for_more(queue) {
                self.finish();
                return true;
            }
            let turn = self.turn();
            let wrote_nothing = turn.sync.is_zero() && turn.replies.is_empty();
            if !self.deliver(turn) {
                return false;
            }
            if wrote_nothing && !self.waiting.is_empty() {
                std::thread::sleep(BLOCKED);
            }
        }
    }

    /// One turn of the writer. While it lasts, others can see for how long.
    fn turn(&mut self) -> Turn<Ticket> {
        if !self.writer.is_shared() {
            return self.writer.turn(&mut self.waiting);
        }
        let pending = &self.gauges.owning.pending_since;
        pending.store(micros(self.clock.boot()), Ordering::Release);
        let turn = self.writer.turn(&mut self.waiting);
        self.gauges.owning.pending_since.store(0, Ordering::Release);
        turn
    }

    /// Takes a job; `true` if it ends this term.
    fn take(&mut self, job: Job) -> bool {
        match job {
            Job::Request(request, ticket) => {
                self.waiting.push_back((request, ticket));
                false
            }
            Job::OfPeer(requests) => {
                self.waiting.extend(requests);
                false
            }
            Job::Close(term) => term == self.term,
        }
    }

    /// Waits for a request, and takes those that are queued. Returns `true` if the log is to be
    /// closed.
    fn gather(&mut self, queue: &Receiver<Job>, idle_since: Duration) -> bool {
        let mut next = if self.waiting.is_empty() {
            match queue.recv_timeout(self.patience(idle_since)) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return true,
            }
        } else {
            queue.try_recv().ok()
        };
        while let Some(job) = next {
            if self.take(job) {
                return true;
            }
            next = if self.waiting.len() < MAX_GROUP {
                queue.try_recv().ok()
            } else {
                None
            };
        }
        false
    }

    /// Takes what comes in while the next frame should wait. Returns `true` if the log is to be closed.
    fn wait_for_more(&mut self, queue: &Receiver<Job>) -> bool {
        loop {
            let pause = self.writer.pause();
            if pause.is_zero() {
                return false;
            }
            if self.waiting.len() >= MAX_GROUP {
                std::thread::sleep(pause);
                return false;
            }
            match queue.recv_timeout(pause) {
                Ok(job) => {
                    if self.take(job) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How long to wait for a request: until a batch is due, or until the log should note that it
    /// is idle.
    fn patience(&self, idle_since: Duration) -> Duration {
        let now = self.clock.now().mono;
        let due = self
            .writer
            .next_due()
            .map_or(IDLE, |due| due.saturating_sub(now));
        let idle = (idle_since + IDLE).saturating_sub(now);
        // Once idleness is noted, once a second is enough to look after spares and space.
        let idle = if idle.is_zero() { IDLE } else { idle };
        due.min(idle).max(Duration::from_millis(1))
    }

    fn is_due(&self) -> bool {
        self.writer
            .next_due()
            .is_some_and(|due| due <= self.clock.now().mono)
    }

    /// Sends the answers and calls the listeners; `false` if the log cannot go on.
    fn deliver(&mut self, turn: Turn<Ticket>) -> bool {
        self.show();
        // Whoever gets an answer then knows that there will be no other.
        self.gauges
            .is_over
            .fetch_or(turn.fatal.is_some(), Ordering::AcqRel);
        // Before the answers: a caller that asked for a flush then waits until what was sealed is
        // shipped.
        if !turn.sealed.is_empty() {
            (self.listeners.sealed)(&turn.sealed);
        }
        if !turn.complete.is_empty() {
            (self.listeners.complete)(&turn.complete);
        }
        for (ticket, reply) in turn.replies {
            ticket.answer(reply);
        }
        if !turn.sync.is_zero() {
            (self.listeners.written)(&Written {
                sync: turn.sync,
                rows: turn.rows,
                reasons: &turn.reasons,
            });
        }
        match turn.fatal {
            None => true,
            Some(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn show(&self) {
        let state = self.writer.state();
        let gauges = &self.gauges;
        let waiting = self
            .waiting
            .iter()
            .filter_map(|(request, _)| match request {
                Request::Append(append) => Some(append.origin.received_at),
                Request::Reserve(reservation) => reservation.received_at(),
                _ => None,
            });
        let in_queue = waiting.min().unwrap_or(Micros(i64::MAX));
        let in_log = state.waiting();
        let oldest = in_log.oldest.min(in_queue);
        let oldest_current = in_log.oldest_current.min(in_queue);
        gauges
            .uncommitted_rows
            .store(state.uncommitted_rows(), Ordering::Relaxed);
        gauges
            .used_bytes
            .store(self.writer.used_bytes(), Ordering::Relaxed);
        gauges
            .waiting_seals
            .store(state.sealed.len() as u64, Ordering::Relaxed);
        gauges
            .floor
            .store(self.writer.watermark().0, Ordering::Relaxed);
        gauges
            .seen_at
            .store(self.clock.now().wall.0, Ordering::Relaxed);
        gauges.oldest_received.store(oldest.0, Ordering::Relaxed);
        gauges
            .oldest_current
            .store(oldest_current.0, Ordering::Relaxed);
        gauges.late_rows.store(in_log.late_rows, Ordering::Relaxed);
        if self.writer.is_shared() {
            let owned_at = micros(self.writer.owned_at());
            gauges.owning.owned_at.store(owned_at, Ordering::Release);
            gauges.set_last_frame(self.writer.last_frame());
        }
        gauges
            .open_batches
            .store(state.batches.sealable() as u64, Ordering::Release);
        gauges
            .unpublished_runs
            .store(state.runs.ended().count() as u64, Ordering::Release);
        let known_since = self.writer.duplicates_known_since();
        gauges
            .known_since
            .store(known_since.map_or(0, |since| since.0), Ordering::Relaxed);
    }

    fn fail(&mut self, error: &WriteError) {
        self.gauges.is_over.store(true, Ordering::Release);
        (self.listeners.failed)(error);
        self.refuse_waiting(&AppendError::Storage(error.to_string().into()));
    }

    /// Stops cleanly: refuses waiting requests, and notes that nothing is in flight.
    fn finish(&mut self) {
        self.refuse_waiting(&AppendError::Closed);
        if let Err(error) = self.writer.close() {
            (self.listeners.failed)(&error);
        }
    }

    fn refuse_waiting(&mut self, why: &AppendError) {
        for (_, ticket) in self.waiting.drain(..) {
            ticket.answer(Err(why.clone()));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
