use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::node::{FIRST_TAG, NOW, Node, append, peer_at, quarantined, secret, target};
use crate::clock::{Clock, Micros};
use crate::cluster::{ForwardError, MAX_AHEAD, MAX_APART, Peer, Refusal, Target, Timing, Waiter};
use crate::ids::{Ids, NodeId};
use crate::record::Lsn;
use crate::wal::request::{Append, AppendError, Appended};

#[tokio::test]
async fn forwarded_rows_are_durable_counted_and_known_when_they_come_again() {
    let node = Node::start().await;
    let peer = node.peer();
    let stored = peer.append(target(), append(0..10)).await.unwrap();
    let ten = Appended {
        accepted: 10,
        ..Appended::default()
    };
    assert_eq!(stored, ten);
    let again = peer.append(target(), append(5..15)).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (5, 5));
    let other = peer.append(target(), quarantined()).await.unwrap();
    assert_eq!(other.quarantined, 1);
    assert_eq!(node.rows(), 16);
    peer.stop().await;
    assert_eq!(node.stop().await, 16);
}

#[tokio::test]
async fn a_conflict_is_counted_as_the_owner_counts_it() {
    let node = Node::start().await;
    let peer = node.peer();
    peer.append(target(), append(0..1)).await.unwrap();
    let mut other = append(1000..1001);
    let crate::record::RowKind::Record(identity) = &mut other.rows.rows[0].kind else {
        panic!("it is a record");
    };
    (identity.tag, identity.content) = (FIRST_TAG, 77);
    let conflict = peer.append(target(), other.clone()).await.unwrap();
    assert_eq!((conflict.accepted, conflict.conflicts), (0, 1));
    other.rows.changed_is_duplicate = true;
    let changed = peer.append(target(), other.clone()).await.unwrap();
    assert_eq!((changed.duplicates, changed.changed), (1, 1));
}

#[tokio::test]
async fn many_requests_at_once_share_bodies_and_each_get_their_own_answer() {
    let node = Node::start().await;
    let peer = node.peer();
    let mut asked = Vec::new();
    for n in 0..300_u64 {
        let peer = peer.clone();
        asked.push(tokio::spawn(async move {
            // Each has a number of rows of its own.
            let ids = n * 100..n * 100 + n % 7 + 1;
            let wanted = ids.end - ids.start;
            let stored = peer.append(target(), append(ids)).await.unwrap();
            assert_eq!(stored.accepted, wanted);
            wanted
        }));
    }
    let mut rows = 0;
    for asked in asked {
        rows += asked.await.unwrap();
    }
    assert_eq!(node.rows(), rows);
    let bodies = node.owner.bodies.load(Ordering::Relaxed);
    assert!(bodies <= 30, "{bodies} bodies");
}

