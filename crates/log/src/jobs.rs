//! What waits for whoever answers the requests to a log.

use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::ledger::request::{AppendError, Reply, Request};

pub(crate) type Ticket = oneshot::Sender<Reply>;

/// What waits for whoever answers requests.
pub(crate) enum Job {
    Request(Request, Ticket),
    /// Another process has sent it, so it is not sent on.
    OfPeer(Request, Ticket),
    /// Ends that term.
    Close(u64),
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
            Job::Request(_, ticket) | Job::OfPeer(_, ticket) => {
                // The caller may be gone.
                let _gone = ticket.send(Err(AppendError::Closed));
            }
            Job::Close(ended) if ended == term => return,
            Job::Close(_) => {}
        }
    }
}
