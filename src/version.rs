//! Which build this is.

use crate::clock::{MICROS_PER_SECOND, Micros};

/// When the commit that was built was made; no right clock shows an earlier time. 1970 if it is not known.
pub fn commit_time() -> Micros {
    let seconds: i64 = env!("LAKEHOOK_COMMIT_SECONDS").parse().unwrap_or(0);
    Micros(seconds.saturating_mul(MICROS_PER_SECOND))
}
