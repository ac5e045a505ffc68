//! The composition root: builds the parts, joins them, and takes them down in order.
//!
//! Up: lock, listeners (answering 503), log, shipping, ready. Down: no new connections, requests under
//! way end, everything open is sealed, shipped as far as the time allows, and the log is closed. What
//! is left stays in the log.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::batch::Limits;
use crate::clock::Clock;
use crate::commit::Shipper;
use crate::config::{Config, Destination, LakeUrl};
use crate::contract::{Contract, PartitionError, Rules, SchemaError, Schemas};
use crate::files::{Disk, Entry, Files as _, create_dir_durably, remove_if_there};
use crate::ids::Ids;
use crate::lake::conditional::StoreLake;
use crate::lake::directory::Directory;
use crate::lake::s3::S3;
use crate::lake::{Lake, LakeError, keys};
use crate::metrics::Metrics;
use crate::quarantine::{FieldError, Reason, Refused};
use crate::receive::body::BodyLimits;
use crate::receive::client::Tokens;
use crate::receive::server::ConnectionLimits;
use crate::receive::{App, Core, Server, router};
use crate::record::{Fingerprint, Origin};
use crate::ship::{Queue, Shipping, Yard};
use crate::status::Status;
use crate::wal::dedup::Dedup;
use crate::wal::helper::Helper;
use crate::wal::log::{Listeners, Log};
use crate::wal::node::{Lock, LockError, read_or_create};
use crate::wal::recover::{self, OpenError, Recovered};
use crate::wal::request::Settings as WalSettings;
use crate::wal::rows::{BatchReader, RowsError};
use crate::wal::state::State;
use crate::wal::writer::Writer;

