//! A node that speaks another version of what nodes say to each other, an older or a newer one: each side refuses the
//! other by naming versions, nothing is stored, and nobody takes the log from somebody who lives.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use lakehook::clock::Clock;
use lakehook::signature::{Algorithm, Encoding};

use super::cluster::{HASTE, Machines, PATIENCE, SECRET};
use super::config;
use super::partitions::event;
use crate::support::http;
use crate::support::s3::S3Server;

/// The version of this program.
const OWN: u8 = 1;
const REFUSAL: u8 = 2;
const OF_VERSION: u8 = 1;

/// The HMAC-SHA256 with the secret of the cluster, in hexadecimal.
fn sign(bytes: &[u8]) -> String {
    let key = Algorithm::HmacSha256.key(SECRET.as_bytes()).unwrap();
    Encoding::Hex.encode(&key.digest(bytes).unwrap())
}

/// Reads the head of a request or an answer.
fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
    value.unwrap_or_default().to_owned()
}

/// A node at that address that lives, and speaks another version.
struct OtherVersion {
    speaks: Arc<AtomicU8>,
    is_over: Arc<AtomicBool>,
    address: SocketAddr,
}

impl OtherVersion {
    fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let other = Self {
            speaks: Arc::new(AtomicU8::new(0)),
            is_over: Arc::default(),
            address,
        };
        let (speaks, is_over) = (Arc::clone(&other.speaks), Arc::clone(&other.is_over));
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let head = read_head(&mut stream);
                // What it is asked is of a version that it does not know, but for the place of the nonce.
                let nonce = header(&head, "lakehook-request");
                let nonce = nonce.split(' ').nth(6).unwrap_or_default();
                let speaks = speaks.load(Ordering::SeqCst);
                let body = [speaks, REFUSAL, OF_VERSION, speaks];
                let mut signed = format!("lakehook answer\n{nonce}\n400\n").into_bytes();
                signed.extend_from_slice(&body);
                let answer = format!(
                    "HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\nconnection: close\r\nlakehook-answer: {}\r\n\r\n",
                    sign(&signed)
                );
                // The node may have been killed.
                let _gone = stream.write_all(&[answer.as_bytes(), &body].concat());
            }
        });
        other
    }
}

impl Drop for OtherVersion {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

/// What a node answers to a request in another version; the proof is right.
fn ask_in(version: u8, node: SocketAddr) -> Vec<u8> {
    let now = Clock::system().now().wall;
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let text = format!(
        "{version} 0 0000000000000001 1 {0:032x} {1} {0:032x} {hash}",
        7, now.0
    );
    let ask = ("POST", "/internal/append");
    let mac = sign(format!("lakehook request\n{}\n{}\n{text}", ask.0, ask.1).as_bytes());
    let mut stream = TcpStream::connect(node).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nlakehook-request: {text} {mac}\r\n\r\n",
        ask.1
    );
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(&mut stream);
    let mut body = vec![0; header(&head, "content-length").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    let mut signed = format!("lakehook answer\n{:032x}\n400\n", 7).into_bytes();
    signed.extend_from_slice(&body);
    assert_eq!(header(&head, "lakehook-answer"), sign(&signed), "{head}");
    body
}

#[test]
fn nodes_of_two_versions_refuse_each_other_by_name() {
    let server = S3Server::start(261);
    let config = config(&server.endpoint(), "ndjson", "");
    let machines = Machines::hasty(&config, 261);
    let mut running = machines.start();
    let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
    let [first, second] = Machines::others(owner)[..] else {
        panic!("there are three nodes");
    };
    // Another version asks this one, whoever owns the log.
    for version in [OWN - 1, OWN + 1] {
        for node in [owner, first] {
            let said = ask_in(version, machines.addresses[node]);
            assert_eq!(said, [OWN, REFUSAL, OF_VERSION, OWN], "to {version}");
        }
    }
    // This version asks another one, which has the owner's place.
    running[owner].take().unwrap().kill();
    let other = OtherVersion::start(machines.addresses[owner]);
    let frames = server.keys("_lakehook/log/events/");
    let since = Instant::now();
    for version in [OWN - 1, OWN + 1] {
        other.speaks.store(version, Ordering::SeqCst);
        let words = format!("{} owns it", machines.addresses[owner]);
        let versions = format!(
            "speaks version {version} of the cluster's protocol, and this one version {OWN}"
        );
        let says = |node: usize| {
            let standing = machines.standing(node);
            let why = standing["why"].as_str().unwrap_or_default().to_owned();
            standing["role"] == "looking" && why.contains(&words) && why.contains(&versions)
        };
        let began = Instant::now();
        while !(says(first) && says(second)) {
            assert!(began.elapsed() < PATIENCE, "{:?}", machines.standing(first));
            std::thread::sleep(Duration::from_millis(50));
        }
        let address = machines.setups[first].address();
        let ready = http::get(address, "/ready").unwrap();
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains(&versions), "{}", ready.text());
        let refused = http::post_json(address, "/webhook/events", &event(1261, 0));
        assert_eq!(refused.unwrap().status, 503);
    }
    // Nobody takes the log from a node that lives, for longer than from one that does not.
    std::thread::sleep((HASTE * 2).saturating_sub(since.elapsed()));
    assert_eq!(
        server.keys("_lakehook/log/events/"),
        frames,
        "something was stored"
    );
    drop(other);
    machines.wait_owner(&[first, second], PATIENCE);
    running[owner] = Some(machines.setups[owner].start());
    machines.stop(running);
}
