#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use super::*;
use crate::cluster::{ClusterSecret, Peer, Target, Timing};
use crate::ids::{HashKey, Ids, NodeId};
use crate::metrics::Metrics;
use crate::serve::member::state::Parts;
use crate::wal::node::{Node as Identity, Ordinal};

const LONGEST: Duration = Duration::from_secs(6);
const SETTLED: Duration = Duration::from_secs(10);

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 4100))
}

/// A node with so many logs, none of which has an owner, and its clock.
fn node(logs: u16) -> (Arc<Members>, Clock) {
    let clock = Clock::manual(Micros(1));
    let state = |number| {
        State::new(Parts {
            log: Log::unowned(),
            identity: Identity {
                id: NodeId(u64::from(number) + 1),
                key: HashKey([7; 16]),
                ordinal: Ordinal { number, of: logs },
            },
            configuration: 0,
            address: address(1),
            clock: clock.clone(),
            status: Arc::default(),
            metrics: Metrics::new(&[]).unwrap(),
        })
    };
    let states = (0..logs).map(state).collect();
    let members = Members::new(states, address(1), clock.clone(), Arc::default());
    (members, clock)
}

fn other(members: &Members, host: u8) -> Arc<OtherNode> {
    let secret = ClusterSecret::new(&[7; 32]).unwrap();
    let clock = members.clock.clone();
    Arc::new(OtherNode {
        address: address(host),
        owner: "process 7 on host-b".to_owned(),
        target: Target {
            index: 0,
            log: NodeId(1),
            epoch: 1,
            configuration: 0,
        },
        peer: Peer::new(
            address(host),
            secret,
            Timing::default(),
            clock,
            Ids::seeded(1),
        ),
    })
}

/// How long the node leaves each log to others, in seconds.
fn moments(members: &Members, cause: Cause) -> Vec<u64> {
    let logs = 0..u16::try_from(members.states.len()).unwrap();
    logs.map(|log| members.moment(log, cause, LONGEST).as_secs())
        .collect()
}

#[test]
fn after_a_start_a_node_takes_one_log_at_once_and_leaves_the_others_a_moment() {
    let (members, _clock) = node(3);
    let mut new = moments(&members, Cause::New);
    let favourite = new.iter().position(|moment| *moment == 0).unwrap();
    let another = (favourite + 1) % 3;
    new.sort_unstable();
    assert_eq!(new, [0, 2, 2]);
    members.states[favourite].set(Role::TakingOver);
    assert_eq!(
        members
            .moment(u16::try_from(another).unwrap(), Cause::New, LONGEST)
            .as_secs(),
        4
    );
    // What it owned in an earlier life comes first.
    assert_eq!(moments(&members, Cause::Offered), [2, 2, 2]);
    // With one log nobody waits.
    let (alone, _clock) = node(1);
    assert_eq!(moments(&alone, Cause::New), [0]);
    assert!(alone.choose(&alone.states[0], (Cause::New, Duration::ZERO), LONGEST));
}

#[test]
fn logs_of_an_owner_that_is_gone_go_to_those_who_own_least() {
    let (members, _clock) = node(3);
    let states = &members.states;
    states[0].set(Role::Owning(1));
    states[1].set(Role::Following(other(&members, 2)));
    // The other one owns as many.
    assert_eq!(members.moment(2, Cause::Free, LONGEST), Duration::ZERO);
    // Nobody is known who owns fewer.
    states[1].set(Role::Owning(1));
    assert_eq!(members.moment(2, Cause::Free, LONGEST), Duration::ZERO);
    // If another one owns fewer, it is left a moment.
    let (members, _clock) = node(4);
    let states = &members.states;
    states[0].set(Role::Owning(1));
    states[1].set(Role::Owning(1));
    states[2].set(Role::Following(other(&members, 2)));
    let choose = |millis| {
        let waited = Duration::from_millis(millis);
        members.choose(&states[3], (Cause::Free, waited), LONGEST)
    };
    assert!(!choose(100));
    assert!(choose(600));
    assert!(matches!(states[3].role(), Role::TakingOver));
}

#[test]
fn whoever_owns_two_fewer_asks_for_the_last_log_once_all_is_settled() {
    let (members, clock) = node(3);
    let much = other(&members, 2);
    for state in &members.states {
        state.set(Role::Following(Arc::clone(&much)));
    }
    let asks = || {
        let asks = members
            .states
            .iter()
            .map(|state| members.wants(state, &much, SETTLED));
        asks.collect::<Vec<_>>()
    };
    assert_eq!(asks(), [false; 3]);
    clock.advance(SETTLED);
    assert_eq!(asks(), [false, false, true]);
    assert_eq!(asks(), [false; 3], "it has just asked");
    clock.advance(SETTLED);
    members.states[0].set(Role::Looking("the owner is silent".into()));
    assert_eq!(asks(), [false; 3], "a log has no owner");
    members.states[0].set(Role::Owning(1));
    assert_eq!(asks(), [false; 3]);
    clock.advance(SETTLED);
    assert_eq!(asks(), [false; 3], "one against two is even");
}

#[test]
fn one_log_at_a_time_is_handed_over_and_never_the_only_one() {
    let (members, _clock) = node(3);
    let states = &members.states;
    states[0].set(Role::Owning(1));
    assert!(!members.hand_over(0));
    states[1].set(Role::Owning(1));
    assert!(!members.hand_over(2), "it is not ours");
    assert!(members.hand_over(1));
    assert!(!members.hand_over(0));
    assert!(members.is_handing_over(1) && !members.is_handing_over(0));
    members.has_no_more(0);
    assert!(members.is_handing_over(1));
    members.has_no_more(1);
    assert!(members.hand_over(0));
}

#[test]
fn health_names_the_log_that_has_no_owner() {
    let (members, _clock) = node(2);
    members.states[0].set(Role::Owning(3));
    let health = members.health();
    assert_eq!(health.role, ClusterRole::Looking);
    assert_eq!((health.logs.len(), &health.owner), (2, &None));
    assert_eq!(health.logs[0].owner.as_deref(), Some("10.0.0.1:4100"));
    members.states[1].set(Role::Following(other(&members, 2)));
    assert_eq!(members.health().role, ClusterRole::Owning);
    // Of one log it says what it has always said.
    let (alone, _clock) = node(1);
    alone.states[0].set(Role::Owning(3));
    let health = alone.health();
    assert_eq!((health.epoch, health.logs.len()), (Some(3), 0));
}