/// Memory for dedup.
const DEDUP_BYTES: u64 = 128 << 20;
/// The first segment after a start, so that a start is quick.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// While so many seals wait for their commit, age does not seal.
const MAX_WAITING_SEALS: usize = 64;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Schemas that cannot be used.
    #[error("the schemas cannot be used:{}", list(.0))]
    Schemas(Vec<SchemaError>),
    /// The partition pattern cannot be used.
    #[error("`events.partition` cannot be used: {0}")]
    Partition(#[from] PartitionError),
    /// The address cannot be listened on.
    #[error("failed to listen on {address}: {error}{}", hint(.error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The log's directory is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// Batches are sealed for another lake.
    #[error(
        "batches in the log were sealed for {other}, and the configured lake is {configured}; start \
         once more with the old lake until /health shows no waiting batches, then change it"
    )]
    OtherLake {
        /// Where they should go.
        other: String,
        /// Where they would go.
        configured: String,
    },
    /// The lake cannot hold objects as promised.
    #[error("the lake cannot be used: {0}")]
    Lake(#[from] LakeError),
    /// A seal that waits cannot be read.
    #[error(transparent)]
    Seal(#[from] RowsError),
    /// The operating system says no.
    #[error("failed to start: {0}")]
    Io(#[from] io::Error),
    /// Metrics cannot be set up.
    #[error("failed to set up metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// A task of the start ended early.
    #[error("the start was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

fn list(errors: &[SchemaError]) -> String {
    errors.iter().fold(String::new(), |list, error| {
        list + "\n  " + &error.to_string()
    })
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process has it, choose another `server.listen`",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
        _ => "",
    }
}

/// A running service.
pub struct Service {
    app: Arc<App>,
    servers: Vec<Server>,
    ticker: (CancellationToken, TaskTracker),
    queue: Arc<Queue>,
    shipping: Shipping,
    log: Log,
    failure: watch::Receiver<Option<String>>,
    _lock: Lock,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Everything that was acknowledged is in the lake.
    pub all_shipped: bool,
    /// Records that wait in the log for the next start.
    pub left_rows: u64,
}

/// The lake that the configuration names; nothing is reached yet.
pub async fn lake_of(config: &Config, runtime: Handle) -> Lake<Disk> {
    let location = match config.lake.destination() {
        Destination::Directory(root) => return Lake::Directory(Directory::new(Disk, root)),
        Destination::Bucket(location) => location,
    };
    let identity = match &location.endpoint {
        None => config.lake.url.to_string(),
        Some(endpoint) => format!("{} at {endpoint}", config.lake.url),
    };
    let spool = config.wal.dir.join("spool");
    let store = S3::new(location, runtime).await;
    Lake::Store(StoreLake::new(Disk, Box::new(store), identity, &spool))
}

impl Service {
    /// Starts everything; returns when requests are accepted.
    pub async fn start(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let schemas = config.events.read_schemas().map_err(ServeError::Schemas)?;
        let rules = config.rules()?;
        let metrics = Metrics::new(&config.events.types)?;
        let status = Arc::new(Status::default());
        create_dir_durably(&Disk, &config.wal.dir, true)?;
        let lock = Lock::take(&config.wal.dir)?;
        let settings = receive_settings(config);
        let app = App::new(
            settings,
            Arc::clone(&status),
            Arc::clone(&metrics),
            clock,
            ids,
        );
        let servers = listen(config, &app).await?;
        let lake = Arc::new(lake_of(config, Handle::current()).await);
        let opening = Opening {
            config: config.clone(),
            app: Arc::clone(&app),
            lake,
            schemas,
            rules,
        };
        let opened = tokio::task::spawn_blocking(move || opening.open()).await??;
        let ticker = (CancellationToken::new(), TaskTracker::new());
        ticker
            .1
            .spawn(tick(config.clone(), Arc::clone(&app), ticker.0.clone()));
        ticker.1.close();
        let Opened {
            log,
            queue,
            shipping,
            failure,
        } = opened;
        Ok(Self {
            app,
            servers,
            ticker,
            queue,
            shipping,
            log,
            failure,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.servers[0].address()
    }

    /// The service's status.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Resolves with the reason when the log cannot go on, which ends the service.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        let reason = failure.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }

    /// Stops in order, within that time; `hurry` cuts every wait short.
    pub async fn stop(self, grace: Duration, hurry: CancellationToken) -> Stopped {
        let Self {
            app,
            servers,
            ticker,
            queue,
            shipping,
            log,
            failure: _failure,
            _lock,
        } = self;
        let deadline = tokio::time::Instant::now() + grace;
        app.status.set_draining();
        for server in servers {
            // Half of the time belongs to the lake.
            tokio::select! {
                () = server.stop(grace / 2) => {}
                () = hurry.cancelled() => {}
            }
        }
        let flushing = log.clone();
        let flushed = tokio::task::spawn_blocking(move || flushing.flush());
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "failed to seal what is open; it stays in the log");
        }
        let drained = drain(&queue, deadline, &hurry).await;
        ticker.0.cancel();
        ticker.1.wait().await;
        let closing = log.clone();
        let ended = tokio::task::spawn_blocking(move || {
            shipping.stop();
            closing.close();
        });
        let ended = ended.await.is_ok();
        let left_rows = log
            .gauges()
            .uncommitted_rows
            .load(std::sync::atomic::Ordering::Relaxed);
        Stopped {
            all_shipped: drained && ended && left_rows == 0,
            left_rows,
        }
    }
}

/// Waits for shipping in short steps, so that a hurry is noticed.
async fn drain(
    queue: &Arc<Queue>,
    deadline: tokio::time::Instant,
    hurry: &CancellationToken,
) -> bool {
    const STEP: Duration = Duration::from_millis(200);
    loop {
        let step = deadline
            .saturating_duration_since(tokio::time::Instant::now())
            .min(STEP);
        let queue = Arc::clone(queue);
        let drained = tokio::task::spawn_blocking(move || queue.drain(step)).await;
        if drained.unwrap_or(false) {
            return true;
        }
        if step < STEP || hurry.is_cancelled() {
            return false;
        }
    }
}

async fn listen(config: &Config, app: &Arc<App>) -> Result<Vec<Server>, ServeError> {
    let limits = ConnectionLimits {
        max_connections: config.server.max_connections,
        header_timeout: config.server.header_timeout.duration(),
        idle_timeout: config.server.idle_timeout.duration(),
    };
    let main = bind(config.server.listen).await?;
    let mut servers = vec![Server::start(main, router::router(app), limits)?];
    if let Some(address) = config.server.metrics_listen {
        let listener = bind(address).await?;
        servers.push(Server::start(
            listener,
            router::metrics_router(app),
            limits,
        )?);
    }
    Ok(servers)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| ServeError::Listen { address, error })
}

/// What is needed to open the log; done where blocking is allowed.
struct Opening {
    config: Config,
    app: Arc<App>,
    lake: Arc<Lake<Disk>>,
    schemas: Schemas,
    rules: Rules,
}

struct Opened {
    log: Log,
    queue: Arc<Queue>,
    shipping: Shipping,
    failure: watch::Receiver<Option<String>>,
}

impl Opening {
    fn open(self) -> Result<Opened, ServeError> {
        let Self {
            config,
            app,
            lake,
            schemas,
            rules,
        } = self;
        let dir = &config.wal.dir;
        let node = read_or_create(&Disk, dir, &app.ids)?;
        let settings = wal_settings(&config, lake.identity());
        let (clock, ids) = (app.clock.clone(), app.ids.clone());
        let (writer, recovered) = recover::open(
            Disk,
            dir,
            settings,
            clock.clone(),
            ids.clone(),
            Helper::thread,
        )?;
        tell(&recovered, &writer);
        check_lake(&config, &writer, lake.identity())?;
        clear_spool(&lake)?;
        let newest = writer.state().newest_received;
        if let Lake::Directory(directory) = &*lake
            && let Err(error @ LakeError::Unusable(_)) = directory.probe()
        {
            return Err(error.into());
        }
        let queue = Arc::new(Queue::default());
        queue.push(&unshipped(writer.state()));
        let (listeners, failure) = listeners(&app, &queue);
        let log = Log::start(writer, clock.clone(), listeners)?;
        let shipping = Shipping::start(Yard {
            queue: Arc::clone(&queue),
            shipper: Shipper::new(Disk, dir, node.id, lake),
            log: log.clone(),
            status: Arc::clone(&app.status),
            metrics: Arc::clone(&app.metrics),
            clock,
            ids,
        })?;
        let contract = Contract::new(rules, schemas, Fingerprint::new(node.key));
        let core = Core {
            contract,
            log: log.clone(),
            node: node.id,
        };
        let _set_before = app.core.set(core);
        app.status.set_recovered(newest);
        Ok(Opened {
            log,
            queue,
            shipping,
            failure,
        })
    }
}

fn unshipped(state: &State) -> Vec<(u64, crate::wal::state::SealAt)> {
    state
        .sealed
        .iter()
        .map(|(number, sealed)| (*number, sealed.at))
        .collect()
}

fn tell(recovered: &Recovered, writer: &Writer<Disk>) {
    let node = writer.node();
    tracing::info!(
        %node,
        segments = recovered.segments,
        frames = recovered.frames,
        unshipped = recovered.uncommitted_rows,
        clean = recovered.clean,
        "the write-ahead log is read"
    );
    if let Some(torn) = &recovered.torn {
        let (offset, bytes) = (torn.offset, torn.bytes);
        tracing::warn!(
            offset,
            bytes,
            "the log had a torn tail, of a write that nobody was told of"
        );
    }
    for lost in &recovered.lost_ids {
        tracing::error!(
            lost,
            "ids of a closed segment cannot be read: its duplicates may get through"
        );
    }
}

/// A sealed batch goes to the lake that it was sealed for, or nowhere.
fn check_lake(config: &Config, writer: &Writer<Disk>, configured: &str) -> Result<(), ServeError> {
    let reader = BatchReader::new(Disk, &config.wal.dir);
    for (number, at) in unshipped(writer.state()) {
        let other = reader.seal(number, at)?.lake;
        if other != configured {
            return Err(ServeError::OtherLake {
                other,
                configured: configured.to_owned(),
            });
        }
    }
    Ok(())
}

/// Files in the making belong to nobody after a crash. In a directory lake they may be another
/// node's, so there only a put removes its own.
fn clear_spool(lake: &Lake<Disk>) -> io::Result<()> {
    let Lake::Store(store) = lake else {
        return Ok(());
    };
    create_dir_durably(&Disk, store.spool_dir(), true)?;
    for Entry { name, .. } in Disk.list(store.spool_dir())? {
        remove_if_there(&Disk, &store.spool_dir().join(name))?;
    }
    Ok(())
}

fn listeners(app: &Arc<App>, queue: &Arc<Queue>) -> (Listeners, watch::Receiver<Option<String>>) {
    let (failed, failure) = watch::channel(None);
    let (status, queue) = (Arc::clone(&app.status), Arc::clone(queue));
    let listeners = Listeners {
        sealed: Box::new(move |sealed| queue.push(sealed)),
        failed: Box::new(move |error| {
            tracing::error!(%error, "the write-ahead log cannot go on; the service ends");
            status.set_failed(error.to_string());
            let _nobody_listens = failed.send(Some(error.to_string()));
        }),
        metrics: Arc::clone(&app.metrics),
    };
    (listeners, failure)
}

/// Once a second: is there space left? And the histograms are folded, so that they don't grow.
async fn tick(config: Config, app: Arc<App>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = stop.cancelled() => return,
        }
        let low = is_low_on_space(&config);
        if low {
            tracing::warn!("too little free space on disk; refusing requests");
        }
        app.status.set_low_space(low);
        app.metrics.fold();
    }
}

