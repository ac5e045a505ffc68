//! A running service: builds the parts, connects them, and takes them down in order.
//!
//! The start: lock, listeners (which answer 503), logs, shipping, feeds, ready. The stop: no new connections;
//! requests under way end; everything open is sealed and shipped as far as time allows; the logs are closed.
//! What was not shipped stays in the logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::directories;
use super::errors::ServeError;
use super::events;
use super::feeds::RunningFeeds;
use super::for_people;
use super::home::Home;
use super::listen::{listen, listen_for_replays};
use super::process::Process;
use super::replays;
use super::running::{self, Running};
use super::secrets::Renewal;
use super::settings::{LogRole, hook_judge, receive_settings, tls_files};
use super::space::Ticker;
use super::stopping::{Patience, Stopped};
use crate::clock::Clock;
use crate::config::Config;
use crate::console::{Console, ShownSetting};
use crate::contract::{Contract, EventIds};
use crate::control::Control;
use crate::ids::{Ids, NodeId};
use crate::receive::client::Tokens;
use crate::receive::tls::Tls;
use crate::receive::watch::Watch;
use crate::receive::{App, Core, Server};
use crate::record::Fingerprint;
use crate::replay::owner::Replayer;
use crate::replay::talk::Recall;
use crate::status::Status;
use crate::wal::logs::Logs;

/// A running service.
pub struct Service {
    app: Arc<App>,
    servers: Vec<Server>,
    console: (Arc<Console>, Option<Server>),
    ticker: (CancellationToken, TaskTracker),
    replays: Option<Control>,
    running: Running,
}

impl Service {
    /// Starts everything; returns when requests are accepted.
    pub async fn start(config: &Config, clock: Clock, ids: Ids) -> Result<Self, ServeError> {
        Self::start_showing(config, Vec::new(), clock, ids).await
    }

    /// The same, with a console that shows these settings.
    pub async fn start_showing(
        config: &Config,
        settings: Vec<ShownSetting>,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, ServeError> {
        directories::check_volume(config)?;
        let hangups = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
        let (schemas, table) = events::read_schemas(config)?;
        let rules = config.rules()?;
        let tls = tls_files(&config.server)
            .map(Tls::load)
            .transpose()?
            .map(Arc::new);
        let process = Process::new(config, clock, ids)?;
        let status = Arc::new(Status::default());
        let lock = Home::lock(config, LogRole::Events)?;
        let app = App::new(
            receive_settings(config, &rules),
            Arc::clone(&status),
            Arc::clone(&process.metrics),
            process.clock.clone(),
            &process.ids,
        );
        let servers = listen(config, tls.clone(), &app).await?;
        let people = for_people::listen(config, &app, &schemas, (settings, tls), &process.ids);
        let people = people.await?;
        let begun = running::begin(config, lock, status, (table, process)).await?;
        let fingerprint = Fingerprint::new(begun.node.key);
        let core = Core {
            contract: Arc::new(Contract::new(rules, schemas, fingerprint)),
            logs: begun.logs,
            node: begun.node.id,
            watch: Watch::default(),
            cluster: begun.cluster,
        };
        let replayer = replayer_of(config, &app, &core);
        let of_console = (people.console.as_ref(), core.node);
        let replays = show_replays(config, of_console, replayer, recall_of(config, &app));
        // No `.await` below: what runs already would not be stopped.
        let _set_before = app.core.set(core);
        let feeds = begun.feeds;
        let of_feeds = feeds
            .as_ref()
            .map(|feeds| Arc::clone(&feeds.figures.status));
        let ticker = start_background(config, &app, of_feeds, (hangups, people.tokens));
        ticker
            .1
            .spawn(Arc::clone(&people.console).keep_history(ticker.0.clone()));
        if let Some(feeds) = feeds {
            let _set_before = app.polls.set(feeds.figures);
            people.console.set_feeds(feeds.for_people);
        }
        app.status.observe(app.clock.now());
        Ok(Self {
            app,
            servers,
            console: (people.console, people.server),
            ticker,
            replays,
            running: begun.running,
        })
    }

    /// The address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.servers[0].address()
    }

    /// The address of the console, if there is one.
    pub fn console_address(&self) -> Option<SocketAddr> {
        self.console.1.as_ref().map(Server::address)
    }

