//! Somebody between two nodes, who records, cuts and changes what passes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// One direction of what passes.
#[derive(Clone)]
pub(super) struct Way {
    /// So many bytes of each connection pass; then it is cut.
    pub(super) limit: Arc<AtomicUsize>,
    /// The byte at this place of each connection is changed.
    pub(super) change: Arc<AtomicUsize>,
    /// What came in the newest connection.
    pub(super) seen: Arc<Mutex<Vec<u8>>>,
}

impl Way {
    fn new() -> Self {
        let never = || Arc::new(AtomicUsize::new(usize::MAX));
        Self {
            limit: never(),
            change: never(),
            seen: Arc::default(),
        }
    }

    async fn pass(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut passed = 0;
        let mut buffer = [0; 4096];
        loop {
            let limit = self.limit.load(Ordering::SeqCst);
            if passed >= limit {
                return;
            }
            let Ok(count @ 1..) = from.read(&mut buffer).await else {
                return;
            };
            let bytes = &mut buffer[..count.min(limit - passed)];
            self.seen.lock().unwrap().extend_from_slice(bytes);
            let change = self.change.load(Ordering::SeqCst);
            if let Some(byte) = change.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1;
            }
            passed += bytes.len();
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }
}

pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    pub(super) requests: Way,
    pub(super) answers: Way,
}

impl Proxy {
    pub(super) async fn before(node: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, answers) = (Way::new(), Way::new());
        let (there, back) = (requests.clone(), answers.clone());
        tokio::spawn(async move {
            loop {
                let (here, _) = listener.accept().await.unwrap();
                let (there, back) = (there.clone(), back.clone());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(node).await else {
                        return;
                    };
                    for way in [&there, &back] {
                        way.seen.lock().unwrap().clear();
                    }
                    let (from_here, to_here) = here.into_split();
                    let (from_far, to_far) = far.into_split();
                    // As soon as one direction ends, both do.
                    tokio::select! {
                        () = there.pass(from_here, to_far) => {}
                        () = back.pass(from_far, to_here) => {}
                    }
                });
            }
        });
        Self {
            address,
            requests,
            answers,
        }
    }
}

/// Sends bytes to a node, and returns its answer.
pub(super) async fn send_raw(node: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(node).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_answer(&mut stream).await
}

/// Reads one answer, or what there is of it.
pub(super) async fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !is_whole(&answer) {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    answer
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    answer.len() >= head.len() + 4 + length
}