/// Less than two segments and two objects would leave no room for what must still be written.
fn is_low_on_space(config: &Config) -> bool {
    let objects = 2 * config.batch.max_bytes.bytes();
    let log = 2 * config.wal.segment_size().bytes() + objects;
    let below = |dir: &PathBuf, need: u64| Disk.free_bytes(dir).is_ok_and(|free| free < need);
    let lake = match &config.lake.url {
        LakeUrl::Directory(root) => below(root, objects),
        LakeUrl::S3 { .. } => false,
    };
    lake || below(&config.wal.dir, log)
}

fn receive_settings(config: &Config) -> crate::receive::Settings {
    let server = &config.server;
    let rate = NonZeroU32::new(server.rate_limit);
    crate::receive::Settings {
        endpoint: config.events.path.as_str().into(),
        body: BodyLimits {
            max_bytes: server.max_body.as_usize(),
            timeout: server.body_timeout.duration(),
        },
        memory: server.memory.as_usize(),
        tokens: Tokens::new(server.tokens.iter().map(|token| token.expose().to_owned())),
        rate: rate.zip(NonZeroU32::new(server.rate_burst)),
        refused_bytes_per_minute: config.quarantine.max_bytes_per_minute.bytes(),
        max_refused_bytes: config.quarantine.max_row.as_usize(),
        cors_origins: server
            .cors_origins
            .iter()
            .filter_map(|origin| HeaderValue::from_str(origin).ok())
            .collect(),
        batch_size: config.batch.max_records,
        metrics_elsewhere: server.metrics_listen.is_some(),
    }
}

