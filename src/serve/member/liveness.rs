//! When it is time to take a log over. Pure; a wrong guess costs somebody a 503, and never data.

use std::time::Duration;

/// Whoever was fenced waits twice as long each time, at most this long, …
const LONGEST: Duration = Duration::from_mins(5);
/// … and no longer than others after so much time in peace.
const PEACE: Duration = Duration::from_mins(10);

/// What is known of the owner of a log, by the monotonic clock.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    /// How long an owner may be silent.
    after: Duration,
    /// When the owner, or nobody at all, was last known to live.
    heard: Duration,
    /// Number of the newest frame, and since when it has been the newest.
    tail: Option<(u64, Duration)>,
    /// How often this node was fenced, or failed to take over, and when last.
    beaten: Option<(u32, Duration)>,
}

impl Liveness {
    pub(super) fn new(after: Duration, now: Duration) -> Self {
        Self {
            after,
            heard: now,
            tail: None,
            beaten: None,
        }
    }

    /// The owner lives.
    pub(super) fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// The newest frame has that number.
    pub(super) fn tail(&mut self, number: u64, now: Duration) {
        if self.tail.is_none_or(|(newest, _)| newest != number) {
            self.tail = Some((number, now));
        }
    }

    /// This node was fenced, or could not take over.
    pub(super) fn beaten(&mut self, now: Duration) {
        let before = self
            .beaten
            .filter(|(_, at)| now.saturating_sub(*at) < PEACE);
        let times = before.map_or(0, |(times, _)| times);
        self.beaten = Some((times + 1, now));
        self.heard = now;
    }

    /// Whether the owner has been silent, and the end of the log has stood still, for long enough.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let Some((_, still_since)) = self.tail else {
            return false;
        };
        now.saturating_sub(self.heard.max(still_since)) >= self.after + self.penalty(now)
    }

    /// Whether a log may be taken over that has no owner any more.
    pub(super) fn is_free_to(&self, now: Duration) -> bool {
        self.beaten
            .is_none_or(|(_, at)| now.saturating_sub(at) >= self.penalty(now))
    }

    /// How much longer than others this node waits.
    fn penalty(&self, now: Duration) -> Duration {
        let recent = self
            .beaten
            .filter(|(_, at)| now.saturating_sub(*at) < PEACE);
        recent.map_or(Duration::ZERO, |(times, _)| {
            let doubled = 1_u32 << (times - 1).min(16);
            self.after.saturating_mul(doubled).min(LONGEST)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    #[test]
    fn an_owner_is_dead_once_it_is_silent_and_the_log_stands_still() {
        let mut liveness = Liveness::new(AFTER, at(0));
        assert!(!liveness.is_due(at(60)), "nobody has looked at the log");
        liveness.tail(7, at(60));
        assert!(!liveness.is_due(at(64)));
        assert!(liveness.is_due(at(65)));
        liveness.tail(8, at(65));
        assert!(!liveness.is_due(at(69)), "somebody appends");
        liveness.tail(8, at(70));
        assert!(liveness.is_due(at(70)));
        liveness.heard(at(71));
        assert!(!liveness.is_due(at(75)), "it was heard");
        assert!(liveness.is_due(at(76)));
    }

    #[test]
    fn whoever_is_beaten_waits_longer_each_time_and_not_for_ever() {
        let mut liveness = Liveness::new(AFTER, at(0));
        liveness.tail(7, at(0));
        assert!(liveness.is_free_to(at(0)));
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..9 {
            liveness.beaten(now);
            assert!(!liveness.is_free_to(now));
            let begin = now;
            while !liveness.is_due(now) {
                now += Duration::from_secs(1);
            }
            waits.push(now.saturating_sub(begin).as_secs());
            assert!(liveness.is_free_to(now));
        }
        assert_eq!(waits, [10, 15, 25, 45, 85, 165, 305, 305, 305]);
        liveness.heard(now + PEACE);
        assert!(liveness.is_due(now + PEACE + AFTER));
    }
}
