//! What everybody in the process may know of how this node stands to a log, and what it tells other nodes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Micros};
use crate::cluster::{LastFrame, MAX_AHEAD, Peer, Standing, Target};
use crate::metrics::Metrics;
use crate::receive::{ClusterRole, LogHealth};
use crate::status::{Status, Unavailable};
use crate::wal::log::Log;
use crate::wal::node::Node as Identity;

/// An owner does not live if a frame of its own has been without a verdict for so long.
const LONGEST_APPEND: Duration = Duration::from_secs(5);
/// How often a node asks who owns the log, and how that node is.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// A follower stamps no earlier than so long after the owner's floor, which rises until its next answer.
const ABOVE_FLOOR: Duration = Duration::from_millis(1500);
/// What is stamped so must be neither late nor ahead for the owner, however long it is on its way.
const TO_SPARE: Duration = Duration::from_millis(500);
const _: () = assert!(
    // The floor rises by no more than the time between two answers, …
    ABOVE_FLOOR.as_millis() >= PAUSE.as_millis() + TO_SPARE.as_millis()
        // … and what is further ahead than that is refused.
        && ABOVE_FLOOR.as_millis() + TO_SPARE.as_millis() <= MAX_AHEAD.as_millis()
);
/// Somebody follows if he has asked within this time.
const FOLLOWED: Duration = Duration::from_secs(5);

/// The state of a node.
#[derive(Clone)]
pub(super) enum Role {
    /// It knows no living owner.
    Looking(Arc<str>),
    /// It forwards to the owner.
    Following(Arc<OtherNode>),
    /// It is about to become the owner.
    TakingOver,
    /// It owns the log, in that epoch.
    Owning(u64),
    /// It stops, and owns nothing any more.
    Left,
}

/// Another node that has the newest fence.
pub(super) struct OtherNode {
    pub(super) address: SocketAddr,
    /// What its fence says.
    pub(super) owner: String,
    pub(super) target: Target,
    pub(super) peer: Peer,
}

/// What everybody in the process may know of how this node stands to a log.
pub(super) struct State {
    pub(super) log: Log,
    pub(super) identity: Identity,
    /// The fingerprint of what decides identities.
    pub(super) configuration: u128,
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) status: Arc<Status>,
    pub(super) metrics: Arc<Metrics>,
    role: RwLock<Role>,
    /// The newest time of receipt that the log had when this node took it over.
    newest: AtomicI64,
    /// Number and checksum of the newest durable frame that was heard of.
    known: Mutex<(u64, u32)>,
    /// When another node has asked last, by the monotonic clock in milliseconds.
    asked_at: AtomicU64,
    /// Somebody has noticed that the owner is another one.
    pub(super) doubts: Notify,
    /// This node is to hand the log over.
    pub(super) hands_over: Notify,
}

/// What a state is made of.
pub(super) struct Parts {
    pub(super) log: Log,
    pub(super) identity: Identity,
    pub(super) configuration: u128,
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    pub(super) status: Arc<Status>,
    pub(super) metrics: Arc<Metrics>,
}

