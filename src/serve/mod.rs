//! The composition root: builds the parts, joins them, and takes them down in order.
//!
//! Up: lock, listeners (answering 503), log, shipping, ready. Down: no new connections, requests under
//! way end, everything open is sealed, shipped as far as the time allows, and the log is closed. What
//! is left stays in the log.

pub mod events;
mod figures;
pub mod lakes;
mod pipeline;
pub mod polls;
mod settings;
mod stopping;
pub mod tables;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{Config, Destination, LakeUrl};
use crate::contract::{Contract, PartitionError, SchemaError};
use crate::control::Control;
use crate::files::{Disk, Files as _, create_dir_durably};
use crate::ids::Ids;
use crate::lake::conditional::StoreLake;
use crate::lake::directory::Directory;
use crate::lake::s3::S3;
use crate::lake::{Lake, LakeError};
use crate::metrics::Metrics;
use crate::poll::plan::PlanError;
use crate::receive::server::ConnectionLimits;
use crate::receive::tls::{Tls, TlsError};
use crate::receive::{App, Core, Front, Server};
use crate::replay;
use crate::replay::owner::Replayer;
use crate::status::Status;
use crate::wal::node::{Lock, LockError};
use crate::wal::recover::OpenError;
use crate::wal::rows::RowsError;

use pipeline::Pipeline;
use polls::{OpenPolls, Polls, Surroundings};
pub use settings::{receive_settings, settings_of, tls_files};
pub use stopping::Patience;
use tables::Changed;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Schemas that cannot be used.
    #[error("the schemas cannot be used:{}", list(.0))]
    Schemas(Vec<SchemaError>),
    /// Polls that cannot be planned.
    #[error("the polls cannot be used:{}", list(.0))]
    Polls(Vec<PlanError>),
    /// Columns that would change.
    #[error("the columns cannot be kept:{}", list(.0))]
    Columns(Vec<Changed>),
    /// The partition pattern cannot be used.
    #[error("`events.partition` cannot be used: {0}")]
    Partition(#[from] PartitionError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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

fn list(errors: &[impl std::fmt::Display]) -> String {
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
    replays: Option<Control>,
    pipeline: Pipeline,
    polls: Option<Polls>,
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
        Some(endpoint) => format!("{} at {}", config.lake.url, endpoint.url),
    };
    let spool = config.wal.dir.join("spool");
    let store = S3::new(location, runtime).await;
    Lake::Store(StoreLake::new(Disk, Box::new(store), identity, &spool))
}

