//! Rows that are packed before they are sent: only once, whatever breaks between the two requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::node::{NOW, Node, append, peer_at, peer_with, secret, target, with_text};
use super::proxy::Proxy;
use crate::clock::Clock;
use crate::cluster::Timing;
use crate::cluster::answer::Answer;
use crate::cluster::head::{FILL, RESERVE};
use crate::cluster::line::Line;
use crate::cluster::message::{Message, Messages};
use crate::cluster::reserved;
use crate::ids::Ids;
use crate::wal::request::Append;
use crate::wal::reservation::{Filler, Filling, Offer};

/// Enough rows to be packed.
const MANY: u64 = 1000;

fn large(ids: std::ops::Range<u64>) -> Append {
    with_text(ids, &"a text that is often the same ".repeat(10))
}

fn line(node: &Node) -> Line {
    let effects = (Clock::manual(NOW), Ids::System);
    Line::new(
        node.address,
        secret(),
        Timing::default(),
        effects,
        TaskTracker::new(),
    )
}

/// Reserves LSNs for the rows of a request.
async fn reserve(line: &Line, append: Append) -> Answer {
    let mut messages = Messages::default();
    messages.push(Message::of(append).unwrap());
    let parts = VecDeque::from([messages.outlines()]);
    let patience = Duration::from_secs(10);
    line.ask(target(), RESERVE, parts, patience).await.unwrap()
}

async fn fill(line: &Line, reservation: u128, filling: Filling) -> Answer {
    let parts: VecDeque<_> = reserved::encode(reservation, filling).into();
    let patience = Duration::from_secs(10);
    line.ask(target(), FILL, parts, patience).await.unwrap()
}

fn offered(answer: Answer) -> (u128, Offer) {
    match answer {
        Answer::Offer(offered) => (offered.reservation, offered.offer),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_are_packed_before_they_are_sent() {
    let node = Node::packing().await;
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    let stored = peer.append(target(), large(0..MANY)).await.unwrap();
    assert_eq!((stored.accepted, stored.duplicates), (MANY, 0));
    let sent = proxy.requests.seen.lock().unwrap().len();
    let raw = large(0..MANY).rows.bytes.len();
    assert!(sent < raw / 3, "{sent} bytes were sent for {raw}");
    let half = MANY / 2;
    let again = peer.append(target(), large(half..half + MANY)).await;
    let again = again.unwrap();
    assert_eq!((again.accepted, again.duplicates), (half, half));
    // Nothing is left of them.
    let again = peer.append(target(), large(0..MANY)).await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (0, MANY));
    assert_eq!(node.rows(), MANY + half);
    peer.stop().await;
    assert_eq!(node.stop().await, MANY + half);
}

#[tokio::test]
async fn a_conflict_is_sent_whole() {
    let node = Node::packing().await;
    let peer = node.peer();
    peer.append(target(), large(0..MANY)).await.unwrap();
    let mut other = large(MANY..2 * MANY);
    let crate::record::RowKind::Record(identity) = &mut other.rows.rows[7].kind else {
        panic!("it is a record");
    };
    identity.tag -= MANY;
    identity.content += 1;
    let stored = peer.append(target(), other.clone()).await.unwrap();
    assert_eq!((stored.accepted, stored.conflicts), (MANY - 1, 1));
    assert_eq!(node.rows(), 2 * MANY);
}

#[tokio::test]
async fn whatever_is_cut_nothing_is_lost_or_twice() {
    let node = Node::packing().await;
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    peer.append(target(), large(0..MANY)).await.unwrap();
    let length = proxy.requests.seen.lock().unwrap().len();
    let answer = proxy.answers.seen.lock().unwrap().len();
    let timing = Timing {
        answer: Duration::from_millis(1500),
        ..Timing::default()
    };
    let mut rows = MANY;
    let cuts = |length: usize| (0..6).map(move |n| length * n / 6 + 1);
    for (requests, answers) in cuts(length)
        .map(|cut| (cut, usize::MAX))
        .chain(cuts(answer).map(|cut| (usize::MAX, cut)))
    {
        proxy.requests.limit.store(requests, Ordering::SeqCst);
        proxy.answers.limit.store(answers, Ordering::SeqCst);
        let next = large(rows..rows + MANY);
        let peer = peer_with(proxy.address, &secret(), timing);
        let cut = peer.append(target(), next.clone()).await;
        let before = node.rows();
        if let Err(error) = &cut {
            assert!(!error.is_certain() || before == rows, "{before}: {error}");
        }
        let again = node.peer().append(target(), next.clone()).await.unwrap();
        assert_eq!(again.accepted + again.duplicates, MANY);
        rows += MANY;
        assert_eq!(node.rows(), rows, "cut at {requests} and {answers}");
    }
}

/// A batch cannot be sealed before the rows are in it that are reserved in it, so the others wait for the next frame.
#[tokio::test]
async fn no_reservation_is_declined_because_a_batch_is_full() {
    const ROWS: u64 = 200;
    let node = Arc::new(Node::packing_batches(5 * ROWS / 2).await);
    let first = line(&node);
    let (reservation, offer) = offered(reserve(&first, large(0..ROWS)).await);
    let others = (1..6).map(|number| {
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let line = line(&node);
            let rows = large(number * ROWS..(number + 1) * ROWS);
            let (reservation, offer) = offered(reserve(&line, rows.clone()).await);
            let filling = Filler::default().fill(&[rows], &offer);
            assert!(matches!(
                fill(&line, reservation, filling).await,
                Answer::Replies(_)
            ));
            offer.first_lsn.0
        })
    });
    let others: Vec<_> = others.collect();
    // They wait for the frame that this one holds up.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let filling = Filler::default().fill(&[large(0..ROWS)], &offer);
    fill(&first, reservation, filling).await;
    let mut lsns = Vec::new();
    for other in others {
        lsns.push(other.await.unwrap());
    }
    lsns.sort_unstable();
    let expected: Vec<u64> = (1..6)
        .map(|number| offer.first_lsn.0 + number * ROWS)
        .collect();
    assert_eq!(lsns, expected);
    assert_eq!(node.rows(), 6 * ROWS);
}

