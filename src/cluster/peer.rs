//! Another node of the cluster, as this one forwards to it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Replies};
use super::error::ForwardError;
use super::gathering::{Gathering, Start};
use super::head::{ALIVE, APPEND, FLUSH, HAND_OVER};
use super::lending::{Lending, Sent};
use super::limits::{MAX_BODY, Timing};
use super::line::Line;
use super::message::{COUNT_BYTES, ENTRY_BYTES, Message, Messages};
use super::outcome::Outcome;
use super::secret::ClusterSecret;
use super::target::{Standing, Target};
use super::waiting::{Ticket, Waiter, Waiting};
use crate::clock::Clock;
use crate::ids::{Ids, NodeId};
use crate::wal::request::{Append, AppendError, Appended};

/// Another node of the cluster. Clones share connections and what waits.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    appends: Line,
    questions: Line,
    timing: Timing,
    gathering: Gathering,
    standings: Mutex<BTreeMap<u16, Standing>>,
    lending: Lending,
    tasks: TaskTracker,
    /// Whether this process follows the node. If not, nothing is sent to it.
    is_followed: watch::Sender<bool>,
}

impl Peer {
    /// The node at an address. Nothing is sent yet.
    pub fn new(
        address: SocketAddr,
        secret: ClusterSecret,
        timing: Timing,
        clock: Clock,
        ids: Ids,
    ) -> Self {
        let tasks = TaskTracker::new();
        let effects = (clock.clone(), ids.clone());
        let appends = Line::new(address, secret.clone(), timing, effects, tasks.clone());
        let questions = Line::new(address, secret, timing, (clock, ids), tasks.clone());
        Self(Arc::new(Inner {
            appends,
            questions,
            timing,
            gathering: Gathering::default(),
            standings: Mutex::default(),
            lending: Lending::new(timing),
            tasks,
            is_followed: watch::Sender::new(true),
        }))
    }

    /// Has the owner of a log store a request; success means that it is durable.
    ///
    /// If this is dropped, the request may be stored or not.
    pub async fn append(&self, to: Target, append: Append) -> Result<Appended, ForwardError> {
        let (waiter, answer) = oneshot::channel();
        self.begin(to, append, Box::new(waiter));
        let ended = |_gone| ForwardError::Unknown("the forwarder ended".into());
        answer.await.map_err(ended)?
    }

    /// Begins to have the owner of a log store a request. Whoever waits is answered in any case. Must be called within
    /// a runtime.
    pub fn begin(&self, to: Target, append: Append, waiter: Box<dyn Waiter>) {
        let ticket = Ticket::of(waiter);
        let message = match forwardable(append) {
            Ok(message) => message,
            Err(error) => return ticket.answer(Err(error)),
        };
        let request = Waiting {
            target: to,
            message,
            since: Instant::now(),
            ticket,
        };
        if let Err((ticket, error)) = self.0.gathering.push(request) {
            return ticket.answer(Err(error));
        }
        if let Some(start) = self.0.gathering.begin() {
            let sending = Arc::clone(&self.0);
            self.0.tasks.spawn(sending.run(start));
        }
    }

    /// Says whether the node is followed. If it is not any more, nobody waits for what is under way.
    pub fn follow(&self, is_followed: bool) {
        self.0.is_followed.send_if_modified(|followed| {
            let is_new = *followed != is_followed;
            *followed = is_followed;
            is_new
        });
    }

    /// How a log stands with the node.
    pub async fn alive(&self, index: u16) -> Result<Standing, ForwardError> {
        let target = Target {
            index,
            log: NodeId(0),
            epoch: 0,
            configuration: 0,
        };
        let asking = self
            .0
            .questions
            .ask(target, ALIVE, VecDeque::new(), self.0.timing.alive);
        match asking.await? {
            Answer::Standing(standing) if standing.index == index => {
                self.0.note(standing);
                Ok(standing)
            }
            Answer::Refusal(refusal) => Err(refusal.into()),
            _ => Err(ForwardError::Unknown(
                "the answer is none to the question".into(),
            )),
        }
    }

    /// Has the owner of a log seal every open batch, durably.
    pub async fn flush(&self, to: Target) -> Result<(), ForwardError> {
        self.command(to, FLUSH).await
    }

    /// Asks the owner of a log to hand it over soon, because this node owns fewer logs.
    pub async fn hand_over(&self, to: Target) -> Result<(), ForwardError> {
        self.command(to, HAND_OVER).await
    }

    async fn command(&self, to: Target, what: (&str, &str)) -> Result<(), ForwardError> {
        let line = &self.0.appends;
        let asking = line.ask(to, what, VecDeque::new(), self.0.timing.answer);
        match asking.await? {
            Answer::Standing(standing) if standing.is_that_of(&to) => {
                self.0.note(standing);
                Ok(())
            }
            Answer::Refusal(refusal) => Err(refusal.into()),
            _ => Err(ForwardError::Unknown(
                "the answer is none to the request".into(),
            )),
        }
    }

