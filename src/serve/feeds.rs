//! The list of configured feeds and the one pipeline that they share, within a service or alone for a
//! command.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::errors::ServeError;
use super::home::{Home, Opener};
use super::lakes::lake_of;
use super::pipeline::{Failure, Parts, Pipeline};
use super::process::Process;
use super::settings::{LogRole, log_settings};
use super::stopping::{Patience, Stopped};
use super::tables::{live_shape, text_columns};
use crate::call;
use crate::call::feed::CallFeed;
use crate::clock::Now;
use crate::config::Config;
use crate::feeds::context::Context;
use crate::feeds::door::{ObjectDoor, Writing};
use crate::feeds::feed::{Feed, SetupError};
use crate::feeds::figures::Figures;
use crate::feeds::host::{Host, RunEnded};
use crate::files::Disk;
use crate::inbox;
use crate::inbox::definition::FilesDefinition;
use crate::inbox::feed::FilesFeed;
use crate::lake::reader::LakeReader;
use crate::lake::{Found, Lake, LakeError, Object, Trouble};
use crate::metrics::Metrics;
use crate::poll;
use crate::poll::definition::Mode;
use crate::poll::feed::PollFeed;
use crate::poll::link::SharedLinks;
use crate::ship::{LakeCheck, ShipError, Shipper};
use crate::side_files::SideFiles;
use crate::status::Status;
use crate::tables::{Table, Tables};
use crate::wal::log::Log;
use crate::wal::node::Lock;

/// Every feed that is configured. Cheap to clone.
#[derive(Clone, Default)]
pub struct FeedList(Vec<Arc<dyn Feed>>);

/// Feeds whose log is open, but which have not been started.
pub struct OpenFeeds {
    pipeline: Pipeline,
    feeds: FeedList,
    status: Arc<Status>,
    context: Context,
}

/// Feeds that have been started.
pub struct RunningFeeds {
    pipeline: Pipeline,
    feeds: FeedList,
    status: Arc<Status>,
}

/// The polls of a configuration.
pub fn poll_feed(config: &Config) -> PollFeed {
    poll_feed_beside(config, &SideFiles::within(&config.polls.dir))
}

/// The polls of a configuration, with what is known of their columns beside a log.
fn poll_feed_beside(config: &Config, beside: &SideFiles) -> PollFeed {
    // A directory that cannot be read is told when the log is opened.
    let mut text_columns = text_columns(beside.dir()).unwrap_or_default();
    let definitions = config.poll.iter();
    let definitions = definitions.map(|(name, poll)| {
        let api = poll.api.as_ref().and_then(|api| config.api.get(api));
        let mut definition = poll.definition(api);
        if let Some(each) = &mut definition.each {
            let parent = config.poll.get(&each.of);
            each.of_snapshot = parent.is_some_and(|parent| parent.mode == Mode::Snapshot);
        }
        definition.columns.kept_as_text = text_columns.remove(name).unwrap_or_default();
        if poll.schema.is_none() {
            definition.columns.live = live_shape(beside, name, &[]).ok().map(Arc::new);
        }
        (name.clone(), definition)
    });
    PollFeed::new(definitions.collect(), config.polls.concurrency)
}

/// The calls of a configuration.
pub fn call_feed(config: &Config) -> CallFeed {
    // A call without an API was refused before.
    let definitions = config.call.iter().filter_map(|(name, call)| {
        let api = config.api.get(&call.api)?;
        Some((name.clone(), call.definition(api)))
    });
    CallFeed::new(definitions.collect())
}

/// The files of a configuration.
pub fn files_feed(config: &Config) -> FilesFeed {
    files_feed_beside(config, &SideFiles::within(&config.polls.dir))
}

