//! Hands requests to the thread that answers them, or to a stand-in, and returns the answers.

use std::sync::mpsc::TrySendError;

use tokio::sync::oneshot;

use crate::jobs::{Answers, Begun, Job, Ticket, lost};
use crate::ledger::request::{Append, AppendError, Reply, Request};
use crate::log::Log;
use crate::stand_in::Asked;

impl Log {
    /// Stores requests that another process has sent, all of them in one turn of the log if it has room for them. They are
    /// answered together.
    pub async fn append_all(&self, appends: Vec<Append>) -> Vec<Reply> {
        let count = appends.len();
        let (tickets, answers) = Answers::of(count);
        let requests = appends
            .into_iter()
            .map(|append| Request::Append(Box::new(append)));
        let given = self.try_give(Job::OfPeer(requests.zip(tickets).collect()));
        match given {
            Ok(()) => answers.await.unwrap_or_default(),
            Err(refusal) => vec![Err(refusal); count],
        }
    }

    pub(crate) async fn request(&self, request: Request) -> Reply {
        self.begin(request).answer().await
    }

    /// Gives an append to the writer of the log, or to its stand-in.
    pub(crate) fn begin_append(&self, append: Append) -> Begun {
        let append = Box::new(append);
        match self.stand_in_for(&append) {
            Some(stand_in) => {
                let (ticket, answer) = oneshot::channel();
                stand_in.append(append, Asked::new(Ticket::Alone(ticket)));
                Begun::waiting(answer)
            }
            None => self.begin(Request::Append(append)),
        }
    }

    pub(crate) fn begin(&self, request: Request) -> Begun {
        let (ticket, answer) = oneshot::channel();
        match self.try_give(self.job(request, ticket)) {
            Ok(()) => Begun::waiting(answer),
            Err(refusal) => Begun::refused(refusal),
        }
    }

    fn try_give(&self, job: Job) -> Result<(), AppendError> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => AppendError::Full,
            TrySendError::Disconnected(_) => AppendError::Closed,
        })
    }

    fn job(&self, request: Request, ticket: oneshot::Sender<Reply>) -> Job {
        let ticket = Ticket::Alone(ticket);
        if self.of_peers {
            Job::OfPeer(vec![(request, ticket)])
        } else {
            Job::Request(request, ticket)
        }
    }

    pub(crate) fn ask(&self, request: Request) -> Result<(), AppendError> {
        let (ticket, answer) = oneshot::channel();
        let job = self.job(request, ticket);
        self.jobs.send(job).map_err(|_gone| AppendError::Closed)?;
        answer
            .blocking_recv()
            .unwrap_or_else(|_lost| Err(lost()))
            .map(|_| ())
    }
}
