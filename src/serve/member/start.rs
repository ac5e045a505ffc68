//! Makes a node of a service.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::feeds::FeedsOfNode;
use super::following::Following;
use super::liveness::Liveness;
use super::node::{Node, RunningNode};
use super::probe::configuration_of;
use super::state::{Parts, State};
use crate::cluster::{self, ClusterSecret, Owner, WireLimits};
use crate::config::{Config, Membership};
use crate::receive::{ClusterView, Networks};
use crate::replica::LogEngine;
use crate::serve::errors::ServeError;
use crate::serve::feeds::FeedList;
use crate::serve::figures::{FeedViews, views_of};
use crate::serve::home::{Home, process_name};
use crate::serve::process::Process;
use crate::serve::settings::LogRole;
use crate::status::Status;
use crate::tables::Table;
use crate::wal::journal::replica::lookout::Lookout;
use crate::wal::log::Log;
use crate::wal::node::{Lock, Node as Identity};

/// The owner that the fences of a node name.
pub(in crate::serve) fn owner_text(membership: &Membership) -> String {
    claim_of(membership).text(&process_name())
}

fn claim_of(membership: &Membership) -> Claim {
    Claim {
        cluster: membership.name.clone(),
        address: membership.address,
    }
}

/// A node that has started, and what others need of it.
pub(in crate::serve) struct StartedNode {
    /// The log of events.
    pub(in crate::serve) log: Log,
    /// The log's id and key.
    pub(in crate::serve) identity: Identity,
    /// How the node stands in its cluster.
    pub(in crate::serve) view: ClusterView,
    /// What others see of the feeds, if there are any.
    pub(in crate::serve) feeds: Option<FeedViews>,
    pub(in crate::serve) running: RunningNode,
}

/// Lets a service be a node of a cluster; returns once it owns the log or follows its owner.
pub(in crate::serve) async fn start(
    config: &Config,
    membership: &Membership,
    (home, lock): (Home, Arc<Lock>),
    (table, process): (Table, Process),
) -> Result<StartedNode, ServeError> {
    let address = membership.address;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ServeError::ListenForNodes { address, error })?;
    let secret = ClusterSecret::new(membership.secret.expose().as_bytes());
    let secret = secret.map_err(|error| ServeError::Io(std::io::Error::other(error)))?;
    let Some(replica) = &home.replica else {
        let missing = "a node of a cluster needs wal.replica";
        return Err(ServeError::Io(std::io::Error::other(missing)));
    };
    let identity = replica.node;
    let lookout = Lookout::new(replica.engine.clone(), identity.id);
    let state = state_of(config, membership, (&home, identity), &process);
    let (fatal, failed) = watch::channel(None);
    let feeds = feeds_of(config, &process, &fatal)?;
    let following = following_of(config, membership, &state, (lookout, &process), &secret);
    let (settled, settling) = watch::channel(false);
    let node = Node {
        config: config.clone(),
        process,
        table,
        lock,
        owner: owner_text(membership),
        state: Arc::clone(&state),
        following,
        home: Some(home),
        feeds: feeds.clone(),
        former: None,
        fatal,
        settled,
    };
    let serving = CancellationToken::new();
    let owner: Arc<dyn Owner> = Arc::clone(&state) as Arc<dyn Owner>;
    let limits = WireLimits::default();
    let served = tokio::spawn(cluster::serve(
        listener,
        secret,
        owner,
        limits,
        serving.clone(),
    ));
    let (stop, stops) = mpsc::channel(1);
    tokio::spawn(node.run(stops));
    let running = RunningNode {
        state: Arc::clone(&state),
        stop,
        fatal: failed,
        listener: (serving, served),
    };
    first_state(&running, settling).await?;
    Ok(StartedNode {
        log: state.parts.log.clone(),
        identity,
        view: Box::new(move || state.health()),
        feeds: feeds.map(|feeds| views_of(feeds.running, feeds.log, feeds.status)),
        running,
    })
}

/// What others may know of a node that has just started.
fn state_of(
    config: &Config,
    membership: &Membership,
    (home, identity): (&Home, Identity),
    process: &Process,
) -> Arc<State> {
    State::new(Parts {
        log: Log::unowned(),
        node: identity.id,
        configuration: configuration_of(config, &identity),
        address: membership.address,
        clock: process.clock.clone(),
        status: Arc::clone(&home.status),
        metrics: Arc::clone(&process.metrics),
    })
}

fn following_of(
    config: &Config,
    membership: &Membership,
    state: &Arc<State>,
    (lookout, process): (Lookout<LogEngine>, &Process),
    secret: &ClusterSecret,
) -> Following {
    Following {
        state: Arc::clone(state),
        own: claim_of(membership),
        own_text: owner_text(membership),
        has_owned: false,
        secret: secret.clone(),
        networks: Networks::parse(&config.cluster.networks).unwrap_or_default(),
        ids: process.ids.clone(),
        lookout: Some(lookout),
        liveness: Liveness::new(
            config.cluster.takeover_after.duration(),
            process.clock.mono(),
        ),
        other: None,
        silent: 0,
        starting_since: None,
        looked_at: None,
    }
}

/// Waits until requests can be stored, or a person must do something.
async fn first_state(
    running: &RunningNode,
    mut settled: watch::Receiver<bool>,
) -> Result<(), ServeError> {
    tokio::select! {
        _ = settled.wait_for(|settled| *settled) => Ok(()),
        reason = running.failed() => Err(ServeError::Node(reason)),
    }
}

fn feeds_of(
    config: &Config,
    process: &Process,
    fatal: &watch::Sender<Option<String>>,
) -> Result<Option<FeedsOfNode>, ServeError> {
    let feeds = FeedList::of(config);
    if feeds.is_empty() {
        return Ok(None);
    }
    feeds.tables().map_err(ServeError::Polls)?;
    Ok(Some(FeedsOfNode {
        config: config.clone(),
        process: process.clone(),
        lock: Home::lock(config, LogRole::Feeds)?,
        log: Log::unowned(),
        status: Arc::<Status>::default(),
        running: Arc::<Mutex<FeedList>>::default(),
        fatal: fatal.clone(),
    }))
}