/// The files of a configuration, with what is known of their columns beside a log.
fn files_feed_beside(config: &Config, beside: &SideFiles) -> FilesFeed {
    // A directory that cannot be read is told when the log is opened.
    let mut text_columns = text_columns(beside.dir()).unwrap_or_default();
    let definitions = config.files.iter().map(|(name, files)| {
        let bucket = files.bucket();
        let bucket = bucket.map(|bucket| config.lake.location(bucket, ""));
        let definition = FilesDefinition {
            kept_as_text: text_columns.remove(name).unwrap_or_default(),
            live: match &files.schema {
                Some(_) => None,
                None => live_shape(beside, name, inbox::plan::RESERVED)
                    .ok()
                    .map(Arc::new),
            },
            ..files.definition(bucket)
        };
        (name.clone(), definition)
    });
    FilesFeed::new(definitions.collect(), config.polls.concurrency)
}

impl FeedList {
    /// The feeds that have something to do.
    pub fn of(config: &Config) -> Self {
        Self::with(config, &[])
    }

    /// The same, with what is known of their columns beside a log.
    fn beside(config: &Config, beside: &SideFiles) -> Self {
        Self::with_beside(config, &[], beside)
    }

    /// The same, with these feeds in place of those of their names. What they share, a log, has rows of all of them.
    pub fn with(config: &Config, own: &[Arc<dyn Feed>]) -> Self {
        Self::with_beside(config, own, &SideFiles::within(&config.polls.dir))
    }

    fn with_beside(config: &Config, own: &[Arc<dyn Feed>], beside: &SideFiles) -> Self {
        let mut feeds = own.to_vec();
        let lacks = |name| own.iter().all(|feed| feed.name() != name);
        // One rate of requests and one set of tokens for each API.
        let links = SharedLinks::default();
        if !config.poll.is_empty() && lacks(poll::plan::SECTION) {
            let polls = poll_feed_beside(config, beside);
            feeds.push(Arc::new(polls.with_links(links.clone())));
        }
        if !config.call.is_empty() && lacks(call::plan::SECTION) {
            feeds.push(Arc::new(call_feed(config).with_links(links)));
        }
        if !config.files.is_empty() && lacks(inbox::plan::SECTION) {
            feeds.push(Arc::new(files_feed_beside(config, beside)));
        }
        Self(feeds)
    }

    /// Whether no feed is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tables of all streams, or every setting that cannot be used.
    pub fn tables(&self) -> Result<Tables, Vec<SetupError>> {
        let streams = self.each(|feed| feed.streams())?;
        Ok(Tables::new(streams.into_iter().flatten()))
    }

    /// The state of every stream.
    pub fn figures(&self) -> Figures {
        let figures = self.0.iter().map(|feed| feed.figures());
        figures.flatten().collect()
    }

    /// Asks for a run of a stream; `false` if no feed has it.
    pub(super) fn ask(&self, stream: &str) -> bool {
        self.0.iter().any(|feed| feed.ask(stream))
    }

    /// Calls `act` with every feed. If any of them fails, returns the errors of all.
    fn each<T>(
        &self,
        mut act: impl FnMut(&dyn Feed) -> Result<T, Vec<SetupError>>,
    ) -> Result<Vec<T>, Vec<SetupError>> {
        let (mut done, mut errors) = (Vec::new(), Vec::new());
        for feed in &self.0 {
            match act(&**feed) {
                Ok(one) => done.push(one),
                Err(of_feed) => errors.extend(of_feed),
            }
        }
        if errors.is_empty() {
            Ok(done)
        } else {
            Err(errors)
        }
    }
}

impl OpenFeeds {
    /// Takes the lock of the feeds' directory and opens their log, for a command.
    pub async fn open(
        config: &Config,
        feeds: FeedList,
        process: Process,
    ) -> Result<Self, ServeError> {
        feeds.tables().map_err(ServeError::Polls)?;
        let lock = Home::lock(config, LogRole::Feeds)?;
        let log = (LogRole::Feeds, lock);
        let home = Home::open(config, log, Arc::default(), &process, Opener::Command).await?;
        Self::open_at(config, home, feeds, (process, Log::unowned())).await
    }