#[tokio::test]
async fn an_owner_seals_what_is_open_and_hands_over_if_it_means_to() {
    let node = Node::start().await;
    let peer = node.peer();
    peer.append(target(), append(0..3)).await.unwrap();
    assert_eq!(node.open_batches(), 1);
    peer.flush(target()).await.unwrap();
    assert_eq!((node.open_batches(), node.rows()), (0, 3));
    peer.hand_over(target()).await.unwrap();
    node.owner.hands_over.store(false, Ordering::Relaxed);
    let refused = Err(ForwardError::Refused(Refusal::Busy));
    assert_eq!(peer.hand_over(target()).await, refused);
    // Not of another epoch.
    let former = Target {
        epoch: target().epoch - 1,
        ..target()
    };
    for asked in [peer.flush(former).await, peer.hand_over(former).await] {
        assert!(
            matches!(asked, Err(ForwardError::Refused(Refusal::Standing(_)))),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn a_request_for_another_owner_is_refused_and_told_how_the_log_stands() {
    let node = Node::start().await;
    let peer = node.peer();
    let right = target();
    let wrong = [
        Target {
            epoch: right.epoch - 1,
            ..right
        },
        Target {
            epoch: right.epoch + 1,
            ..right
        },
        Target {
            log: NodeId(1),
            ..right
        },
        Target {
            configuration: 1,
            ..right
        },
    ];
    for wrong in wrong {
        let refused = peer.append(wrong, append(0..1)).await.unwrap_err();
        assert!(refused.is_certain(), "{refused}");
        let ForwardError::Refused(Refusal::Standing(standing)) = refused else {
            panic!("{refused}");
        };
        assert_eq!(standing.epoch, right.epoch);
        assert!(standing.is_that_of(&right) && !standing.is_that_of(&wrong));
    }
    let other = Target { index: 4, ..right };
    let refused = peer.append(other, append(0..1)).await;
    assert_eq!(refused, Err(Refusal::NoSuchLog.into()));
    node.owner.is_owner.store(false, Ordering::Relaxed);
    let refused = peer.append(right, append(0..1)).await.unwrap_err();
    assert!(matches!(
        refused,
        ForwardError::Refused(Refusal::Standing(standing)) if !standing.is_owner
    ));
    assert_eq!(node.rows(), 0);
}

#[tokio::test]
async fn a_node_tells_how_a_log_stands() {
    let node = Node::start().await;
    let peer = node.peer();
    assert_eq!(peer.standing(3), None);
    let standing = peer.alive(3).await.unwrap();
    assert!(standing.is_that_of(&target()) && standing.is_alive);
    assert_eq!(standing.now, NOW);
    assert_eq!(peer.standing(3), Some(standing));
    assert_eq!(peer.alive(4).await, Err(Refusal::NoSuchLog.into()));
    node.clock.advance(Duration::from_secs(1));
    peer.append(target(), append(0..1)).await.unwrap();
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(peer.standing(3).unwrap().now, later);
}

#[tokio::test]
async fn requests_from_the_future_and_from_before_the_floor_are_refused_one_by_one() {
    let node = Node::start().await;
    let peer = node.peer();
    let at = |received_at: Micros, id: u64| {
        let mut append = append(id..id + 1);
        append.origin.received_at = received_at;
        append
    };
    let latest = NOW.plus(MAX_AHEAD);
    let ahead = peer.append(target(), at(Micros(latest.0 + 1), 1)).await;
    assert_eq!(ahead, Err(ForwardError::Ahead { now: NOW }));
    peer.append(target(), at(latest, 2)).await.unwrap();
    node.clock.advance(Duration::from_secs(3600));
    let later = NOW.plus(Duration::from_secs(3600));
    // The forwarder's clock has stood still, so it may not ask any more.
    let apart = peer.append(target(), at(later, 3)).await.unwrap_err();
    assert!(!apart.is_certain(), "{apart}");
    assert!(apart.to_string().contains("synchronise"), "{apart}");
    let peer = Peer::new(
        node.address,
        secret(),
        Timing::default(),
        node.clock.clone(),
        Ids::System,
    );
    let floor = peer.alive(3).await.unwrap().floor;
    peer.append(target(), at(later, 4)).await.unwrap();
    let floor_now = peer.standing(3).unwrap().floor;
    assert!(floor_now >= floor);
    assert!(floor_now <= later);
    assert_eq!(node.rows(), 2);
}

#[tokio::test]
async fn clocks_that_are_too_far_apart_are_named() {
    let node = Node::start().await;
    let clock = Clock::manual(NOW.plus(MAX_APART + Duration::from_secs(1)));
    let timing = Timing::default();
    let peer = Peer::new(node.address, secret(), timing, clock, Ids::System);
    let apart = Refusal::Clock { now: NOW };
    let refused = peer.append(target(), append(0..1)).await;
    assert_eq!(refused, Err(apart.clone().into()));
    assert_eq!(peer.alive(3).await, Err(apart.into()));
    // Whether the owner can append is told whatever the clocks say.
    node.owner.is_alive.store(false, Ordering::Relaxed);
    assert!(!peer.alive(3).await.unwrap().is_alive);
    assert_eq!(node.rows(), 0);
}

#[tokio::test]
async fn a_node_that_is_away_has_stored_nothing() {
    let node = Node::start().await;
    let peer = node.peer();
    peer.append(target(), append(0..1)).await.unwrap();
    let address = node.address;
    assert_eq!(node.stop().await, 1);
    // If the end of the kept connection was not seen yet, the first request meets it.
    let mut away = peer.append(target(), append(1..2)).await.unwrap_err();
    if !away.is_certain() {
        away = peer.append(target(), append(1..2)).await.unwrap_err();
    }
    assert!(away.is_certain(), "{away}");
    assert!(away.to_string().contains(&address.to_string()), "{away}");
    assert!(peer.alive(3).await.unwrap_err().is_certain());
}

#[tokio::test]
async fn what_no_owner_can_store_is_refused_here() {
    let node = Node::start().await;
    let peer = node.peer();
    let mut large = append(0..1);
    large.rows.bytes = vec![b'x'; 65 << 20];
    large.rows.rows[0].end = large.rows.bytes.len();
    let refused = peer.append(target(), large.clone()).await.unwrap_err();
    assert!(matches!(
        refused,
        ForwardError::Log(AppendError::TooLarge { .. })
    ));
    let mut of_run = append(0..1);
    of_run.run = crate::record::Lsn(7);
    let refused = peer.append(target(), of_run.clone()).await;
    assert_eq!(refused, Err(ForwardError::NotForwardable));
}

/// Whoever does not follow the owner any more has seen it silent, or another owner.
#[tokio::test]
async fn nobody_waits_for_a_node_that_is_not_followed() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let peer = peer_at(listener.local_addr().unwrap());
    let asking = peer.clone();
    let under_way = tokio::spawn(async move { asking.append(target(), append(0..1)).await });
    // It has been sent once it can be read.
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_u8().await.unwrap();
    peer.follow(false);
    let unknown = under_way.await.unwrap().unwrap_err();
    assert!(!unknown.is_certain(), "{unknown}");
    assert!(unknown.to_string().contains("silent"), "{unknown}");
    let unsent = peer.append(target(), append(1..2)).await.unwrap_err();
    assert!(matches!(unsent, ForwardError::Unsent(_)), "{unsent}");
    // It is followed again.
    peer.follow(true);
    let asking = peer.clone();
    let sent = tokio::spawn(async move { asking.append(target(), append(2..3)).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.read_u8().await.unwrap();
    sent.abort();
}

/// Counts the answers, and says whether anybody waits.
struct Counting {
    answers: Arc<AtomicUsize>,
    is_gone: bool,
}

impl Waiter for Counting {
    fn answer(self: Box<Self>, _: Result<Appended, ForwardError>) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

#[tokio::test]
async fn every_request_is_answered_once_and_none_is_sent_for_which_nobody_waits() {
    let node = Node::start().await;
    let peer = node.peer();
    let answers = Arc::new(AtomicUsize::new(0));
    for id in 0..20 {
        let is_gone = id % 2 == 1;
        let answers = Arc::clone(&answers);
        let waiter = Box::new(Counting { answers, is_gone });
        peer.begin(target(), append(id..id + 1), waiter);
    }
    let of_run = Append {
        run: Lsn(7),
        ..append(0..1)
    };
    let refused = Counting {
        answers: Arc::clone(&answers),
        is_gone: false,
    };
    peer.begin(target(), of_run, Box::new(refused));
    while answers.load(Ordering::Relaxed) < 11 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    peer.stop().await;
    assert_eq!(answers.load(Ordering::Relaxed), 11);
    assert_eq!(node.rows(), 10);
}
