//! `cargo bench --bench forward`: what a forwarded event costs the node that forwards it and the node that owns the log.
//!
//! Both are in this process, each with a runtime of its own, and a real connection on loopback is between them. Requests are
//! made before the clock starts. Processor time is that of the threads, by their names: `forwarder` encodes, signs and sends;
//! `owner` reads, verifies and decodes; `wal-writer` appends to a log on a real disk, as it does without a cluster.
//!
//! Doesn't measure: receiving, the contract, shipping.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lakehook::clock::{Clock, Micros};
use lakehook::cluster::{ClusterSecret, Owner, Peer, Standing, Target, Timing, WireLimits, serve};
use lakehook::contract::{Contract, Rules, Schemas};
use lakehook::ids::{HashKey, Ids, NodeId};
use lakehook::record::{Fingerprint, NO_RUN, Origin};
use lakehook::wal::log::{Listeners, Log};
use lakehook::wal::request::Append;
use support::load::Source;
use support::stages::open_log;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// 2026-11-20T12:00:00Z.
const NOW: Micros = Micros(1_795_176_000_000_000);
/// Events per request, requests, and how many are under way.
const WORKS: [(&str, u64, u64, usize); 4] = [
    ("W1", 1, 200_000, 256),
    ("W1", 1, 200_000, 32),
    ("W100", 100, 8_000, 256),
    ("W100", 100, 8_000, 32),
];
const THREADS: [&str; 3] = ["forwarder", "owner", "wal-writer"];

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "| work | under way | events/s | forwarder µs per event | owner µs per event | wal-writer µs per event |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    for (name, events, requests, under_way) in WORKS {
        let appends = appends(events, requests);
        let (took, spent) = forward(&Arc::new(appends), under_way);
        let events = (events * requests) as f64;
        let per_event = |thread: &str| spent[thread].as_secs_f64() * 1e6 / events;
        println!(
            "| {name} | {under_way} | {:.0} | {:.2} | {:.2} | {:.2} |",
            events / took.as_secs_f64(),
            per_event("forwarder"),
            per_event("owner"),
            per_event("wal-writer")
        );
    }
}

fn appends(events: u64, requests: u64) -> Vec<Append> {
    let contract = Contract::new(
        Rules::default(),
        Schemas::embedded().unwrap(),
        Fingerprint::new(HashKey([7; 16])),
    );
    let source = Source {
        seed: 1,
        now: NOW,
        days: 1,
    };
    let origin = Origin {
        received_at: NOW,
        endpoint: "/webhook/events".into(),
        request_id: "0123456789abcdef".into(),
        client: None,
    };
    let append = |number| {
        let body = source.body(number * events..(number + 1) * events);
        let checked = contract.check(&body, &origin).unwrap();
        Append {
            rows: checked.rows,
            dropped: 0,
            origin: origin.clone(),
            run: NO_RUN,
            cursor: None,
        }
    };
    (0..requests).map(append).collect()
}

struct Node {
    log: Log,
    standing: Standing,
}

impl Owner for Node {
    fn log(&self, _: u16) -> Option<(Log, u64)> {
        Some((self.log.clone(), self.standing.epoch))
    }

    fn standing(&self, _: u16) -> Option<Standing> {
        Some(self.standing)
    }

    fn now(&self) -> Micros {
        NOW
    }
}

fn start_log(dir: &Path) -> Log {
    let writer = open_log(dir, "ndjson.zst");
    let listeners = Listeners {
        sealed: Box::new(|_| {}),
        complete: Box::new(|_| {}),
        failed: Box::new(|error| panic!("the log failed: {error}")),
        written: Box::new(|_| {}),
    };
    Log::start(writer, Clock::system(), listeners).unwrap()
}

fn runtime(name: &str) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap()
}

/// Has the owner store all requests; returns how long that took, and the processor time of each kind of thread.
fn forward(appends: &Arc<Vec<Append>>, under_way: usize) -> (Duration, BTreeMap<String, Duration>) {
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = start_log(&dir.path().join("log"));
    let standing = Standing {
        index: 0,
        log: NodeId(1),
        epoch: 1,
        is_owner: true,
        is_alive: true,
        last: None,
        floor: Micros(0),
        now: NOW,
        configuration: 0,
    };
    let target = Target {
        index: 0,
        log: standing.log,
        epoch: standing.epoch,
        configuration: standing.configuration,
    };
    let (owners, forwarders) = (runtime("owner"), runtime("forwarder"));
    let stop = CancellationToken::new();
    let node = Node {
        log: log.clone(),
        standing,
    };
    let (serving, address) = listen(&owners, node, stop.clone());
    let clock = Clock::manual(NOW);
    let peer = Peer::new(address, secret(), Timing::default(), clock, Ids::System);
    let before = spent();
    let start = Instant::now();
    forwarders.block_on(send_all(&peer, target, appends, under_way));
    let took = start.elapsed();
    let after = spent();
    stop.cancel();
    forwarders.block_on(peer.stop());
    owners.block_on(serving).unwrap();
    log.close();
    let used = THREADS.map(|name| {
        let used = after[name].saturating_sub(before[name]);
        (name.to_owned(), used)
    });
    (took, BTreeMap::from(used))
}

fn secret() -> ClusterSecret {
    ClusterSecret::new(b"a secret of this cluster alone").unwrap()
}

fn listen(
    owners: &Runtime,
    node: Node,
    stop: CancellationToken,
) -> (tokio::task::JoinHandle<()>, SocketAddr) {
    let listener = owners
        .block_on(TcpListener::bind(("127.0.0.1", 0)))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(
        listener,
        secret(),
        Arc::new(node),
        WireLimits::default(),
        stop,
    );
    (owners.spawn(serving), address)
}

async fn send_all(peer: &Peer, target: Target, appends: &Arc<Vec<Append>>, under_way: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let senders = (0..under_way).map(|_| {
        let (peer, appends, next) = (peer.clone(), Arc::clone(appends), Arc::clone(&next));
        tokio::spawn(async move {
            while let Some(append) = appends.get(next.fetch_add(1, Ordering::Relaxed)) {
                let stored = peer.append(target, append.clone()).await.unwrap();
                assert_eq!(stored.accepted, append.rows.rows.len() as u64);
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    for sender in senders {
        sender.await.unwrap();
    }
}

/// Time that the threads of each kind have had a processor.
fn spent() -> BTreeMap<String, Duration> {
    let mut spent: BTreeMap<String, Duration> = THREADS
        .iter()
        .map(|name| ((*name).to_owned(), Duration::ZERO))
        .collect();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let thread = thread.unwrap().path();
        let name = std::fs::read_to_string(thread.join("comm")).unwrap_or_default();
        let said = std::fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
        let Some(spent) = spent.get_mut(name.trim()) else {
            continue;
        };
        let nanos = said.split(' ').next().and_then(|nanos| nanos.parse().ok());
        *spent += Duration::from_nanos(nanos.unwrap_or(0));
    }
    spent
}
