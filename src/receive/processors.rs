//! Permits to use a processor: how many bodies are inflated and checked at once.
//!
//! Large bodies are handled on threads that may block, so that they do not hold up other requests. The runtime starts
//! such a thread whenever one is needed: under load that would be a hundred threads, each with its own memory, and all
//! of them slow. So there are as many permits as processors. Requests without a permit wait in order; once too many
//! wait, further ones are answered 503, because a growing queue would make everybody late.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budget::NoMemory;

/// How many requests may wait per processor.
const MAX_WAITING: usize = 16;

/// The permits, one per processor.
#[derive(Clone, Debug)]
pub struct Processors {
    working: Arc<Semaphore>,
    /// One place for each request that works or waits.
    present: Arc<Semaphore>,
}

/// A permit; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _working: OwnedSemaphorePermit,
    _present: OwnedSemaphorePermit,
}

impl Default for Processors {
    fn default() -> Self {
        let processors = available_parallelism().map_or(2, std::num::NonZero::get);
        Self::new(processors)
    }
}

impl Processors {
    fn new(processors: usize) -> Self {
        Self {
            working: Arc::new(Semaphore::new(processors)),
            present: Arc::new(Semaphore::new(processors * (1 + MAX_WAITING))),
        }
    }

    /// Waits for a permit; fails if too many wait already.
    pub async fn acquire(&self) -> Result<Permit, NoMemory> {
        let present = Arc::clone(&self.present).try_acquire_owned();
        let present = present.map_err(|_full| NoMemory)?;
        let working = Arc::clone(&self.working).acquire_owned().await;
        Ok(Permit {
            _working: working.map_err(|_closed| NoMemory)?,
            _present: present,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_so_many_wait() {
        let processors = Processors::new(1);
        let permit = processors.acquire().await.unwrap();
        let mut waiting: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let processors = processors.clone();
                tokio::spawn(async move { processors.acquire().await })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(processors.acquire().await.unwrap_err(), NoMemory);
        assert!(waiting.iter().all(|other| !other.is_finished()));
        drop(permit);
        let next = waiting.remove(0).await.unwrap();
        assert!(next.is_ok());
    }
}
