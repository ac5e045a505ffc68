//! The pipeline of events: with the rest of a service, or alone, for what a command brings in.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::pipeline::{Parts, Pipeline};
use super::settings::{EVENTS, wal_settings};
use super::stopping::Patience;
use super::{ServeError, Stopped, lake_of, tables};
use crate::clock::Clock;
use crate::config::Config;
use crate::contract::{Contract, Schemas};
use crate::files::{Disk, create_dir_durably};
use crate::ids::{HashKey, Ids};
use crate::metrics::Metrics;
use crate::record::Fingerprint;
use crate::replay::owner::Replayer;
use crate::status::Status;
use crate::tables::{Table, Tables};
use crate::wal::node::Lock;

/// What the pipeline shares with the rest of a process.
pub(super) struct Around {
    pub(super) status: Arc<Status>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
}

/// What events are checked by, and their table.
pub(super) fn read_schemas(config: &Config) -> Result<(Schemas, Table), ServeError> {
    let schemas = config.events.read_schemas().map_err(ServeError::Schemas)?;
    let table = tables::events(config, &schemas).map_err(|error| vec![error]);
    let table = table.map_err(ServeError::Schemas)?;
    Ok((schemas, table))
}

/// Opens the log of events, whose lock is held.
pub(super) async fn open(
    config: &Config,
    lock: Lock,
    table: Table,
    around: Around,
) -> Result<Pipeline, ServeError> {
    let lake = Arc::new(lake_of(config, Handle::current()).await);
    let parts = Parts {
        lock,
        settings: wal_settings(config, lake.identity()),
        tables: Tables::new([(EVENTS.to_owned(), table)].into_iter()),
        format: config.batch.format,
        lake,
        accepts_new_lake: config.lake.accepts_new,
        status: around.status,
        metrics: around.metrics,
        shows_dedup_window: true,
        clock: around.clock,
        ids: around.ids,
    };
    let dir = config.wal.dir.clone();
    tokio::task::spawn_blocking(move || Pipeline::open(&dir, parts)).await?
}

/// The contract of today without a log, to check by it.
pub fn dry_contract(config: &Config) -> Result<Contract, ServeError> {
    let (schemas, _) = read_schemas(config)?;
    let fingerprint = Fingerprint::new(HashKey([0; 16]));
    Ok(Contract::new(config.rules()?, schemas, fingerprint))
}

/// The pipeline of events alone.
pub struct OpenEvents {
    pipeline: Pipeline,
    replayer: Replayer,
}

impl OpenEvents {
    /// Takes the lock of the log's directory and opens the log.
    pub async fn open(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let (schemas, table) = read_schemas(config)?;
        let rules = config.rules()?;
        let metrics = Metrics::with_polls(&config.events.types, config.poll.keys())?;
        let status = Arc::new(Status::default());
        let dir: &Path = &config.wal.dir;
        create_dir_durably(&Disk, dir, true)?;
        let lock = Lock::take(dir)?;
        let around = Around {
            status: Arc::clone(&status),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            ids,
        };
        let pipeline = open(config, lock, table, around).await?;
        status.set_low_space(super::is_low_on_space(config));
        status.set_recovered(pipeline.newest_received);
        let contract = Contract::new(rules, schemas, pipeline.fingerprint());
        let replayer = Replayer {
            contract: Arc::new(contract),
            log: pipeline.log.clone(),
            status,
            metrics,
            clock,
        };
        Ok(Self { pipeline, replayer })
    }

    /// What replays into it.
    pub fn replayer(&self) -> &Replayer {
        &self.replayer
    }

    /// Brings everything to the lake as far as there is time, and closes the log.
    pub async fn close(self, patience: &Patience) -> Stopped {
        self.replayer.status.set_draining();
        let drained = self.pipeline.drain(patience).await;
        self.pipeline.close(patience, drained).await
    }
}
