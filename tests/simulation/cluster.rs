//! A cluster with several logs. Each log is a world of its own, whose owners come and go; the nodes send the parts of each
//! request there, over a wire that loses requests and answers and delivers late.
//!
//! What splits a request, and decides when its sender is answered and what, is the program's own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use lakehook::clock::Clock;
use lakehook::record::RowKind;
use lakehook::wal::logs::Parts;
use lakehook::wal::request::{Append, AppendError, Appended, Reply};

use crate::chance::{Chance, mix};
use crate::disk::Crash;
use crate::oracle;
use crate::owners;
use crate::seeds::{act, check_trimmed, revive};
use crate::senders::{Outcome, Senders, Sent, SentRow};
use crate::shape::{Planted, Shape};
use crate::world::{START, Violation, World};

const NODES: usize = 3;
const STEPS: u64 = 40;
/// How many acknowledged requests are sent again in the end.
const REPEATED: usize = 15;

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests with rows of several logs.
    pub(crate) split: u64,
    /// Parts that went to another node.
    pub(crate) forwarded: u64,
    /// Those of which no answer arrived.
    pub(crate) unanswered: u64,
    pub(crate) acknowledged: u64,
    pub(crate) takeovers: u64,
    pub(crate) fenced: u64,
}

/// A request that its sender waits for.
struct Pending {
    request: usize,
    /// The node that it was sent to.
    node: usize,
    parts: Parts,
    /// The logs that have not answered, with the numbers of the parts among what was sent to them.
    asked: Vec<(usize, usize)>,
}

/// A part that is still on the wire, although nobody waits for it any more.
struct Late {
    log: usize,
    epoch: u64,
    part: usize,
}

/// A simulated cluster.
pub(crate) struct Cluster {
    chance: Chance,
    clock: Clock,
    planted: Planted,
    pub(crate) logs: Vec<World>,
    senders: Senders,
    pending: Vec<Pending>,
    late: Vec<Late>,
    /// Which node has begun which epoch of which log.
    owners: BTreeMap<(usize, u64), usize>,
    /// The epoch of each log's owner, as each node believes.
    beliefs: [Vec<u64>; NODES],
    wire_fails: bool,
    pub(crate) counts: Counts,
}

impl Cluster {
    pub(crate) fn new(seed: u64, planted: Planted) -> Self {
        let mut chance = Chance::new(mix(seed ^ 7));
        let mut shape = Shape::drawn(&mut chance).replicated(&mut chance);
        shape.planted = planted;
        let count = 2 + chance.index(2);
        let clock = Clock::manual(START);
        let log = |number| {
            let mut world = World::new(mix(seed ^ (8 + number as u64)), shape.clone());
            world.clock = clock.clone();
            world.senders.share = Some((number, count));
            world
        };
        Self {
            logs: (0..count).map(log).collect(),
            chance,
            clock: clock.clone(),
            planted,
            senders: Senders::of_cluster(),
            pending: Vec::new(),
            late: Vec::new(),
            owners: BTreeMap::new(),
            beliefs: std::array::from_fn(|_| vec![0; count]),
            wire_fails: false,
            counts: Counts::default(),
        }
    }

    /// Runs the whole life of a cluster, and returns a hash of everything that happened.
    pub(crate) fn live(&mut self) -> Result<u64, Violation> {
        self.each(|world| world.restart(Crash::Kill).map(drop))?;
        for _ in 0..STEPS {
            self.tend()?;
            self.step()?;
            self.settle()?;
        }
        self.finish()?;
        self.repeat()?;
        self.each(|world| {
            world.drain()?;
            oracle::check(world)?;
            check_trimmed(world)
        })?;
        self.check_together()?;
        for world in &self.logs {
            self.counts.takeovers += world.takeovers;
            self.counts.fenced += world.fenced;
        }
        let traces = self.logs.iter().map(World::trace);
        Ok(traces.fold(self.chance.next(), |sum, trace| mix(sum ^ trace)))
    }

    /// The same, with a text of what happens to each log.
    pub(crate) fn live_aloud(&mut self) -> (String, Result<u64, Violation>) {
        for world in &mut self.logs {
            world.log = Some(Vec::new());
        }
        let lived = self.live();
        let mut text = String::new();
        for (number, world) in self.logs.iter().enumerate() {
            for line in world.log.iter().flatten() {
                writeln!(text, "log {number}: {line}").unwrap();
            }
        }
        (text, lived)
    }

