//! Forms of dates and times: compiled, tried in their order, and compared with one another.

use chrono::format::{Item, Parsed, StrftimeItems, parse};
use chrono::{Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime};

use lakehook_base::clock::Micros;
use lakehook_base::columns;
use lakehook_base::rfc3339;

/// Most forms of one column.
const MAX_FORMATS: usize = 16;
/// The years whose days are written in each form, to find two forms that read one text differently. They have
/// leap years, the turn of a century, and years whose last digits look like days and months.
const YEARS: [i32; 8] = [1909, 1970, 1999, 2000, 2011, 2012, 2026, 2031];

/// What a form must tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A day.
    Date,
    /// A point in time; UTC where the form has no offset.
    Time,
}

/// The forms of one column.
#[derive(Debug)]
pub(super) struct Formats {
    wanted: Wanted,
    own: Vec<Vec<Item<'static>>>,
    shown: String,
}

impl Formats {
    /// Compiles forms; without any, the standard's own form is taken.
    pub(super) fn new(wanted: Wanted, formats: &[String]) -> Result<Self, String> {
        if formats.len() > MAX_FORMATS {
            return Err(format!("may have at most {MAX_FORMATS} forms"));
        }
        let mut own = Vec::new();
        for format in formats {
            let items = StrftimeItems::new(format).parse_to_owned();
            let items = items.map_err(|_| format!("{format:?} is no form of strftime"))?;
            let compiled = Self {
                wanted,
                own: vec![items],
                shown: String::new(),
            };
            let example = sample(2026);
            let written = compiled.write(0, example);
            if written.and_then(|text| compiled.read(&text)).is_none() {
                return Err(format!(
                    "{format:?} does not tell a whole {}",
                    wanted.word()
                ));
            }
            own.extend(compiled.own);
        }
        let formats_of = Self {
            wanted,
            own,
            shown: formats.join(" or "),
        };
        match formats_of.ambiguity() {
            None => Ok(formats_of),
            Some((first, second, text)) => Err(format!(
                "{:?} and {:?} both fit {text:?} and mean different things; leave one out",
                formats[first], formats[second]
            )),
        }
    }

    /// What is expected, for people.
    pub(super) fn expected(&self) -> String {
        match (self.wanted, self.own.is_empty()) {
            (Wanted::Date, true) => "a date such as 2026-11-20".to_owned(),
            (Wanted::Time, true) => "a time (RFC 3339)".to_owned(),
            (wanted, false) => format!("a {} in the form {}", wanted.word(), self.shown),
        }
    }

    /// Reads a text in the first form that fits, and returns it in the standard's own.
    pub(super) fn read(&self, text: &str) -> Option<String> {
        if self.own.is_empty() {
            return match self.wanted {
                Wanted::Date => columns::date(text).map(|_| text.to_owned()),
                Wanted::Time => rfc3339::parse(text).map(|micros| micros.to_string()),
            };
        }
        self.own.iter().find_map(|items| self.read_as(items, text))
    }

    fn read_as(&self, items: &[Item<'static>], text: &str) -> Option<String> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, items.iter()).ok()?;
        match self.wanted {
            Wanted::Date => {
                let date = parsed.to_naive_date().ok()?;
                let is_common = (1..=9999).contains(&date.year());
                is_common.then(|| date.format("%Y-%m-%d").to_string())
            }
            Wanted::Time => {
                let offset = parsed.offset().unwrap_or(0);
                let local = parsed.to_naive_datetime_with_offset(offset).or_else(|_| {
                    // A form without a time of day tells midnight.
                    let date = parsed.to_naive_date()?;
                    Ok::<_, chrono::ParseError>(date.and_time(NaiveTime::MIN))
                });
                let utc = local.ok()?.and_utc().timestamp_micros() - i64::from(offset) * 1_000_000;
                let micros = Micros(utc);
                let year = micros.to_utc()?.year();
                (1..=9999).contains(&year).then(|| micros.to_string())
            }
        }
    }

    fn write(&self, index: usize, at: NaiveDateTime) -> Option<String> {
        use std::fmt::Write as _;
        let mut out = String::new();
        let items = self.own.get(index)?.iter();
        write!(out, "{}", at.and_utc().format_with_items(items)).ok()?;
        Some(out)
    }

    /// Two forms that read one text differently, and the text.
    fn ambiguity(&self) -> Option<(usize, usize, String)> {
        for year in YEARS {
            let mut at = sample(year);
            while at.year() == year {
                for first in 0..self.own.len() {
                    if let Some(found) = self.ambiguity_at(first, at) {
                        return Some(found);
                    }
                }
                at = at.checked_add_days(Days::new(1))?;
            }
        }
        None
    }

    fn ambiguity_at(&self, first: usize, at: NaiveDateTime) -> Option<(usize, usize, String)> {
        if self.own.len() < 2 {
            return None;
        }
        let text = self.write(first, at)?;
        let own = self.read_as(&self.own[first], &text);
        for second in (0..self.own.len()).filter(|second| *second != first) {
            let other = self.read_as(&self.own[second], &text);
            if other.is_some() && other != own {
                return Some((first.min(second), first.max(second), text));
            }
        }
        None
    }
}

impl Wanted {
    fn word(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Time => "time",
        }
    }
}