    /// Opens the log of all configured feeds, for a service; `None` if there are none.
    pub(super) async fn of_service(
        config: &Config,
        process: Process,
    ) -> Result<Option<Self>, ServeError> {
        let feeds = FeedList::of(config);
        if feeds.is_empty() {
            return Ok(None);
        }
        feeds.tables().map_err(ServeError::Polls)?;
        let log = (LogRole::Feeds, Home::lock(config, LogRole::Feeds)?);
        let home = Home::open(config, log, Arc::default(), &process, Opener::Service).await?;
        Self::of_home(config, home, (process, Log::unowned()))
            .await
            .map(Some)
    }

    /// The same, for a node of a cluster, which has a handle of the log and a status for life.
    pub(super) async fn of_node(
        config: &Config,
        process: Process,
        (lock, opener): (Arc<Lock>, Opener),
        (log, status): (Log, Arc<Status>),
    ) -> Result<Self, ServeError> {
        let place = (LogRole::Feeds, lock);
        let home = Home::open(config, place, status, &process, opener).await?;
        Self::of_home(config, home, (process, log)).await
    }

    async fn of_home(
        config: &Config,
        home: Home,
        process: (Process, Log),
    ) -> Result<Self, ServeError> {
        // Now everything is there that is known of columns.
        let feeds = FeedList::beside(config, &home.beside);
        Self::open_at(config, home, feeds, process).await
    }

    async fn open_at(
        config: &Config,
        home: Home,
        feeds: FeedList,
        (process, log): (Process, Log),
    ) -> Result<Self, ServeError> {
        let tables = feeds.tables().map_err(ServeError::Polls)?;
        let (beside, status) = (home.beside.clone(), Arc::clone(&home.status));
        let dir = home.dir.clone();
        let lake = Arc::new(lake_of(config, &dir, Handle::current()).await);
        let reads_lake = config.poll.values().any(|poll| poll.each.is_some());
        let lake_reader = if reads_lake {
            Some(Arc::new(LakeReader::open(config.lake.destination()).await))
        } else {
            None
        };
        let lake_identity = lake.identity().to_owned();
        let own_lake = Arc::clone(&lake);
        let own_tables = Arc::new(tables.clone());
        let parts = Parts {
            home,
            settings: log_settings(config, LogRole::Feeds, lake.identity()),
            tables,
            format: config.batch.format,
            lake,
            accepts_new_lake: config.lake.accepts_new,
            process: process.clone(),
            log,
        };
        let opened = tokio::task::spawn_blocking(move || Pipeline::open(parts));
        let pipeline = opened.await??;
        let cursors: BTreeMap<_, _> = pipeline.cursors.iter().cloned().collect();
        let node = pipeline.node.id;
        let context = Context {
            log: pipeline.log.clone(),
            beside,
            node,
            fingerprint: pipeline.fingerprint(),
            lake: lake_identity,
            lake_reader,
            writing: Writing {
                door: Arc::new(CheckedLake {
                    shipper: Shipper::new(Disk, &dir, node, Arc::clone(&own_lake), own_tables)
                        .with_check(Arc::clone(&pipeline.check)),
                    lake: own_lake,
                    check: Arc::clone(&pipeline.check),
                }),
                format: config.batch.format,
                max_rows: config.polls.batch.max_records,
                max_bytes: config.polls.batch.max_bytes.bytes(),
            },
            cursors: Arc::new(cursors),
            host: Arc::new(FeedHost {
                status: Arc::clone(&status),
                metrics: process.metrics,
            }),
            clock: process.clock,
            ids: process.ids,
            is_service: false,
        };
        Ok(Self {
            pipeline,
            feeds,
            status,
            context,
        })
    }

    /// Starts every feed. In a service, feeds run on schedule; otherwise they run only what a command asks
    /// for.
    pub fn start(self, is_service: bool) -> Result<RunningFeeds, ServeError> {
        let Self {
            pipeline,
            feeds,
            status,
            context,
        } = self;
        status.set_recovered(pipeline.newest_received);
        let context = Context {
            is_service,
            ..context
        };
        let started = feeds.each(|feed| feed.start(context.clone()));
        started.map_err(ServeError::Polls)?;
        Ok(RunningFeeds {
            pipeline,
            feeds,
            status,
        })
    }
}

