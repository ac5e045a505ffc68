//! A node that owns a log in a directory, and what the tests send to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Micros};
use crate::cluster::{ClusterSecret, Owner, Peer, Standing, Target, Timing, WireLimits, serve};
use crate::codec::Codec;
use crate::files::Disk;
use crate::ids::{Ids, NodeId};
use crate::record::{Identity, Origin, RowKind, Rows};
use crate::wal::batch::Limits;
use crate::wal::helper::Background;
use crate::wal::lateness::Calendar;
use crate::wal::log::{Listeners, Log};
use crate::wal::recover;
use crate::wal::request::{Append, NO_RUN, Packing, Settings};

/// 2026-11-20T12:00:00Z.
pub(super) const NOW: Micros = Micros(1_795_176_000_000_000);
/// The tag of the record with id 0.
pub(super) const FIRST_TAG: u64 = 1000;
/// More records than any batch has.
const UNBOUNDED: u64 = 1 << 40;
const PARTITION: &str = "events/dt=2026-11-20";

pub(super) fn secret() -> ClusterSecret {
    ClusterSecret::new(b"a secret of this cluster alone").unwrap()
}

/// A node that owns log 3 in its epoch 5.
pub(super) struct FakeOwner {
    log: Log,
    clock: Clock,
    pub(super) epoch: AtomicU64,
    pub(super) is_owner: AtomicBool,
    pub(super) is_alive: AtomicBool,
    pub(super) hands_over: AtomicBool,
    /// Bodies of requests that came.
    pub(super) bodies: AtomicU64,
}

impl FakeOwner {
    fn standing_of(&self, index: u16) -> Standing {
        let target = target();
        Standing {
            index,
            log: target.log,
            epoch: self.epoch.load(Ordering::Relaxed),
            is_owner: self.is_owner.load(Ordering::Relaxed),
            is_alive: self.is_alive.load(Ordering::Relaxed),
            last: None,
            floor: self.log.gauges().receipt(Micros(i64::MIN)),
            now: self.clock.wall(),
            configuration: target.configuration,
        }
    }
}

impl Owner for FakeOwner {
    fn log(&self, index: u16) -> Option<(Log, u64)> {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        let is_owner = index == 3 && self.is_owner.load(Ordering::Relaxed);
        is_owner.then(|| (self.log.clone(), self.epoch.load(Ordering::Relaxed)))
    }

    fn standing(&self, index: u16) -> Option<Standing> {
        (index == 3).then(|| self.standing_of(index))
    }

    fn hand_over(&self, _index: u16) -> bool {
        self.hands_over.load(Ordering::Relaxed)
    }

    fn now(&self) -> Micros {
        self.clock.wall()
    }
}

pub(super) fn target() -> Target {
    Target {
        index: 3,
        log: NodeId(0xfeed),
        epoch: 5,
        configuration: 0xabc << 80,
    }
}

