//! Goes from one state of a node to the next, for one log.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::feeds::{Ending, FeedsOfNode};
use super::following::{Due, Following};
use super::forwarding::Forwarding;
use super::members::Members;
use super::state::{OtherNode, PAUSE, Role, State};
use crate::clock::Micros;
use crate::config::Config;
use crate::serve::errors::ServeError;
use crate::serve::events;
use crate::serve::home::{Home, Opener};
use crate::serve::pipeline::Pipeline;
use crate::serve::process::Process;
use crate::serve::settings::LogRole;
use crate::serve::stopping::{Patience, Stopped};
use crate::tables::Table;
use crate::wal::log::Log;
use crate::wal::node::Lock;
use crate::wal::recover::OpenError;

/// How long a log that is handed over may take to ship what it holds; the rest is left to its next owner.
const HAND_OVER: Duration = Duration::from_secs(10);
/// How long a node that has handed a log over leaves it to others.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(3);
/// Whoever was away for so long may have lost the log.
const LONGEST_SLEEP: Duration = Duration::from_secs(3);
/// How long an owner waits at most that nobody follows any more, before it proves again that it is one.
const LONGEST_PROOF: Duration = Duration::from_mins(1);

/// How a node is asked to stop.
pub(super) type StopNode = (Arc<Patience>, oneshot::Sender<Stopped>);

/// A node of a cluster, as far as one log is concerned.
pub(super) struct Node {
    /// The configuration of that log.
    pub(super) config: Config,
    pub(super) process: Process,
    pub(super) table: Table,
    pub(super) lock: Arc<Lock>,
    /// What its fences say.
    pub(super) owner: String,
    pub(super) state: Arc<State>,
    /// All logs.
    pub(super) members: Arc<Members>,
    pub(super) following: Following,
    /// Since when it could be taken, and from whom.
    pub(super) due: Option<(Due, Duration)>,
    /// The place of the log as the start has opened it.
    pub(super) home: Option<Home>,
    pub(super) feeds: Option<FeedsOfNode>,
    /// What a former epoch has left to end.
    pub(super) former: Option<JoinHandle<()>>,
    pub(super) fatal: watch::Sender<Option<String>>,
    pub(super) settled: watch::Sender<bool>,
}

impl Node {
    /// Runs until it is asked to stop.
    pub(super) async fn run(mut self, mut stop: mpsc::Receiver<StopNode>) {
        let asked = loop {
            if let Err(reason) = self.rest() {
                self.fatal.send_replace(Some(reason));
                break stop.recv().await;
            }
            let over = tokio::select! {
                asked = stop.recv() => break asked,
                over = self.follow() => over,
            };
            // A takeover that was begun is brought to its end.
            match self.try_to_own(over).await {
                Ok(None) => {}
                Ok(Some(pipeline)) => {
                    let owned = self.own(pipeline, &mut stop).await;
                    self.members.has_no_more(self.state.index());
                    let Some(asked) = owned else {
                        continue;
                    };
                    let (told, stopped) = asked;
                    let _nobody_waits = told.send(stopped);
                    return;
                }
                Err(reason) => {
                    self.fatal.send_replace(Some(reason));
                    break stop.recv().await;
                }
            }
        };
        self.state.set(Role::Left);
        if let Some((_, told)) = asked {
            let _nobody_waits = told.send(Stopped::NOTHING_LEFT);
        }
    }

    /// Takes the log over from the owner of that epoch, unless another node is ahead. The error says why the service must
    /// end.
    async fn try_to_own(&mut self, over: u64) -> Result<Option<Pipeline>, String> {
        if let Some(former) = self.former.take() {
            let _panicked = former.await;
            self.members.forget_held(&self.state);
        }
        let is_first = !*self.settled.borrow();
        let error = match self.take_over(over).await {
            Ok(pipeline) => {
                self.following.has_owned = true;
                return Ok(Some(pipeline));
            }
            Err(error) => error,
        };
        let stands_back = matches!(
            error,
            ServeError::Log(OpenError::Contended { .. } | OpenError::Lost { .. })
        );
        if stands_back {
            tracing::info!(log = self.state.index(), %error, "another node is ahead");
        } else if is_first {
            return Err(error.to_string());
        } else {
            tracing::warn!(%error, "failed to take the log over; trying again later");
            let now = self.state.clock.mono();
            self.following.liveness.beaten(now);
        }
        self.following.begin(&error.to_string());
        Ok(None)
    }

