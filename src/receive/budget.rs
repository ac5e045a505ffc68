//! The memory budget of requests in flight, charged as their bytes arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Memory for all requests in flight. A request that gets no share is answered 503 at once.
#[derive(Clone, Debug)]
pub struct Budget {
    free: Arc<AtomicUsize>,
}

/// No memory is left for this request now, or too many requests wait for a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are in flight")]
pub struct NoMemory;

impl Budget {
    /// A budget of that many bytes.
    pub fn new(bytes: usize) -> Self {
        Self {
            free: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// An empty share, which can grow and is given back when dropped.
    pub fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// The part of the budget that one request has taken.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Takes that many more bytes.
    pub fn grow(&mut self, bytes: usize) -> Result<(), NoMemory> {
        let take = |free: usize| free.checked_sub(bytes);
        match self
            .budget
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
        {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(_) => Err(NoMemory),
        }
    }

    /// Gives that many bytes back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.free.fetch_add(bytes, Ordering::AcqRel);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(10);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert_eq!(a.grow(7), Ok(()));
        assert_eq!(b.grow(4), Err(NoMemory));
        a.shrink(2);
        assert_eq!(b.grow(4), Ok(()));
        drop(a);
        drop(b);
        assert_eq!(budget.share().grow(10), Ok(()));
    }
}
