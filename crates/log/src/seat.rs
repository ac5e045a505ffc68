//! Who answers the requests to a log: its writer, or a stand-in while another process owns it.
//!
//! Requests wait in a queue that outlives both. Whoever has the seat empties it; when he leaves it, what he has not
//! taken waits for the next one. So whoever holds a handle of the log need not know who owns it. While a stand-in has the
//! seat, rows skip the queue: the caller passes them to the stand-in on its own thread.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TrySendError};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use crate::jobs::{Job, Seat};
use crate::ledger::request::{Append, AppendError, Request};
use crate::log::Log;
use crate::stand_in::is_for_stand_in;
pub use crate::stand_in::{Asked, StandIn};

/// Pause before a full queue is tried again.
const FULL_QUEUE: Duration = Duration::from_millis(1);

impl Log {
    /// Lets a stand-in answer from now on: the log has another owner, or none. What only an owner can do is refused.
    pub fn stand_in(&self, stand_in: impl StandIn) -> io::Result<()> {
        let gauges = Arc::clone(&self.gauges);
        let stand_in: Arc<dyn StandIn> = Arc::new(stand_in);
        let (asked, shared) = (Arc::clone(&stand_in), Arc::clone(&self.stand_in));
        self.seat("wal-stand-in", move |queue, term| {
            gauges.clear();
            gauges.is_elsewhere.store(true, Ordering::Release);
            *shared.write().unwrap_or_else(PoisonError::into_inner) = Some(asked);
            move || {
                answer_all(&queue, term, &*stand_in);
                queue
            }
        })
    }

    /// The stand-in, if there is one and it may answer this append, which then skips the queue.
    pub(crate) fn stand_in_for(&self, append: &Append) -> Option<Arc<dyn StandIn>> {
        if self.of_peers || !self.is_elsewhere() || !is_for_stand_in(append) {
            return None;
        }
        let stand_in = self.stand_in.read();
        stand_in.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A handle for what other processes send: it is stored here or refused, and never sent on.
    #[must_use]
    pub fn of_peers(&self) -> Self {
        Self {
            of_peers: true,
            ..self.clone()
        }
    }

    /// Whether another process owns the log.
    pub fn is_elsewhere(&self) -> bool {
        self.gauges.is_elsewhere.load(Ordering::Acquire)
    }

    /// How often it has changed who answers requests.
    pub fn term(&self) -> u64 {
        self.term.load(Ordering::Acquire)
    }

    /// Notes that nothing is in flight, and ends the thread. Blocks; later requests are refused.
    pub fn close(&self) {
        let mut seat = self.lock();
        // Nobody has looked at what waits in the queue.
        let queue = self.vacate(&mut seat);
        for job in queue.iter().flat_map(Receiver::try_iter) {
            job.refuse(&AppendError::Closed);
        }
    }

    /// Ends whoever has the seat, and gives it to a thread. `prepare` runs before it starts.
    pub(crate) fn seat<R: FnOnce() -> Receiver<Job> + Send + 'static>(
        &self,
        name: &str,
        prepare: impl FnOnce(Receiver<Job>, u64) -> R,
    ) -> io::Result<()> {
        let mut seat = self.lock();
        let Some(queue) = self.vacate(&mut seat) else {
            return Err(io::Error::other("the log was closed"));
        };
        let term = self.term.fetch_add(1, Ordering::AcqRel) + 1;
        let run = prepare(queue, term);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)?;
        *seat = Seat::Taken(thread);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.seat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends whoever has the seat; returns the queue.
    fn vacate(&self, seat: &mut Seat) -> Option<Receiver<Job>> {
        let thread = match std::mem::replace(seat, Seat::Gone) {
            Seat::Free(queue) => return Some(queue),
            Seat::Gone => return None,
            Seat::Taken(thread) => thread,
        };
        let mut stand_in = self
            .stand_in
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *stand_in = None;
        drop(stand_in);
        let mut close = Job::Close(self.term());
        while !thread.is_finished() {
            match self.jobs.try_send(close) {
                Err(TrySendError::Full(job)) => {
                    close = job;
                    std::thread::sleep(FULL_QUEUE);
                }
                Ok(()) | Err(TrySendError::Disconnected(_)) => break,
            }
        }
        // After a panic there is no queue any more.
        thread.join().ok()
    }
}