impl RunningFeeds {
    /// The state of every stream.
    pub fn figures(&self) -> Figures {
        self.feeds.figures()
    }

    /// The log of the feeds, and whether it can store rows.
    pub(super) fn place(&self) -> (Log, Arc<Status>) {
        (self.pipeline.log.clone(), Arc::clone(&self.status))
    }

    /// The feeds themselves.
    pub(super) fn list(&self) -> &FeedList {
        &self.feeds
    }

    /// Resolves with the reason when the feeds' log cannot go on.
    pub async fn failed(&self) -> String {
        self.failure().await.reason
    }

    /// The same, with what it means for a node of a cluster.
    pub(super) async fn failure(&self) -> Failure {
        self.pipeline.failed().await
    }

    /// Ends what belongs to a log that another process owns now.
    pub(super) async fn give_up(self, patience: &Patience) {
        self.end_runs(patience).await;
        let pipeline = self.pipeline;
        let _panicked = tokio::task::spawn_blocking(move || pipeline.give_up()).await;
    }

    async fn end_runs(&self, patience: &Patience) {
        for feed in &self.feeds.0 {
            // A log that cannot write, because the disk is full, must not delay the end.
            if patience.wait(feed.stop()).await.is_none() {
                let feed = feed.name();
                tracing::warn!(
                    feed,
                    "runs did not end in time; the next start abandons them"
                );
            }
        }
    }

    /// Interrupts the runs that are under way, and ships what is complete as far as time allows.
    pub async fn stop(self, patience: &Patience) -> Stopped {
        self.status.set_draining();
        self.end_runs(patience).await;
        let drained = self.pipeline.drain(patience).await;
        self.pipeline.close(patience, drained).await
    }
}

/// The lake, for objects that did not pass the log: nothing is put before it is known to be the right one.
struct CheckedLake {
    lake: Arc<Lake<Disk>>,
    check: Arc<LakeCheck<Disk>>,
    /// Knows what the lake says of columns; it ships nothing.
    shipper: Shipper<Disk>,
}

impl ObjectDoor for CheckedLake {
    fn put(&self, object: &Object) -> Result<Found, LakeError> {
        self.check.run(&self.lake)?;
        self.lake.probe()?;
        self.lake.put(object)
    }

    fn table(&self, partition: &str, is_typed: bool) -> Result<Arc<Table>, LakeError> {
        let table = self.shipper.table_for(partition, is_typed);
        table.map_err(|error| match error {
            ShipError::Lake(error) => error,
            other => LakeError::Retry {
                kind: Trouble::Other,
                message: other.to_string(),
            },
        })
    }

    fn spool_dir(&self) -> &Path {
        self.lake.spool_dir()
    }
}

/// The part of the service that feeds can see.
struct FeedHost {
    status: Arc<Status>,
    metrics: Arc<Metrics>,
}

impl Host for FeedHost {
    fn refusal(&self, now: Now) -> Option<String> {
        self.status.observe(now);
        self.status.refusal(now).map(|refusal| refusal.to_string())
    }

    fn count_run(&self, stream: &str, ended: RunEnded) {
        let Some(metrics) = self.metrics.poll(stream) else {
            return;
        };
        match ended {
            RunEnded::Failed => {
                metrics.failed.increment(1);
                metrics.failed_in_a_row.increment(1.0);
            }
            RunEnded::Well {
                unchanged,
                records,
                quarantined,
                at,
            } => {
                let runs = if unchanged {
                    &metrics.unchanged
                } else {
                    &metrics.complete
                };
                runs.increment(1);
                metrics.failed_in_a_row.set(0.0);
                metrics.records.increment(records);
                metrics.quarantined.increment(quarantined);
                let at = Duration::from_micros(at.0.max(0).unsigned_abs());
                metrics.last_success.set(at.as_secs_f64());
            }
        }
    }
}
