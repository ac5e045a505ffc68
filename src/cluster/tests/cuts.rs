//! A connection that breaks at each byte, and bytes that change on the way.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::node::{Node, peer_at, peer_with, quarantined, secret, target};
use super::proxy::Proxy;
use crate::cluster::{ForwardError, Refusal, Timing};

/// Lengths of a request and its answer, as they pass.
async fn lengths(node: &Node) -> (usize, usize) {
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    peer.append(target(), quarantined()).await.unwrap();
    let request = proxy.requests.seen.lock().unwrap().len();
    let answer = proxy.answers.seen.lock().unwrap().len();
    (request, answer)
}

#[tokio::test]
async fn a_request_that_is_cut_anywhere_stores_nothing() {
    let node = Node::start().await;
    let (request, _) = lengths(&node).await;
    let proxy = Proxy::before(node.address).await;
    for length in 0..request {
        proxy.requests.limit.store(length, Ordering::SeqCst);
        let peer = peer_at(proxy.address);
        peer.append(target(), quarantined()).await.unwrap_err();
        assert_eq!(node.rows(), 1, "cut at {length} of {request}");
    }
    proxy.requests.limit.store(usize::MAX, Ordering::SeqCst);
    let stored = peer_at(proxy.address).append(target(), quarantined()).await;
    assert_eq!(stored.unwrap().quarantined, 1);
    assert_eq!(node.rows(), 2);
}

#[tokio::test]
async fn an_answer_that_is_cut_anywhere_leaves_the_outcome_unknown() {
    let node = Node::start().await;
    let (_, answer) = lengths(&node).await;
    let proxy = Proxy::before(node.address).await;
    // From its first byte on, the request has passed.
    for length in 1..answer {
        proxy.answers.limit.store(length, Ordering::SeqCst);
        let peer = peer_at(proxy.address);
        let error = peer.append(target(), quarantined()).await.unwrap_err();
        assert!(!error.is_certain(), "cut at {length} of {answer}: {error}");
    }
    assert_eq!(node.stop().await, answer as u64);
}

#[tokio::test]
async fn a_request_that_is_changed_anywhere_stores_nothing() {
    let node = Node::start().await;
    let (request, _) = lengths(&node).await;
    let proxy = Proxy::before(node.address).await;
    let timing = Timing {
        // A changed length of the body is waited for.
        answer: Duration::from_millis(300),
        ..Timing::default()
    };
    let mut refused = 0;
    for at in 0..request {
        proxy.requests.change.store(at, Ordering::SeqCst);
        let peer = peer_with(proxy.address, &secret(), timing);
        match peer.append(target(), quarantined()).await {
            // Only names of headers that do not matter, and their values, may change.
            Ok(_) => assert!(at < request - 100, "{at} of {request}"),
            Err(ForwardError::Refused(Refusal::Malformed(why))) => {
                assert!(why.contains("signed") || why.contains("length"), "{why}");
                refused += 1;
            }
            Err(error) => assert!(!error.is_certain(), "{at}: {error}"),
        }
    }
    assert!(refused > 100, "{refused}");
}

#[tokio::test]
async fn an_answer_that_is_changed_anywhere_acknowledges_nothing() {
    let node = Node::start().await;
    let (_, answer) = lengths(&node).await;
    let proxy = Proxy::before(node.address).await;
    let timing = Timing {
        answer: Duration::from_millis(300),
        ..Timing::default()
    };
    let (mut acknowledged, mut unknown) = (0, 0);
    for at in 0..answer {
        proxy.answers.change.store(at, Ordering::SeqCst);
        let peer = peer_with(proxy.address, &secret(), timing);
        match peer.append(target(), quarantined()).await {
            Ok(stored) => {
                assert_eq!(stored.quarantined, 1);
                acknowledged += 1;
            }
            Err(error) => {
                assert!(!error.is_certain(), "{at}: {error}");
                unknown += 1;
            }
        }
    }
    // The phrase of the status line, the date, the type, and names of headers that do not matter.
    assert!(unknown > acknowledged, "{unknown}, {acknowledged}");
    assert_eq!(node.rows(), 1 + unknown + acknowledged);
}
