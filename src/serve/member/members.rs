//! The logs of a cluster, as one node stands to each of them; and which node takes which log.
//!
//! Nothing but liveness depends on who takes a log. So a node that owns few of them takes the next one at once, and one
//! that owns more leaves the others a moment. A node that owns at least two fewer than another one asks that for one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::following::Cause;
use super::state::{OtherNode, Role, State};
use crate::clock::{Clock, Micros};
use crate::cluster::{Owner, Standing};
use crate::receive::{ClusterHealth, ClusterRole};
use crate::status::Status;
use crate::wal::log::Log;

/// How this node stands to each log.
pub(super) struct Members {
    states: Vec<Arc<State>>,
    address: SocketAddr,
    clock: Clock,
    status: Arc<Status>,
    /// One log at a time is chosen to be taken, or to be handed over.
    choosing: Mutex<Choosing>,
}

/// How a node stands with the spread of logs over nodes.
#[derive(Default)]
struct Choosing {
    /// Since when each log has had a living owner, or this node has last asked for one.
    settled_since: Option<Duration>,
    /// The log that is being handed over.
    handing: Option<u16>,
}

/// How long a log whose owner is gone is left to others that own fewer.
const SHORT_MOMENT: Duration = Duration::from_millis(500);
/// The longest time that a log is left to others.
const LONGEST_MOMENT: Duration = Duration::from_secs(5);

impl Members {
    /// The states are in the order of the logs' numbers.
    pub(super) fn new(
        states: Vec<Arc<State>>,
        address: SocketAddr,
        clock: Clock,
        readiness: Arc<Status>,
    ) -> Arc<Self> {
        Arc::new(Self {
            states,
            address,
            clock,
            status: readiness,
            choosing: Mutex::default(),
        })
    }

    /// Whether other nodes follow this one in any log.
    pub(super) fn are_followed(&self) -> bool {
        self.states.iter().any(|state| state.is_followed())
    }

    /// Remembers the newest time of receipt in a log, with which the clock is compared.
    pub(super) fn set_newest(&self, state: &State, newest: Micros) {
        state.set_newest(newest);
        let newest = self.states.iter().map(|state| state.newest()).max();
        let newest = newest.unwrap_or(Micros(i64::MIN));
        self.status.set_recovered(newest);
    }

    /// Forgets held batches, which are of a log that another node owns now, unless this one owns others.
    pub(super) fn forget_held(&self, lost: &State) {
        let owns_another = self
            .states
            .iter()
            .any(|state| state.index() != lost.index() && matches!(state.role(), Role::Owning(_)));
        if !owns_another {
            self.status.forget_held();
        }
    }

    /// Begins to take a log over that could have been taken for some time, unless other nodes should have a moment more.
    pub(super) fn choose(
        &self,
        state: &State,
        (cause, waited): (Cause, Duration),
        after: Duration,
    ) -> bool {
        let _one_at_a_time = self.choosing();
        if waited < self.moment(state.index(), cause, after.min(LONGEST_MOMENT)) {
            return false;
        }
        state.set(Role::TakingOver);
        true
    }

    fn choosing(&self) -> MutexGuard<'_, Choosing> {
        self.choosing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many logs this node owns, and how many each other one that it follows.
    fn spread(&self) -> (u32, BTreeMap<SocketAddr, u32>) {
        let mut own = 0;
        let mut others = BTreeMap::new();
        for state in &self.states {
            match state.role() {
                Role::Owning(_) | Role::TakingOver => own += 1,
                Role::Following(other) => *others.entry(other.address).or_default() += 1,
                Role::Looking(_) | Role::Left => {}
            }
        }
        (own, others)
    }

