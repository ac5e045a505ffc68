//! Finds out who owns the log, and whether that node lives.

use std::sync::Arc;
use std::time::Duration;

use super::claim::Claim;
use super::liveness::Liveness;
use super::state::{OtherNode, Role, State};
use crate::cluster::{
    ClusterSecret, ForwardError, MAX_APART, Peer, Refusal, Standing, Target, Timing,
};
use crate::ids::Ids;
use crate::receive::Networks;
use crate::replica::LogEngine;
use crate::wal::journal::replica::lookout::{Lookout, Sighting};

/// A node is asked again before it counts as silent.
const SILENT_FROM: u32 = 2;
/// A node is asked every second.
const ALIVE: Duration = Duration::from_secs(1);
/// The engine is not asked more often than this; each time costs something.
const BETWEEN_LOOKS: Duration = Duration::from_millis(800);
/// A node that has the newest fence may need so long until it is the owner.
const LONGEST_START: Duration = Duration::from_mins(1);

/// Finds out who owns the log.
pub(super) struct Following {
    pub(super) state: Arc<State>,
    pub(super) own: Claim,
    /// What the fences of this process say.
    pub(super) own_text: String,
    /// Whether this process has owned the log.
    pub(super) has_owned: bool,
    pub(super) secret: ClusterSecret,
    pub(super) networks: Networks,
    pub(super) ids: Ids,
    pub(super) lookout: Option<Lookout<LogEngine>>,
    pub(super) liveness: Liveness,
    /// The node with the newest fence, if it can be asked.
    pub(super) other: Option<Arc<OtherNode>>,
    /// How often it has not answered as an owner, one time after the other.
    pub(super) silent: u32,
    /// Since when it has been about to begin.
    pub(super) starting_since: Option<Duration>,
    /// When the engine was asked last.
    pub(super) looked_at: Option<Duration>,
}

/// It is time to take the log over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The epoch that is to end; 0 if there is none yet.
    pub(super) over: u64,
    /// Why.
    pub(super) cause: Cause,
}

/// Why it is time to take a log over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nobody has owned it yet: other nodes may be about to start, too.
    New,
    /// Its last owner, which may be an earlier life of this node, lives and does not own it: it was started again, or has
    /// handed it over.
    Offered,
    /// Its owner is gone.
    Free,
}

/// What the node with the newest fence says of itself.
enum Said {
    /// It owns the log, and can append.
    Lives,
    /// It is about to.
    Begins,
    /// It lives, and this node cannot forward to it.
    IsOfNoUse(String),
    /// It has given the log up.
    HasLeft,
    /// It lives and does not own the log. Only said where several logs are to be spread.
    Rests,
    /// Something else, or nothing.
    Nothing(String),
}

impl Following {
    fn now(&self) -> Duration {
        self.state.clock.mono()
    }

    /// Begins anew, after this node has owned the log or has failed to.
    pub(super) fn begin(&mut self, why: &str) {
        self.other = None;
        self.silent = 0;
        self.state.set(Role::Looking(why.into()));
        self.state.status.replica_is_back();
    }

    /// Looks once, and says if it is time to take the log over.
    pub(super) async fn step(&mut self) -> Option<Due> {
        let mut said = None;
        if let Some(other) = self.other.clone() {
            match self.ask(&other).await {
                Said::Lives => return None,
                other => said = Some(other),
            }
        }
        let looked_at = self.looked_at.filter(|_| self.other.is_some());
        if looked_at.is_some_and(|at| self.now().saturating_sub(at) < BETWEEN_LOOKS) {
            return None;
        }
        self.looked_at = Some(self.now());
        let seen = match self.look().await {
            Ok(seen) => seen,
            Err(error) => {
                self.doubt(&format!("the replica of the log does not answer: {error}"));
                return None;
            }
        };
        let Some(seen) = seen else {
            let cause = Cause::New;
            let due = Due { over: 0, cause };
            return self.liveness.is_free_to(self.now()).then_some(due);
        };
        self.liveness.tail(seen.number, self.now());
        let over = seen.epoch;
        let cause = self.judge(&seen, said).await?;
        Some(Due { over, cause })
    }

    /// The log has no owner any more.
    fn if_free(&self, cause: Cause) -> Option<Cause> {
        self.liveness.is_free_to(self.now()).then_some(cause)
    }

    /// The log has an owner of whom nothing is heard.
    fn if_due(&self) -> Option<Cause> {
        let is_due = self.liveness.is_due(self.now());
        is_due.then_some(Cause::Free)
    }

