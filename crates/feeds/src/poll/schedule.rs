//! Decides when a poll runs next. Pure: the time is an argument.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::CronParser;

use lakehook_base::clock::Micros;

/// How many pauses between runs of a cron expression are compared: for a daily run, those of a week.
const PAUSES: usize = 7;

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
    let cron = cron.map_err(|error| fault_of(text, &error))?;
    match cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false) {
        Ok(_) => Ok(cron),
        Err(_) => Err("there is no such time".to_owned()),
    }
}

/// The fields of a cron expression, seconds first, and what each takes.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last one"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7 from Sunday on, or SUN to SAT"),
];

/// Says which field of a cron expression cannot be used. The parser says it by numbers of its own.
fn fault_of(text: &str, error: &CronError) -> String {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let fields = match parts.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            return format!(
                "it has {count} fields and needs five, for minute, hour, day of the month, month and day of the \
                 week, or six with seconds first"
            );
        }
    };
    // Each field is tried among others that take everything.
    let is_wrong = |at: usize| {
        let mut alone = vec!["*"; parts.len()];
        alone[at] = parts[at];
        CronParser::new().parse(&alone.join(" ")).is_err()
    };
    let mut numbered = fields.iter().enumerate();
    match numbered.find(|(at, _)| is_wrong(*at)) {
        Some((at, (name, takes))) => format!(
            "the {name} {:?} cannot be used; it takes {takes}, with * , - and / for several",
            parts[at]
        ),
        None => error.to_string(),
    }
}

/// Reads the name of a time zone in the IANA database.
pub fn parse_zone(text: &str) -> Option<Tz> {
    text.parse().ok()
}

impl Schedule {
    /// The schedule of these settings; `None` if the cron expression or its zone cannot be used.
    pub fn of(every: Option<Duration>, cron: Option<&str>, time_zone: &str) -> Option<Self> {
        match (every, cron) {
            (Some(every), _) => Some(Self::Every(every)),
            (None, Some(cron)) => {
                let cron = Box::new(parse_cron(cron).ok()?);
                Some(Self::Cron(cron, parse_zone(time_zone)?))
            }
            (None, None) => Some(Self::OnDemand),
        }
    }

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

    /// The longest pause between two of the next runs, by the schedule alone; `None` if there is no schedule.
    pub fn longest_pause(&self, now: Micros) -> Option<Duration> {
        let mut longest = None;
        let mut last = match self {
            Self::OnDemand => return None,
            Self::Every(pause) => return Some(*pause),
            Self::Cron(..) => self.next(None, now)?,
        };
        for _ in 0..PAUSES {
            let next = self.next(Some(last), last)?;
            longest = longest.max(Some(next.since(last)));
            last = next;
        }
        longest
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
    fn the_longest_pause_is_that_of_a_week() {
        let now = at("2026-11-25T12:00:00Z");
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(cron("0 6 * * *", "UTC").longest_pause(now), hours(24));
        assert_eq!(cron("0 6 * * MON-FRI", "UTC").longest_pause(now), hours(72));
        let every = Schedule::Every(Duration::from_secs(900));
        assert_eq!(every.longest_pause(now), Some(Duration::from_secs(900)));
        assert_eq!(Schedule::OnDemand.longest_pause(now), None);
    }

    #[test]
    fn what_is_no_cron_expression_says_why() {
        for bad in ["", "61 * * * *", "* * *", "every day", "0 0 30 2 *"] {
            assert!(parse_cron(bad).is_err(), "{bad}");
        }
        assert!(parse_zone("Mars/Olympus").is_none());
        for (bad, names) in [
            ("61 * * * *", "the minute \"61\""),
            ("0 25 * * *", "the hour \"25\""),
            ("0 6 32 * *", "the day of the month \"32\""),
            ("0 6 * 13 *", "the month \"13\""),
            ("0 6 * * FOO", "the day of the week \"FOO\""),
            ("99 0 6 * * *", "the second \"99\""),
            ("* * *", "it has 3 fields"),
            ("every day", "it has 2 fields"),
            ("0 0 30 2 *", "there is no such time"),
        ] {
            let said = parse_cron(bad).unwrap_err();
            assert!(said.starts_with(names), "{bad}: {said}");
        }
    }
}
