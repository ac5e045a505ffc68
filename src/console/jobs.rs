//! Work that somebody asks for and that takes a while: one of a kind at a time, with its progress and its last result.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Micros;

/// A kind of work.
pub(super) struct Job<R>(Mutex<JobState<R>>);

/// How it stands.
pub(super) enum JobState<R> {
    /// Nobody has asked for it yet.
    Idle,
    /// It is under way: so much is done, of so much.
    UnderWay { done: usize, total: usize },
    /// It ended at this time.
    Ended {
        at: Micros,
        result: Arc<Result<R, String>>,
    },
}

impl<R> Clone for JobState<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Idle => Self::Idle,
            Self::UnderWay { done, total } => Self::UnderWay {
                done: *done,
                total: *total,
            },
            Self::Ended { at, result } => Self::Ended {
                at: *at,
                result: Arc::clone(result),
            },
        }
    }
}

impl<R> Default for Job<R> {
    fn default() -> Self {
        Self(Mutex::new(JobState::Idle))
    }
}

impl<R> Job<R> {
    /// How it stands.
    pub(super) fn state(&self) -> JobState<R> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Begins, unless it is under way already.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !matches!(*state, JobState::UnderWay { .. });
        if begins {
            *state = JobState::UnderWay { done: 0, total: 0 };
        }
        begins
    }

    /// Says how far it is.
    pub(super) fn step(&self, done: usize, total: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = JobState::UnderWay { done, total };
    }

    /// Ends.
    pub(super) fn end(&self, at: Micros, result: Result<R, String>) {
        let result = Arc::new(result);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = JobState::Ended { at, result };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_under_way_at_a_time() {
        let job = Job::<u32>::default();
        assert!(job.begin() && !job.begin());
        job.step(1, 2);
        assert!(!job.begin());
        assert!(matches!(
            job.state(),
            JobState::UnderWay { done: 1, total: 2 }
        ));
        job.end(Micros(7), Ok(9));
        let JobState::Ended { at, result } = job.state() else {
            unreachable!("it has ended")
        };
        assert_eq!((at, result.as_ref()), (Micros(7), &Ok(9)));
        assert!(job.begin());
    }
}