    /// Whether the log is to be taken over from whoever has the newest fence.
    async fn judge(&mut self, seen: &Sighting, mut said: Option<Said>) -> Option<Cause> {
        let Some(claim) = Claim::parse(&seen.owner) else {
            self.doubt(&format!("{} owns it, and is in no cluster", seen.owner));
            return self.if_due();
        };
        if claim.cluster != self.own.cluster {
            let name = &self.own.cluster;
            self.doubt(&format!(
                "{} owns it, and this node is in cluster {name}",
                seen.owner
            ));
            return None;
        }
        if claim.address == self.own.address {
            if self.has_owned && seen.owner != self.own_text {
                let why = format!(
                    "{} has the address of this node: give each its own",
                    seen.owner
                );
                self.doubt(&why);
                return self.if_due();
            }
            // An earlier life of this node.
            return self.if_free(Cause::Offered);
        }
        if !self.networks.have(claim.address.ip()) {
            let why = format!("{} is in none of `cluster.networks`", claim.address);
            self.doubt(&why);
            return self.if_due();
        }
        let is_known = self.other.as_ref().is_some_and(|other| {
            other.address == claim.address && other.target.epoch == seen.epoch
        });
        if !is_known {
            let other = self.meet(claim.address, seen);
            self.silent = 0;
            self.starting_since = None;
            self.other = Some(Arc::clone(&other));
            said = Some(self.ask(&other).await);
        }
        match said {
            Some(Said::HasLeft) => self.if_free(Cause::Free),
            Some(Said::Rests) => self.if_free(Cause::Offered),
            Some(Said::Begins) => {
                self.doubt(&format!("{} is about to take it over", claim.address));
                None
            }
            Some(Said::IsOfNoUse(why)) => {
                self.doubt(&format!("{} owns it, and {why}", claim.address));
                None
            }
            Some(Said::Nothing(why)) => {
                self.doubt(&format!("{} does not answer for it: {why}", claim.address));
                self.if_due()
            }
            Some(Said::Lives) | None => None,
        }
    }

    /// Shows that the owner is not known to live, once that has lasted.
    fn doubt(&mut self, why: &str) {
        let is_following = matches!(self.state.role(), Role::Following(_));
        if is_following && self.silent < SILENT_FROM {
            return;
        }
        if is_following {
            let log = self.state.index();
            tracing::warn!(
                log,
                why,
                "no owner of the log is reached; requests are refused"
            );
        }
        self.state.set(Role::Looking(why.into()));
    }

    fn meet(&self, address: std::net::SocketAddr, seen: &Sighting) -> Arc<OtherNode> {
        let (secret, clock) = (self.secret.clone(), self.state.clock.clone());
        let timing = Timing {
            alive: ALIVE,
            ..Timing::default()
        };
        Arc::new(OtherNode {
            address,
            owner: seen.owner.clone(),
            target: Target {
                index: self.state.index(),
                log: self.state.identity.id,
                epoch: seen.epoch,
                configuration: self.state.configuration,
            },
            peer: Peer::new(address, secret, timing, clock, self.ids.clone()),
        })
    }

    async fn ask(&mut self, other: &Arc<OtherNode>) -> Said {
        let answer = other.peer.alive(self.state.index()).await;
        let said = self.read(other, answer);
        let now = self.now();
        match said {
            Said::Lives => {
                self.silent = 0;
                self.liveness.tail(self.state.known().0, now);
                self.starting_since = None;
                self.liveness.heard(now);
                if !matches!(self.state.role(), Role::Following(_)) {
                    let log = self.state.index();
                    tracing::info!(log, owner = other.owner, "following the owner of the log");
                }
                self.state.set(Role::Following(Arc::clone(other)));
            }
            Said::Begins => {
                let since = *self.starting_since.get_or_insert(now);
                if now.saturating_sub(since) < LONGEST_START {
                    self.liveness.heard(now);
                } else {
                    return Said::Nothing("it has been about to begin for too long".to_owned());
                }
            }
            Said::IsOfNoUse(_) => {
                self.silent += 1;
                self.liveness.heard(now);
            }
            Said::HasLeft | Said::Rests | Said::Nothing(_) => self.silent += 1,
        }
        said
    }

    fn read(&self, other: &OtherNode, answer: Result<Standing, ForwardError>) -> Said {
        let standing = match answer {
            Ok(standing) => standing,
            Err(ForwardError::Refused(Refusal::NoSuchLog)) => return Said::HasLeft,
            // It knows the secret, so it is one of us.
            Err(ForwardError::Refused(refusal)) => return Said::IsOfNoUse(refusal.to_string()),
            Err(error) => return Said::Nothing(error.to_string()),
        };
        if standing.log != other.target.log {
            return Said::Nothing("it has another log".to_owned());
        }
        if !standing.is_owner {
            return if standing.is_alive {
                Said::Begins
            } else if standing.epoch == 0 && self.state.identity.ordinal.of > 1 {
                Said::Rests
            } else {
                Said::Nothing("it does not own the log".to_owned())
            };
        }
        if standing.epoch != other.target.epoch {
            return Said::Nothing("it owned the log in another epoch".to_owned());
        }
        self.state.hear(&standing);
        let apart = standing.now.since(self.state.now());
        let apart = apart.max(self.state.now().since(standing.now));
        if !standing.is_alive {
            Said::Nothing("it cannot store anything now".to_owned())
        } else if apart > MAX_APART {
            let why = "its clock and that of this node differ: synchronise both (chrony, systemd-timesyncd)";
            Said::IsOfNoUse(why.to_owned())
        } else if standing.is_that_of(&other.target) {
            Said::Lives
        } else {
            let why = "its configuration takes other events for the same: make `dedup.ignore`, `events.contract` and the \
                       hooks equal on all nodes";
            Said::IsOfNoUse(why.to_owned())
        }
    }

    /// What the newest frame says.
    async fn look(&mut self) -> Result<Option<Sighting>, String> {
        let Some(mut lookout) = self.lookout.take() else {
            return Err("it is being asked".to_owned());
        };
        let looking = tokio::task::spawn_blocking(move || {
            let seen = lookout.look();
            (lookout, seen)
        });
        let (lookout, seen) = looking.await.map_err(|error| error.to_string())?;
        self.lookout = Some(lookout);
        seen.map_err(|error| error.to_string())
    }
}