    /// Does something with each log.
    fn each(
        &mut self,
        mut act: impl FnMut(&mut World) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        for (number, world) in self.logs.iter_mut().enumerate() {
            act(world).map_err(|violation| format!("log {number}: {violation}"))?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Violation> {
        match self.chance.weighted(&[45, 30, 6, 8, 11]) {
            0 => {
                for _ in 0..self.chance.between(1, 4) {
                    let now = self.clock.now().wall;
                    let request = self.senders.send(&mut self.chance, now);
                    let node = self.chance.index(NODES);
                    self.send(request, node);
                }
            }
            1 => {
                let log = self.chance.index(self.logs.len());
                act(&mut self.logs[log])?;
            }
            2 => {
                let node = self.chance.index(NODES);
                self.lose_node(node);
            }
            3 => self.wire_fails = !self.wire_fails,
            _ => {
                // Some owners are paused for longer than a frame proves anything.
                let millis = if self.chance.percent(15) {
                    70_000
                } else {
                    2_000
                };
                let millis = self.chance.below(millis);
                self.clock.advance(Duration::from_millis(millis));
            }
        }
        while !self.late.is_empty() && self.chance.percent(40) {
            let late = self.late.swap_remove(self.chance.index(self.late.len()));
            self.logs[late.log].queue_in(late.epoch, late.part);
        }
        let chance = &mut self.chance;
        for world in &mut self.logs {
            if chance.percent(60) {
                world.turn()?;
            }
            owners::step(world)?;
        }
        Ok(())
    }

    /// Sees that each log has an owner, and that others hear of it sooner or later.
    fn tend(&mut self) -> Result<(), Violation> {
        for world in &mut self.logs {
            for _ in 0..3 {
                if world.disk.has_crashed() || !world.is_down() {
                    break;
                }
                if let Some(failed) = world.node.take() {
                    world.bury(failed);
                }
                owners::take_over(world)?;
            }
            if world.is_down() {
                revive(world)?;
            }
        }
        self.name_owners();
        for node in 0..NODES {
            for log in 0..self.logs.len() {
                if self.chance.percent(40) {
                    self.look(node, log);
                }
            }
        }
        Ok(())
    }

    /// Says which node has begun each epoch. A node that takes a log over has ended what it had of it before.
    fn name_owners(&mut self) {
        for (log, world) in self.logs.iter_mut().enumerate() {
            let Some(epoch) = world.node.as_ref().map(|node| node.epoch) else {
                continue;
            };
            if self.owners.contains_key(&(log, epoch)) {
                continue;
            }
            let node = self.chance.index(NODES);
            self.owners.insert((log, epoch), node);
            let owners = &self.owners;
            end_zombies(world, |epoch| owners.get(&(log, epoch)) == Some(&node));
        }
    }

    /// A node finds out who owns a log.
    fn look(&mut self, node: usize, log: usize) {
        if let Some(owner) = &self.logs[log].node {
            self.beliefs[node][log] = owner.epoch;
        }
    }

    /// A node ends with all that it owns, and with the requests that it had.
    fn lose_node(&mut self, node: usize) {
        let Self {
            pending,
            senders,
            logs,
            owners,
            ..
        } = self;
        pending.retain(|pending| {
            if pending.node == node {
                senders.sent[pending.request].outcome = Outcome::Unknown;
            }
            pending.node != node
        });
        for (log, world) in logs.iter_mut().enumerate() {
            let is_lost = |epoch| owners.get(&(log, epoch)) == Some(&node);
            end_zombies(world, is_lost);
            if world.node.as_ref().is_some_and(|own| is_lost(own.epoch))
                && let Some(lost) = world.node.take()
            {
                world.bury(lost);
            }
        }
    }
}

/// Ends those that have lost a log and began these epochs.
fn end_zombies(world: &mut World, is_ended: impl Fn(u64) -> bool) {
    for zombie in std::mem::take(&mut world.zombies) {
        if is_ended(zombie.epoch) {
            world.bury(zombie);
        } else {
            world.zombies.push(zombie);
        }
    }
}

impl Cluster {
    /// A request comes to a node.
    fn send(&mut self, request: usize, node: usize) {
        let whole = self.senders.sent[request].clone();
        let is_wrong = self.planted == Planted::SplitOtherwise && node == 0;
        let logs = self.logs.len() - usize::from(is_wrong);
        let (parts, first) = Parts::of(whole.append(), logs);
        self.counts.split += u64::from(first.len() > 1);
        let asked = first.into_iter();
        let asked = asked.map(|(log, part)| (log, self.ask(node, log, &whole, &part)));
        let asked = asked.collect();
        self.pending.push(Pending {
            request,
            node,
            parts,
            asked,
        });
    }

    /// A node has a log store a part of a request; returns its number there.
    fn ask(&mut self, node: usize, log: usize, whole: &Sent, part: &Append) -> usize {
        let world = &mut self.logs[log];
        let part = world.senders.add_part(whole, part);
        let here = world.node.iter().chain(&world.zombies).filter(|own| {
            let owner = self.owners.get(&(log, own.epoch));
            !own.fatal && owner == Some(&node)
        });
        // It may have lost the log without knowing.
        if let Some(epoch) = here.map(|own| own.epoch).max() {
            world.queue_in(epoch, part);
        } else {
            self.forward(node, log, part);
        }
        part
    }

    /// A node sends a part to the owner of a log, once.
    fn forward(&mut self, node: usize, log: usize, part: usize) {
        self.counts.forwarded += 1;
        let epoch = self.beliefs[node][log];
        let fate = if self.wire_fails {
            self.chance.weighted(&[60, 13, 13, 14])
        } else {
            0
        };
        match fate {
            1 => {}
            2 => self.late.push(Late { log, epoch, part }),
            _ => {
                let has_arrived = self.logs[log].queue_in(epoch, part);
                if !has_arrived && fate == 0 {
                    let refused = AppendError::NoOwner("it is another one".into());
                    self.logs[log].senders.sent[part].outcome = Outcome::Refused(refused);
                    self.look(node, log);
                }
            }
        }
        if fate > 0 {
            self.counts.unanswered += 1;
            let sent = &mut self.logs[log].senders.sent[part];
            sent.is_cut_off = true;
            sent.outcome = match self.planted {
                Planted::LostIsStored => Outcome::Acknowledged(as_if_stored(sent)),
                _ => Outcome::Unknown,
            };
        }
    }

    /// Answers the senders of requests of which nothing is missing any more.
    fn settle(&mut self) -> Result<(), Violation> {
        for mut pending in std::mem::take(&mut self.pending) {
            let reply = loop {
                let is_early = self.hear(&mut pending) && self.planted == Planted::FirstAnswers;
                if !is_early && !pending.asked.is_empty() {
                    break None;
                }
                let whole = self.senders.sent[pending.request].clone();
                let Some((log, part)) = pending.parts.last() else {
                    break Some(pending.parts.reply());
                };
                let asked = self.ask(pending.node, log, &whole, &part);
                pending.asked.push((log, asked));
            };
            match reply {
                Some(reply) => self.answer(pending.request, reply)?,
                None => self.pending.push(pending),
            }
        }
        Ok(())
    }

    /// Hears what has been answered. Returns whether any part is stored.
    fn hear(&self, pending: &mut Pending) -> bool {
        let Pending { parts, asked, .. } = pending;
        let mut is_stored = false;
        asked.retain(|(log, part)| {
            let sent = &self.logs[*log].senders.sent[*part];
            let reply = match &sent.outcome {
                Outcome::Waiting => return true,
                Outcome::Acknowledged(appended) => Ok(*appended),
                Outcome::Refused(error) => Err(error.clone()),
                Outcome::Unknown => Err(AppendError::Unanswered("it is gone".into())),
            };
            is_stored |= reply.is_ok();
            parts.answered(*log, reply);
            false
        });
        is_stored
    }

    fn answer(&mut self, request: usize, reply: Reply) -> Result<(), Violation> {
        self.counts.acknowledged += u64::from(reply.is_ok());
        let sent = &mut self.senders.sent[request];
        if let (Ok(appended), true) = (&reply, self.planted != Planted::FirstAnswers) {
            let records = sent.rows.iter().filter_map(SentRow::tag).count() as u64;
            if appended.accepted + appended.duplicates + appended.conflicts != records {
                return Err(format!(
                    "{} has {records} events, and was answered {appended:?}",
                    sent.name
                ));
            }
        }
        sent.outcome = match reply {
            Ok(appended) => Outcome::Acknowledged(appended),
            Err(AppendError::Unanswered(_) | AppendError::Storage(_)) => Outcome::Unknown,
            Err(error) => Outcome::Refused(error),
        };
        Ok(())
    }
}

/// What an owner says who stores all of it.
fn as_if_stored(sent: &Sent) -> Appended {
    let count = |kind: fn(&RowKind) -> bool| {
        let rows = sent.rows.iter().filter(|row| kind(&row.kind));
        rows.count() as u64
    };
    Appended {
        accepted: count(|kind| matches!(kind, RowKind::Record(_))),
        quarantined: count(|kind| *kind == RowKind::Quarantined),
        ..Appended::default()
    }
}

impl Cluster {
    /// Lets everything come to its end.
    fn finish(&mut self) -> Result<(), Violation> {
        self.wire_fails = false;
        for Late { log, epoch, part } in std::mem::take(&mut self.late) {
            self.logs[log].queue_in(epoch, part);
        }
        self.each(|world| {
            world.drain()?;
            owners::wake_all(world)?;
            world.drain()
        })?;
        self.calm_down()
    }

    /// Answers everything that waits, when nothing fails any more.
    fn calm_down(&mut self) -> Result<(), Violation> {
        self.name_owners();
        for node in 0..NODES {
            (0..self.logs.len()).for_each(|log| self.look(node, log));
        }
        for _ in 0..4 {
            self.settle()?;
            if self.pending.is_empty() {
                return Ok(());
            }
            self.each(|world| {
                world.flush();
                world.turn()
            })?;
        }
        let waiting = self.pending.len();
        Err(format!("{waiting} requests are not answered"))
    }

    /// Whoever sends an acknowledged request again, to any node, is told that all of it is there. An owner may still be
    /// fenced by somebody who is gone, and whose fence the engine stores only now: then it is sent once more.
    fn repeat(&mut self) -> Result<(), Violation> {
        let sent = self.senders.sent.iter().enumerate();
        let acknowledged =
            sent.filter(|(_, sent)| matches!(sent.outcome, Outcome::Acknowledged(_)));
        let acknowledged: Vec<usize> = acknowledged.map(|(number, _)| number).collect();
        for earlier in acknowledged.into_iter().rev().take(REPEATED) {
            let mut fenced = 0;
            while !self.is_known(earlier)? {
                fenced += 1;
                if fenced > REPEATED {
                    return Err("owners are fenced again and again".to_owned());
                }
                self.each(World::drain)?;
                self.calm_down()?;
            }
        }
        Ok(())
    }

    /// Sends a request again; `false` if an owner was fenced meanwhile.
    fn is_known(&mut self, earlier: usize) -> Result<bool, Violation> {
        let now = self.clock.now().wall;
        let again = self.senders.repeat(earlier, &mut self.chance, now);
        let node = self.chance.index(NODES);
        self.send(again, node);
        self.calm_down()?;
        let is_lost = |world: &World| world.node.as_ref().is_none_or(|node| node.fatal);
        match &self.senders.sent[again].outcome {
            Outcome::Acknowledged(appended) if appended.accepted == 0 => Ok(true),
            Outcome::Unknown if self.logs.iter().any(is_lost) => Ok(false),
            outcome => Err(format!(
                "{}, which is {} once more, was answered {outcome:?}",
                self.senders.sent[again].name, self.senders.sent[earlier].name
            )),
        }
    }

    /// What was acknowledged is in the lake, and no event is in two logs.
    fn check_together(&self) -> Result<(), Violation> {
        let mut places: BTreeMap<u64, usize> = BTreeMap::new();
        let mut rows: BTreeSet<Vec<u8>> = BTreeSet::new();
        for (log, world) in self.logs.iter().enumerate() {
            for row in oracle::rows(world)?.into_values() {
                if let Some(id) = id_of(&row)
                    && let Some(other) = places.insert(id, log)
                {
                    return Err(format!("event {id} is in logs {other} and {log}"));
                }
                rows.insert(row);
            }
        }
        for sent in &self.senders.sent {
            if !matches!(sent.outcome, Outcome::Acknowledged(_)) {
                continue;
            }
            let mut ids = sent.ids();
            if let Some(id) = ids.find(|id| !places.contains_key(id)) {
                return Err(format!(
                    "{} was acknowledged, and its event {id} is nowhere",
                    sent.name
                ));
            }
            let mut unknown = sent.rows.iter().filter(|row| row.tag().is_none());
            if unknown.any(|row| !rows.contains(&row.bytes)) {
                return Err(format!(
                    "{} was acknowledged, and a row of the quarantine is nowhere",
                    sent.name
                ));
            }
        }
        Ok(())
    }
}

/// The id of an event, as its row in the lake says.
fn id_of(row: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(row).ok()?;
    let text = text.strip_prefix("{\"from\":")?;
    let (_, says) = text.split_once("\"says\":\"e")?;
    says.split_once('.')?.0.parse().ok()
}
