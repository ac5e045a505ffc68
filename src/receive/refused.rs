//! Copies of refused requests: each becomes one row in the quarantine, so that a sender that ignores answers
//! loses nothing. The bytes per minute are limited, so that nobody can fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Now};
use crate::quarantine::{FieldError, OfHook, Reason, Refused, partition};
use crate::record::{Origin, RowKind, Rows};

/// A token bucket of bytes, which fills within a minute.
pub struct Allowance {
    per_minute: u64,
    state: Mutex<(Duration, u64)>,
}

impl Allowance {
    /// Allows that many bytes per minute.
    pub fn new(per_minute: u64, clock: &Clock) -> Self {
        Self {
            per_minute,
            state: Mutex::new((clock.now().mono, per_minute)),
        }
    }

    /// Takes that many bytes if they are available.
    pub fn take(&self, bytes: u64, now: Now) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, left) = *state;
        let passed = u64::try_from(now.mono.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
        let earned = self.per_minute.saturating_mul(passed) / 60_000;
        let left = left.saturating_add(earned).min(self.per_minute);
        let enough = bytes <= left;
        // Time that is too short to earn a byte still counts for the next request.
        let since = if earned > 0 { now.mono } else { since };
        *state = (since, if enough { left - bytes } else { left });
        enough
    }
}

/// A request that was refused.
pub(super) struct RefusedBody<'a> {
    /// What was wrong, and how much in all.
    pub(super) errors: (&'a [FieldError], usize),
    /// What is kept of its body, or the beginning of that.
    pub(super) body: &'a [u8],
    /// Length and hash of the whole body, if that was not kept.
    pub(super) whole: Option<(u64, u128)>,
    /// The request.
    pub(super) origin: &'a Origin,
    /// The hook that took it, if one did.
    pub(super) hook: Option<OfHook<'a>>,
}

/// Builds the quarantine row of a refused request.
pub(super) fn row_of(stream: &str, refused: &RefusedBody<'_>, max_raw_bytes: usize) -> Rows {
    let RefusedBody {
        errors: (errors, errors_total),
        body,
        whole,
        origin,
        hook,
    } = *refused;
    let refused = Refused {
        reason: Reason::RefusedRequest,
        stream,
        origin,
        errors,
        errors_total,
        raw: body,
        max_raw_bytes,
        hook,
        place: None,
    };
    let mut rows = Rows::default();
    let key = rows.partition(&partition(stream, origin.received_at));
    let lsn_at = match whole {
        Some((bytes, hash)) => refused.write_whole(bytes, hash, &mut rows.bytes),
        None => refused.write(&mut rows.bytes),
    };
    rows.finish_row(lsn_at, key, RowKind::Refused);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Micros;

    #[test]
    fn the_allowance_fills_over_a_minute() {
        let clock = Clock::manual(Micros(0));
        let allowance = Allowance::new(6000, &clock);
        assert!(allowance.take(6000, clock.now()));
        assert!(!allowance.take(1, clock.now()));
        clock.advance(Duration::from_secs(1));
        assert!(!allowance.take(101, clock.now()));
        assert!(allowance.take(100, clock.now()));
        clock.advance(Duration::from_hours(1));
        assert!(!allowance.take(6001, clock.now()));
        assert!(allowance.take(6000, clock.now()));
    }
}
