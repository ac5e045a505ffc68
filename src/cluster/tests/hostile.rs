//! Somebody who can reach the listener, or has taken a node's address, and does not know the secret.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::node::{NOW, Node, append, peer_at, peer_with, quarantined, secret, target};
use super::proxy::{Proxy, read_answer, send_raw};
use crate::cluster::head::{APPEND, Head};
use crate::cluster::limits::MAX_BODY;
use crate::cluster::message::{Message, Messages};
use crate::cluster::{ClusterSecret, ForwardError, MAX_APART, Refusal, Timing, WireLimits};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A request as bytes of HTTP, signed with a secret.
fn signed(secret: &ClusterSecret, body: &[u8], length: usize, nonce: u128) -> Vec<u8> {
    let head = Head {
        target: target(),
        time: NOW,
        nonce,
        body: Sha256::digest(body).into(),
    };
    let value = head.sign(secret, APPEND);
    let mut bytes = format!(
        "POST /internal/append HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nlakehook-request: {value}\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn body() -> Vec<u8> {
    let mut messages = Messages::default();
    messages.push(Message::of(quarantined()).unwrap());
    Vec::from(messages.whole()).concat()
}

#[tokio::test]
async fn without_the_secret_nothing_is_stored_told_or_believed() {
    let node = Node::start().await;
    let other = ClusterSecret::new(b"the secret of another cluster").unwrap();
    let peer = peer_with(node.address, &other, Timing::default());
    let error = peer.append(target(), append(0..1)).await.unwrap_err();
    // The 401 is not signed, so anybody may have said it.
    assert!(matches!(&error, ForwardError::Unknown(why) if why.contains("401")));
    assert!(peer.alive(3).await.is_err());
    let raw = signed(&other, &body(), body().len(), 1);
    let answer = text(&send_raw(node.address, &raw).await);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(!answer.contains("lakehook-answer"), "{answer}");
    for path in ["/", "/internal/append", "/internal/alive", "/metrics"] {
        let raw = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = text(&send_raw(node.address, raw.as_bytes()).await);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    assert_eq!(node.rows(), 0);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_carried_out_once() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    peer.append(target(), quarantined()).await.unwrap();
    let request = proxy.requests.seen.lock().unwrap().clone();
    for _ in 0..3 {
        let answer = text(&send_raw(node.address, &request).await);
        assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
        assert_eq!(node.rows(), 1);
    }
    node.clock.advance(Duration::from_secs(61));
    let answer = text(&send_raw(node.address, &request).await);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(node.rows(), 1);
}

/// If it were, the forwarder could have given it to somebody else in the meantime.
#[tokio::test]
async fn a_request_that_was_refused_once_is_not_carried_out_later() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    node.owner.is_owner.store(false, Ordering::Relaxed);
    let refused = peer.append(target(), quarantined()).await.unwrap_err();
    assert!(refused.is_certain(), "{refused}");
    node.owner.is_owner.store(true, Ordering::Relaxed);
    let request = proxy.requests.seen.lock().unwrap().clone();
    let answer = text(&send_raw(node.address, &request).await);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(node.rows(), 0);
}

/// Answers every request of a connection with the same bytes.
async fn impostor(answer: Vec<u8>) -> std::net::SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 1 << 16];
            let _request = stream.read(&mut buffer).await;
            let _gone = stream.write_all(&answer).await;
        }
    });
    address
}

