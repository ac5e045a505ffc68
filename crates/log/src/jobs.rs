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
