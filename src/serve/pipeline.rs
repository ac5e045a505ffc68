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
use super::fenced;
use super::home::Home;
use super::insistence::Insistence;
use super::known_lake::{check_label, lake_check, unshipped, waits_for_another};
use super::process::Process;
use super::stopping::{Patience, Stopped};
use super::tables::{refuse_changed, remember};
use super::takeover::Replica;
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
use crate::wal::journal::seam::{Frames, Journal, JournalError};
use crate::wal::log::{Listeners, Log};
use crate::wal::node::{Lock, Node, read_or_create};
use crate::wal::recover::{self, Recovered};
use crate::wal::request::{Settings, WriteError};
use crate::wal::rows::BatchReader;
use crate::wal::state::State;
use crate::wal::writer::Writer;

/// How long closing the log may take, once everything else has ended.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// The parts that a pipeline is made of.
pub(crate) struct Parts {
    /// Where the log lives.
    pub(crate) home: Home,
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
    /// What all parts of the process share.
    pub(crate) process: Process,
    /// The handle by which others use the log; nobody answers there yet, or a stand-in.
    pub(crate) log: Log,
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
    /// The epoch of a log in a replica; 0 without one.
    pub(crate) epoch: u64,
    queue: Arc<Queue>,
    shipping: Shipping,
    failure: watch::Receiver<Option<Failure>>,
    /// Is the lake the one that the log knows?
    pub(crate) check: Arc<LakeCheck<Disk>>,
    /// What repeats requests to the bucket, if the log is kept in one.
    insistence: Option<Arc<Insistence>>,
    _lock: Arc<Lock>,
}

/// Why a log cannot go on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    /// The reason, for people.
    pub(crate) reason: String,
    /// Whether another process owns the log now, and nothing else is wrong.
    pub(crate) is_fenced: bool,
}

impl Pipeline {
    /// Reads the log and starts to ship. Blocks.
    pub(crate) fn open(mut parts: Parts) -> Result<Self, ServeError> {
        let (beside, dir) = (parts.home.beside.clone(), parts.home.dir.clone());
        let (clock, ids) = (parts.process.clock.clone(), parts.process.ids.clone());
        let Some(replica) = parts.home.replica.take() else {
            let node = read_or_create(&Disk, &dir, &ids)?;
            remember(&beside, &parts.tables, parts.format)?;
            let settings = parts.settings.clone();
            let (writer, recovered) =
                recover::open(Disk, &dir, settings, clock, ids, Background::Threads)?;
            return Self::begin(parts, node, ((writer, recovered), 0), None);
        };
        refuse_changed(&dir, &parts.tables, parts.format)?;
        let opened = replica.take_over(&dir, &parts.settings, (&clock, &ids))?;
        remember(&beside, &parts.tables, parts.format)?;
        let node = replica.node;
        Self::begin(parts, node, opened, Some(replica))
    }

