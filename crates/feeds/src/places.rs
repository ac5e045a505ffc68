//! Places: how many runs work at a time, while others wait for something outside.
//!
//! ```text
//!  take ─▶ place ─ leave ─▶ away ─ come_back ─▶ place ─ drop ─▶ the next one: who comes back goes first
//! ```
//!
//! A run that waits for longer than a moment gives its place to another. So an API that does not
//! answer holds up nobody else. A run that comes back goes before newcomers, because it holds memory
//! already; and only so many may be away at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Runs that may be away, for each place.
const AWAY_PER_PLACE: usize = 8;

/// A number of places. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    max_away: usize,
}

#[derive(Debug)]
struct Queue {
    free: usize,
    away: usize,
    returning: VecDeque<oneshot::Sender<Place>>,
    coming: VecDeque<oneshot::Sender<Place>>,
}

/// A place. Dropping it gives it to the next.
#[derive(Debug)]
pub struct Place(Option<Arc<Inner>>);

/// The right to come back before all newcomers.
#[derive(Debug)]
pub struct Away(Arc<Inner>);

impl Places {
    /// This many places.
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Inner {
            queue: Mutex::new(Queue {
                free: places,
                away: 0,
                returning: VecDeque::new(),
                coming: VecDeque::new(),
            }),
            max_away: places.saturating_mul(AWAY_PER_PLACE),
        }))
    }

    /// Takes a free place, unless others wait for one.
    pub fn try_take(&self) -> Option<Place> {
        let mut queue = self.0.queue();
        if queue.free == 0 {
            return None;
        }
        queue.free -= 1;
        Some(Place(Some(Arc::clone(&self.0))))
    }

    /// Waits for a place.
    pub async fn take(&self) -> Place {
        self.wait(|queue| &mut queue.coming).await
    }

    /// Waits for a place ahead of all newcomers.
    pub async fn come_back(&self, away: Away) -> Place {
        let place = self.wait(|queue| &mut queue.returning).await;
        drop(away);
        place
    }

    async fn wait(&self, line: fn(&mut Queue) -> &mut VecDeque<oneshot::Sender<Place>>) -> Place {
        loop {
            let given = {
                let mut queue = self.0.queue();
                if queue.free > 0 {
                    queue.free -= 1;
                    return Place(Some(Arc::clone(&self.0)));
                }
                let (sender, receiver) = oneshot::channel();
                line(&mut queue).push_back(sender);
                receiver
            };
            // A sender is only ever dropped after it was used.
            if let Ok(place) = given.await {
                return place;
            }
        }
    }
}

impl Place {
    /// Gives the place to another, with the right to come back; keeps it if too many are away.
    pub fn leave(self) -> Result<Away, Self> {
        let Some(inner) = self.0.as_ref().map(Arc::clone) else {
            return Err(self);
        };
        {
            let mut queue = inner.queue();
            if queue.away >= inner.max_away {
                drop(queue);
                return Err(self);
            }
            queue.away += 1;
        }
        drop(self);
        Ok(Away(inner))
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(inner) = self.0.take() else {
            return;
        };
        loop {
            let next = {
                let mut queue = inner.queue();
                let next = queue.returning.pop_front();
                let next = next.or_else(|| queue.coming.pop_front());
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Self(Some(Arc::clone(&inner)))) {
                Ok(()) => return,
                // This one no longer waits.
                Err(mut place) => place.0 = None,
            }
        }
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.0.queue().away -= 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_left_goes_to_another_and_who_comes_back_goes_first() {
        let places = Places::new(1);
        let first = places.take().await;
        assert!(places.try_take().is_none());
        let away = first.leave().unwrap();
        let second = places.take().await;
        let newcomer = tokio::spawn({
            let places = places.clone();
            async move { drop(places.take().await) }
        });
        tokio::task::yield_now().await;
        let mut back = Box::pin(places.come_back(away));
        let at_once = futures_poll(&mut back).await;
        assert!(at_once.is_none());
        drop(second);
        let first = back.await;
        assert!(!newcomer.is_finished());
        drop(first);
        newcomer.await.unwrap();
        assert!(places.try_take().is_some());
    }

    /// The result of a future, if it is ready by now.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn whoever_stops_waiting_is_passed_over() {
        let places = Places::new(1);
        let place = places.take().await;
        let mut gone = Box::pin(places.take());
        assert!(futures_poll(&mut gone).await.is_none());
        let mut next = Box::pin(places.take());
        assert!(futures_poll(&mut next).await.is_none());
        drop(gone);
        drop(place);
        assert!(futures_poll(&mut next).await.is_some());
        assert!(places.try_take().is_some());
    }

    #[tokio::test]
    async fn only_so_many_are_away() {
        let places = Places::new(1);
        let mut away = Vec::new();
        for _ in 0..AWAY_PER_PLACE {
            away.push(places.try_take().unwrap().leave().unwrap());
        }
        let kept = places.try_take().unwrap().leave().unwrap_err();
        assert!(places.try_take().is_none());
        drop(kept);
        drop(away.pop());
        assert!(places.try_take().unwrap().leave().is_ok());
    }
}
