//! A pipeline: a log and the threads that ship it to the lake. Events and feeds have one each, so that a slow
//! API never delays the webhook.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::errors::ServeError;
use super::known_lake::{check_label, lake_check, unshipped, waits_for_another};
use super::process::Process;
use super::stopping::{Patience, Stopped};
use super::tables::remember;
use crate::clock::Micros;
use crate::encode::Format;
use crate::files::{Disk, Entry, Files as _, create_dir_durably, remove_if_there};
use crate::lake::{Lake, LakeError};
use crate::metrics::Metrics;
use crate::record::{Fingerprint, Lsn};
use crate::ship::{LakeCheck, Landings, Queue, Shipper, Shipping, ShippingContext};
use crate::status::Status;
use crate::tables::Tables;
use crate::wal::helper::Background;
use crate::wal::log::{Listeners, Log};
use crate::wal::node::{Lock, Node, read_or_create};
use crate::wal::recover::{self, LocalWriter, Recovered};
use crate::wal::request::Settings;
use crate::wal::state::State;

/// How long closing the log may take, once everything else has ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The parts that a pipeline is made of.
pub(crate) struct Parts {
    /// The lock of the log's directory.
    pub(crate) lock: Lock,
    /// The log's settings.
    pub(crate) settings: Settings,
    /// The tables of the log's streams.
    pub(crate) tables: Tables,
    /// The format of objects.
    pub(crate) format: Format,
    /// The lake that objects are put into.
    pub(crate) lake: Arc<Lake<Disk>>,
    /// The operator says that another lake is meant than at the last start.
    pub(crate) accepts_new_lake: bool,
    /// The status that says whether this log can store rows.
    pub(crate) status: Arc<Status>,
    /// Whether the metric of the dedup window is about this log.
    pub(crate) shows_dedup_window: bool,
    /// What all parts of the process share.
    pub(crate) process: Process,
}

/// A running pipeline.
pub(crate) struct Pipeline {
    /// The log.
    pub(crate) log: Log,
    /// The node that the log belongs to.
    pub(crate) node: Node,
    /// The newest `received_at` that the log had when it was opened.
    pub(crate) newest_received: Micros,
    /// Cursors of streams that are pulled.
    pub(crate) cursors: Vec<(String, Vec<u8>)>,
    queue: Arc<Queue>,
    shipping: Shipping,
    failure: watch::Receiver<Option<String>>,
    /// Is the lake the one that the log knows?
    pub(crate) check: Arc<LakeCheck<Disk>>,
    _lock: Lock,
}

impl Pipeline {
    /// Reads the log in `dir` and starts to ship. Blocks.
    pub(crate) fn open(dir: &Path, parts: Parts) -> Result<Self, ServeError> {
        let Parts {
            lock,
            settings,
            tables,
            format,
            lake,
            accepts_new_lake,
            status,
            shows_dedup_window,
            process:
                Process {
                    metrics,
                    clock,
                    ids,
                },
        } = parts;
        let node = read_or_create(&Disk, dir, &ids)?;
        remember(dir, &tables, format)?;
        let (writer, recovered) = recover::open(
            Disk,
            dir,
            settings,
            clock.clone(),
            ids.clone(),
            Background::Threads,
        )?;
        tell(dir, &recovered, &writer);
        let check = lake_check(dir, node.id, writer.state(), accepts_new_lake, &ids);
        let check = Arc::new(check);
        open_lake(dir, writer.state(), &lake, &check)?;
        let newest_received = writer.state().newest_received;
        let queue = Arc::new(Queue::default());
        queue.push_sealed(&unshipped(writer.state()));
        let open_runs: Vec<Lsn> = writer.state().runs.open().collect();
        let cursors = writer.state().runs.cursors();
        let cursors = cursors.map(|(poll, bytes)| (poll.to_owned(), bytes.to_vec()));
        let cursors = cursors.collect();
        let (mut listeners, failure) = listeners(&status, &metrics, &queue);
        listeners.dedup_window_seconds =
            shows_dedup_window.then(|| metrics.dedup_window_seconds.clone());
        let log = Log::start(writer, clock.clone(), listeners)?;
        let shipping = Shipping::start(ShippingContext {
            queue: Arc::clone(&queue),
            shipper: Shipper::new(Disk, dir, node.id, lake, Arc::new(tables))
                .with_check(Arc::clone(&check)),
            log: log.clone(),
            status,
            metrics,
            clock,
            ids,
            landings: Landings::default(),
        })?;
        let pipeline = Self {
            log,
            node,
            newest_received,
            cursors,
            queue,
            shipping,
            failure,
            check,
            _lock: lock,
        };
        pipeline.abandon(&open_runs);
        Ok(pipeline)
    }

