//! Another node of the cluster, as this one forwards to it.
//!
//! Requests are gathered into one body, as a log gathers them into one frame: the more requests come, the less each of them
//! costs both nodes. While no body is under way, a request is sent at once. Otherwise it waits until one has been answered,
//! or until some time after the last one was sent, so that an owner who takes long for each frame has the next one's
//! requests already. That time is half of what the last answer took, within bounds: the slower the owner is, the fewer
//! bodies it gets.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::{Answer, Replies};
use super::error::ForwardError;
use super::head::{ALIVE, APPEND, FLUSH, HAND_OVER};
use super::lending::{Lending, Sent};
use super::limits::{GATHERED_BYTES, MAX_BODY, MAX_GATHERED, Timing};
use super::line::Line;
use super::message::{COUNT_BYTES, ENTRY_BYTES, Message, Messages};
use super::outcome::Outcome;
use super::secret::ClusterSecret;
use super::target::{Standing, Target};
use crate::clock::Clock;
use crate::ids::{Ids, NodeId};
use crate::wal::request::{Append, AppendError, Appended};

/// Most requests that wait.
const MAX_WAITING: usize = 8192;
/// Most bytes of requests that wait.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Most bodies under way at a time.
const MAX_UNDER_WAY: usize = 8;
/// How long a body that is sent beside others gathers requests, at least and at most.
const PACE: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(25);

/// Another node of the cluster. Clones share connections and what waits.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    appends: Line,
    questions: Line,
    timing: Timing,
    queue: Mutex<Queue>,
    standings: Mutex<BTreeMap<u16, Standing>>,
    lending: Lending,
    tasks: TaskTracker,
    /// Whether this process follows the node. If not, nothing is sent to it.
    is_followed: watch::Sender<bool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// Those who send bodies, or are about to.
    under_way: usize,
    /// Whether one of them still gathers.
    is_gathering: bool,
    sent_at: Option<Instant>,
    /// How long the last answer took.
    took: Duration,
}

struct Waiting {
    target: Target,
    message: Message,
    since: Instant,
    ticket: Ticket,
}

/// When somebody begins to send.
enum Start {
    Now,
    /// Until then, requests are gathered.
    At(Instant),
}

/// Somebody who waits for the answer to a request.
pub trait Waiter: Send + 'static {
    /// Takes the answer; success means that the request is durable.
    fn answer(self: Box<Self>, answer: Result<Appended, ForwardError>);

    /// Whether nobody waits any more.
    fn is_gone(&self) -> bool;
}

impl Waiter for oneshot::Sender<Result<Appended, ForwardError>> {
    fn answer(self: Box<Self>, answer: Result<Appended, ForwardError>) {
        let _gone = self.send(answer);
    }

    fn is_gone(&self) -> bool {
        self.is_closed()
    }
}

/// Where the answer to a request goes. Whoever waits hears of it if this is lost.
struct Ticket(Option<Box<dyn Waiter>>);

impl Ticket {
    fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(|waiter| waiter.is_gone())
    }

    fn answer(mut self, answer: Result<Appended, ForwardError>) {
        if let Some(waiter) = self.0.take() {
            waiter.answer(answer);
        }
    }

    /// Drops the ticket without an answer, because nobody waits for one.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(waiter) = self.0.take() {
            waiter.answer(Err(ForwardError::Unknown("the forwarder ended".into())));
        }
    }
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
            queue: Mutex::default(),
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
        let ticket = Ticket(Some(waiter));
        let message = match forwardable(append) {
            Ok(message) => message,
            Err(error) => return ticket.answer(Err(error)),
        };
        if let Err((ticket, error)) = self.0.push(to, message, ticket) {
            return ticket.answer(Err(error));
        }
        if let Some(start) = self.0.begin() {
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
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

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

    fn push(
        &self,
        target: Target,
        message: Message,
        ticket: Ticket,
    ) -> Result<(), (Ticket, ForwardError)> {
        let mut queue = self.queue();
        let bytes = queue.bytes + message.len();
        // One that is larger than all that may wait is sent alone.
        let is_full = bytes > MAX_WAITING_BYTES && !queue.waiting.is_empty();
        if queue.waiting.len() >= MAX_WAITING || is_full {
            let error = ForwardError::Unsent("too many requests wait for it".into());
            return Err((ticket, error));
        }
        queue.bytes = bytes;
        queue.waiting.push_back(Waiting {
            target,
            message,
            since: Instant::now(),
            ticket,
        });
        Ok(())
    }

    /// When somebody must begin to send what waits, if he must; he is counted already.
    fn begin(&self) -> Option<Start> {
        let mut queue = self.queue();
        let start = match queue.sent_at {
            Some(sent_at) if queue.under_way > 0 => Start::At(sent_at + pace(queue.took)),
            _ if queue.under_way > 0 => return None,
            _ => Start::Now,
        };
        if let Start::At(_) = start {
            if queue.is_gathering || queue.under_way >= MAX_UNDER_WAY {
                return None;
            }
            queue.is_gathering = true;
        }
        queue.under_way += 1;
        Some(start)
    }

    /// Sends what waits, until nothing does.
    async fn run(self: Arc<Self>, start: Start) {
        if let Start::At(time) = start {
            tokio::time::sleep_until(time).await;
            self.queue().is_gathering = false;
        }
        while let Some(batch) = self.next_batch() {
            if !batch.is_empty() {
                let began = Instant::now();
                self.send(batch).await;
                self.queue().took = began.elapsed();
            }
        }
    }

    /// The oldest requests that wait for one target.
    fn next_batch(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            queue.under_way -= 1;
            return None;
        }
        let now = Instant::now();
        let mut batch: Vec<Waiting> = Vec::new();
        let mut bytes = COUNT_BYTES;
        while let Some(next) = queue.waiting.front() {
            let own = ENTRY_BYTES + next.message.len();
            let fits = batch.is_empty() || bytes + own <= GATHERED_BYTES;
            let is_same = batch
                .first()
                .is_none_or(|first| first.target == next.target);
            if batch.len() >= MAX_GATHERED || !fits || !is_same {
                break;
            }
            let Some(next) = queue.waiting.pop_front() else {
                break;
            };
            queue.bytes -= next.message.len();
            // Nobody waits for it any more.
            if next.ticket.is_gone() {
                next.ticket.forget();
                continue;
            }
            if now.saturating_duration_since(next.since) >= self.timing.answer {
                let late = ForwardError::Unsent("it does not keep up".into());
                next.ticket.answer(Err(late));
                continue;
            }
            bytes += own;
            batch.push(next);
        }
        if !batch.is_empty() {
            queue.sent_at = Some(now);
        }
        Some(batch)
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

/// How long to gather requests while answers take so long.
fn pace(took: Duration) -> Duration {
    (took / 2).clamp(*PACE.start(), *PACE.end())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_the_answers_are_the_longer_requests_are_gathered() {
        let paces = [0, 9, 30, 60, 10_000].map(|millis| pace(Duration::from_millis(millis)));
        assert_eq!(paces.map(|pace| pace.as_millis()), [5, 5, 15, 25, 25]);
    }
}