/// Gives a stand-in what he can answer, until that term ends.
fn answer_all(queue: &Receiver<Job>, term: u64, stand_in: &dyn StandIn) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Request(Request::Append(append), ticket) if is_for_stand_in(&append) => {
                stand_in.append(append, Asked::new(ticket));
            }
            Job::Request(Request::Flush, ticket) => stand_in.flush(Asked::new(ticket)),
            Job::Close(ended) if ended == term => return,
            job => job.refuse(&stand_in.refusal()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::jobs::Ticket;
    use crate::ledger::request::{Appended, Reply};
    use lakehook_base::clock::Micros;
    use lakehook_base::record::NO_RUN;
    use lakehook_base::record::{Lsn, Origin, Rows};

    struct Says(u64);

    impl StandIn for Says {
        fn append(&self, _: Box<Append>, asked: Asked) {
            asked.answer(Ok(Appended {
                accepted: self.0,
                ..Appended::default()
            }));
        }

        fn refusal(&self) -> AppendError {
            AppendError::NoOwner("somebody else owns it".into())
        }
    }

    fn append() -> Append {
        Append {
            rows: Rows::default(),
            dropped: 0,
            origin: Origin {
                received_at: Micros(1),
                endpoint: "/".into(),
                request_id: "".into(),
                client: None,
            },
            run: NO_RUN,
            cursor: None,
        }
    }

    fn accepted(reply: Reply) -> u64 {
        reply.unwrap().accepted
    }

    #[test]
    fn whoever_has_the_seat_answers_and_nothing_that_waits_is_forgotten() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let log = Log::unowned();
        let waiting = log.clone();
        let early = runtime.spawn(async move { waiting.append(append()).await });
        log.stand_in(Says(1)).unwrap();
        assert_eq!(accepted(runtime.block_on(early).unwrap()), 1);
        log.stand_in(Says(2)).unwrap();
        assert_eq!(accepted(runtime.block_on(log.append(append()))), 2);
        assert!(log.is_elsewhere());
        assert_eq!(log.term(), 2);
        log.close();
        let late = runtime.block_on(log.append(append()));
        assert_eq!(late, Err(AppendError::Closed));
        assert!(log.stand_in(Says(3)).is_err());
    }

    /// Says on which thread it was asked.
    struct Notes(std::sync::mpsc::Sender<std::thread::ThreadId>);

    impl StandIn for Notes {
        fn append(&self, _: Box<Append>, asked: Asked) {
            self.0.send(std::thread::current().id()).unwrap();
            asked.answer(Ok(Appended::default()));
        }

        fn refusal(&self) -> AppendError {
            AppendError::Closed
        }
    }

    #[test]
    fn rows_go_to_the_stand_in_without_another_thread() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().unwrap();
        let log = Log::unowned();
        let (asked_on, threads) = std::sync::mpsc::channel();
        log.stand_in(Notes(asked_on)).unwrap();
        runtime.block_on(log.append(append())).unwrap();
        assert_eq!(threads.recv().unwrap(), std::thread::current().id());
        // What belongs to a run is for an owner alone.
        let of_run = Append {
            run: Lsn(1),
            ..append()
        };
        assert_eq!(
            runtime.block_on(log.append(of_run)),
            Err(AppendError::Closed)
        );
        log.close();
    }

    #[test]
    fn what_another_process_has_sent_is_answered_together_and_in_order() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let log = Log::unowned();
        let waiting = log.clone();
        let all = runtime
            .spawn(async move { waiting.append_all(vec![append(), append(), append()]).await });
        let queue = {
            let mut seat = log.lock();
            log.vacate(&mut seat).unwrap()
        };
        let Ok(Job::OfPeer(requests)) = queue.recv() else {
            panic!("they are one job");
        };
        let mut tickets: Vec<Ticket> = requests.into_iter().map(|(_, ticket)| ticket).collect();
        let accepted = |accepted| {
            Ok(Appended {
                accepted,
                ..Appended::default()
            })
        };
        // The second one is lost, with the thread that had it.
        drop(tickets.remove(1));
        assert!(!tickets[0].is_gone());
        tickets.remove(1).answer(accepted(3));
        tickets.remove(0).answer(accepted(1));
        let replies = runtime.block_on(all).unwrap();
        assert_eq!(
            replies,
            [accepted(1), Err(crate::jobs::lost()), accepted(3)]
        );
        assert_eq!(runtime.block_on(log.append_all(vec![])), []);
    }

    #[test]
    fn a_stand_in_sends_nothing_on_that_another_process_has_sent() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let log = Log::unowned();
        log.stand_in(Says(1)).unwrap();
        let refused = Err(AppendError::NoOwner("somebody else owns it".into()));
        let of_peers = log.of_peers();
        assert_eq!(runtime.block_on(of_peers.append(append())), refused);
        // Nor is anything done that only an owner can do.
        assert_eq!(log.prove(), refused.map(|_| ()));
        log.close();
    }
}