#[tokio::test]
async fn nobody_else_can_acknowledge() {
    let node = Node::start().await;
    let proxy = Proxy::before(node.address).await;
    let peer = peer_at(proxy.address);
    peer.append(target(), append(0..1)).await.unwrap();
    // A true answer to an earlier request.
    let earlier = proxy.answers.seen.lock().unwrap().clone();
    let unsigned = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n".to_vec();
    for answer in [
        earlier,
        unsigned,
        endless,
        b"\0\x01nonsense".to_vec(),
        Vec::new(),
    ] {
        let peer = peer_at(impostor(answer).await);
        let error = peer.append(target(), append(1..2)).await.unwrap_err();
        assert!(!error.is_certain(), "{error}");
    }
    assert_eq!(node.rows(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_large_or_has_no_length_is_not_read() {
    let limits = WireLimits {
        body: Duration::from_millis(300),
        ..WireLimits::default()
    };
    let node = Node::with(limits).await;
    let large = signed(&secret(), b"", MAX_BODY + 1, 1);
    let answer = text(&send_raw(node.address, &large).await);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let chunked = text(&signed(&secret(), b"", 0, 2));
    let chunked = chunked.replace("content-length: 0", "transfer-encoding: chunked") + "0\r\n\r\n";
    let answer = text(&send_raw(node.address, chunked.as_bytes()).await);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let right = signed(&secret(), &body(), body().len(), 3);
    let answer = text(&send_raw(node.address, &right).await);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.rows(), 1);
}

#[tokio::test]
async fn without_memory_requests_are_refused_at_once() {
    let limits = WireLimits {
        memory_bytes: 200 << 10,
        ..WireLimits::default()
    };
    let node = Node::with(limits).await;
    let peer = node.peer();
    let mut large = append(0..1);
    large.rows.bytes = vec![b'x'; 100 << 10];
    large.rows.rows[0].end = large.rows.bytes.len();
    let busy = peer.append(target(), large.clone()).await.unwrap_err();
    assert_eq!(busy, Refusal::Busy.into());
    assert!(busy.is_certain());
    // The memory of a request comes back.
    for id in 0..5 {
        peer.append(target(), append(id..id + 1)).await.unwrap();
    }
    assert_eq!(node.rows(), 5);
}

#[tokio::test]
async fn a_flood_of_strangers_does_not_reach_those_who_are_known() {
    let limits = WireLimits {
        strangers: 4,
        introduction: Duration::from_millis(300),
        ..WireLimits::default()
    };
    let node = Node::with(limits).await;
    let peer = node.peer();
    peer.append(target(), append(0..1)).await.unwrap();
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(TcpStream::connect(node.address).await.unwrap());
    }
    // On the connection that it has.
    peer.append(target(), append(1..2)).await.unwrap();
    // A new connection waits until those before it have had their time.
    let timing = Timing {
        answer: Duration::from_secs(60),
        ..Timing::default()
    };
    let late = peer_with(node.address, &secret(), timing);
    late.append(target(), append(2..3)).await.unwrap();
    // Strangers were cut off.
    let mut byte = [0];
    assert!(matches!(strangers[0].read(&mut byte).await, Ok(0) | Err(_)));
    assert_eq!(node.rows(), 3);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = WireLimits {
        body: Duration::from_millis(200),
        ..WireLimits::default()
    };
    let node = Node::with(limits).await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let raw = signed(&secret(), &body(), body().len(), 1);
    stream.write_all(&raw[..raw.len() - 1]).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(
        text(&answer).starts_with("HTTP/1.1 400"),
        "{}",
        text(&answer)
    );
    assert_eq!(node.rows(), 0);
}

/// Its sender has been told long ago that nobody knows, and has sent the rows to another node.
#[tokio::test]
async fn an_owner_that_was_stopped_does_not_carry_out_what_nobody_waits_for() {
    let node = Node::start().await;
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let raw = text(&signed(&secret(), &body(), body().len(), 1));
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    let head = format!("{head}\r\nexpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // It is read as soon as the head is accepted.
    let mut buffer = [0; 1000];
    let count = stream.read(&mut buffer).await.unwrap();
    assert_eq!(text(&buffer[..count]), "HTTP/1.1 100 Continue\r\n\r\n");
    node.clock.advance(MAX_APART + Duration::from_secs(1));
    stream.write_all(&body()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(text(&answer).starts_with("HTTP/1.1 400"));
    assert_eq!(node.rows(), 0);
}

#[tokio::test]
async fn an_owner_that_does_not_answer_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let timing = Timing {
        answer: Duration::from_millis(200),
        ..Timing::default()
    };
    let peer = peer_with(listener.local_addr().unwrap(), &secret(), timing);
    let silent = peer.append(target(), append(0..1)).await.unwrap_err();
    assert!(!silent.is_certain(), "{silent}");
    assert!(silent.to_string().contains("0.2 seconds"), "{silent}");
}

#[tokio::test]
async fn a_later_version_is_told_which_one_is_spoken_here() {
    let node = Node::start().await;
    let head = Head {
        target: target(),
        time: NOW,
        nonce: 9,
        body: Sha256::digest(b"").into(),
    };
    let value = head.sign(&secret(), APPEND);
    let (text_of_it, _mac) = value.rsplit_once(' ').unwrap();
    let next = text_of_it.replacen('1', "2", 1);
    let mac = secret().sign(format!("lakehook request\nPOST\n/internal/append\n{next}").as_bytes());
    let raw = format!(
        "POST /internal/append HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nlakehook-request: {next} {mac}\r\n\r\n"
    );
    let answer = send_raw(node.address, raw.as_bytes()).await;
    let at = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let answer = crate::cluster::answer::Answer::decode(&answer[at + 4..]).unwrap();
    let speaks = Refusal::Form { speaks: 1 };
    assert!(speaks.to_string().contains("upgrade the older"), "{speaks}");
    assert_eq!(answer, crate::cluster::answer::Answer::Refusal(speaks));
}
