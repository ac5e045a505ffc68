//! Finds out, for `lakehook check`, who owns the log, and whether a node of this configuration could follow him. It
//! changes nothing.

use std::io;
use std::net::SocketAddr;

use super::claim::Claim;
use crate::clock::{Clock, Micros};
use crate::cluster::{
    ClusterSecret, ForwardError, MAX_AHEAD, MAX_APART, Peer, Refusal, Standing, Timing,
};
use crate::config::{Config, Membership};
use crate::ids::Ids;
use crate::receive::Networks;
use crate::record::Fingerprint;
use crate::serve::home::place_of;
use crate::serve::inspection::in_replica;
use crate::serve::settings::LogRole;
use crate::wal::journal::replica::identity;
use crate::wal::journal::replica::lookout::{Lookout, Sighting};
use crate::wal::node::Node;

/// What a look at a cluster has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterFinding {
    /// A node of this configuration could be one of the cluster.
    Fine(String),
    /// It could, but something may be wrong.
    Doubtful(String),
    /// It could not.
    Wrong(String),
}

use ClusterFinding::{Doubtful, Fine, Wrong};

/// Looks who owns the log, and asks that node how it is. An error says that the replica does not answer.
pub async fn probe_cluster(config: &Config, membership: &Membership) -> io::Result<ClusterFinding> {
    let Some(place) = place_of(config, LogRole::Events) else {
        return Err(io::Error::other("wal.replica is not set"));
    };
    let seen = in_replica(&place, |engine, keep_trying| {
        let node = identity::read(engine, keep_trying).map_err(io::Error::other)?;
        let Some(node) = node else {
            return Ok(None);
        };
        let seen = Lookout::new(engine.clone(), node.id).look();
        let seen = seen.map_err(io::Error::other)?;
        Ok(seen.map(|seen| (node, seen)))
    })?;
    let Some((node, seen)) = seen else {
        return Ok(Fine("nobody owns the log yet".to_owned()));
    };
    let (of, wanted) = (node.ordinal.of, config.cluster.logs);
    if of != wanted {
        return Ok(Wrong(format!(
            "there are {of} logs, and `cluster.logs` is {wanted}; docs/cluster.md says how the number is changed"
        )));
    }
    let owner = match owner_of(config, membership, &seen) {
        Ok(owner) => owner,
        Err(finding) => return Ok(finding),
    };
    let secret = ClusterSecret::new(membership.secret.expose().as_bytes());
    let secret = secret.map_err(io::Error::other)?;
    let clock = Clock::system();
    let peer = Peer::new(owner, secret, Timing::default(), clock.clone(), Ids::System);
    let answer = peer.alive(config.wal.number).await;
    peer.stop().await;
    let own = Own {
        node,
        configuration: configuration_of(config, &node),
        now: clock.now().wall,
    };
    Ok(own.judge(owner, answer))
}

/// The fingerprint of what decides identities.
pub(super) fn configuration_of(config: &Config, node: &Node) -> u128 {
    let deciding = config.deciding();
    let fingerprint = Fingerprint::new(node.key).tag("configuration", deciding.as_bytes());
    fingerprint.into()
}

/// Where the owner of the log can be asked, or what is known without asking.
fn owner_of(
    config: &Config,
    membership: &Membership,
    seen: &Sighting,
) -> Result<SocketAddr, ClusterFinding> {
    let owner = &seen.owner;
    let Some(claim) = Claim::parse(owner) else {
        return Err(Doubtful(format!(
            "{owner} owns the log, and is in no cluster: nodes take it over once that process is silent"
        )));
    };
    if claim.cluster != membership.name {
        return Err(Wrong(format!(
            "{owner} owns the log, and cluster.name is {:?}: two clusters need two logs, so give this one another \
             wal.replica and wal.replica_name; nodes of one cluster have one cluster.name",
            membership.name
        )));
    }
    if claim.address == membership.address {
        return Err(Fine(format!(
            "{owner} has owned the log last, at the address of this configuration"
        )));
    }
    let networks = Networks::parse(&config.cluster.networks).unwrap_or_default();
    if !networks.have(claim.address.ip()) {
        return Err(Wrong(format!(
            "{owner} owns the log, and its address is in none of cluster.networks; add its network there, on each node"
        )));
    }
    Ok(claim.address)
}

/// What this configuration expects of an owner.
struct Own {
    node: Node,
    configuration: u128,
    now: Micros,
}

