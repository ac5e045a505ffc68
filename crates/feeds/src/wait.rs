//! Waits for a run that blocks: for an answer, for bytes, for the log, or for a pause to pass. Each
//! wait ends early when the run is cancelled or its budget is used up.
//!
//! A wait that is longer than a moment is told to whoever watches the run, and gives the run's place
//! to another. The time until it has a place again does not count towards the budget.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::figures::Waiting;
use super::places::{Away, Place, Places};
use lakehook_base::clock::Clock;

/// A longer wait gives the run's place away.
const MOMENT: Duration = Duration::from_secs(1);
/// What a run waits for once it wants to go on.
pub const FOR_A_PLACE: &str = "a place (polls.concurrency)";

/// Why a wait ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// The wait took longer than allowed.
    Timeout,
    /// The run was cancelled.
    Cancelled,
    /// The run's budget is used up.
    Budget,
}

/// Is told what a run waits for, and with `None` that it goes on.
pub type Watcher = Arc<dyn Fn(Option<&Waiting>) + Send + Sync>;

/// Waits on behalf of one run, on a thread that may block.
#[derive(Clone)]
pub struct Waiter {
    runtime: Handle,
    cancel: CancellationToken,
    clock: Clock,
    /// Monotonic time in microseconds.
    deadline: Arc<AtomicU64>,
    watcher: Option<Watcher>,
    seat: Option<Arc<Seat>>,
}

/// The place of a run, or its right to come back.
struct Seat {
    places: Places,
    held: Mutex<Held>,
}

enum Held {
    Place(Place),
    Away(Away),
    Nothing,
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

impl Seat {
    fn swap(&self, held: Held) -> Held {
        let mut own = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut own, held)
    }

    fn leave(&self) {
        let held = match self.swap(Held::Nothing) {
            Held::Place(place) => match place.leave() {
                Ok(away) => Held::Away(away),
                Err(place) => Held::Place(place),
            },
            other => other,
        };
        self.swap(held);
    }
}

impl Waiter {
    /// A waiter for a run that may take `budget` from now on.
    pub fn new(runtime: Handle, cancel: CancellationToken, clock: Clock, budget: Duration) -> Self {
        let deadline = clock.now().mono.saturating_add(budget);
        Self {
            runtime,
            cancel,
            clock,
            deadline: Arc::new(AtomicU64::new(micros(deadline))),
            watcher: None,
            seat: None,
        }
    }

    /// The same, with somebody who is told of waits.
    #[must_use]
    pub fn watched_by(mut self, watcher: Watcher) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// The same, with a place that is given away during waits.
    #[must_use]
    pub fn seated(mut self, places: Places, place: Place) -> Self {
        let held = Mutex::new(Held::Place(place));
        self.seat = Some(Arc::new(Seat { places, held }));
        self
    }

    /// The clock that the run uses.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the run was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Time that is left of the run's budget.
    pub fn left(&self) -> Duration {
        let deadline = Duration::from_micros(self.deadline.load(Ordering::Relaxed));
        deadline.saturating_sub(self.clock.now().mono)
    }

    /// Waits for an answer for at most `limit`.
    pub fn wait<T>(
        &self,
        limit: Duration,
        something: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        self.wait_for("an answer", limit, something)
    }

    /// Waits for a future for at most `limit`; `what` says in words what it is.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        something: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let left = self.left();
        let late = if limit < left {
            Interrupted::Timeout
        } else {
            Interrupted::Budget
        };
        let mut is_away = false;
        let result = self.runtime.block_on(async {
            let end = tokio::time::sleep(limit.min(left));
            tokio::pin!(something, end);
            loop {
                tokio::select! {
                    biased;
                    () = self.cancel.cancelled() => return Err(Interrupted::Cancelled),
                    done = &mut something => return Ok(done),
                    () = &mut end => return Err(late),
                    () = tokio::time::sleep(MOMENT), if !is_away => {
                        is_away = true;
                        self.go_away(&Waiting::for_something(what));
                    }
                }
            }
        });
        if is_away {
            self.come_back()?;
        }
        result
    }

    /// Waits for a future that must not be dropped half done, however long it takes.
    pub fn finish<T>(&self, something: impl Future<Output = T>) -> T {
        self.runtime.block_on(something)
    }

    /// Pauses. A pause that is longer than the time left is not begun.
    pub fn pause(&self, pause: Duration) -> Result<(), Interrupted> {
        self.pause_for("its next step", pause)
    }

    /// Pauses; `what` says in words what for.
    pub fn pause_for(&self, what: &str, pause: Duration) -> Result<(), Interrupted> {
        let until = self.clock.now().wall.plus(pause);
        self.pause_with(&Waiting::until(what, until), pause)
    }

    /// Pauses because something failed, which is told even if the pause is short.
    pub fn pause_after_fault(&self, what: &str, pause: Duration) -> Result<(), Interrupted> {
        let until = self.clock.now().wall.plus(pause);
        let waiting = Waiting {
            failed: true,
            ..Waiting::until(what, until)
        };
        if pause <= MOMENT && pause < self.left() {
            self.tell(Some(&waiting));
        }
        self.pause_with(&waiting, pause)
    }

    fn pause_with(&self, waiting: &Waiting, pause: Duration) -> Result<(), Interrupted> {
        if pause >= self.left() {
            return Err(Interrupted::Budget);
        }
        if pause > MOMENT {
            self.go_away(waiting);
        }
        let ended = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(Interrupted::Cancelled),
                () = tokio::time::sleep(pause) => Ok(()),
            }
        });
        if pause > MOMENT {
            self.come_back()?;
        } else if waiting.failed {
            self.tell(None);
        }
        ended
    }

    /// Tells whoever watches the run what it waits for.
    pub fn tell(&self, waiting: Option<&Waiting>) {
        if let Some(watcher) = &self.watcher {
            watcher(waiting);
        }
    }

    fn go_away(&self, waiting: &Waiting) {
        self.tell(Some(waiting));
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }

    /// Takes a place again, if it was given away.
    fn come_back(&self) -> Result<(), Interrupted> {
        let Some(seat) = &self.seat else {
            self.tell(None);
            return Ok(());
        };
        let before = self.clock.now().mono;
        match seat.swap(Held::Nothing) {
            Held::Away(away) => {
                if let Some(place) = seat.places.try_take() {
                    seat.swap(Held::Place(place));
                } else {
                    self.tell(Some(&Waiting::for_something(FOR_A_PLACE)));
                    let place = self.runtime.block_on(async {
                        tokio::select! {
                            biased;
                            () = self.cancel.cancelled() => Err(Interrupted::Cancelled),
                            place = seat.places.come_back(away) => Ok(place),
                        }
                    })?;
                    seat.swap(Held::Place(place));
                }
            }
            other => drop(seat.swap(other)),
        }
        let waited = self.clock.now().mono.saturating_sub(before);
        self.deadline.fetch_add(micros(waited), Ordering::Relaxed);
        self.tell(None);
        Ok(())
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 1)
}