    /// Nobody owns the log here.
    fn rest(&self) -> Result<(), String> {
        let forwarding = Forwarding {
            state: Arc::clone(&self.state),
            runtime: tokio::runtime::Handle::current(),
        };
        // Whoever has answered until now ends first.
        let rests = tokio::task::block_in_place(|| self.state.log.stand_in(forwarding));
        rests.map_err(|error| error.to_string())?;
        if let Some(feeds) = &self.feeds {
            feeds.rest();
        }
        self.members.forget_held(&self.state);
        // It has no record that its clock could be compared with.
        self.members.set_newest(&self.state, Micros(i64::MIN));
        Ok(())
    }

    /// Returns when it is time to take the log over, and the epoch that is to end.
    async fn follow(&mut self) -> u64 {
        let state = Arc::clone(&self.state);
        loop {
            if let Some(due) = self.following.step().await {
                if self.may_take(due) {
                    self.due = None;
                    return due.over;
                }
            } else if let Role::Following(other) = state.role() {
                self.settled.send_replace(true);
                self.due = None;
                // Its files are old by the time this node takes over.
                self.home = None;
                self.ask_for(&other).await;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = state.doubts.notified() => tokio::time::sleep(PAUSE / 10).await,
            }
        }
    }

    /// Asks the owner for the log, if it owns more than this node.
    async fn ask_for(&self, other: &OtherNode) {
        let settled = 2 * self.config.cluster.takeover_after.duration();
        let is_free = self.following.liveness.is_free_to(self.state.clock.mono());
        if !is_free || !self.members.wants(&self.state, other, settled) {
            return;
        }
        let log = self.state.index();
        match other.peer.hand_over(other.target).await {
            Ok(()) => tracing::info!(log, owner = other.owner, "its owner hands the log over"),
            Err(error) => tracing::debug!(log, %error, "its owner does not hand the log over"),
        }
    }

    /// Whether this node takes the log now; it may leave it to another one for a moment.
    fn may_take(&mut self, due: Due) -> bool {
        let now = self.state.clock.mono();
        let since = self.due.filter(|(before, _)| *before == due);
        let (_, since) = *self.due.insert(since.unwrap_or((due, now)));
        let waited = now.saturating_sub(since);
        let after = self.config.cluster.takeover_after.duration();
        self.members.choose(&self.state, (due.cause, waited), after)
    }

    async fn take_over(&mut self, over: u64) -> Result<Pipeline, ServeError> {
        let number = self.state.index();
        tracing::info!(log = number, "taking the log over");
        let mut home = match self.home.take() {
            Some(home) => home,
            None => self.open_home().await?,
        };
        if let Some(replica) = &mut home.replica {
            replica.start.over = Some(over);
        }
        let log = self.state.log.clone();
        let (table, process) = (self.table.clone(), self.process.clone());
        let pipeline = events::open(&self.config, home, table, process, log).await?;
        self.state.metrics.cluster(number).takeovers.increment(1);
        self.members
            .set_newest(&self.state, pipeline.newest_received);
        self.state.set(Role::Owning(pipeline.epoch));
        self.settled.send_replace(true);
        tracing::info!(
            log = number,
            epoch = pipeline.epoch,
            "this node owns the log"
        );
        Ok(pipeline)
    }

    async fn open_home(&self) -> Result<Home, ServeError> {
        let log = (LogRole::Events, Arc::clone(&self.lock));
        let status = Arc::clone(&self.state.status);
        let opener = Opener::Node {
            owner: self.owner.clone(),
            known: self.state.known(),
            key: Some(self.state.identity.key),
            may_follow: false,
        };
        Home::open(&self.config, log, status, &self.process, opener).await
    }

    /// Owns the log until another node does, or until this one is asked to stop and has.
    async fn own(
        &mut self,
        pipeline: Pipeline,
        stop: &mut mpsc::Receiver<StopNode>,
    ) -> Option<(oneshot::Sender<Stopped>, Stopped)> {
        let feeds = self.feeds.clone().map(|feeds| {
            let (ending, endings) = mpsc::channel(1);
            tokio::spawn(feeds.keep(pipeline.log.clone(), self.owner.clone(), endings));
            ending
        });
        let failure = tokio::select! {
            failure = pipeline.failed() => failure,
            never = self.stay_owner(&pipeline.log) => match never {},
            () = self.is_to_hand_over() => {
                self.hand_over(pipeline, feeds).await;
                return tokio::select! {
                    () = tokio::time::sleep(LEFT_TO_OTHERS) => None,
                    asked = stop.recv() => Some((asked?.1, Stopped::NOTHING_LEFT)),
                };
            }
            asked = stop.recv() => {
                let (patience, told) = asked?;
                return Some((told, self.end(pipeline, feeds, &patience).await));
            }
        };
        if !failure.is_fenced {
            self.fatal.send_replace(Some(failure.reason));
            let (patience, told) = stop.recv().await?;
            return Some((told, self.end(pipeline, feeds, &patience).await));
        }
        self.give_up(pipeline, feeds);
        None
    }