    /// Abandons runs that were under way when the process ended: their rows are discarded.
    fn abandon(&self, runs: &[Lsn]) {
        for run in runs {
            tracing::info!(%run, "a run of a poll was interrupted; nothing of it is visible");
            // If this fails, the next start abandons the run.
            if let Err(error) = Handle::current().block_on(self.log.abandon_run(*run)) {
                tracing::warn!(%error, %run, "failed to abandon an interrupted run; the next start does it");
            }
        }
    }

    /// Makes the identities of the records in this log.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.node.key)
    }

    /// Resolves with the reason when the log cannot go on.
    pub(crate) async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        let reason = failure.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }

    /// Seals what is open, and waits until it is shipped or time runs out. Returns whether nothing is left to
    /// ship.
    pub(crate) async fn drain(&self, patience: &Patience) -> bool {
        let flushing = self.log.clone();
        let flushed = tokio::task::spawn_blocking(move || flushing.flush());
        match patience.wait(flushed).await {
            Some(Ok(Ok(()))) => {}
            outcome => tracing::warn!(?outcome, "failed to seal what is open; it stays in the log"),
        }
        patience.drain(&self.queue).await
    }

    /// Stops shipping, and then the log.
    pub(crate) async fn close(self, patience: &Patience, drained: bool) -> Stopped {
        let Self { log, shipping, .. } = self;
        // Attempts that are under way may wait for a lake that never answers. They end with the process.
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

fn tell(dir: &Path, recovered: &Recovered, writer: &LocalWriter<Disk>) {
    let node = writer.node();
    tracing::info!(
        %node,
        dir = %dir.display(),
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
            "a crash cut off the last write, which was never acknowledged; nothing is lost, and its bytes are kept beside the log"
        );
    }
    for lost in &recovered.lost_ids {
        tracing::error!(
            lost,
            "the id file of a closed segment cannot be read; events that are sent again may be stored twice"
        );
    }
}

/// Checks that the lake is the one that the log ships to, and can be used.
fn open_lake(
    dir: &Path,
    state: &State,
    lake: &Arc<Lake<Disk>>,
    check: &Arc<LakeCheck<Disk>>,
) -> Result<(), ServeError> {
    if let Some(other) = waits_for_another(dir, state, lake.identity())? {
        let configured = lake.identity().to_owned();
        return Err(ServeError::OtherLake { other, configured });
    }
    check_label(check, lake)?;
    clear_spool(lake)?;
    if let Lake::Directory(directory) = &**lake
        && let Err(error @ LakeError::Unusable(_)) = directory.probe()
    {
        return Err(error.into());
    }
    Ok(())
}

/// Removes unfinished objects, which are of no use after a crash. In a directory lake they may belong to
/// another node; there, each put removes only its own.
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

fn listeners(
    status: &Arc<Status>,
    metrics: &Arc<Metrics>,
    queue: &Arc<Queue>,
) -> (Listeners, watch::Receiver<Option<String>>) {
    let (failed, failure) = watch::channel(None);
    let (status, queue) = (Arc::clone(status), Arc::clone(queue));
    let complete = Arc::clone(&queue);
    let metrics = Arc::clone(metrics);
    let listeners = Listeners {
        complete: Box::new(move |runs| complete.push_due(runs)),
        sealed: Box::new(move |sealed| queue.push_sealed(sealed)),
        failed: Box::new(move |error| {
            tracing::error!(%error, "the write-ahead log cannot go on; the service ends");
            status.set_failed(error.to_string());
            let _nobody_listens = failed.send(Some(error.to_string()));
        }),
        written: Box::new(move |written| {
            metrics.wal_sync_seconds.record(written.sync.as_secs_f64());
            metrics.wal_group_records.record(f64::from(written.rows));
            let reasons = written.reasons.iter();
            reasons.for_each(|reason| metrics.sealed(*reason));
        }),
        dedup_window_seconds: None,
    };
    (listeners, failure)
}
