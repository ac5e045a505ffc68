//! Pauses before a request is tried again. Pure.

use std::time::Duration;

use chrono::DateTime;

use lakehook_base::clock::Micros;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The pause before a retry, numbered from 1: between half and all of a time that doubles. `dice`
/// is any random number.
pub fn pause(retry: u32, dice: u64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << retry.saturating_sub(1).min(16));
    let whole = doubled.min(LONGEST_PAUSE);
    let share = u32::try_from(dice % 1000).unwrap_or(0);
    whole / 2 + whole / 2 * share / 1000
}

/// The pause that a `Retry-After` header asks for (RFC 9110, section 10.2.3), in seconds, which
/// some write with a fraction, or as a date.
pub fn retry_after(header: &str, now: Micros) -> Option<Duration> {
    let text = header.trim();
    if let Ok(seconds) = text.parse() {
        let seconds = Duration::try_from_secs_f64(seconds);
        return seconds.ok();
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    let micros = date.timestamp_micros().saturating_sub(now.0).max(0);
    Some(Duration::from_micros(micros.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pause(1, 0), Duration::from_millis(100));
        assert_eq!(pause(2, 0), Duration::from_millis(200));
        assert_eq!(pause(30, 0), Duration::from_secs(15));
        for dice in [0, 1, 999, u64::MAX] {
            let pause = pause(3, dice);
            assert!(pause >= Duration::from_millis(400) && pause <= Duration::from_millis(800));
        }
    }

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        let now = Micros(784_111_777_000_000);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_secs(60)));
        let past = "Sun, 06 Nov 1994 08:00:00 GMT";
        assert_eq!(retry_after(past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }
}
