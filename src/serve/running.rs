//! What runs behind the listeners: a log and its feeds alone, or a node of a cluster.

use std::sync::{Arc, Mutex};

use super::errors::ServeError;
use super::events;
use super::feeds::{OpenFeeds, RunningFeeds};
use super::figures::{FeedViews, views_of};
use super::home::{Home, Opener};
use super::member::{self, RunningNode, StartedNode};
use super::pipeline::Pipeline;
use super::process::Process;
use super::settings::LogRole;
use super::stopping::{Patience, Stopped};
use crate::config::Config;
use crate::receive::ClusterView;
use crate::status::Status;
use crate::tables::Table;
use crate::wal::log::Log;
use crate::wal::logs::Logs;
use crate::wal::node::Node;

/// What has begun, and what others need of it.
pub(super) struct Begun {
    /// The log of events, or several.
    pub(super) logs: Logs,
    /// The id and key of the first.
    pub(super) node: Node,
    /// How the node stands in its cluster, if it is in one.
    pub(super) cluster: Option<ClusterView>,
    /// What others see of the feeds, if there are any.
    pub(super) feeds: Option<FeedViews>,
    pub(super) running: Running,
}

impl From<StartedNode> for Begun {
    fn from(started: StartedNode) -> Self {
        Self {
            logs: started.logs,
            node: started.identity,
            cluster: Some(started.view),
            feeds: started.feeds,
            running: Running::Node(started.running),
        }
    }
}

/// What runs.
pub(super) enum Running {
    /// A log and its feeds.
    Alone {
        pipeline: Box<Pipeline>,
        feeds: Option<RunningFeeds>,
    },
    /// A node of a cluster, which has them while it owns the log.
    Node(RunningNode),
}

/// Opens the log of events, and starts the feeds; or lets the service be a node of a cluster.
pub(super) async fn begin(
    config: &Config,
    lock: Arc<crate::wal::node::Lock>,
    status: Arc<Status>,
    (table, process): (Table, Process),
) -> Result<Begun, ServeError> {
    let log = (LogRole::Events, lock);
    if let Some(membership) = config.cluster.membership() {
        let opener = Opener::Node {
            owner: member::owner_text(&membership),
            known: (0, 0),
            key: None,
            may_follow: true,
        };
        let home = Home::open(config, log, status, &process, opener).await?;
        let started = member::start(config, &membership, home, (table, process));
        return started.await.map(Begun::from);
    }
    let home = Home::open(config, log, Arc::clone(&status), &process, Opener::Service).await?;
    let open_feeds = OpenFeeds::of_service(config, process.clone()).await?;
    let pipeline = events::open(config, home, table, process, Log::unowned()).await?;
    // No `.await` below: if a signal cancels this future before this line, nothing has been accepted.
    let feeds = open_feeds.map(|feeds| feeds.start(true)).transpose()?;
    status.set_recovered(pipeline.newest_received);
    Ok(Begun {
        logs: pipeline.log.clone().into(),
        node: pipeline.node,
        cluster: None,
        feeds: feeds.as_ref().map(|feeds| {
            let (log, status) = feeds.place();
            views_of(Arc::new(Mutex::new(feeds.list().clone())), log, status)
        }),
        running: Running::Alone {
            pipeline: Box::new(pipeline),
            feeds,
        },
    })
}

impl Running {
    /// Resolves with the reason when one of the logs cannot go on, which ends the service.
    pub(super) async fn failed(&self) -> String {
        match self {
            Self::Node(node) => node.failed().await,
            Self::Alone { pipeline, feeds } => {
                let of_feeds = async {
                    match feeds {
                        Some(feeds) => feeds.failed().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    failure = pipeline.failed() => failure.reason,
                    reason = of_feeds => reason,
                }
            }
        }
    }

    /// The feeds, if there are any and this is no cluster.
    pub(super) fn feeds(&self) -> Option<&RunningFeeds> {
        match self {
            Self::Alone { feeds, .. } => feeds.as_ref(),
            Self::Node(_) => None,
        }
    }

    /// Stops feeds at once, and then, once `before` has ended, the log of events. `between` runs before that is
    /// closed.
    pub(super) async fn stop(
        self,
        patience: &Arc<Patience>,
        before: impl Future<Output = ()>,
        between: impl Future<Output = ()>,
    ) -> Stopped {
        let (pipeline, feeds) = match self {
            Self::Alone { pipeline, feeds } => (pipeline, feeds),
            Self::Node(node) => {
                before.await;
                let stopped = node.stop(patience).await;
                between.await;
                return stopped;
            }
        };
        let of_feeds = async {
            match feeds {
                Some(feeds) => feeds.stop(patience).await,
                None => Stopped::NOTHING_LEFT,
            }
        };
        let of_events = async {
            before.await;
            let drained = pipeline.drain(patience).await;
            between.await;
            pipeline.close(patience, drained).await
        };
        let (events, feeds) = tokio::join!(of_events, of_feeds);
        Stopped {
            all_shipped: events.all_shipped && feeds.all_shipped,
            left_rows: events.left_rows + feeds.left_rows,
        }
    }
}