fn wal_settings(config: &Config, lake: &str) -> WalSettings {
    let window = Dedup::window_of_bytes(DEDUP_BYTES);
    WalSettings {
        segment_bytes: config.wal.segment_size().bytes(),
        first_segment_bytes: FIRST_SEGMENT_BYTES.min(config.wal.segment_size().bytes()),
        max_bytes: config.wal.max_bytes.bytes(),
        dedup_window: u32::try_from(config.dedup.max_ids)
            .unwrap_or(u32::MAX)
            .min(window),
        max_ids: config.dedup.max_ids,
        limits: Limits {
            max_bytes: config.batch.max_bytes.bytes(),
            max_records: config.batch.max_records,
            max_age: config.batch.max_age.duration(),
            max_waiting_seals: MAX_WAITING_SEALS,
        },
        lake: lake.to_owned(),
        format: config.batch.format.as_str().to_owned(),
        object_key: keys::object_key,
        conflict_row,
        conflict_partition,
    }
}

/// The only stream that has identities so far.
const STREAM: &str = "events";

fn conflict_partition(origin: &Origin) -> String {
    crate::quarantine::partition(STREAM, origin.received_at)
}

/// The quarantine row of a record whose id is known with other content.
fn conflict_row(origin: &Origin, row: &[u8], out: &mut Vec<u8>) -> u32 {
    let error = FieldError {
        pointer: "/event_id".to_owned(),
        code: "id_conflict",
        detail: "the id is known with other content; the first copy is kept".to_owned(),
    };
    let refused = Refused {
        reason: Reason::IdConflict,
        stream: STREAM,
        origin,
        errors: &[error],
        errors_total: 1,
        raw: row,
        max_raw_bytes: usize::MAX,
    };
    refused.write(out)
}