/// The first day of a year, at a time whose parts differ from each other.
fn sample(year: i32) -> NaiveDateTime {
    let date = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    let time = NaiveTime::from_hms_opt(15, 4, 5).unwrap_or_default();
    date.and_time(time)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn formats(wanted: Wanted, own: &[&str]) -> Result<Formats, String> {
        let own: Vec<String> = own.iter().map(|own| (*own).to_owned()).collect();
        Formats::new(wanted, &own)
    }

    #[test]
    fn dates_are_read_in_the_first_form_that_fits() {
        let own = ["%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y", "%Y%m%d"];
        let own = formats(Wanted::Date, &own).unwrap();
        for (text, date) in [
            ("2026-01-15", Some("2026-01-15")),
            ("01/15/2026", Some("2026-01-15")),
            ("1/5/2026", Some("2026-01-05")),
            ("15-Jan-2026", Some("2026-01-15")),
            ("20260115", Some("2026-01-15")),
            ("15/01/2026", None),
            ("2026-02-30", None),
            ("2026-01-15 ", None),
            ("", None),
        ] {
            assert_eq!(own.read(text).as_deref(), date, "{text}");
        }
        assert!(own.expected().contains("%Y-%m-%d or %m/%d/%Y"));
        let standard = formats(Wanted::Date, &[]).unwrap();
        assert_eq!(standard.read("2026-01-15").as_deref(), Some("2026-01-15"));
        assert_eq!(standard.read("20260115"), None);
    }

    #[test]
    fn times_are_utc_unless_they_have_an_offset() {
        let own = ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S%.f%z", "%s"];
        let own = formats(Wanted::Time, &own).unwrap();
        for (text, time) in [
            ("15.01.2026 08:30", Some("2026-01-15T08:30:00.000000Z")),
            (
                "2026-01-15T08:30:00.25+0200",
                Some("2026-01-15T06:30:00.250000Z"),
            ),
            ("1768465800", Some("2026-01-15T08:30:00.000000Z")),
            ("15.01.2026", None),
        ] {
            assert_eq!(own.read(text).as_deref(), time, "{text}");
        }
    }

    #[test]
    fn forms_that_read_one_text_differently_are_refused() {
        for own in [
            ["%m/%d/%Y", "%d/%m/%Y"],
            ["%d/%m/%Y", "%m/%d/%Y"],
            ["%Y%m%d", "%d%m%Y"],
            ["%y-%m-%d", "%d-%m-%y"],
        ] {
            let error = formats(Wanted::Date, &own).unwrap_err();
            assert!(error.contains("mean different things"), "{error}");
        }
        for own in [
            ["%Y-%m-%d", "%d.%m.%Y"],
            ["%Y-%m-%d", "%Y-%m-%d"],
            ["%d %b %Y", "%d %B %Y"],
        ] {
            assert!(formats(Wanted::Date, &own).is_ok(), "{own:?}");
        }
        assert!(formats(Wanted::Time, &["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"]).is_err());
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for own in ["%Q", "%Y-%m", "%H:%M", "plain", ""] {
            assert!(formats(Wanted::Date, &[own]).is_err(), "{own}");
        }
        assert!(formats(Wanted::Date, &["%Y-%m-%d"; 17]).is_err());
    }
}
