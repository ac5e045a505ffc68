//! Makes a node of a service.

use std::sync::{Arc, Mutex};

use futures_util::future::try_join_all;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::claim::Claim;
use super::feeds::FeedsOfNode;
use super::following::Following;
use super::liveness::Liveness;
use super::members::Members;
use super::node::Node;
use super::probe::configuration_of;
use super::running::RunningNode;
use super::state::{Parts, State};
use crate::cluster::{self, ClusterSecret, Owner, WireLimits};
use crate::config::{Config, Membership};
use crate::receive::{ClusterView, Networks};
use crate::replica::LogEngine;
use crate::serve::errors::ServeError;
use crate::serve::feeds::FeedList;
use crate::serve::figures::{FeedViews, views_of};
use crate::serve::home::{Home, Opener, process_name};
use crate::serve::process::Process;
use crate::serve::settings::LogRole;
use crate::status::Status;
use crate::tables::Table;
use crate::wal::journal::replica::lookout::Lookout;
use crate::wal::log::Log;
use crate::wal::logs::Logs;
use crate::wal::node::Node as Identity;

/// Connections that the listener has room for, for each of several logs.
const CONNECTIONS_OF_A_LOG: usize = 32;

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
    /// The logs of events.
    pub(in crate::serve) logs: Logs,
    /// The id and key of the first of them.
    pub(in crate::serve) identity: Identity,
    /// How the node stands in its cluster.
    pub(in crate::serve) view: ClusterView,
    /// What others see of the feeds, if there are any.
    pub(in crate::serve) feeds: Option<FeedViews>,
    pub(in crate::serve) running: RunningNode,
}

/// The place of one log, and what this node does for it.
struct Member {
    config: Config,
    home: Home,
    state: Arc<State>,
    following: Following,
}

/// Lets a service be a node of a cluster; returns once it owns or follows the owner of each log. `home` is the place of the
/// first.
pub(in crate::serve) async fn start(
    config: &Config,
    membership: &Membership,
    home: Home,
    (table, process): (Table, Process),
) -> Result<StartedNode, ServeError> {
    let address = membership.address;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| ServeError::ListenForNodes { address, error })?;
    let secret = ClusterSecret::new(membership.secret.expose().as_bytes());
    let secret = secret.map_err(|error| ServeError::Io(std::io::Error::other(error)))?;
    let readiness = Arc::clone(&home.status);
    let homes = homes(config, membership, home, &process).await?;
    let members = homes.into_iter().map(|(own, home)| {
        let parts = (membership, &process, &secret);
        member_of(own, home, parts)
    });
    let members: Vec<Member> = members.collect::<Result<_, _>>()?;
    let states: Vec<_> = members.iter().map(|of| Arc::clone(&of.state)).collect();
    let logs = Logs::new(states.iter().map(|state| state.log.clone()).collect());
    let (Some(logs), Some(first)) = (logs, states.first()) else {
        return Err(ServeError::Io(std::io::Error::other("there is no log")));
    };
    let identity = first.identity;
    let (fatal, failed) = watch::channel(None);
    let feeds = feeds_of(config, &process, &fatal)?;
    let shared = Members::new(states, address, process.clock.clone(), readiness);
    let (mut stops, mut settling) = (Vec::new(), Vec::new());
    for member in members {
        let (settled, settles) = watch::channel(false);
        let of_first = feeds.clone().filter(|_| member.state.index() == 0);
        let node = Node {
            config: member.config,
            process: process.clone(),
            table: table.clone(),
            lock: Arc::clone(&member.home.lock),
            owner: owner_text(membership),
            state: member.state,
            members: Arc::clone(&shared),
            following: member.following,
            due: None,
            home: Some(member.home).filter(|home| home.is_known),
            feeds: of_first,
            former: None,
            fatal: fatal.clone(),
            settled,
        };
        let (stop, asked) = mpsc::channel(1);
        tokio::spawn(node.run(asked));
        stops.push(stop);
        settling.push(settles);
    }
    let running = RunningNode {
        members: Arc::clone(&shared),
        stops,
        fatal: failed,
        listener: serve_nodes(listener, secret, &shared, config),
    };
    first_state(&running, settling).await?;
    Ok(StartedNode {
        logs,
        identity,
        view: Box::new(move || shared.health()),
        feeds: feeds.map(|feeds| views_of(feeds.running, feeds.log, feeds.status)),
        running,
    })
}

/// Listens for other nodes.
fn serve_nodes(
    listener: TcpListener,
    secret: ClusterSecret,
    members: &Arc<Members>,
    config: &Config,
) -> (CancellationToken, JoinHandle<()>) {
    let serving = CancellationToken::new();
    let owner: Arc<dyn Owner> = Arc::clone(members) as Arc<dyn Owner>;
    let limits = WireLimits::default();
    let connections = usize::from(config.cluster.logs) * CONNECTIONS_OF_A_LOG;
    let limits = WireLimits {
        connections: limits.connections.max(connections),
        ..limits
    };
    let served = cluster::serve(listener, secret, owner, limits, serving.clone());
    (serving, tokio::spawn(served))
}

/// The places of all logs, each with its configuration. That of the first says which key all of them have.
async fn homes(
    config: &Config,
    membership: &Membership,
    first: Home,
    process: &Process,
) -> Result<Vec<(Config, Home)>, ServeError> {
    let mut configs = config.of_logs().into_iter();
    let key = first.replica.as_ref().map(|replica| replica.node.key);
    let status = Arc::clone(&first.status);
    let mut homes: Vec<_> = configs.next().map(|own| (own, first)).into_iter().collect();
    let others = configs.map(|own| {
        let status = Arc::clone(&status);
        let opener = Opener::Node {
            owner: owner_text(membership),
            known: (0, 0),
            key,
            may_follow: true,
        };
        async move {
            let lock = Home::lock(&own, LogRole::Events)?;
            let home = Home::open(&own, (LogRole::Events, lock), status, process, opener);
            let home = home.await?;
            Ok::<_, ServeError>((own, home))
        }
    });
    homes.extend(try_join_all(others).await?);
    Ok(homes)
}

fn member_of(
    config: Config,
    home: Home,
    (membership, process, secret): (&Membership, &Process, &ClusterSecret),
) -> Result<Member, ServeError> {
    let Some(replica) = &home.replica else {
        let missing = "a node of a cluster needs wal.replica";
        return Err(ServeError::Io(std::io::Error::other(missing)));
    };
    let identity = replica.node;
    let lookout = Lookout::new(replica.engine.clone(), identity.id);
    let state = state_of(&config, membership, (&home, identity), process);
    let following = following_of(&config, membership, &state, (lookout, process), secret);
    Ok(Member {
        config,
        home,
        state,
        following,
    })
}

/// What others may know of how a node that has just started stands to a log.
fn state_of(
    config: &Config,
    membership: &Membership,
    (home, identity): (&Home, Identity),
    process: &Process,
) -> Arc<State> {
    State::new(Parts {
        log: Log::unowned(),
        identity,
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
    settling: Vec<watch::Receiver<bool>>,
) -> Result<(), ServeError> {
    let all_settled = async {
        for mut settled in settling {
            let _never_closed = settled.wait_for(|settled| *settled).await;
        }
    };
    tokio::select! {
        () = all_settled => Ok(()),
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