    /// How a log stood when the node last said so. Whoever stamps a request for the owner takes the later of its own time and
    /// of the floor.
    pub fn standing(&self, index: u16) -> Option<Standing> {
        self.0.standings().get(&index).copied()
    }

    /// Ends the connections, and waits for what is under way.
    pub async fn stop(&self) {
        self.0.tasks.close();
        self.0.appends.close();
        self.0.questions.close();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    fn standings(&self) -> MutexGuard<'_, BTreeMap<u16, Standing>> {
        self.standings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the newer one of two standings: answers may overtake each other.
    fn note(&self, standing: Standing) {
        let mut standings = self.standings();
        let newest = standings.entry(standing.index).or_insert(standing);
        let age = |standing: &Standing| (standing.epoch, standing.last.map(|last| last.number));
        if standing.log != newest.log || age(&standing) >= age(newest) {
            *newest = standing;
        }
    }

    /// Sends what waits, until nothing does.
    async fn run(self: Arc<Self>, start: Start) {
        let gathering = &self.gathering;
        gathering.wait_to_start(start).await;
        while let Some(batch) = gathering.next_batch(self.timing.answer) {
            if batch.is_empty() {
                continue;
            }
            let began = Instant::now();
            let count = batch.len();
            let bytes = batch.iter().map(|waiting| waiting.message.len()).sum();
            self.send(batch).await;
            let took = began.elapsed();
            gathering.wait_for_as_many(count, bytes, took).await;
        }
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let target = batch[0].target;
        let mut messages = Messages::default();
        let mut tickets = Vec::with_capacity(batch.len());
        for waiting in batch {
            messages.push(waiting.message);
            tickets.push(waiting.ticket);
        }
        let answer = match self.send_while_followed(target, messages).await {
            Ok(Answer::Replies(replies))
                if replies.outcomes.len() == tickets.len()
                    && replies.standing.index == target.index =>
            {
                Ok(replies)
            }
            Ok(Answer::Refusal(refusal)) => Err(refusal.into()),
            Ok(_) => Err(ForwardError::Unknown(
                "the answer is none to the requests".into(),
            )),
            Err(error) => Err(error),
        };
        match answer {
            Ok(replies) => self.deliver(replies, tickets),
            Err(error) => {
                for ticket in tickets {
                    ticket.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Sends requests, and waits for the answer as long as the node is followed.
    async fn send_while_followed(
        &self,
        target: Target,
        messages: Messages,
    ) -> Result<Answer, ForwardError> {
        let mut followed = self.is_followed.subscribe();
        if !*followed.borrow() {
            return Err(ForwardError::Unsent("it is not followed any more".into()));
        }
        tokio::select! {
            biased;
            answer = self.send_messages(target, messages) => answer,
            _never_closed = followed.wait_for(|is_followed| !is_followed) => {
                Err(ForwardError::Unknown("it has been silent for too long".into()))
            }
        }
    }

    /// Sends requests, with their rows packed if that is worth it, or else as they are.
    async fn send_messages(
        &self,
        target: Target,
        messages: Messages,
    ) -> Result<Answer, ForwardError> {
        let mut patience = self.timing.answer;
        let mut messages = messages;
        if self.lending.is_worth_it(&messages) {
            let began = Instant::now();
            match self.lending.send(&self.appends, target, messages).await? {
                Sent::Answer(answer) => return Ok(answer),
                Sent::Declined(again) => messages = again,
            }
            patience = patience.saturating_sub(began.elapsed());
        }
        let asking = self.appends.ask(target, APPEND, messages.whole(), patience);
        asking.await
    }

    fn deliver(&self, Replies { standing, outcomes }: Replies, tickets: Vec<Ticket>) {
        self.note(standing);
        let now = standing.now;
        for (outcome, ticket) in outcomes.into_iter().zip(tickets) {
            let answer = match outcome {
                Outcome::Log(reply) => reply.map_err(ForwardError::Log),
                Outcome::Ahead => Err(ForwardError::Ahead { now }),
            };
            ticket.answer(answer);
        }
    }
}

/// A request as a message, if it can be one.
fn forwardable(append: Append) -> Result<Message, ForwardError> {
    let message = Message::of(append).ok_or(ForwardError::NotForwardable)?;
    let max_bytes = MAX_BODY - COUNT_BYTES - ENTRY_BYTES;
    let bytes = message.len();
    if bytes > max_bytes {
        let error = AppendError::TooLarge { bytes, max_bytes };
        return Err(ForwardError::Log(error));
    }
    Ok(message)
}
