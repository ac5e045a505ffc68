//! The queue of seals and publications that wait to be shipped, the oldest first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::commit::Shipment;
use crate::clock::Clock;
use crate::record::Lsn;
use crate::wal::state::SealAt;

/// The longest pause between attempts while a stop waits for the lake.
const LONGEST_HURRIED_PAUSE: Duration = Duration::from_millis(500);

/// What waits to be shipped. There is one entry for each seal and each publication that waits in the log, so
/// the log bounds their number.
#[derive(Default)]
pub struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// How a wait for the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything is shipped.
    Empty,
    /// Something is left, and threads are shipping.
    Busy,
    /// Something is left, and no thread ships any more.
    Abandoned,
}

/// One thing to put into the lake.
pub(super) enum Parcel {
    /// The object of a sealed batch.
    Batch(Shipment),
    /// A publication all of whose members are committed: its id, and where the log decided on it.
    Publication(Lsn, SealAt),
}

/// A parcel that has to wait for something that others do not need.
struct Aside {
    parcel: Parcel,
    /// How long it waits, and since when.
    pause: Duration,
    since: Duration,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Parcel>,
    aside: Vec<Aside>,
    under_way: usize,
    stopping: bool,
    /// How many threads still ship.
    workers: usize,
    /// Whether a stop waits for the lake, so that pauses are short.
    hurried: bool,
}

impl Queue {
    /// Adds batches that were sealed.
    pub fn push_sealed(&self, sealed: &[(u64, SealAt)]) {
        let shipments = sealed
            .iter()
            .map(|(number, at)| Parcel::Batch(Shipment::new(*number, *at)));
        self.lock().waiting.extend(shipments);
        self.changed.notify_all();
    }

    /// Adds publications that are due: all of their members are committed.
    pub fn push_due(&self, publications: &[(Lsn, SealAt)]) {
        let due = publications
            .iter()
            .map(|(id, at)| Parcel::Publication(*id, *at));
        self.lock().waiting.extend(due);
        self.changed.notify_all();
    }

    /// Waits until everything is shipped, no thread ships any more, or the time is over.
    pub fn drain(&self, patience: Duration) -> Drained {
        let mut state = self.lock();
        state.hurried = true;
        self.changed.notify_all();
        let is_busy = |state: &mut QueueState| state.workers > 0 && !state.is_empty();
        let waited = self.changed.wait_timeout_while(state, patience, is_busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_empty() {
            Drained::Empty
        } else if state.workers == 0 {
            Drained::Abandoned
        } else {
            Drained::Busy
        }
    }

    /// Sets how many threads are about to take from the queue.
    pub(super) fn set_workers(&self, workers: usize) {
        self.lock().workers = workers;
    }

    pub(super) fn worker_ended(&self) {
        self.lock().workers -= 1;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Waits for the next parcel; `None` once the threads are to end. With it comes how long it waited aside.
    pub(super) fn take(&self, clock: &Clock) -> Option<(Parcel, Option<Duration>)> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(next) = state.next(clock.mono()) {
                state.under_way += 1;
                return Some(next);
            }
            let due = state.aside.iter().map(|aside| state.due(aside)).min();
            state = match due {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let pause = due.saturating_sub(clock.mono());
                    let waited = self.changed.wait_timeout(state, pause);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Puts a parcel aside that was taken, so that others go first for so long.
    pub(super) fn put_aside(&self, parcel: Parcel, pause: Duration, clock: &Clock) {
        let since = clock.mono();
        self.lock().aside.push(Aside {
            parcel,
            pause,
            since,
        });
        self.changed.notify_all();
    }

    /// Notes that a parcel that was taken is done.
    pub(super) fn finished(&self) {
        self.lock().under_way -= 1;
        self.changed.notify_all();
    }

    /// Waits before the next attempt; `false` if the threads are to end.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let pause = if state.hurried {
            pause.min(LONGEST_HURRIED_PAUSE)
        } else {
            pause
        };
        let calm = |state: &mut QueueState| !state.stopping;
        let waited = self.changed.wait_timeout_while(state, pause, calm);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.aside.is_empty() && self.under_way == 0
    }

    /// When a parcel that is aside is tried again.
    fn due(&self, aside: &Aside) -> Duration {
        let pause = if self.hurried {
            aside.pause.min(LONGEST_HURRIED_PAUSE)
        } else {
            aside.pause
        };
        aside.since + pause
    }

    /// A parcel that has waited aside for long enough, or the oldest of the others.
    fn next(&mut self, now: Duration) -> Option<(Parcel, Option<Duration>)> {
        let is_due = |aside: &Aside| self.due(aside) <= now;
        if let Some(at) = self.aside.iter().position(is_due) {
            let Aside { parcel, pause, .. } = self.aside.remove(at);
            return Some((parcel, Some(pause)));
        }
        Some((self.waiting.pop_front()?, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;

    fn number(parcel: &Parcel) -> u64 {
        match parcel {
            Parcel::Batch(shipment) => shipment.number(),
            Parcel::Publication(id, _) => id.0,
        }
    }

    #[test]
    fn what_is_aside_lets_others_pass_and_comes_again() {
        let (queue, clock) = (Queue::default(), Clock::manual(Micros(0)));
        queue.set_workers(1);
        queue.push_sealed(&[1, 2, 3].map(|number| (number, SealAt::default())));
        let take = || {
            let (parcel, waited) = queue.take(&clock).unwrap();
            (number(&parcel), waited, parcel)
        };
        let (first, waited, parcel) = take();
        assert_eq!((first, waited), (1, None));
        let pause = Duration::from_secs(30);
        queue.put_aside(parcel, pause, &clock);
        queue.finished();
        assert_eq!(take().0, 2);
        clock.advance(pause);
        let (again, waited, _) = take();
        assert_eq!((again, waited), (1, Some(pause)));
        assert_eq!(take().0, 3);
        assert_eq!(queue.drain(Duration::ZERO), Drained::Busy);
        for _ in 0..3 {
            queue.finished();
        }
        assert_eq!(queue.drain(Duration::ZERO), Drained::Empty);
    }

    #[test]
    fn a_stop_waits_for_what_is_aside_but_not_for_long_pauses() {
        let (queue, clock) = (Queue::default(), Clock::manual(Micros(0)));
        queue.set_workers(1);
        queue.push_sealed(&[(1, SealAt::default())]);
        let (parcel, _) = queue.take(&clock).unwrap();
        queue.put_aside(parcel, Duration::from_secs(300), &clock);
        queue.finished();
        assert_eq!(queue.drain(Duration::ZERO), Drained::Busy);
        clock.advance(LONGEST_HURRIED_PAUSE);
        assert_eq!(number(&queue.take(&clock).unwrap().0), 1);
    }
}
