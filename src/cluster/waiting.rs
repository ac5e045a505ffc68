//! A request that waits to be sent to another node, and whoever waits for its answer.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::ForwardError;
use super::message::Message;
use super::target::Target;
use crate::wal::request::Appended;

/// A request that waits to be sent.
pub(super) struct Waiting {
    pub(super) target: Target,
    pub(super) message: Message,
    pub(super) since: Instant,
    pub(super) ticket: Ticket,
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
pub(super) struct Ticket(Option<Box<dyn Waiter>>);

impl Ticket {
    pub(super) fn of(waiter: Box<dyn Waiter>) -> Self {
        Self(Some(waiter))
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.as_ref().is_none_or(|waiter| waiter.is_gone())
    }

    pub(super) fn answer(mut self, answer: Result<Appended, ForwardError>) {
        if let Some(waiter) = self.0.take() {
            waiter.answer(answer);
        }
    }

    /// Drops the ticket without an answer, because nobody waits for one.
    pub(super) fn forget(mut self) {
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
