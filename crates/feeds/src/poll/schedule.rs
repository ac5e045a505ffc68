//! Decides when a poll runs next. Pure: the time is an argument.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;

use lakehook_base::clock::Micros;

/// When a poll runs.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// Only on demand.
    OnDemand,
    /// At this interval.
    Every(Duration),
    /// At the times of a cron expression, in a time zone.
    Cron(Box<Cron>, Tz),
}

/// Reads a cron expression: five fields, or six with seconds first.
pub fn parse_cron(text: &str) -> Result<Cron, String> {
    let cron = CronParser::new().parse(text);
    let cron = cron.map_err(|error| error.to_string())?;
    match cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false) {
        Ok(_) => Ok(cron),
        Err(_) => Err("there is no such time".to_owned()),
    }
}

/// Reads the name of a time zone in the IANA database.
pub fn parse_zone(text: &str) -> Option<Tz> {
    text.parse().ok()
}

impl Schedule {
    /// When the next run is due, after one that started at `last`, or the first one if there was
    /// none. `None` if runs begin only on demand. A run that was missed is due now, once.
    pub fn next(&self, last: Option<Micros>, now: Micros) -> Option<Micros> {
        // A start in the future comes from a clock that was wrong.
        let last = last.map(|last| last.min(now));
        match self {
            Self::OnDemand => None,
            Self::Every(pause) => Some(last.map_or(now, |last| last.plus(*pause).max(now))),
            Self::Cron(cron, zone) => {
                let after = in_zone(last.unwrap_or(now), *zone)?;
                let due = cron.find_next_occurrence(&after, false).ok()?;
                Some(Micros(due.with_timezone(&Utc).timestamp_micros()).max(now))
            }
        }
    }
}

fn in_zone(time: Micros, zone: Tz) -> Option<DateTime<Tz>> {
    time.to_utc().map(|utc| utc.with_timezone(&zone))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn at(text: &str) -> Micros {
        Micros(
            DateTime::parse_from_rfc3339(text)
                .unwrap()
                .timestamp_micros(),
        )
    }

    fn cron(text: &str, zone: &str) -> Schedule {
        let cron = Box::new(parse_cron(text).unwrap());
        Schedule::Cron(cron, parse_zone(zone).unwrap())
    }

    #[test]
    fn intervals_count_from_the_last_start() {
        let every = Schedule::Every(Duration::from_secs(900));
        let now = at("2026-11-25T12:00:00Z");
        let next = |last: Option<&str>| every.next(last.map(at), now);
        assert_eq!(next(None), Some(now));
        let soon = Some(at("2026-11-25T12:05:00Z"));
        assert_eq!(next(Some("2026-11-25T11:50:00Z")), soon);
        // Missed for long: once, now.
        assert_eq!(next(Some("2026-11-20T11:50:00Z")), Some(now));
        // The clock was wrong.
        let in_15 = Some(at("2026-11-25T12:15:00Z"));
        assert_eq!(next(Some("2027-01-01T00:00:00Z")), in_15);
        assert_eq!(Schedule::OnDemand.next(None, now), None);
    }

    #[test]
    fn cron_times_are_those_of_the_zone() {
        let berlin = cron("30 6 * * *", "Europe/Berlin");
        // Winter: one hour ahead of UTC. Summer: two.
        let winter = berlin.next(None, at("2026-11-25T12:00:00Z"));
        assert_eq!(winter, Some(at("2026-11-26T05:30:00Z")));
        let summer = berlin.next(None, at("2026-07-01T00:00:00Z"));
        assert_eq!(summer, Some(at("2026-07-01T04:30:00Z")));
        let last = Some(at("2026-11-20T05:30:00Z"));
        let now = at("2026-11-25T12:00:00Z");
        assert_eq!(berlin.next(last, now), Some(now), "missed once");
    }

    #[test]
    fn what_is_no_cron_expression_says_why() {
        for bad in ["", "61 * * * *", "* * *", "every day", "0 0 30 2 *"] {
            assert!(parse_cron(bad).is_err(), "{bad}");
        }
        assert!(parse_zone("Mars/Olympus").is_none());
    }
}
