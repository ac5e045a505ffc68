//! Opening the log and starting what hangs on it; done where blocking is allowed.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use super::ServeError;
use super::settings::wal_settings;
use crate::clock::Micros;
use crate::commit::Shipper;
use crate::config::Config;
use crate::contract::{Contract, Rules, Schemas};
use crate::files::{Disk, Entry, Files as _, create_dir_durably, remove_if_there};
use crate::lake::{Lake, LakeError};
use crate::receive::{App, Core};
use crate::record::Fingerprint;
use crate::ship::{Queue, Shipping, Yard};
use crate::wal::helper::Helper;
use crate::wal::log::{Listeners, Log};
use crate::wal::node::read_or_create;
use crate::wal::recover::{self, Recovered};
use crate::wal::rows::BatchReader;
use crate::wal::state::{SealAt, State};
use crate::wal::writer::Writer;

/// What is needed to open the log.
pub(super) struct Opening {
    pub(super) config: Config,
    pub(super) app: Arc<App>,
    pub(super) lake: Arc<Lake<Disk>>,
    pub(super) schemas: Schemas,
    pub(super) rules: Rules,
}

/// What then runs.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) queue: Arc<Queue>,
    pub(super) shipping: Shipping,
    pub(super) failure: watch::Receiver<Option<String>>,
    /// The newest `received_at` in the log.
    pub(super) newest_received: Micros,
}

impl Opening {
    /// Reads the log, and starts what hangs on it. Requests are let in by the caller.
    pub(super) fn open(self) -> Result<Opened, ServeError> {
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
        Ok(Opened {
            log,
            queue,
            shipping,
            failure,
            newest_received: newest,
        })
    }
}

fn unshipped(state: &State) -> Vec<(u64, SealAt)> {
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
    let complete = Arc::clone(&queue);
    let listeners = Listeners {
        complete: Box::new(move |runs| complete.push_complete(runs)),
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
