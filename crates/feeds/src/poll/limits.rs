//! Limits of an API: whether an answer says that too much was asked, and until when it wants to be
//! left alone. Pure.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use super::retry::retry_after;
use lakehook_base::clock::Micros;
use lakehook_base::rfc3339;

/// Longest pause that an API is granted; after it, it is asked again.
pub const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

/// Headers with the number of requests that are left.
const REMAINING: [&str; 3] = [
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "ratelimit-remaining",
];
/// Headers with the time at which a limit is lifted.
const RESET: [&str; 3] = ["x-ratelimit-reset", "x-rate-limit-reset", "ratelimit-reset"];

/// Whether a status may change by itself: the same request may succeed later.
pub fn is_passing(status: StatusCode, headers: &HeaderMap) -> bool {
    match status.as_u16() {
        408 | 420 | 425 | 429 | 430 => true,
        // GitHub and others answer like this when a limit is reached.
        403 => is_used_up(headers) || headers.contains_key(RETRY_AFTER),
        _ => status.is_server_error(),
    }
}

/// The pause that an answer asks for, if it does.
pub fn asked_pause(headers: &HeaderMap, now: Micros) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text("retry-after-ms").and_then(|text| seconds(text, 0.001));
    let asked = millis
        .or_else(|| text("retry-after").and_then(|text| retry_after(text, now)))
        .or_else(|| text("x-ratelimit-reset-after").and_then(|text| seconds(text, 1.0)))
        .or_else(|| text("ratelimit").and_then(policy_reset))
        .or_else(|| {
            // Where requests are left, the limit that was reached is another one.
            let has_some = REMAINING.iter().any(|name| has_left(headers, name));
            let mut resets = RESET.iter().filter(|_| !has_some);
            resets.find_map(|name| reset(text(name)?, now))
        });
    asked.map(|pause| pause.min(LONGEST_HOLD))
}

fn is_used_up(headers: &HeaderMap) -> bool {
    let left = REMAINING.iter().filter_map(|name| headers.get(*name));
    let mut left = left.filter_map(|value| value.to_str().ok());
    left.any(|text| text.trim() == "0")
}

fn has_left(headers: &HeaderMap, name: &str) -> bool {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.is_some_and(|text| text.trim().parse().is_ok_and(|left: f64| left > 0.0))
}

/// A number of units of `unit` seconds, with or without a fraction.
pub(super) fn seconds(text: &str, unit: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let is_sound = number.is_finite() && number >= 0.0;
    Duration::try_from_secs_f64(number * unit)
        .ok()
        .filter(|_| is_sound)
}

/// The reset of the `RateLimit` header: `"default";r=0;t=30`, or `limit=10, remaining=0, reset=30`
/// as an earlier draft has it. Policies with requests left do not count.
fn policy_reset(text: &str) -> Option<Duration> {
    let parameter = |text: &str, names: [&str; 2]| {
        let parts = text.split([';', ',']);
        let mut pairs = parts.filter_map(|part| part.trim().split_once('='));
        let found = pairs.find(|(name, _)| names.contains(&name.trim()));
        found.and_then(|(_, value)| value.trim().parse::<f64>().ok())
    };
    // In the earlier form, commas separate parameters; in the later one, policies.
    let is_early = text
        .split([';', ','])
        .any(|part| part.trim().starts_with("reset="));
    let policies: Vec<&str> = if is_early {
        vec![text]
    } else {
        text.split(',').collect()
    };
    let resets = policies.into_iter().filter_map(|policy| {
        let is_reached = parameter(policy, ["r", "remaining"]).is_none_or(|left| left <= 0.0);
        let reset = parameter(policy, ["t", "reset"]).filter(|_| is_reached)?;
        Duration::try_from_secs_f64(reset).ok()
    });
    resets.max()
}

/// Until when a limit holds: a time, or a number of seconds from now. Numbers say by their size
/// which of them they are.
fn reset(text: &str, now: Micros) -> Option<Duration> {
    if let Some(time) = rfc3339::parse(text) {
        return Some(time.since(now));
    }
    let number: f64 = text.parse().ok()?;
    let unit = match number {
        0.0..1e8 => return seconds(text, 1.0),
        1e8..1e11 => 1.0,
        1e11..1e14 => 0.001,
        1e14..1e17 => 0.000_001,
        _ => return None,
    };
    let since_1970 = seconds(text, unit)?;
    let time = Micros(i64::try_from(since_1970.as_micros()).ok()?);
    Some(time.since(now))
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    const NOW: Micros = Micros(1_800_000_000_000_000);

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn every_form_of_a_pause_is_understood() {
        for (pairs, millis) in [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", "2.5")], Some(2_500)),
            (&[("retry-after", "-1")], None),
            (
                &[("retry-after-ms", "250"), ("retry-after", "9")],
                Some(250),
            ),
            (&[("x-ratelimit-reset-after", "1.25")], Some(1_250)),
            (&[("x-ratelimit-reset", "1800000030")], Some(30_000)),
            (&[("x-ratelimit-reset", "1800000030000")], Some(30_000)),
            (&[("x-ratelimit-reset", "1800000030.5")], Some(30_500)),
            (&[("x-rate-limit-reset", "1799999000")], Some(0)),
            (&[("x-ratelimit-reset", "45")], Some(45_000)),
            (
                &[("x-ratelimit-reset", "2027-01-15T08:00:10Z")],
                Some(10_000),
            ),
            (
                &[("ratelimit-reset", "7"), ("ratelimit-remaining", "0")],
                Some(7_000),
            ),
            (
                &[("ratelimit-reset", "7"), ("ratelimit-remaining", "3")],
                None,
            ),
            (
                &[("ratelimit", "limit=10, remaining=0, reset=50")],
                Some(50_000),
            ),
            (
                &[("ratelimit", "\"burst\";r=5;t=9, \"day\";r=0;t=30")],
                Some(30_000),
            ),
            (&[("ratelimit", "\"day\";r=5;t=30")], None),
            (&[("retry-after", "99999999999")], Some(86_400_000)),
            (&[("x-ratelimit-reset", "nan")], None),
            (&[("retry-after", "inf")], None),
            (&[], None),
        ] {
            let pause = asked_pause(&headers(pairs), NOW);
            assert_eq!(pause.map(|pause| pause.as_millis()), millis, "{pairs:?}");
        }
    }

    #[test]
    fn limits_pass_and_refusals_do_not() {
        let none = headers(&[]);
        for (status, is) in [
            (429, true),
            (420, true),
            (430, true),
            (503, true),
            (403, false),
            (401, false),
            (404, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(is_passing(status, &none), is, "{status}");
        }
        for (pairs, is) in [
            (&[("x-ratelimit-remaining", "0")][..], true),
            (&[("x-ratelimit-remaining", "12")], false),
            (&[("retry-after", "60")], true),
        ] {
            assert_eq!(
                is_passing(StatusCode::FORBIDDEN, &headers(pairs)),
                is,
                "{pairs:?}"
            );
        }
    }
}