impl Own {
    fn judge(&self, owner: SocketAddr, answer: Result<Standing, ForwardError>) -> ClusterFinding {
        match answer {
            Ok(standing) => self.judge_standing(owner, &standing),
            Err(ForwardError::Refused(Refusal::NoSuchLog)) => Doubtful(format!(
                "{owner} has given the log up, and nobody has taken it yet"
            )),
            Err(ForwardError::Refused(refusal)) => Wrong(format!(
                "{owner} owns the log, and refuses this node: {refusal}"
            )),
            Err(ForwardError::Unknown(why)) => Wrong(format!(
                "the owner of the log does not answer as a node of this cluster: {why}; cluster.secret_file must hold the \
                 same secret on each node"
            )),
            Err(error) => Doubtful(format!(
                "{error}; if that node runs, let this machine reach it there (network, firewall)"
            )),
        }
    }

    fn judge_standing(&self, owner: SocketAddr, standing: &Standing) -> ClusterFinding {
        let apart = standing.now.since(self.now);
        let apart = apart.max(self.now.since(standing.now));
        let seconds = apart.as_secs_f64();
        if standing.log != self.node.id {
            return Wrong(format!("{owner} has another log, of id {}", standing.log));
        }
        if apart > MAX_APART {
            return Wrong(format!(
                "the clocks of this machine and of {owner} differ by {seconds:.0} seconds; synchronise both (chrony, \
                 systemd-timesyncd)"
            ));
        }
        if !standing.is_owner {
            return Doubtful(format!(
                "{owner} does not own the log any more, and nobody else does yet"
            ));
        }
        if standing.configuration != self.configuration {
            return Wrong(format!(
                "{owner} owns the log, and its configuration takes other events for the same: make `dedup.ignore`, \
                 `events.contract` and the hooks equal on all nodes"
            ));
        }
        if apart > MAX_AHEAD {
            return Doubtful(format!(
                "the clocks of this machine and of {owner} differ by {seconds:.1} seconds, and what a node takes is refused \
                 if its clock is ahead by more than {}; synchronise both (chrony, systemd-timesyncd)",
                MAX_AHEAD.as_secs()
            ));
        }
        if !standing.is_alive {
            return Doubtful(format!(
                "{owner} owns the log, and cannot store anything now"
            ));
        }
        Fine(format!(
            "{owner} owns the log (epoch {}), and answers; the clocks differ by {} ms at most",
            standing.epoch,
            apart.as_millis()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{HashKey, NodeId};
    use crate::wal::node::Ordinal;

    fn owner() -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 5], 4100))
    }

    fn own() -> Own {
        Own {
            node: Node {
                id: NodeId(7),
                key: HashKey([0; 16]),
                ordinal: Ordinal::ONLY,
            },
            configuration: 9,
            now: Micros(100_000_000),
        }
    }

    fn standing() -> Standing {
        Standing {
            index: 0,
            log: NodeId(7),
            epoch: 3,
            is_owner: true,
            is_alive: true,
            last: None,
            floor: Micros(0),
            now: Micros(100_250_000),
            configuration: 9,
        }
    }

    #[test]
    fn what_keeps_a_node_from_following_is_wrong_and_what_may_pass_is_doubtful() {
        let judge = |answer| own().judge(owner(), answer);
        let said = judge(Ok(standing()));
        let fine = "10.0.0.5:4100 owns the log (epoch 3), and answers; the clocks differ by 250 ms at most";
        assert_eq!(said, Fine(fine.to_owned()));
        let with = |change: &dyn Fn(&mut Standing)| {
            let mut standing = standing();
            change(&mut standing);
            judge(Ok(standing))
        };
        let wrong = [
            with(&|standing| standing.log = NodeId(8)),
            with(&|standing| standing.configuration = 8),
            with(&|standing| standing.now = Micros(80_000_000)),
            judge(Err(ForwardError::Unknown("it is not signed".into()))),
            judge(Err(Refusal::Form { speaks: 2 }.into())),
        ];
        for (finding, words) in wrong.iter().zip([
            "another log",
            "other events for the same",
            "differ by 20 seconds",
            "the same secret",
            "upgrade the older",
        ]) {
            assert!(
                matches!(finding, Wrong(said) if said.contains(words)),
                "{finding:?}"
            );
        }
        let doubtful = [
            with(&|standing| standing.is_owner = false),
            with(&|standing| standing.is_alive = false),
            with(&|standing| standing.now = Micros(103_000_000)),
            judge(Err(ForwardError::Unsent("no route".into()))),
            judge(Err(Refusal::NoSuchLog.into())),
        ];
        for (finding, words) in doubtful.iter().zip([
            "any more",
            "cannot store",
            "differ by 3.0 seconds",
            "no route; if that node runs",
            "given the log up",
        ]) {
            assert!(
                matches!(finding, Doubtful(said) if said.contains(words)),
                "{finding:?}"
            );
        }
    }
}
