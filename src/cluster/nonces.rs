//! Which requests have been seen, so that none is carried out twice.
//!
//! The memory is bounded. When it is full, the oldest request is forgotten, and from then on requests of its time and
//! earlier are refused. So a flood makes it refuse what is slow; it never makes it forget what was carried out.
//!
//! A restart forgets everything. That is no gap, because a request names the epoch of the owner that it is for, and each
//! start begins a new one.

use std::collections::BTreeSet;

use super::limits::MAX_APART;
use crate::clock::Micros;

/// Most requests that are remembered, in about 4 MiB.
const MAX_SEEN: usize = 1 << 16;

/// The requests that were seen.
#[derive(Debug)]
pub(super) struct Seen {
    by_time: BTreeSet<(i64, u128)>,
    /// The newest time of a request that was forgotten.
    floor: i64,
    max: usize,
}

/// Why a request is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// Its time is too far from now.
    Apart,
    /// It was seen before.
    Repeated,
}

impl Default for Seen {
    fn default() -> Self {
        Self::new(MAX_SEEN)
    }
}

impl Seen {
    fn new(max: usize) -> Self {
        Self {
            by_time: BTreeSet::new(),
            floor: i64::MIN,
            max,
        }
    }

    /// Takes note of a request with a valid signature.
    pub(super) fn accept(
        &mut self,
        time: Micros,
        nonce: u128,
        now: Micros,
    ) -> Result<(), Unacceptable> {
        if !is_near(time, now) {
            return Err(Unacceptable::Apart);
        }
        while let Some(oldest) = self.by_time.first()
            && oldest.0 < now.minus(MAX_APART).0
        {
            self.forget_oldest();
        }
        if self.by_time.contains(&(time.0, nonce)) {
            return Err(Unacceptable::Repeated);
        }
        if time.0 <= self.floor {
            return Err(Unacceptable::Apart);
        }
        self.by_time.insert((time.0, nonce));
        if self.by_time.len() > self.max {
            self.forget_oldest();
        }
        Ok(())
    }

    /// Only times that were sent raise the floor: after a jump of this node's clock there and back, requests go on.
    fn forget_oldest(&mut self) {
        if let Some((time, _)) = self.by_time.pop_first() {
            self.floor = self.floor.max(time);
        }
    }
}

/// Whether the clock that gave `time` and the one that gave `now` agree well enough.
pub(super) fn is_near(time: Micros, now: Micros) -> bool {
    time.since(now) <= MAX_APART && now.since(time) <= MAX_APART
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_795_176_000_000_000);

    #[test]
    fn a_request_is_accepted_once_and_only_near_its_time() {
        let mut seen = Seen::default();
        let first = NOW.minus(MAX_APART);
        assert_eq!(seen.accept(first, 7, NOW), Ok(()));
        assert_eq!(seen.accept(first, 7, NOW), Err(Unacceptable::Repeated));
        assert_eq!(seen.accept(first, 8, NOW), Ok(()));
        assert_eq!(seen.accept(NOW.plus(MAX_APART), 9, NOW), Ok(()));
        let later = Micros(NOW.0 + 1);
        assert_eq!(seen.accept(first, 7, later), Err(Unacceptable::Apart));
        let ahead = Micros(NOW.plus(MAX_APART).0 + 1);
        assert_eq!(seen.accept(ahead, 1, NOW), Err(Unacceptable::Apart));
    }

    #[test]
    fn whatever_is_forgotten_is_refused_from_then_on() {
        let mut seen = Seen::new(3);
        for n in 0..10_i64 {
            let time = Micros(NOW.0 + n);
            let nonce = u128::from(n.unsigned_abs());
            assert_eq!(seen.accept(time, nonce, NOW), Ok(()));
            assert!(seen.by_time.len() <= 3);
        }
        for n in 0..7_i64 {
            let time = Micros(NOW.0 + n);
            let again = seen.accept(time, u128::from(n.unsigned_abs()), NOW);
            assert_eq!(again, Err(Unacceptable::Apart), "{n}");
        }
        for n in 7..10_i64 {
            let time = Micros(NOW.0 + n);
            let again = seen.accept(time, u128::from(n.unsigned_abs()), NOW);
            assert_eq!(again, Err(Unacceptable::Repeated), "{n}");
        }
    }

    #[test]
    fn a_clock_that_jumps_there_and_back_does_not_stop_requests() {
        let mut seen = Seen::default();
        assert_eq!(seen.accept(NOW, 1, NOW), Ok(()));
        let (jumped, hour) = (NOW.plus(MAX_APART * 120), 2);
        assert_eq!(seen.accept(NOW, hour, jumped), Err(Unacceptable::Apart));
        assert_eq!(seen.accept(jumped, 3, jumped), Ok(()));
        let after = Micros(NOW.0 + 1);
        assert_eq!(seen.accept(after, 4, after), Ok(()));
        assert_eq!(seen.accept(NOW, 1, after), Err(Unacceptable::Apart));
    }
}
