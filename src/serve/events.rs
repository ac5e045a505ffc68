//! The pipeline of events, within a service or alone for a replay by a command.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::errors::ServeError;
use super::home::{Home, Opener};
use super::lakes::lake_of;
use super::pipeline::{Parts, Pipeline};
use super::process::Process;
use super::settings::{LogRole, hook_judge, log_settings};
use super::space::is_low_on_space;
use super::stopping::{Patience, Stopped};
use super::tables;
use crate::clock::Clock;
use crate::config::Config;
use crate::contract::{Contract, EVENTS, Schemas};
use crate::ids::{HashKey, Ids};
use crate::record::Fingerprint;
use crate::replay::owner::Replayer;
use crate::status::Status;
use crate::tables::{Table, Tables};
use crate::wal::log::Log;

/// The schemas of events, and the table that they make.
pub(super) fn read_schemas(config: &Config) -> Result<(Schemas, Table), ServeError> {
    let schemas = config.events.read_schemas().map_err(ServeError::Schemas)?;
    let table = tables::events(config, &schemas).map_err(|error| vec![error]);
    let table = table.map_err(ServeError::Schemas)?;
    Ok((schemas, table))
}

/// Opens the log of events, which lives there.
pub(super) async fn open(
    config: &Config,
    home: Home,
    table: Table,
    process: Process,
    log: Log,
) -> Result<Pipeline, ServeError> {
    let lake = Arc::new(lake_of(config, &config.wal.dir, Handle::current()).await);
    let parts = Parts {
        home,
        settings: log_settings(config, LogRole::Events, lake.identity()),
        tables: Tables::new([(EVENTS.to_owned(), table)].into_iter()),
        format: config.batch.format,
        lake,
        accepts_new_lake: config.lake.accepts_new,
        process,
        log,
    };
    tokio::task::spawn_blocking(move || Pipeline::open(parts)).await?
}

/// The configured contract without a log, for checks that store nothing.
pub fn dry_contract(config: &Config) -> Result<Contract, ServeError> {
    let (schemas, _) = read_schemas(config)?;
    let fingerprint = Fingerprint::new(HashKey([0; 16]));
    Ok(Contract::new(config.rules()?, schemas, fingerprint))
}

/// The pipeline of events without the rest of a service.
pub struct OpenEvents {
    pipeline: Pipeline,
    replayer: Replayer,
}

impl OpenEvents {
    /// Takes the lock of the log's directory and opens the log.
    pub async fn open(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        let (schemas, table) = read_schemas(config)?;
        let rules = config.rules()?;
        let process = Process::new(config, clock, ids)?;
        let status = Arc::new(Status::default());
        let log = (LogRole::Events, Home::lock(config, LogRole::Events)?);
        let of_log = Arc::clone(&status);
        let home = Home::open(config, log, of_log, &process, Opener::Command).await?;
        let pipeline = open(config, home, table, process.clone(), Log::unowned()).await?;
        status.set_low_space(is_low_on_space(config, &config.wal));
        status.set_recovered(pipeline.newest_received);
        let contract = Contract::new(rules, schemas, pipeline.fingerprint());
        let replayer = Replayer {
            contract: Arc::new(contract),
            hooks: hook_judge(config),
            logs: pipeline.log.clone().into(),
            status,
            metrics: process.metrics,
            clock: process.clock,
            elsewhere: Arc::new(|| None),
        };
        Ok(Self { pipeline, replayer })
    }

    /// Stores what is replayed in this log.
    pub fn replayer(&self) -> &Replayer {
        &self.replayer
    }

    /// Ships what the log holds until everything is in the lake or time runs out, and closes the log.
    pub async fn close(self, patience: &Patience) -> Stopped {
        self.replayer.status.set_draining();
        let drained = self.pipeline.drain(patience).await;
        self.pipeline.close(patience, drained).await
    }
}
