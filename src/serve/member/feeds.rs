//! Keeps the feeds of an owner running: whoever owns the log of events owns that of the feeds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Config;
use crate::serve::errors::ServeError;
use crate::serve::feeds::{FeedList, OpenFeeds, RunningFeeds};
use crate::serve::home::Opener;
use crate::serve::process::Process;
use crate::serve::stopping::{Patience, Stopped};
use crate::status::Status;
use crate::wal::log::Log;
use crate::wal::node::Lock;
use crate::wal::request::{Append, AppendError};
use crate::wal::seat::{Asked, StandIn};

/// Pause before feeds that could not begin are tried again, …
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// … doubled up to this.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long runs may take to end once the log is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the feeds of a node share for as long as it lives.
#[derive(Clone)]
pub(super) struct FeedsOfNode {
    pub(super) config: Config,
    pub(super) process: Process,
    pub(super) lock: Arc<Lock>,
    pub(super) log: Log,
    pub(super) status: Arc<Status>,
    /// The feeds that run now.
    pub(super) running: Arc<Mutex<FeedList>>,
    /// Tells why the service must end.
    pub(super) fatal: watch::Sender<Option<String>>,
}

/// How feeds are to end.
pub(super) enum Ending {
    /// What is there is shipped, and the log is closed.
    Stop(Arc<Patience>, oneshot::Sender<Stopped>),
    /// The log of events has another owner.
    GiveUp(oneshot::Sender<()>),
}

/// Refuses everything: the log has another owner.
struct NotHere;

impl StandIn for NotHere {
    fn append(&self, _: Box<Append>, asked: Asked) {
        asked.answer(Err(self.refusal()));
    }

    fn refusal(&self) -> AppendError {
        AppendError::NoOwner("feeds run on the node that owns the log of events".into())
    }
}

impl FeedsOfNode {
    /// Nobody owns the log here.
    pub(super) fn rest(&self) {
        self.show(FeedList::default());
        self.process.metrics.rest_polls();
        self.status.forget_held();
        if let Err(error) = self.log.stand_in(NotHere) {
            self.fatal.send_replace(Some(error.to_string()));
        }
    }

    /// Ends the runs of feeds whose log is lost. What they say of themselves on the way is forgotten with them.
    async fn give_up(&self, feeds: RunningFeeds) {
        feeds.give_up(&Patience::of(PATIENCE)).await;
        self.process.metrics.rest_polls();
    }

    async fn finish(&self, end: Option<Ending>, feeds: Option<RunningFeeds>) {
        match (end, feeds) {
            (Some(Ending::Stop(patience, told)), feeds) => {
                let stopped = match feeds {
                    Some(feeds) => feeds.stop(&patience).await,
                    None => Stopped::NOTHING_LEFT,
                };
                let _nobody_waits = told.send(stopped);
            }
            (Some(Ending::GiveUp(told)), feeds) => {
                if let Some(feeds) = feeds {
                    self.give_up(feeds).await;
                }
                let _nobody_waits = told.send(());
            }
            (None, _) => {}
        }
    }

    fn show(&self, feeds: FeedList) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = feeds;
    }

    /// Runs feeds until they are to end. `events` is the log of events, which this node owns.
    pub(super) async fn keep(self, events: Log, owner: String, mut ending: mpsc::Receiver<Ending>) {
        let mut pause = FIRST_PAUSE;
        let mut known = (0, 0);
        loop {
            let opener = Opener::Node {
                owner: owner.clone(),
                known,
                key: None,
                may_follow: false,
            };
            let begun = tokio::select! {
                begun = self.begin(opener) => begun,
                end = ending.recv() => return self.finish(end, None).await,
            };
            match begun {
                Ok(feeds) => {
                    pause = FIRST_PAUSE;
                    self.show(feeds.list().clone());
                    let failure = tokio::select! {
                        failure = feeds.failure() => failure,
                        end = ending.recv() => return self.finish(end, Some(feeds)).await,
                    };
                    known = self.log.gauges().last_frame();
                    self.rest();
                    self.give_up(feeds).await;
                    if !failure.is_fenced {
                        self.fatal.send_replace(Some(failure.reason));
                    } else if !owns(&events).await {
                        // So is the log of events, which ends this.
                        return self.finish(ending.recv().await, None).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the feeds cannot run yet; trying again");
                    self.rest();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                end = ending.recv() => return self.finish(end, None).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn begin(&self, opener: Opener) -> Result<RunningFeeds, ServeError> {
        let (config, process) = (&self.config, self.process.clone());
        let place = (Arc::clone(&self.lock), opener);
        let shared = (self.log.clone(), Arc::clone(&self.status));
        OpenFeeds::of_node(config, process, place, shared)
            .await?
            .start(true)
    }
}

/// Whether this node owns the log of events, which a frame proves.
async fn owns(events: &Log) -> bool {
    let events = events.clone();
    let proved = tokio::task::spawn_blocking(move || events.prove());
    matches!(proved.await, Ok(Ok(())))
}