/// Not even an empty batch takes it.
#[tokio::test]
async fn what_is_larger_than_a_batch_is_sent_whole() {
    let node = Node::packing_batches(MANY / 2).await;
    assert_eq!(
        reserve(&line(&node), large(0..MANY)).await,
        Answer::Declined
    );
    let stored = node.peer().append(target(), large(0..MANY)).await;
    assert_eq!(stored.unwrap().accepted, MANY);
}

#[tokio::test]
async fn whoever_never_fills_holds_nobody_up_for_long() {
    let node = Node::packing().await;
    let line = line(&node);
    let (reservation, offer) = offered(reserve(&line, large(0..MANY)).await);
    // The frame waits for the sections, and then goes on without them.
    let stored = node.peer().append(target(), append(0..10)).await.unwrap();
    assert_eq!((stored.accepted, stored.duplicates), (10, 0));
    assert_eq!(node.rows(), 10);
    let late = Filler::default().fill(&[large(0..MANY)], &offer);
    let answer = fill(&line, reservation, late).await;
    assert_eq!(answer, Answer::Declined);
    // Nobody else is waited for meanwhile.
    assert_eq!(reserve(&line, large(0..MANY)).await, Answer::Declined);
    assert_eq!(node.rows(), 10);
    node.clock.advance(Duration::from_secs(6));
}

#[tokio::test]
async fn sections_that_are_others_are_refused() {
    let node = Node::packing().await;
    let line = line(&node);
    let (reservation, mut offer) = offered(reserve(&line, large(0..MANY)).await);
    offer.first_lsn.0 += 1;
    let wrong = Filler::default().fill(&[large(0..MANY)], &offer);
    let answer = fill(&line, reservation, wrong.clone()).await;
    assert_eq!(answer, Answer::Declined);
    assert_eq!(
        fill(&line, reservation, wrong).await,
        Answer::Declined,
        "it is gone"
    );
    assert_eq!(node.rows(), 0);
    // Its ids are not known: whoever sends them is not told that they are there.
    let stored = node.peer().append(target(), large(0..MANY)).await;
    assert_eq!(stored.unwrap().accepted, MANY);
}
