//! The composition root: builds the parts, joins them, and takes them down in order.
//!
//! Up: lock, listeners (answering 503), log, shipping, ready. Down: no new connections, requests under
//! way end, everything open is sealed, shipped as far as the time allows, and the log is closed. What
//! is left stays in the log.

mod opening;
mod settings;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{Config, Destination, LakeUrl};
use crate::contract::{PartitionError, SchemaError};
use crate::files::{Disk, Files as _, create_dir_durably};
use crate::ids::Ids;
use crate::lake::conditional::StoreLake;
use crate::lake::directory::Directory;
use crate::lake::s3::S3;
use crate::lake::{Lake, LakeError};
use crate::metrics::Metrics;
use crate::receive::server::ConnectionLimits;
use crate::receive::{App, Server, router};
use crate::ship::{Drained, Queue, Shipping};
use crate::status::Status;
use crate::wal::log::Log;
use crate::wal::node::{Lock, LockError};
use crate::wal::recover::OpenError;
use crate::wal::rows::RowsError;

use opening::{Opened, Opening};
use settings::receive_settings;

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
            newest_received,
        } = opened;
        // The very last step, without a wait behind it: whoever drops this future instead, because of
        // a signal, has accepted nothing yet.
        app.status.set_recovered(newest_received);
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
        let patience = Patience {
            deadline: tokio::time::Instant::now() + grace,
            hurry,
        };
        app.status.set_draining();
        for server in servers {
            // Half of the time belongs to the lake.
            patience.wait(server.stop(grace / 2)).await;
        }
        let flushing = log.clone();
        let flushed = tokio::task::spawn_blocking(move || flushing.flush());
        match patience.wait(flushed).await {
            Some(Ok(Ok(()))) => {}
            outcome => tracing::warn!(?outcome, "failed to seal what is open; it stays in the log"),
        }
        let drained = patience.drain(&queue).await;
        ticker.0.cancel();
        ticker.1.wait().await;
        // Attempts under way may wait for a lake that never answers; they end with the process.
        patience
            .wait(tokio::task::spawn_blocking(move || shipping.stop()))
            .await;
        let closing = log.clone();
        let closed = tokio::task::spawn_blocking(move || closing.close());
        let closed = tokio::time::timeout(CLOSE_LIMIT, closed).await.is_ok();
        let left_rows = log.gauges().uncommitted_rows.load(Ordering::Relaxed);
        Stopped {
            all_shipped: drained && closed && left_rows == 0,
            left_rows,
        }
    }
}

/// For the last note in the log, once everything else has ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// How long a stop may take.
struct Patience {
    deadline: tokio::time::Instant,
    hurry: CancellationToken,
}

impl Patience {
    /// Waits for something, as long as there is time; `None` if there is not.
    async fn wait<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = something => Some(done),
            () = tokio::time::sleep_until(self.deadline) => None,
            () = self.hurry.cancelled() => None,
        }
    }

    /// Waits for shipping in short steps, so that a hurry is noticed; `true` if nothing is left.
    async fn drain(&self, queue: &Arc<Queue>) -> bool {
        const STEP: Duration = Duration::from_millis(100);
        loop {
            let queue = Arc::clone(queue);
            let step = tokio::task::spawn_blocking(move || queue.drain(STEP));
            match self.wait(step).await {
                Some(Ok(Drained::Busy)) => {}
                outcome => return matches!(outcome, Some(Ok(Drained::Empty))),
            }
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