/// A node that listens.
pub(super) struct Node {
    pub(super) owner: Arc<FakeOwner>,
    pub(super) address: SocketAddr,
    pub(super) clock: Clock,
    log: Log,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Node {
    pub(super) async fn start() -> Self {
        Self::with(WireLimits::default()).await
    }

    pub(super) async fn with(limits: WireLimits) -> Self {
        Self::of(limits, None, UNBOUNDED).await
    }

    /// One whose log has compressed rows.
    pub(super) async fn packing() -> Self {
        Self::packing_batches(UNBOUNDED).await
    }

    /// The same with batches of at most so many records.
    pub(super) async fn packing_batches(max_records: u64) -> Self {
        let packing = Some(Packing::of(Codec::Zst));
        Self::of(WireLimits::default(), packing, max_records).await
    }

    async fn of(limits: WireLimits, packing: Option<Packing>, max_records: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Clock::manual(NOW);
        let log = open_log(dir.path(), &clock, packing, max_records);
        let owner = Arc::new(FakeOwner {
            log: log.clone(),
            clock: clock.clone(),
            epoch: AtomicU64::new(target().epoch),
            is_owner: AtomicBool::new(true),
            is_alive: AtomicBool::new(true),
            hands_over: AtomicBool::new(true),
            bodies: AtomicU64::new(0),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = serve(
            listener,
            secret(),
            Arc::clone(&owner) as Arc<dyn Owner>,
            limits,
            stop.clone(),
        );
        let serving = tokio::spawn(serving);
        Self {
            owner,
            address,
            clock,
            log,
            stop,
            serving,
            _dir: dir,
        }
    }

    pub(super) fn peer(&self) -> Peer {
        peer_at(self.address)
    }

    /// Rows that the log has.
    pub(super) fn rows(&self) -> u64 {
        self.log.gauges().uncommitted_rows.load(Ordering::Relaxed)
    }

    /// Batches that the log has open.
    pub(super) fn open_batches(&self) -> u64 {
        self.log.gauges().open_batches.load(Ordering::Relaxed)
    }

    /// Stops listening, and then the log.
    pub(super) async fn stop(mut self) -> u64 {
        self.stop.cancel();
        (&mut self.serving).await.unwrap();
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || log.close())
            .await
            .unwrap();
        self.rows()
    }
}

pub(super) fn peer_at(address: SocketAddr) -> Peer {
    peer_with(address, &secret(), Timing::default())
}

pub(super) fn peer_with(address: SocketAddr, secret: &ClusterSecret, timing: Timing) -> Peer {
    let clock = Clock::manual(NOW);
    Peer::new(address, secret.clone(), timing, clock, Ids::System)
}

/// A request with records of these ids.
pub(super) fn append(ids: std::ops::Range<u64>) -> Append {
    with_text(ids, "some text")
}

/// The same, where each record has this text.
pub(super) fn with_text(ids: std::ops::Range<u64>, text: &str) -> Append {
    let mut rows = Rows::default();
    let partition = rows.partition(PARTITION);
    for id in ids {
        let row = format!("{{\"event_id\":\"{id}\",\"text\":\"{text}\"}}");
        rows.bytes.extend_from_slice(row.as_bytes());
        let content = u32::try_from(id % 1000).unwrap();
        let tag = id + FIRST_TAG;
        rows.finish_row(1, partition, RowKind::Record(Identity { tag, content }));
    }
    with_rows(rows)
}

/// A request with a row that has no identity: whoever stores it twice has it twice.
pub(super) fn quarantined() -> Append {
    let mut rows = Rows::default();
    let partition = rows.partition("quarantine/events/dt=2026-11-20");
    rows.bytes
        .extend_from_slice(b"{\"payload\":\"not an event\"}");
    rows.finish_row(1, partition, RowKind::Quarantined);
    with_rows(rows)
}

fn with_rows(rows: Rows) -> Append {
    Append {
        rows,
        dropped: 0,
        origin: Origin {
            received_at: NOW,
            endpoint: "/webhook/events".into(),
            request_id: "0123456789abcdef".into(),
            client: None,
        },
        run: NO_RUN,
        cursor: None,
    }
}

fn open_log(dir: &Path, clock: &Clock, packing: Option<Packing>, max_records: u64) -> Log {
    let settings = Settings {
        segment_bytes: 4 << 20,
        first_segment_bytes: 1 << 20,
        max_bytes: 64 << 20,
        dedup_window: 100_000,
        max_ids: 1_000_000,
        filter_bytes: 1 << 20,
        ids_per_file: 100_000,
        limits: Limits {
            max_bytes: 128 << 20,
            max_records,
            max_age: Duration::from_secs(3600),
            late_max_age: Duration::from_secs(3600),
            max_waiting_seals: 64,
        },
        calendar: Calendar::new(|_| vec![PARTITION.to_owned()]),
        lake: "dir:lake".to_owned(),
        format: "ndjson.zst".to_owned(),
        packing,
        object_key: |partition, node, lsn, format| format!("{partition}/{node}-{lsn}.{format}"),
        conflict_row: |_, row, out| {
            out.extend_from_slice(row);
            1
        },
        conflict_partition: |_| "quarantine/events/dt=2026-11-20".to_owned(),
    };
    let (clock, ids) = (clock.clone(), Ids::seeded(1));
    let opened = recover::open(Disk, dir, settings, clock.clone(), ids, Background::Inline);
    let listeners = Listeners {
        sealed: Box::new(|_| {}),
        complete: Box::new(|_| {}),
        failed: Box::new(|error| panic!("the log failed: {error}")),
        written: Box::new(|_| {}),
    };
    Log::start(opened.unwrap().0, clock, listeners).unwrap()
}