impl Service {
    /// Starts everything; returns when requests are accepted.
    pub async fn start(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let (schemas, table) = events::read_schemas(config)?;
        let rules = config.rules()?;
        let tls = tls_files(&config.server)
            .map(Tls::load)
            .transpose()?
            .map(Arc::new);
        let metrics = Metrics::with_polls(&config.events.types, config.poll.keys())?;
        let status = Arc::new(Status::default());
        create_dir_durably(&Disk, &config.wal.dir, true)?;
        let lock = Lock::take(&config.wal.dir)?;
        let app = App::new(
            receive_settings(config, &rules),
            Arc::clone(&status),
            Arc::clone(&metrics),
            clock.clone(),
            &ids,
        );
        let servers = listen(config, tls, &app).await?;
        let open_polls = if config.poll.is_empty() {
            None
        } else {
            let around = Surroundings {
                metrics: Arc::clone(&metrics),
                clock: clock.clone(),
                ids: ids.clone(),
            };
            Some(OpenPolls::open(config, around).await?)
        };
        let around = events::Around {
            status,
            metrics,
            clock,
            ids,
        };
        let pipeline = events::open(config, lock, table, around).await?;
        let core = Core {
            contract: Arc::new(Contract::new(rules, schemas, pipeline.fingerprint())),
            log: pipeline.log.clone(),
            node: pipeline.node.id,
        };
        let replays = listen_for_replays(config, &app, &core);
        let _set_before = app.core.set(core);
        // From here on without a wait: whoever drops this future instead, because of a signal, has
        // accepted nothing yet.
        let polls = open_polls.map(|polls| polls.start(true));
        let ticker = (CancellationToken::new(), TaskTracker::new());
        let ticking = Ticking {
            config: config.clone(),
            app: Arc::clone(&app),
            polls: polls.as_ref().map(|polls| Arc::clone(polls.status())),
        };
        ticker.1.spawn(ticking.tick(ticker.0.clone()));
        ticker.1.close();
        if let Some(polls) = &polls {
            let _set_before = app.polls.set(figures::of_polls(polls));
        }
        app.status.set_recovered(pipeline.newest_received);
        app.status.observe(app.clock.now());
        Ok(Self {
            app,
            servers,
            ticker,
            replays,
            pipeline,
            polls,
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

    /// Resolves with the reason when a log cannot go on, which ends the service.
    pub async fn failed(&self) -> String {
        let of_polls = async {
            match &self.polls {
                Some(polls) => polls.failed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = self.pipeline.failed() => reason,
            reason = of_polls => reason,
        }
    }

    /// Who looks after the polls, if there are any.
    pub fn polls(&self) -> Option<&Polls> {
        self.polls.as_ref()
    }

    /// Stops in order, within that time; `hurry` cuts every wait short.
    pub async fn stop(self, grace: Duration, hurry: CancellationToken) -> Stopped {
        let Self {
            app,
            servers,
            ticker,
            replays,
            pipeline,
            polls,
        } = self;
        let patience = Patience::new(grace, hurry);
        app.status.set_draining();
        let of_polls = async {
            match polls {
                Some(polls) => Some(polls.stop(&patience).await),
                None => None,
            }
        };
        let of_events = async {
            for server in servers {
                // Half of the time belongs to the lake.
                patience.wait(server.stop(grace / 2)).await;
            }
            if let Some(replays) = replays {
                patience.wait(replays.stop()).await;
            }
            let drained = pipeline.drain(&patience).await;
            ticker.0.cancel();
            ticker.1.wait().await;
            pipeline.close(&patience, drained).await
        };
        let (events, polls) = tokio::join!(of_events, of_polls);
        Stopped {
            all_shipped: events.all_shipped && polls.is_none_or(|polls| polls.all_shipped),
            left_rows: events.left_rows + polls.map_or(0, |polls| polls.left_rows),
        }
    }
}

/// The socket on which `lakehook quarantine replay` asks.
fn listen_for_replays(config: &Config, app: &App, core: &Core) -> Option<Control> {
    let replayer = Replayer {
        contract: Arc::clone(&core.contract),
        log: core.log.clone(),
        status: Arc::clone(&app.status),
        metrics: Arc::clone(&app.metrics),
        clock: app.clock.clone(),
    };
    let listening = replay::talk::listen(&config.wal.dir, replayer);
    let dir = config.wal.dir.display();
    let listening = listening.inspect_err(|error| {
        tracing::warn!(%error, %dir, "no socket there: `lakehook quarantine replay` cannot ask this service");
    });
    listening.ok()
}

async fn listen(
    config: &Config,
    tls: Option<Arc<Tls>>,
    app: &Arc<App>,
) -> Result<Vec<Server>, ServeError> {
    let limits = ConnectionLimits {
        max_connections: config.server.max_connections,
        header_timeout: config.server.header_timeout.duration(),
        idle_timeout: config.server.idle_timeout.duration(),
    };
    let main = bind(config.server.listen).await?;
    let mut servers = vec![Server::start(main, tls, Front::new(app), limits)?];
    if let Some(address) = config.server.metrics_listen {
        let listener = bind(address).await?;
        servers.push(Server::start(
            listener,
            None,
            Front::of_metrics(app),
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

/// What is looked at once a second.
struct Ticking {
    config: Config,
    app: Arc<App>,
    polls: Option<Arc<Status>>,
}

impl Ticking {
    /// Follows the clock, checks the free space, and folds the histograms so that they do not grow.
    async fn tick(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                () = stop.cancelled() => return,
            }
            self.observe_clock();
            self.look_at_space();
            self.app.metrics.fold();
        }
    }

    fn look_at_space(&self) {
        let low = is_low_on_space(&self.config);
        if low {
            tracing::warn!("too little free space on disk; refusing requests");
        }
        self.app.status.set_low_space(low);
        if let Some(polls) = &self.polls {
            polls.set_low_space(is_low_on_space(&settings::polls_config(&self.config)));
        }
    }

    /// Lets every status follow the clock, whether or not requests come and polls run.
    fn observe_clock(&self) {
        let now = self.app.clock.now();
        self.app.status.observe(now);
        if let Some(polls) = &self.polls {
            polls.observe(now);
        }
    }
}

/// Less than two segments and two objects would leave no room for what must still be written.
fn is_low_on_space(config: &Config) -> bool {
    let copies = config.batch.format.layout().spooled_copies();
    let objects = 2 * copies * config.batch.max_bytes.bytes();
    let log = 2 * config.wal.segment_size().bytes() + objects;
    let below = |dir: &PathBuf, need: u64| Disk.free_bytes(dir).is_ok_and(|free| free < need);
    let lake = match &config.lake.url {
        LakeUrl::Directory(root) => below(root, objects),
        LakeUrl::S3 { .. } => false,
    };
    lake || below(&config.wal.dir, log)
}
