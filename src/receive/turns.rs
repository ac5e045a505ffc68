//! Turns at the processors: how many bodies are inflated and checked at once.
//!
//! Work of that kind is done where it does not hold up other requests, on a thread that may block; the
//! runtime makes as many of those as are asked for. Under load that were a hundred, each with memory of
//! its own, and all of them slow. So there are as many turns as processors. Who has none waits in order,
//! and where too many wait already, is told to come back: a queue that grows makes everybody late.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budget::NoMemory;

/// Who wait for a processor, at most.
const MAX_WAITING: usize = 16;

/// The turns.
#[derive(Clone, Debug)]
pub struct Turns {
    working: Arc<Semaphore>,
    /// Room for those who work and those who wait.
    present: Arc<Semaphore>,
}

/// One turn; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _working: OwnedSemaphorePermit,
    _present: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        let processors = available_parallelism().map_or(2, std::num::NonZero::get);
        Self::new(processors)
    }
}

impl Turns {
    fn new(processors: usize) -> Self {
        Self {
            working: Arc::new(Semaphore::new(processors)),
            present: Arc::new(Semaphore::new(processors * (1 + MAX_WAITING))),
        }
    }

    /// Waits for a turn, unless too many do.
    pub async fn take(&self) -> Result<Turn, NoMemory> {
        let present = Arc::clone(&self.present).try_acquire_owned();
        let present = present.map_err(|_full| NoMemory)?;
        let working = Arc::clone(&self.working).acquire_owned().await;
        Ok(Turn {
            _working: working.map_err(|_closed| NoMemory)?,
            _present: present,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let turns = Turns::new(1);
        let turn = turns.take().await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let turns = turns.clone();
                tokio::spawn(async move { turns.take().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(turns.take().await.unwrap_err(), NoMemory);
        assert!(waiting.iter().all(|other| !other.is_finished()));
        drop(turn);
        let next = waiting.remove(0).await.unwrap();
        assert!(next.is_ok());
    }
}
