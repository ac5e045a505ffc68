//! A node, its senders and its lake, driven in an order that follows from the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lakehook::clock::{Clock, Micros};
use lakehook::ids::Ids;
use lakehook::lake::Lake;
use lakehook::lake::conditional::StoreLake;
use lakehook::lake::directory::Directory;
use lakehook::record::{Lsn, NO_RUN, Rows};
use lakehook::ship::{Shipment, Shipper};
use lakehook::tables::{Table, Tables};
use lakehook::wal::entry::Commit;
use lakehook::wal::helper::Background;
use lakehook::wal::lateness::Calendar;
use lakehook::wal::log::OWNED_FOR;
use lakehook::wal::node::Node as Identity;
use lakehook::wal::read::ReadError;
use lakehook::wal::recover::{self, OpenError, Recovered, ReplicaStart};
use lakehook::wal::request::{AppendError, Reply, Request, Settings};
use lakehook::wal::writer::Writer;

use crate::any_journal::{AnyFound, AnyJournal};
use crate::chance::{Chance, mix};
use crate::disk::{Crash, SimDisk};
use crate::engine::{SimEngine, keep_trying};
use crate::lender;
use crate::memory::MemoryStore;
use crate::polls::{PollTicket, Polls};
use crate::senders::{Senders, partitions_of};
use crate::shape::{JournalKind, Planted, Shape};
use crate::spoiled::Spoiled;
use crate::store::SimStore;

pub(crate) const WAL: &str = "/data/wal";
pub(crate) const LAKE: &str = "/srv/lake";
const SPOOL: &str = "/data/spool";
/// The time 2026-11-20T12:00:00Z.
pub(crate) const START: Micros = Micros(1_795_176_000_000_000);

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap()
}

/// Something that must never happen.
pub(crate) type Violation = String;

/// The request that an answer belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ticket {
    Append(usize),
    Commit(u64),
    Flush,
    Poll(PollTicket),
}

/// A running node.
pub(crate) struct Node {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// The epoch in which it owns a replicated log; 0 in any other one.
    pub(crate) epoch: u64,
    pub(crate) writer: Writer<AnyJournal, SimDisk>,
    pub(crate) shipper: Shipper<SimDisk, Spoiled>,
    pub(crate) shipments: BTreeMap<u64, Shipment>,
    pub(crate) jobs: VecDeque<(Request, Ticket)>,
    /// Seals whose commit is in the queue.
    pub(crate) committing: BTreeSet<u64>,
    /// Whether the last entry of the log says that nothing was in flight.
    pub(crate) closed: bool,
    pub(crate) fatal: bool,
    /// Microseconds since the machine was started at which it owned the log for certain.
    pub(crate) owned_at: Arc<AtomicU64>,
}

