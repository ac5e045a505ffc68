//! What waits for whoever answers the requests to a log.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::ledger::request::{AppendError, Reply, Request};

/// Where the answer to a request goes.
pub(crate) enum Ticket {
    Alone(oneshot::Sender<Reply>),
    /// One of several requests that are answered together, with its number among them.
    Together(Arc<Answers>, usize),
}

impl Ticket {
    /// Gives the answer. The caller may be gone; what is durable stays.
    pub(crate) fn answer(self, reply: Reply) {
        match self {
            Self::Alone(ticket) => {
                let _gone = ticket.send(reply);
            }
            Self::Together(answers, number) => {
                let replies = answers.replies.lock();
                let mut replies = replies.unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = replies.get_mut(number) {
                    *place = reply;
                }
            }
        }
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Alone(ticket) => ticket.is_closed(),
            Self::Together(answers, _) => answers
                .ready
                .as_ref()
                .is_none_or(oneshot::Sender::is_closed),
        }
    }
}

/// The answers to requests that are answered together, once each of their tickets is gone.
pub(crate) struct Answers {
    replies: Mutex<Vec<Reply>>,
    ready: Option<oneshot::Sender<Vec<Reply>>>,
}

impl Answers {
    /// Returns `count` tickets, and a channel that receives all of their answers together.
    pub(crate) fn of(
        count: usize,
    ) -> (impl Iterator<Item = Ticket>, oneshot::Receiver<Vec<Reply>>) {
        let (ready, all) = oneshot::channel();
        let answers = Arc::new(Self {
            // What the thread of the log never answers was lost with it.
            replies: Mutex::new((0..count).map(|_| Err(lost())).collect()),
            ready: Some(ready),
        });
        let tickets = (0..count).map(move |number| Ticket::Together(Arc::clone(&answers), number));
        (tickets, all)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        let replies = self.replies.get_mut();
        let replies = std::mem::take(replies.unwrap_or_else(PoisonError::into_inner));
        if let Some(ready) = self.ready.take() {
            let _gone = ready.send(replies);
        }
    }
}

/// What waits for whoever answers requests.
pub(crate) enum Job {
    Request(Request, Ticket),
    /// Another process has sent them, so they are not sent on.
    OfPeer(Vec<(Request, Ticket)>),
    /// Ends that term.
    Close(u64),
}

impl Job {
    /// Answers the requests of this job with an error, if it has any.
    pub(crate) fn refuse(self, error: &AppendError) {
        match self {
            Self::Request(_, ticket) => ticket.answer(Err(error.clone())),
            Self::OfPeer(requests) => {
                for (_, ticket) in requests {
                    ticket.answer(Err(error.clone()));
                }
            }
            Self::Close(_) => {}
        }
    }
}

/// A request that waits for its answer, unless it was refused at once.
pub(crate) struct Begun(Result<oneshot::Receiver<Reply>, AppendError>);

impl Begun {
    pub(crate) fn waiting(answer: oneshot::Receiver<Reply>) -> Self {
        Self(Ok(answer))
    }

    pub(crate) fn refused(error: AppendError) -> Self {
        Self(Err(error))
    }

    pub(crate) async fn answer(self) -> Reply {
        self.0?.await.unwrap_or_else(|_lost| Err(lost()))
    }
}

/// The thread of the log has ended in the middle of a request, which may be durable.
pub(crate) fn lost() -> AppendError {
    AppendError::Storage("the thread of the log has ended".into())
}

/// Who empties the queue.
pub(crate) enum Seat {
    /// Nobody, for the moment.
    Free(Receiver<Job>),
    /// A thread, which returns the queue when it ends.
    Taken(JoinHandle<Receiver<Job>>),
    /// Nobody any more.
    Gone,
}

/// Refuses everything until that term ends: the log cannot go on.
pub(crate) fn refuse_all(queue: &Receiver<Job>, term: u64) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Close(ended) if ended == term => return,
            job => job.refuse(&AppendError::Closed),
        }
    }
}
