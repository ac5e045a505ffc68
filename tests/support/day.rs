//! Midnight in UTC, at which a lake begins new folders and a history its next snapshot.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

/// Sees to it that a test which counts what there is of one day has so much time before the next one begins: it
/// waits for midnight if that is nearer.
pub(crate) fn begin_early_in_the_day(time: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = Duration::from_secs(DAY - now.as_secs() % DAY);
    if left < time {
        std::thread::sleep(left);
    }
}