/// A simulated world.
pub(crate) struct World {
    pub(crate) chance: Chance,
    pub(crate) shape: Shape,
    pub(crate) disk: SimDisk,
    pub(crate) memory: MemoryStore,
    pub(crate) engine: SimEngine,
    /// The directory of the next start.
    pub(crate) dir: PathBuf,
    /// Nodes that have lost the log and do not know it yet.
    pub(crate) zombies: Vec<Node>,
    /// How often a node took the log from another one that was alive, and how many learned it.
    pub(crate) takeovers: u64,
    pub(crate) fenced: u64,
    pub(crate) store: SimStore,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) senders: Senders,
    pub(crate) polls: Polls,
    pub(crate) node: Option<Node>,
    /// Commits that are durable, with the keys of their objects.
    pub(crate) committed: BTreeMap<u64, Commit>,
    /// When open batches were first seen, by the LSN of their first row.
    open_since: BTreeMap<Lsn, Micros>,
    pub(crate) starts: u64,
    clean_ends: u64,
    /// How many frames a full disk refused while the log went on; each of them costs a segment.
    refused_frames: u64,
    /// Whether faults are on.
    pub(crate) faults_on: bool,
    /// Whether it is the disk.
    pub(crate) disk_fails: bool,
    /// Whether a request was refused because the log is full, and nothing was written since.
    log_is_full: bool,
    trace: u64,
    pub(crate) log: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let disk = SimDisk::new(mix(seed ^ 1));
        let store = SimStore::new(disk.clone(), mix(seed ^ 3));
        store.faults(|faults| faults.proofs = shape.proofs);
        Self {
            chance: Chance::new(mix(seed ^ 2)),
            shape,
            memory: MemoryStore::new(disk.clone()),
            engine: SimEngine::new(disk.clone(), mix(seed ^ 5)),
            dir: WAL.into(),
            zombies: Vec::new(),
            takeovers: 0,
            fenced: 0,
            store,
            disk,
            clock: Clock::manual(START),
            ids: Ids::seeded(mix(seed ^ 4)),
            senders: Senders::default(),
            polls: Polls::default(),
            node: None,
            committed: BTreeMap::new(),
            open_since: BTreeMap::new(),
            starts: 0,
            clean_ends: 0,
            refused_frames: 0,
            faults_on: false,
            disk_fails: false,
            log_is_full: false,
            trace: 0,
            log: None,
        }
    }

    /// Records what happens, for people and for the comparison of two runs.
    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        let line = what();
        let sum = line.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte)));
        self.trace = mix(self.trace ^ sum);
        if let Some(log) = &mut self.log {
            log.push(line);
        }
    }

    /// A hash of everything that happened in the world and on its disk.
    pub(crate) fn trace(&self) -> u64 {
        mix(self.trace ^ self.disk.trace())
    }

    pub(crate) fn lake(&self) -> Lake<SimDisk> {
        self.lake_of(Path::new(WAL))
    }

    /// The lake, as a node with that directory reaches it.
    fn lake_of(&self, dir: &Path) -> Lake<SimDisk> {
        if self.shape.directory {
            return Lake::Directory(Directory::new(self.disk.clone(), Path::new(LAKE)));
        }
        let store = Box::new(self.store.clone());
        let identity = self.shape.settings.lake.clone();
        let spool = match dir.strip_prefix(WAL) {
            Ok(_) => SPOOL.into(),
            Err(_) => dir.join("spool"),
        };
        Lake::Store(StoreLake::new(self.disk.clone(), store, identity, &spool))
    }

    /// The settings of a start, with the bug that is planted there.
    fn planted_settings(&self) -> Settings {
        let mut settings = self.shape.settings.clone();
        match self.shape.planted {
            Planted::AgeFromRestart => {
                // Whatever was there before gets as old again at least.
                let before = self.clock.wall().since(START);
                settings.limits.max_age += before;
                settings.limits.late_max_age += before;
            }
            Planted::DayAsClaimed => {
                let day = Duration::from_secs(86_400);
                let calendar = move |time: Micros| partitions_of(time.plus(day)).to_vec();
                settings.calendar = Calendar::new(calendar);
            }
            _ => {}
        }
        settings
    }

    /// Makes one attempt to start.
    pub(crate) fn open(&mut self) -> Result<Recovered, OpenError> {
        let dir = self.dir.clone();
        let found = self.find(&dir)?;
        let (node, recovered) = self.open_found(found, &dir)?;
        self.polls.resume(node.writer.state().runs.cursor("orders"));
        self.node = Some(node);
        Ok(recovered)
    }

    /// Looks at the log, for a start in a directory.
    pub(crate) fn find(&mut self, dir: &Path) -> Result<(AnyFound, Identity), OpenError> {
        self.starts += 1;
        if self.shape.changes_format {
            self.shape.draw_format(&mut self.chance);
        }
        let disk = self.disk.clone();
        let (settings, ids) = (self.planted_settings(), self.ids.clone());
        if self.shape.journal == JournalKind::Replica {
            let engine = self.engine.clone();
            let start = ReplicaStart {
                keep_trying: keep_trying(self.chance.next()),
                background: Background::Inline,
                owner: dir.display().to_string(),
                interval: Duration::ZERO,
                known: (0, 0),
                over: None,
            };
            let (place, trying) = ((&disk, dir), start.keep_trying.clone());
            let identity = recover::identify(&engine, place, &ids, &trying, &mut |_| Ok(()))?;
            let found =
                recover::find_replica(engine, place, identity.id, (&settings, &ids), start)?;
            let found = match self.shape.planted {
                Planted::BlindTakeover => AnyFound::Blind(found),
                _ => AnyFound::Replica(found),
            };
            return Ok((found, identity));
        }
        let (found, identity) = recover::find(&disk, dir, &settings, &ids, Background::Inline)?;
        if self.shape.journal == JournalKind::Memory {
            let found = self.memory.find(settings.segment_bytes, settings.max_bytes);
            return Ok((AnyFound::Memory(found), identity));
        }
        Ok((AnyFound::Files(found), identity))
    }

    /// Goes on with a log that was found.
    pub(crate) fn open_found(
        &mut self,
        (found, identity): (AnyFound, Identity),
        dir: &Path,
    ) -> Result<(Node, Recovered), OpenError> {
        let disk = self.disk.clone();
        let effects = (self.clock.clone(), self.ids.clone());
        let epoch = found.epoch();
        let (writer, recovered) = recover::open_journal(
            found,
            disk,
            dir,
            identity,
            self.planted_settings(),
            effects,
            Background::Inline,
        )?;
        let lake = Arc::new(self.lake_of(dir));
        let tables = Arc::new(Tables::new(std::iter::empty::<(String, Table)>()));
        let frames = Spoiled {
            frames: writer.frames(),
            planted: self.shape.planted,
        };
        let shipper = Shipper::of(self.disk.clone(), frames, writer.node(), lake, tables);
        let owned_at = Arc::new(AtomicU64::new(micros(writer.owned_at())));
        let shipper = if self.shape.is_replicated() && self.shape.planted != Planted::StaleOwner {
            let (clock, owned_at) = (self.clock.clone(), Arc::clone(&owned_at));
            shipper.with_leave(Arc::new(move || {
                let owned_at = Duration::from_micros(owned_at.load(Ordering::Relaxed));
                clock.boot().saturating_sub(owned_at) < OWNED_FOR
            }))
        } else {
            shipper
        };
        // A run without an end will never get one.
        let open = writer.state().runs.open();
        let jobs = open.map(|run| (Request::AbandonRun(run), Ticket::Poll(PollTicket::Abandon)));
        let node = Node {
            dir: dir.to_owned(),
            epoch,
            jobs: jobs.collect(),
            writer,
            shipper,
            shipments: BTreeMap::new(),
            committing: BTreeSet::new(),
            closed: false,
            fatal: false,
            owned_at,
        };
        Ok((node, recovered))
    }

    /// Ends the process, if there is one, and starts it again and again until it runs.
    pub(crate) fn restart(&mut self, crash: Crash) -> Result<Recovered, Violation> {
        // Another process may have appended something since.
        let was_closed = self.stop() && !self.shape.is_replicated();
        self.drop_zombies();
        self.disk.restart(crash);
        self.engine.take_trouble();
        for attempt in 0..20 {
            if attempt == 3 {
                self.calm();
            }
            self.perhaps_elsewhere();
            let opened = self.open();
            self.note(|| format!("{crash:?}, start: {opened:?}"));
            match opened {
                Ok(recovered) => {
                    if was_closed && (recovered.torn.is_some() || !recovered.clean) {
                        return Err(format!("after a clean end: {recovered:?}"));
                    }
                    return self.check_running().map(|()| recovered);
                }
                Err(OpenError::Io { .. } | OpenError::Read(ReadError::Io { .. }))
                    if self.faults_on || self.disk.has_crashed() => {}
                Err(OpenError::Contended { .. } | OpenError::Lost { .. })
                    if self.shape.is_replicated() => {}
                Err(error) => return Err(format!("refused to start: {error}")),
            }
            let again = if self.chance.percent(50) {
                Crash::Power
            } else {
                Crash::Kill
            };
            self.disk.restart(again);
        }
        Err("never started".to_owned())
    }

    /// Removes the first segment of the log behind the program's back.
    fn remove_first_segment(&self) {
        match self.shape.journal {
            JournalKind::Files => {}
            JournalKind::Memory => return self.memory.vanish_first(),
            JournalKind::Replica => return self.engine.vanish_first(),
        }
        let mut paths = self.disk.paths(Path::new(WAL)).into_iter();
        let first = paths.find(|path| path.extension().is_some_and(|end| end == "wal"));
        if let Some(path) = first {
            self.disk.vanish(&path);
        }
    }

    /// Drops the process; returns whether it had nothing in flight.
    pub(crate) fn stop(&mut self) -> bool {
        self.polls.crashed();
        let Some(node) = self.node.take() else {
            return false;
        };
        self.clean_ends += u64::from(node.closed);
        self.bury(node)
    }

    /// What became of the requests that a node has not answered is unknown. Returns whether it had nothing in
    /// flight.
    pub(crate) fn bury(&mut self, node: Node) -> bool {
        for (_, ticket) in node.jobs {
            if let Ticket::Append(request) = ticket {
                self.senders.lose(request);
            }
        }
        node.closed
    }

    /// How often the process was killed or the power failed.
    pub(crate) fn crashes(&self) -> u64 {
        // The first restart of the disk belongs to the first start.
        (self.disk.lives() - 1).saturating_sub(self.clean_ends)
    }

    /// Turns off all faults except the lies of a broken disk or store.
    pub(crate) fn calm(&mut self) {
        self.faults_on = false;
        self.disk_fails = false;
        let lies = |faults: &mut crate::disk::Faults| {
            let lies = faults.lies;
            *faults = crate::disk::Faults::default();
            faults.lies = lies;
        };
        self.disk.faults(lies);
        self.engine.faults(|faults| {
            let lie = faults.lie;
            *faults = crate::engine::EngineFaults::default();
            faults.lie = lie;
        });
        self.store.faults(|faults| {
            faults.errors = 0;
            faults.lost_answers = 0;
            faults.late = 0;
            faults.damages = 0;
            faults.strangers = 0;
            faults.script.clear();
        });
    }

    pub(crate) fn submit(&mut self) -> usize {
        let now = self.clock.now().wall;
        let request = self.senders.send(&mut self.chance, now);
        self.queue(request);
        request
    }

    /// Submits one new event.
    pub(crate) fn submit_one(&mut self) -> usize {
        let now = self.clock.now().wall;
        let request = self.senders.send_one(&mut self.chance, now);
        self.queue(request);
        request
    }

    /// Submits the events of the last request again.
    pub(crate) fn resend_last(&mut self) {
        let now = self.clock.now().wall;
        let request = self.senders.send_again(&mut self.chance, now);
        self.queue(request);
    }

    /// Queues a request for the next turn.
    pub(crate) fn queue(&mut self, request: usize) {
        let sent = self.request_of(request);
        if let Some(node) = &mut self.node {
            node.jobs.push_back((sent, Ticket::Append(request)));
        }
    }

    /// Queues a request with the process that owns the log in this epoch, or believes that it does; `false` if it is
    /// gone.
    pub(crate) fn queue_in(&mut self, epoch: u64, request: usize) -> bool {
        let sent = self.request_of(request);
        let mut nodes = self.node.iter_mut().chain(&mut self.zombies);
        let Some(node) = nodes.find(|node| node.epoch == epoch && !node.fatal) else {
            return false;
        };
        node.jobs.push_back((sent, Ticket::Append(request)));
        true
    }

    /// What a log is asked for this request: to store its rows, or to reserve LSNs for them.
    fn request_of(&mut self, request: usize) -> Request {
        let append = self.senders.sent[request].append();
        if self.shape.reserves && self.chance.percent(50) {
            Request::Reserve(lender::reservation(append, &mut self.chance))
        } else {
            Request::Append(Box::new(append))
        }
    }

    /// Runs one turn of the writer.
    pub(crate) fn turn(&mut self) -> Result<(), Violation> {
        let Some(node) = &mut self.node else {
            return Ok(());
        };
        let was_fatal = node.fatal;
        if self.shape.planted == Planted::EarlyRemoval
            && node.writer.state().uncommitted_rows() > 0
            && self.chance.percent(10)
        {
            self.remove_first_segment();
            return Ok(());
        }
        let before = self.disk.ops();
        let limits = self.shape.settings.limits;
        let settings = &self.shape.settings;
        let room = settings.max_bytes.saturating_sub(node.writer.used_bytes());
        let may_seal = !self.disk_fails
            && node.writer.state().sealed.len() < limits.max_waiting_seals
            && room >= 2 * settings.segment_bytes;
        let turn = node.writer.turn(&mut node.jobs);
        node.fatal |= turn.fatal.is_some();
        let owned_at = micros(node.writer.owned_at());
        node.owned_at.store(owned_at, Ordering::Relaxed);
        node.closed &= self.disk.ops() == before;
        for (number, at) in &turn.sealed {
            node.shipments.insert(*number, Shipment::new(*number, *at));
        }
        if was_fatal && turn.replies.iter().any(|(_, reply)| reply.is_ok()) {
            return Err("a log that cannot go on took a request".to_owned());
        }
        self.note(|| {
            format!(
                "turn: {:?}, rows {}, sealed {:?}, fatal {:?}",
                turn.replies, turn.rows, turn.sealed, turn.fatal
            )
        });
        // A replica that is full refuses for certain.
        let was_refused = |(_, reply): &(_, Reply)| {
            matches!(reply, Err(AppendError::Storage(_) | AppendError::Full))
        };
        if turn.fatal.is_none() && turn.replies.iter().any(was_refused) {
            self.refused_frames += 1;
        }
        if let Some(fatal) = turn.fatal
            && !was_fatal
            && !self.disk.has_crashed()
            && !self.disk.saw_eio()
            && !self.engine.take_trouble()
        {
            return Err(format!("the log gave up on a full disk: {fatal}"));
        }
        // A log that is too full for a request may be too full for a seal, until something was written again.
        let is_full = |(_, reply): &(_, Reply)| matches!(reply, Err(AppendError::Full));
        let goes_on = |(_, reply): &(_, Reply)| reply.is_ok();
        self.log_is_full = turn.replies.iter().any(is_full)
            || self.log_is_full && turn.sealed.is_empty() && !turn.replies.iter().any(goes_on);
        let may_seal = may_seal && !self.log_is_full;
        for (ticket, reply) in turn.replies {
            self.answer(ticket, reply)?;
        }
        if may_seal && !self.is_down() {
            self.check_ages()?;
        }
        self.check_running()
    }

    /// No batch is older than it may be, by the day of the world, and by when the world saw its first row.
    fn check_ages(&mut self) -> Result<(), Violation> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        let now = self.clock.wall();
        let limits = self.shape.settings.limits;
        let current = partitions_of(now);
        let free = node.writer.state().batches.open();
        for batch in free.filter(|batch| batch.run == NO_RUN) {
            let is_current = current.iter().any(|key| **key == *batch.partition);
            let most = if is_current {
                limits.max_age
            } else {
                limits.late_max_age
            };
            let first_seen = self.open_since.entry(batch.first_lsn);
            let age = now.since(*first_seen.or_insert(now));
            if age > most {
                return Err(format!(
                    "the batch of {} is {age:?} old, at most {most:?}",
                    batch.partition
                ));
            }
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, reply: Reply) -> Result<(), Violation> {
        match ticket {
            Ticket::Append(request) => {
                let early = self.shape.planted == Planted::EarlyAnswer;
                let rows = self.senders.sent[request].rows.len() as u64;
                let is_declined = matches!(reply, Err(AppendError::NotReserved));
                let early = early || is_declined && self.shape.planted == Planted::ReservedIsStored;
                if is_declined && !early && self.send_whole(request) {
                    return Ok(());
                }
                let reply = match reply {
                    Err(_) if early => Ok(lakehook::wal::request::Appended {
                        accepted: rows,
                        ..Default::default()
                    }),
                    reply => reply,
                };
                self.senders.answer(request, reply);
            }
            Ticket::Commit(seal) => {
                let Some(node) = &mut self.node else {
                    return Ok(());
                };
                node.committing.remove(&seal);
                if reply.is_ok() {
                    node.shipments.remove(&seal);
                    self.check_committed(seal)?;
                }
            }
            Ticket::Flush => {}
            Ticket::Poll(ticket) => {
                let failed = reply.is_err();
                self.polls.answer(ticket, reply);
                // A poller abandons a run that failed, and tries as often as it takes.
                let gives_up = matches!(
                    ticket,
                    PollTicket::Rows(_) | PollTicket::End(_) | PollTicket::Abandon
                );
                if failed && gives_up && self.node.as_ref().is_some_and(|node| !node.fatal) {
                    self.abandon_open();
                }
                if let (PollTicket::Append(..), true, Some(node)) = (ticket, failed, &self.node) {
                    self.polls.resume(node.writer.state().runs.cursor("orders"));
                }
            }
        }
        Ok(())
    }

    /// Sends a request whole for which nothing was reserved, if the log has an owner.
    fn send_whole(&mut self, request: usize) -> bool {
        let append = Request::Append(Box::new(self.senders.sent[request].append()));
        let Some(node) = &mut self.node else {
            return false;
        };
        node.jobs.push_back((append, Ticket::Append(request)));
        true
    }

    /// Abandons all open runs, as a poller does once the log has refused rows of its run.
    fn abandon_open(&mut self) {
        let Some(node) = &mut self.node else {
            return;
        };
        for run in node.writer.state().runs.open() {
            let ticket = Ticket::Poll(PollTicket::Abandon);
            node.jobs.push_back((Request::AbandonRun(run), ticket));
        }
    }

    /// Lets the pollers take one step.
    pub(crate) fn poll(&mut self) -> Result<(), Violation> {
        let now = self.clock.now().wall;
        if self.node.is_none() {
            return Ok(());
        }
        let Some((request, ticket)) = self.polls.step(&mut self.chance, now) else {
            return Ok(());
        };
        let request = match request {
            Request::Append(append) if self.shape.planted == Planted::CursorFirst => {
                let (mut first, mut then) = (append.clone(), append);
                first.rows = Rows::default();
                then.cursor = None;
                self.ask(Request::Append(first), PollTicket::Published);
                self.turn()?;
                Request::Append(then)
            }
            request => request,
        };
        self.ask(request, ticket);
        Ok(())
    }

    fn ask(&mut self, request: Request, ticket: PollTicket) {
        if let Some(node) = &mut self.node {
            node.jobs.push_back((request, Ticket::Poll(ticket)));
        }
    }

    /// Checks what must hold after every step.
    fn check_running(&mut self) -> Result<(), Violation> {
        let Some(node) = &self.node else {
            return Ok(());
        };
        if node.fatal {
            return Ok(());
        }
        let totals = node.writer.state().totals;
        if totals.received != totals.stored + totals.dropped + totals.duplicate + totals.quarantined
        {
            return Err(format!("the totals do not add up: {totals:?}"));
        }
        // Seals and commits may use the spare, and each start and each refused frame costs a segment.
        let settings = &self.shape.settings;
        let taken = self.starts + self.refused_frames;
        let slack = (3 + taken) * settings.segment_bytes.max(64 << 10);
        let used = node.writer.used_bytes();
        if used > settings.max_bytes + slack {
            return Err(format!("{used} bytes used of {}", settings.max_bytes));
        }
        crate::polls::check_visible(self)?;
        if self.store.replaced().is_empty() {
            Ok(())
        } else {
            Err(format!(
                "objects were replaced: {:?}",
                self.store.replaced()
            ))
        }
    }

    pub(crate) fn flush(&mut self) {
        if let Some(node) = &mut self.node {
            node.jobs.push_back((Request::Flush, Ticket::Flush));
        }
    }

    /// Appends the entry that says that nothing is in flight, as after a second of idleness.
    pub(crate) fn close(&mut self) {
        let Some(node) = &mut self.node else {
            return;
        };
        if node.fatal || !node.jobs.is_empty() {
            return;
        }
        let before = self.disk.ops();
        let closed = node.writer.close();
        node.fatal |= closed.is_err();
        // If there is no room for that entry, nothing is written and nothing is promised.
        let wrote = self.disk.ops() > before;
        node.closed = closed.is_ok() && (node.closed || wrote) && !self.faults_on;
        self.note(|| format!("close: {closed:?}"));
    }

    /// Whether the process must be started again.
    pub(crate) fn is_down(&self) -> bool {
        self.disk.has_crashed() || self.node.as_ref().is_none_or(|node| node.fatal)
    }
}

pub(crate) fn internal() -> PathBuf {
    Path::new(LAKE).join("_lakehook")
}