    /// How long this node leaves a log to others: longer the more it owns.
    fn moment(&self, index: u16, cause: Cause, longest: Duration) -> Duration {
        let (own, others) = self.spread();
        let logs = u32::try_from(self.states.len()).unwrap_or(u32::MAX);
        let behind = match cause {
            // Others may own nothing yet and not be known. If each begins with another log, they meet less.
            Cause::New => own + u32::from(logs > 1 && u32::from(index) != self.favourite(logs)),
            Cause::Offered => own,
            // Whoever has left says so for some seconds only.
            Cause::Free if others.values().any(|owned| *owned < own) => return SHORT_MOMENT,
            Cause::Free => 0,
        };
        longest * behind.min(logs) / logs.max(1)
    }

    /// The log that this node begins with.
    fn favourite(&self, logs: u32) -> u32 {
        let hash = xxhash_rust::xxh3::xxh3_64(self.address.to_string().as_bytes());
        u32::try_from(hash % u64::from(logs.max(1))).unwrap_or(0)
    }

    /// Whether this node, which follows that one in a log, should own the log in its place: that one has owned at least two
    /// more for `settled`. True for one log at a time.
    pub(super) fn wants(&self, state: &State, other: &OtherNode, settled: Duration) -> bool {
        let mut choosing = self.choosing();
        let is_settled =
            |state: &Arc<State>| matches!(state.role(), Role::Owning(_) | Role::Following(_));
        if !self.states.iter().all(is_settled) {
            choosing.settled_since = None;
            return false;
        }
        let now = self.clock.mono();
        let since = *choosing.settled_since.get_or_insert(now);
        let (own, others) = self.spread();
        let theirs = others.get(&other.address).copied().unwrap_or(0);
        // The first log has the feeds, so it stays.
        let mut later = self.states.iter().skip(usize::from(state.index()) + 1);
        let is_last = !later.any(
            |later| matches!(later.role(), Role::Following(owner) if owner.address == other.address),
        );
        let wants = own + 2 <= theirs && is_last && now.saturating_sub(since) >= settled;
        if wants {
            choosing.settled_since = Some(now);
        }
        wants
    }

    /// Whether this node is about to hand that log over.
    pub(super) fn is_handing_over(&self, index: u16) -> bool {
        self.choosing().handing == Some(index)
    }

    /// This node does not own that log any more, or not yet.
    pub(super) fn has_no_more(&self, index: u16) {
        let mut choosing = self.choosing();
        choosing.handing = choosing.handing.filter(|handing| *handing != index);
    }

    /// What `/health` says.
    pub(super) fn health(&self) -> ClusterHealth {
        let mut logs: Vec<_> = self.states.iter().map(|state| state.health()).collect();
        let unready = logs.iter().find(|log| !log.role.is_ready());
        let told = unready.or_else(|| {
            let own = logs.iter().find(|log| log.role == ClusterRole::Owning);
            own.or_else(|| logs.first())
        });
        let mut health = ClusterHealth {
            address: self.address.to_string(),
            epoch: None,
            owner: None,
            logs: Vec::new(),
            role: told.map_or(ClusterRole::Left, |log| log.role),
            why: told.and_then(|log| log.why.clone()),
        };
        if logs.len() > 1 {
            health.logs = logs;
        } else if let Some(only) = logs.pop() {
            health.epoch = only.epoch;
            health.owner = only.owner;
        }
        health
    }

    fn state(&self, index: u16) -> Option<&Arc<State>> {
        self.states.get(usize::from(index))
    }
}

impl Owner for Members {
    fn log(&self, index: u16) -> Option<(Log, u64)> {
        self.state(index)?.own_log()
    }

    fn standing(&self, index: u16) -> Option<Standing> {
        self.state(index)?.standing()
    }

    fn hand_over(&self, index: u16) -> bool {
        let mut choosing = self.choosing();
        let owns = |state: &&Arc<State>| matches!(state.role(), Role::Owning(_));
        let owned = self.states.iter().filter(owns).count();
        let Some(state) = self.state(index).filter(owns) else {
            return false;
        };
        if owned < 2 || choosing.handing.is_some() {
            return false;
        }
        choosing.handing = Some(index);
        state.hands_over.notify_one();
        true
    }

    fn now(&self) -> Micros {
        self.clock.now().wall
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