    /// Has the log prove that this node still owns it, whenever another node may have taken it unnoticed: this one was
    /// paused, or nobody asks it any more. While the others ask, it costs nothing.
    async fn stay_owner(&self, log: &Log) -> Infallible {
        let after = self.config.cluster.takeover_after.duration();
        let clock = &self.state.clock;
        let (mut looked_at, mut pause) = (clock.mono(), after);
        let mut due = looked_at + pause;
        loop {
            tokio::time::sleep(PAUSE).await;
            let now = clock.mono();
            let was_paused = now.saturating_sub(looked_at) >= LONGEST_SLEEP;
            looked_at = now;
            if self.state.is_followed() || !self.state.was_followed() {
                (pause, due) = (after, now + after);
            }
            if was_paused || now >= due {
                let proving = log.clone();
                // If it does not own the log, the pipeline says so.
                let _proved = tokio::task::spawn_blocking(move || proving.prove()).await;
                pause = (pause * 2).min(LONGEST_PROOF);
                due = now + pause;
            }
        }
    }

    /// Resolves once another node that owns fewer logs has asked for this one.
    async fn is_to_hand_over(&self) {
        loop {
            self.state.hands_over.notified().await;
            if self.members.is_handing_over(self.state.index()) {
                return;
            }
        }
    }

    /// Gives the log up to another node, which owns fewer.
    async fn hand_over(&mut self, pipeline: Pipeline, feeds: Option<mpsc::Sender<Ending>>) {
        let log = self.state.index();
        tracing::info!(log, "handing the log over to a node that owns fewer");
        // What is not shipped by then stays in the log.
        let _is_all = pipeline.drain(&Patience::of(HAND_OVER)).await;
        if let Err(error) = self.rest() {
            self.fatal.send_replace(Some(error));
        }
        self.state.know(pipeline.log.gauges().last_frame());
        self.following.begin("this node has handed it over");
        self.end_later(pipeline, feeds);
    }

    /// Another node owns the log.
    fn give_up(&mut self, pipeline: Pipeline, feeds: Option<mpsc::Sender<Ending>>) {
        self.state.know(pipeline.log.gauges().last_frame());
        self.following.begin("another node has taken it over");
        let now = self.state.clock.mono();
        self.following.liveness.beaten(now);
        self.state
            .metrics
            .cluster(self.state.index())
            .fenced
            .increment(1);
        if let Err(error) = self.rest() {
            self.fatal.send_replace(Some(error));
        }
        self.end_later(pipeline, feeds);
    }

    /// Ends what the epoch has left, before the next one.
    fn end_later(&mut self, pipeline: Pipeline, feeds: Option<mpsc::Sender<Ending>>) {
        let shipping = tokio::task::spawn_blocking(move || pipeline.give_up());
        self.former = Some(tokio::spawn(async move {
            if let Some(feeds) = feeds {
                let (told, ended) = oneshot::channel();
                let asked = feeds.send(Ending::GiveUp(told)).await;
                if asked.is_ok() {
                    let _panicked = ended.await;
                }
            }
            let _panicked = shipping.await;
        }));
    }

    /// Ships what is there, and closes the logs.
    async fn end(
        &self,
        pipeline: Pipeline,
        feeds: Option<mpsc::Sender<Ending>>,
        patience: &Arc<Patience>,
    ) -> Stopped {
        let of_feeds = async {
            let Some(feeds) = feeds else {
                return Stopped::NOTHING_LEFT;
            };
            let (told, stopped) = oneshot::channel();
            let asked = feeds.send(Ending::Stop(Arc::clone(patience), told)).await;
            match asked {
                Ok(()) => stopped.await.unwrap_or(Stopped::UNKNOWN),
                Err(_) => Stopped::UNKNOWN,
            }
        };
        let of_events = async {
            let drained = pipeline.drain(patience).await;
            pipeline.close(patience, drained).await
        };
        let (feeds, of_events) = tokio::join!(of_feeds, of_events);
        self.state.set(Role::Left);
        Stopped {
            all_shipped: of_events.all_shipped && feeds.all_shipped,
            left_rows: of_events.left_rows + feeds.left_rows,
        }
    }
}