    /// The state that the HTTP handlers share.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Resolves with the reason when one of the logs cannot go on, which ends the service.
    pub async fn failed(&self) -> String {
        self.running.failed().await
    }

    /// The feeds, if there are any.
    pub fn feeds(&self) -> Option<&RunningFeeds> {
        self.running.feeds()
    }

    /// Rows that are not in the lake yet, and runs that are not visible yet, of both logs.
    pub fn unshipped_rows(&self) -> u64 {
        let of = |logs: &Logs| {
            let figures = logs.figures();
            figures.uncommitted_rows + figures.unpublished_runs
        };
        let of_feeds = self.app.polls.get();
        let of_feeds = of_feeds.map_or(0, |polls| of(&polls.log.clone().into()));
        self.app.core.get().map_or(0, |core| of(&core.logs)) + of_feeds
    }

    /// Says in `/ready` that senders should go elsewhere, and goes on accepting what they still send.
    pub fn leave(&self) {
        self.app.status.set_leaving();
    }

    /// Stops the parts in order, within `grace`. `hurry` cuts every wait short.
    pub async fn stop(self, grace: Duration, hurry: CancellationToken) -> Stopped {
        let Self {
            app,
            servers,
            console: (console, for_people),
            ticker,
            replays,
            running,
        } = self;
        let patience = Arc::new(Patience::new(grace, hurry));
        app.status.set_draining();
        let listeners = async {
            patience.wait(console.close()).await;
            for server in servers.into_iter().chain(for_people) {
                // The other half of the time is for shipping.
                patience.wait(server.stop(grace / 2)).await;
            }
            if let Some(replays) = replays {
                patience.wait(replays.stop()).await;
            }
        };
        let background = async {
            ticker.0.cancel();
            ticker.1.wait().await;
        };
        running.stop(&patience, listeners, background).await
    }
}

/// Starts what runs beside the requests: the ticker, and the task that follows files of secrets.
fn start_background(
    config: &Config,
    app: &Arc<App>,
    feeds: Option<Arc<Status>>,
    (hangups, console): (Signal, Tokens),
) -> (CancellationToken, TaskTracker) {
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let ticking = Ticker {
        config: config.clone(),
        app: Arc::clone(app),
        feeds,
    };
    tasks.spawn(ticking.run(stop.clone()));
    if config.has_secret_files() {
        let renewal = Renewal {
            config: config.clone(),
            app: Arc::clone(app),
            console,
        };
        tasks.spawn(renewal.run(hangups, stop.clone()));
    }
    tasks.close();
    (stop, tasks)
}

/// What judges events again that commands send.
fn replayer_of(config: &Config, app: &Arc<App>, core: &Core) -> Replayer {
    let of_cluster = Arc::clone(app);
    Replayer {
        contract: Arc::clone(&core.contract),
        hooks: hook_judge(config),
        logs: core.logs.clone(),
        status: Arc::clone(&app.status),
        metrics: Arc::clone(&app.metrics),
        clock: app.clock.clone(),
        elsewhere: Arc::new(move || of_cluster.cluster()?.elsewhere()),
    }
}

/// Lets the console replay rows, and commands, one after the other.
fn show_replays(
    config: &Config,
    (console, node): (&Console, NodeId),
    replayer: Replayer,
    recall: Recall,
) -> Option<Control> {
    let turn = Arc::new(Semaphore::new(1));
    let for_people = replays::replays(config, replayer.clone(), Arc::clone(&turn), node);
    console.set_replays(for_people);
    listen_for_replays(config, replayer, turn, recall)
}

/// Tells commands what the service remembers of an event.
fn recall_of(config: &Config, app: &Arc<App>) -> Recall {
    let hooks: Vec<String> = config.hook.keys().cloned().collect();
    let app = Arc::clone(app);
    Arc::new(move |text| {
        let recalled = app.core.get().map(|core| {
            let feed = &core.contract.rules().feed;
            let ids = EventIds::of(text, feed, hooks.iter().map(String::as_str));
            core.recall(text, &ids)
        });
        serde_json::to_value(recalled.unwrap_or_default()).unwrap_or_default()
    })
}
