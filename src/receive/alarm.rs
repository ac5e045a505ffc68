//! Says that deliveries of a hook are refused, at most once a minute.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(60);

/// When it was said last, and how many requests were refused since.
#[derive(Debug, Default)]
pub struct Alarm(Mutex<(Option<Duration>, u64)>);

impl Alarm {
    /// Counts a refused request, and says so if nothing was said for a minute.
    pub(super) fn raise(&self, hook: &str, why: &str, now: Duration) {
        if let Some(requests) = self.due(now) {
            tracing::warn!(
                hook,
                requests,
                why,
                "deliveries are refused; is the secret the one that the provider has?"
            );
        }
    }

    /// How many requests there were since it was said last, if it is to be said now.
    fn due(&self, now: Duration) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, requests) = &mut *state;
        *requests += 1;
        if said.is_some_and(|said| now.saturating_sub(said) < PAUSE) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute_with_the_number_of_requests() {
        let alarm = Alarm::default();
        let due = |seconds| alarm.due(Duration::from_secs(seconds));
        let said = [0, 1, 59, 60, 61, 200].map(due);
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