impl State {
    pub(super) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            log,
            identity,
            configuration,
            address,
            clock,
            status,
            metrics,
        } = parts;
        Arc::new(Self {
            log,
            identity,
            configuration,
            address,
            clock,
            status,
            metrics,
            newest: AtomicI64::new(i64::MIN),
            role: RwLock::new(Role::Looking("it has just started".into())),
            known: Mutex::default(),
            asked_at: AtomicU64::new(0),
            doubts: Notify::new(),
            hands_over: Notify::new(),
        })
    }

    /// The number of the log among those of the cluster.
    pub(super) fn index(&self) -> u16 {
        self.identity.ordinal.number
    }

    /// The newest time of receipt in the log, if this node owns it.
    pub(super) fn newest(&self) -> Micros {
        Micros(self.newest.load(Ordering::Relaxed))
    }

    pub(super) fn set_newest(&self, newest: Micros) {
        self.newest.store(newest.0, Ordering::Relaxed);
    }

    pub(super) fn role(&self) -> Role {
        let role = self.role.read();
        role.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, role: Role) {
        let is = |wanted: bool| f64::from(u8::from(wanted));
        let of_cluster = self.metrics.cluster(self.index());
        of_cluster.owner.set(is(matches!(role, Role::Owning(_))));
        of_cluster
            .following
            .set(is(matches!(role, Role::Following(_))));
        let followed = match &role {
            Role::Following(other) => Some(Arc::clone(other)),
            _ => None,
        };
        if let Some(other) = &followed {
            other.peer.follow(true);
        }
        let mut now = self.role.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *now, role);
        drop(now);
        let Role::Following(before) = before else {
            return;
        };
        // Nobody waits for a node that this one has turned from.
        if !followed.is_some_and(|now| Arc::ptr_eq(&now, &before)) {
            before.peer.follow(false);
        }
    }

    /// Number and checksum of the newest durable frame that was heard of.
    pub(super) fn known(&self) -> (u64, u32) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what an owner has said.
    pub(super) fn hear(&self, standing: &Standing) {
        if let Some(last) = standing.last {
            self.know((last.number, last.checksum));
        }
        self.follow_floor(standing.floor);
    }

    /// Remembers a frame that was durable.
    pub(super) fn know(&self, frame: (u64, u32)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if frame.0 > known.0 {
            *known = frame;
        } else if frame.0 == known.0 && frame.1 != known.1 {
            let number = frame.0;
            tracing::error!(
                number,
                "two owners have told of different frames with one number; look at the replica"
            );
        }
    }

    /// What this node receives is stamped no earlier than that.
    pub(super) fn follow_floor(&self, floor: Micros) {
        let floor = floor.plus(ABOVE_FLOOR).0;
        self.log.gauges().floor.fetch_max(floor, Ordering::Relaxed);
    }

    /// Whether other nodes follow this one.
    pub(super) fn is_followed(&self) -> bool {
        let asked_at = Duration::from_millis(self.asked_at.load(Ordering::Relaxed));
        !asked_at.is_zero() && self.clock.mono().saturating_sub(asked_at) < FOLLOWED
    }

    /// Whether another node has ever followed this one.
    pub(super) fn was_followed(&self) -> bool {
        self.asked_at.load(Ordering::Relaxed) > 0
    }

    /// What `/health` says of the log.
    pub(super) fn health(&self) -> LogHealth {
        let own = Some(self.address);
        let (role, owner, epoch, why) = match self.role() {
            Role::Looking(why) => (ClusterRole::Looking, None, None, Some(why)),
            Role::Following(other) => {
                let epoch = Some(other.target.epoch);
                (ClusterRole::Following, Some(other.address), epoch, None)
            }
            Role::TakingOver => (ClusterRole::TakingOver, None, None, None),
            Role::Owning(epoch) => (ClusterRole::Owning, own, Some(epoch), None),
            Role::Left => (ClusterRole::Left, None, None, None),
        };
        LogHealth {
            epoch,
            log: self.index(),
            owner: owner.map(|address| address.to_string()),
            role,
            why: why.map(|why| why.to_string()),
        }
    }

    /// Why this node, which owns the log, takes nothing now, if so.
    fn refusal(&self) -> Option<Unavailable> {
        let refusal = self.status.refusal(self.clock.now());
        // It goes on for the others while it stops, and while an append is under way.
        refusal
            .filter(|refusal| !matches!(refusal, Unavailable::Draining | Unavailable::ReplicaAway))
    }
}

impl State {
    /// The log and its epoch, for rows that other nodes forward, if this node owns it.
    pub(super) fn own_log(&self) -> Option<(Log, u64)> {
        match self.role() {
            Role::Owning(epoch) if self.refusal().is_none() => Some((self.log.of_peers(), epoch)),
            _ => None,
        }
    }

    /// What another node is told that asks.
    pub(super) fn standing(&self) -> Option<Standing> {
        let millis = u64::try_from(self.clock.mono().as_millis()).unwrap_or(u64::MAX);
        self.asked_at.store(millis.max(1), Ordering::Relaxed);
        let gauges = self.log.gauges();
        let (epoch, is_owner, is_alive) = match self.role() {
            // Nothing is known here any more.
            Role::Left => return None,
            Role::Owning(epoch) => {
                let appends = gauges.pending_for(&self.clock) < LONGEST_APPEND;
                (epoch, true, appends && self.refusal().is_none())
            }
            Role::TakingOver => (0, false, true),
            Role::Following(other) => (other.target.epoch, false, false),
            Role::Looking(_) => (0, false, false),
        };
        let (number, checksum) = if is_owner {
            gauges.last_frame()
        } else {
            self.known()
        };
        let now = self.now();
        Some(Standing {
            index: self.index(),
            log: self.identity.id,
            epoch,
            is_owner,
            is_alive,
            last: (number > 0).then_some(LastFrame { number, checksum }),
            floor: Micros(gauges.floor.load(Ordering::Relaxed)),
            now,
            configuration: self.configuration,
        })
    }

    /// The time by this node's clock.
    pub(super) fn now(&self) -> Micros {
        self.clock.now().wall
    }
}
