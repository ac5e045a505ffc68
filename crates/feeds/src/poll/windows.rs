//! Windows: stretches of time that an appending run asks for, one after the other. Pure.
//!
//! ```text
//!  start ─── size ─── size ─── size ─ now        the end of each window is durable with its last rows
//! ```

use std::time::Duration;

use chrono_tz::Tz;

use super::asking::Wrong;
use super::definition;
use super::schedule::parse_zone;
use crate::mark_format::MarkFormat;
use crate::watermark::Mark;
use lakehook_base::clock::Micros;

/// How a poll asks for stretches of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Length of a window.
    pub size: Duration,
    /// Where the first one begins.
    pub start: Micros,
    /// How requests write its ends.
    pub format: MarkFormat,
    /// How far before the end of the last window the next run begins.
    pub lag: Duration,
    /// Whether the API takes the end as a part of the window.
    pub is_inclusive: bool,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: Micros,
    /// Its end.
    pub until: Micros,
}

impl Windows {
    /// Reads the settings.
    pub fn new(window: &definition::Window) -> Result<Self, Vec<Wrong>> {
        let mut wrongs = Vec::new();
        let mut wrong = |key, rule: &str| {
            let rule = rule.to_owned();
            wrongs.push(Wrong { key, rule });
        };
        let zone = window.zone.as_deref().map_or(Some(Tz::UTC), parse_zone);
        if zone.is_none() {
            wrong(
                "zone",
                "is no time zone such as \"UTC\" or \"Europe/Berlin\"",
            );
        }
        let format = match &window.format {
            None => Ok(MarkFormat::Rfc3339),
            Some(text) => MarkFormat::parse(text, zone.unwrap_or(Tz::UTC)),
        };
        match &format {
            Err(rule) => wrong("format", rule),
            Ok(format) if !format.is_time() => wrong("format", "must be one of times"),
            Ok(format) if window.zone.is_some() && !format.takes_zone() => {
                wrong(
                    "zone",
                    "means nothing for this format: its times need no zone; remove it",
                );
            }
            Ok(_) => {}
        }
        let format = format.unwrap_or(MarkFormat::Rfc3339);
        let start = match format.read_given(&window.start) {
            Some(Mark::Time(start)) => Some(start),
            _ => {
                wrong(
                    "start",
                    "must be a time such as \"2026-01-01T00:00:00Z\" or \"2026-01-01\"",
                );
                None
            }
        };
        if window.size.is_zero() {
            wrong("size", "must be more than 0");
        }
        match start {
            Some(start) if wrongs.is_empty() => Ok(Self {
                size: window.size,
                start,
                format,
                lag: window.lag,
                is_inclusive: window.is_inclusive,
            }),
            _ => Err(wrongs),
        }
    }

    /// Where a run begins, after windows that end at `done`.
    pub fn beginning(&self, done: Option<Micros>) -> Micros {
        done.map_or(self.start, |done| done.minus(self.lag).max(self.start))
    }

    /// The window that begins at `from`, of what comes before `end`; `None` if nothing does.
    pub fn at(&self, from: Micros, end: Micros) -> Option<Window> {
        let until = from.plus(self.size).min(end);
        (from < end).then_some(Window { from, until })
    }

    /// The texts of both ends, as requests have them.
    pub fn written(&self, window: Window) -> (String, String) {
        let until = if self.is_inclusive {
            window.until.minus(Duration::from_micros(1))
        } else {
            window.until
        };
        let write = |time: Micros| self.format.write(&Mark::Time(time));
        (write(window.from), write(until))
    }

    /// Whether ends are numbers in a body.
    pub fn are_numbers(&self) -> bool {
        matches!(self.format, MarkFormat::Epoch(_))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn given(format: &str, start: &str) -> definition::Window {
        definition::Window {
            size: DAY,
            start: start.to_owned(),
            format: Some(format.to_owned()),
            zone: None,
            lag: Duration::ZERO,
            is_inclusive: false,
        }
    }

    #[test]
    fn windows_follow_each_other_up_to_now() {
        let windows = Windows::new(&given("date", "2026-03-01")).unwrap();
        let end = windows.start.plus(DAY * 5 / 2);
        let (mut from, mut shown) = (windows.beginning(None), Vec::new());
        while let Some(window) = windows.at(from, end) {
            shown.push(windows.written(window));
            from = window.until;
        }
        assert_eq!(from, end);
        let expected = [
            ("2026-03-01", "2026-03-02"),
            ("2026-03-02", "2026-03-03"),
            ("2026-03-03", "2026-03-03"),
        ];
        let expected = expected.map(|(from, until)| (from.to_owned(), until.to_owned()));
        assert_eq!(shown, expected);
        assert_eq!(windows.at(end, end), None);
    }

    #[test]
    fn an_inclusive_end_is_the_last_moment_of_the_window() {
        let ends = |format: &str| {
            let window = definition::Window {
                is_inclusive: true,
                ..given(format, "2026-03-01")
            };
            let windows = Windows::new(&window).unwrap();
            let window = windows.at(windows.start, windows.start.plus(DAY * 9));
            windows.written(window.unwrap())
        };
        let texts = |from: &str, until: &str| (from.to_owned(), until.to_owned());
        assert_eq!(ends("date"), texts("2026-03-01", "2026-03-01"));
        assert_eq!(ends("s"), texts("1772323200", "1772409599"));
    }

    #[test]
    fn a_run_begins_before_the_last_end_and_never_before_the_start() {
        let window = definition::Window {
            lag: DAY * 3,
            ..given("rfc3339", "2026-03-01")
        };
        let windows = Windows::new(&window).unwrap();
        let end = windows.start.plus(DAY * 10);
        assert_eq!(windows.beginning(Some(end)), windows.start.plus(DAY * 7));
        let early = windows.start.plus(DAY);
        assert_eq!(windows.beginning(Some(early)), windows.start);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let wrong = |change: fn(&mut definition::Window)| {
            let mut window = given("rfc3339", "2026-03-01");
            change(&mut window);
            Windows::new(&window).unwrap_err()[0].key
        };
        assert_eq!(wrong(|window| window.size = Duration::ZERO), "size");
        assert_eq!(wrong(|window| window.start = "1 March".to_owned()), "start");
        assert_eq!(
            wrong(|window| window.format = Some("serial".to_owned())),
            "format"
        );
        assert_eq!(
            wrong(|window| window.format = Some("x".to_owned())),
            "format"
        );
        assert_eq!(wrong(|window| window.zone = Some("UTC".to_owned())), "zone");
        assert_eq!(
            wrong(|window| window.zone = Some("Mars".to_owned())),
            "zone"
        );
    }
}