    /// Starts the log of a writer, and what ships it.
    fn begin<J: Journal + Send + 'static>(
        parts: Parts,
        node: Node,
        ((writer, recovered), epoch): ((Writer<J, Disk>, Recovered), u64),
        replica: Option<Replica>,
    ) -> Result<Self, ServeError> {
        let Parts {
            home,
            tables,
            lake,
            accepts_new_lake,
            process,
            log,
            ..
        } = parts;
        let (dir, status, is_of_node) = (home.dir, home.status, home.is_of_node);
        let (metrics, clock, ids) = (process.metrics, process.clock, process.ids);
        tell(&dir, &recovered, &writer);
        let state = writer.state();
        let check = lake_check(home.beside, node.id, state, accepts_new_lake, &ids);
        let check = Arc::new(check);
        let frames = writer.frames();
        let reader = BatchReader::of(frames.clone());
        open_lake(&reader, writer.state(), &lake, (&check, is_of_node))?;
        let newest_received = writer.state().newest_received;
        let queue = Arc::new(Queue::default());
        queue.push_sealed(&unshipped(writer.state()));
        let open_runs: Vec<Lsn> = writer.state().runs.open().collect();
        let cursors = cursors_of(writer.state());
        let (listeners, failure) = listeners(&status, &metrics, &queue, (&dir, is_of_node));
        log.own(writer, clock.clone(), listeners)?;
        let shipper = Shipper::of(Disk, frames, node.id, lake, Arc::new(tables));
        let shipper = shipper.with_check(Arc::clone(&check));
        let shipper = match &replica {
            Some(replica) => replica.of_log(shipper, &log, &clock),
            None => shipper,
        };
        let shipping = Shipping::start(ShippingContext {
            queue: Arc::clone(&queue),
            shipper,
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
            epoch,
            queue,
            shipping,
            failure,
            check,
            insistence: replica.map(|replica| replica.insistence),
            _lock: home.lock,
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
    pub(crate) async fn failed(&self) -> Failure {
        let mut failure = self.failure.clone();
        let reason = failure.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| reason.clone())
            .unwrap_or_default()
    }

    /// Ends what belongs to a log that another process owns now, apart from the handle of the log. Blocks until
    /// nothing of it is under way any more.
    pub(crate) fn give_up(self) {
        if let Some(insistence) = self.insistence {
            insistence.end();
        }
        self.shipping.stop();
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
        let Self {
            log,
            shipping,
            insistence,
            ..
        } = self;
        // Attempts that are under way may wait for a lake that never answers. They end with the process.
        patience
            .wait(tokio::task::spawn_blocking(move || shipping.stop()))
            .await;
        let closing = log.clone();
        let closed = tokio::task::spawn_blocking(move || closing.close());
        let closed = tokio::time::timeout(CLOSE_LIMIT, closed).await.is_ok();
        if let Some(insistence) = insistence {
            insistence.end();
        }
        let left_rows = log.gauges().uncommitted_rows.load(Ordering::Relaxed);
        Stopped {
            all_shipped: drained && closed && left_rows == 0,
            left_rows,
        }
    }
}

fn cursors_of(state: &State) -> Vec<(String, Vec<u8>)> {
    let cursors = state.runs.cursors();
    let owned = cursors.map(|(poll, bytes)| (poll.to_owned(), bytes.to_vec()));
    owned.collect()
}

fn tell<J: Journal>(dir: &Path, recovered: &Recovered, writer: &Writer<J, Disk>) {
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
fn open_lake<R: Frames>(
    reader: &BatchReader<R>,
    state: &State,
    lake: &Arc<Lake<Disk>>,
    (check, is_of_node): (&Arc<LakeCheck<Disk>>, bool),
) -> Result<(), ServeError> {
    if let Some(other) = waits_for_another(reader, state, lake.identity())? {
        let configured = lake.identity().to_owned();
        return Err(ServeError::OtherLake { other, configured });
    }
    check_label(check, lake, is_of_node)?;
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
    (dir, is_of_node): (&Path, bool),
) -> (Listeners, watch::Receiver<Option<Failure>>) {
    let dir = dir.to_owned();
    let (failed, failure) = watch::channel(None);
    let (status, queue) = (Arc::clone(status), Arc::clone(queue));
    let of_log = Arc::clone(&status);
    let complete = Arc::clone(&queue);
    let metrics = Arc::clone(metrics);
    let listeners = Listeners {
        complete: Box::new(move |runs| complete.push_due(runs)),
        sealed: Box::new(move |sealed| queue.push_sealed(sealed)),
        failed: Box::new(move |error| {
            let by = match error {
                WriteError::Journal(JournalError::Fenced { by, .. }) => Some(by),
                _ => None,
            };
            let goes_on = is_of_node && by.is_some();
            if goes_on {
                tracing::warn!(%error, "another node has taken the log over");
            } else {
                tracing::error!(%error, "the write-ahead log cannot go on; the service ends");
                if let Some(by) = by {
                    fenced::remember(&dir, by);
                }
                status.set_failed(error.to_string());
            }
            let failure = Failure {
                reason: error.to_string(),
                is_fenced: by.is_some(),
            };
            let _nobody_listens = failed.send(Some(failure));
        }),
        written: Box::new(move |written| {
            of_log.replica_is_back();
            metrics.wal_sync_seconds.record(written.sync.as_secs_f64());
            metrics.wal_group_records.record(f64::from(written.rows));
            let reasons = written.reasons.iter();
            reasons.for_each(|reason| metrics.sealed(*reason));
        }),
    };
    (listeners, failure)
}
