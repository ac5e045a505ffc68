//! Guards: what a run must look like before its rows become visible. Every feed uses them.
//!
//! A source whose form changes, or that answers with less than it has, must not replace good rows by few or
//! none. What is read is tallied; a guard that is broken fails the run, and its error names the most frequent
//! reasons for which records were refused.

use std::fmt::{self, Write as _};

use lakehook_contract::quarantine::FieldError;

/// Reasons that are counted one by one; all others are counted together.
const MAX_REASONS: usize = 64;
/// Reasons that an error names.
const SHOWN_REASONS: usize = 3;
/// A page that has valid records may always have this many refused ones, whatever their share of the page.
const FLOOR: u64 = 1;

/// A part of a whole, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// This many hundredths of a percent; at most the whole.
    pub const fn new(hundredths: u32) -> Self {
        Self(if hundredths < 10_000 {
            hundredths
        } else {
            10_000
        })
    }

    /// Whether `part` is more than this share of `whole`.
    fn is_exceeded(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 10_000 > u128::from(whole) * u128::from(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (percent, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{percent} %"),
            rest if rest.is_multiple_of(10) => write!(f, "{percent}.{} %", rest / 10),
            rest => write!(f, "{percent}.{rest:02} %"),
        }
    }
}

/// The guards of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// Largest share of records that may be refused. A run that has only refused ones always fails.
    pub max_refused: Share,
    /// Fewest valid records that a complete copy may have.
    pub min_records: Option<u64>,
    /// How much smaller a complete copy may be than the one before.
    pub max_shrink: Option<Share>,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_refused: Share::new(1_000),
            min_records: None,
            max_shrink: None,
        }
    }
}

/// A guard that is broken: its key, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Key of the guard.
    pub key: &'static str,
    /// What is wrong, and why records were refused.
    pub what: String,
}

impl Guards {
    /// The first guard that a part of the records breaks, such as a page.
    pub fn judge(&self, tally: &Tally) -> Option<Breach> {
        let (refused, records) = (tally.refused, tally.records);
        if refused == 0 {
            return None;
        }
        let what = if refused == records {
            "which no share allows".to_owned()
        } else if self.max_refused.is_exceeded(refused, records) {
            format!("more than {}", self.max_refused)
        } else {
            return None;
        };
        Some(Breach {
            key: "max_refused",
            what: format!(
                "{refused} of {records} records are refused, {what}: {}",
                tally.reasons
            ),
        })
    }

    /// The first guard that a page of an appending run breaks. One refused record beside valid ones never does, or a
    /// single one would stop a source that has few records at a time; unless none may be refused at all.
    pub fn judge_page(&self, tally: &Tally) -> Option<Breach> {
        let is_floor = tally.refused == FLOOR && tally.records > FLOOR;
        let allows_some = self.max_refused > Share::new(0);
        self.judge(tally).filter(|_| !(is_floor && allows_some))
    }

    /// The first guard that a complete copy breaks. `before` is the number of valid records of the copy that is
    /// visible now.
    pub fn judge_copy(&self, tally: &Tally, before: Option<u64>) -> Option<Breach> {
        if let Some(breach) = self.judge(tally) {
            return Some(breach);
        }
        let valid = tally.records - tally.refused;
        let why = match tally.refused {
            0 => String::new(),
            refused => format!(", and {refused} were refused: {}", tally.reasons),
        };
        if let Some(min) = self.min_records.filter(|min| valid < *min) {
            let what = format!("{valid} records are valid, fewer than {min}{why}");
            return Some(Breach {
                key: "min_records",
                what,
            });
        }
        let (before, max) = before.zip(self.max_shrink)?;
        let lost = before.saturating_sub(valid);
        max.is_exceeded(lost, before).then(|| Breach {
            key: "max_shrink",
            what: format!(
                "{valid} records are valid and the run before had {before}, which is smaller by more than {max}{why}"
            ),
        })
    }
}

/// What was read, and why records of it were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of records, refused ones included.
    pub records: u64,
    /// Number of records that were refused.
    pub refused: u64,
    reasons: Reasons,
}

impl Tally {
    /// Counts a valid record.
    pub fn add(&mut self) {
        self.records += 1;
    }

    /// Counts a record that was refused because of this error.
    pub fn refuse(&mut self, error: &FieldError) {
        self.records += 1;
        self.refused += 1;
        self.reasons.add(error.code, folded(&error.pointer), 1);
    }

    /// Adds what another tally has counted.
    pub fn merge(&mut self, other: &Self) {
        self.records += other.records;
        self.refused += other.refused;
        for (code, place, count) in &other.reasons.counts {
            self.reasons.add(code, place.clone(), *count);
        }
        self.reasons.others += other.reasons.others;
    }
}

/// How often each rule was broken at each place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reasons {
    counts: Vec<(&'static str, String, u64)>,
    others: u64,
}

impl Reasons {
    fn add(&mut self, code: &'static str, place: String, count: u64) {
        let same = |(own_code, own_place, _): &&mut (&'static str, String, u64)| {
            *own_code == code && *own_place == place
        };
        if let Some((_, _, own)) = self.counts.iter_mut().find(same) {
            *own += count;
        } else if self.counts.len() < MAX_REASONS {
            self.counts.push((code, place, count));
        } else {
            self.others += count;
        }
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        let shown = counts.iter().take(SHOWN_REASONS);
        for (number, (code, place, count)) in shown.enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{count} × {code} at {place:?}")?;
        }
        let rest: u64 = counts.iter().skip(SHOWN_REASONS).map(|own| own.2).sum();
        match rest + self.others {
            0 => Ok(()),
            rest => write!(f, ", {rest} for other reasons"),
        }
    }
}

/// A pointer with `*` in place of each index, so that the same mistake in all elements of a list is one reason.
fn folded(pointer: &str) -> String {
    let mut out = String::with_capacity(pointer.len());
    for segment in pointer.split('/').skip(1) {
        let is_index = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        let _memory_takes_it = write!(out, "/{}", if is_index { "*" } else { segment });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &'static str, pointer: &str) -> FieldError {
        FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: String::new(),
        }
    }

    fn tally(valid: u64, refused: u64) -> Tally {
        let mut tally = Tally::default();
        (0..valid).for_each(|_| tally.add());
        (0..refused).for_each(|_| tally.refuse(&error("type", "/a")));
        tally
    }

    fn key(breach: Option<Breach>) -> Option<&'static str> {
        breach.map(|breach| breach.key)
    }

    #[test]
    fn a_share_is_judged_exactly_and_all_refused_is_never_allowed() {
        let guards = Guards::default();
        assert_eq!(guards.judge(&tally(9, 1)), None);
        assert_eq!(guards.judge(&tally(0, 0)), None);
        assert_eq!(key(guards.judge(&tally(8, 1))), Some("max_refused"));
        let all = Guards {
            max_refused: Share::new(10_000),
            ..guards
        };
        assert_eq!(all.judge(&tally(1, 1_000)), None);
        assert_eq!(key(all.judge(&tally(0, 1))), Some("max_refused"));
        let none = Guards {
            max_refused: Share::new(0),
            ..guards
        };
        assert_eq!(key(none.judge(&tally(1_000_000, 1))), Some("max_refused"));
        assert_eq!(none.judge(&tally(5, 0)), None);
    }

    #[test]
    fn one_record_does_not_stop_a_page_that_has_valid_ones() {
        let guards = Guards::default();
        assert_eq!(guards.judge_page(&tally(1, 1)), None);
        assert_eq!(key(guards.judge_page(&tally(0, 1))), Some("max_refused"));
        assert_eq!(key(guards.judge_page(&tally(10, 2))), Some("max_refused"));
        assert_eq!(guards.judge_page(&tally(18, 2)), None);
        let none = Guards {
            max_refused: Share::new(0),
            ..guards
        };
        assert_eq!(key(none.judge_page(&tally(9, 1))), Some("max_refused"));
    }

    #[test]
    fn a_copy_may_not_be_too_small() {
        let guards = Guards {
            min_records: Some(10),
            max_shrink: Some(Share::new(5_000)),
            ..Guards::default()
        };
        assert_eq!(guards.judge_copy(&tally(10, 0), None), None);
        assert_eq!(guards.judge_copy(&tally(10, 0), Some(20)), None);
        assert_eq!(
            key(guards.judge_copy(&tally(10, 0), Some(21))),
            Some("max_shrink")
        );
        assert_eq!(
            key(guards.judge_copy(&tally(9, 1), None)),
            Some("min_records")
        );
        assert_eq!(
            key(guards.judge_copy(&tally(0, 0), None)),
            Some("min_records")
        );
        let off = Guards::default();
        assert_eq!(off.judge_copy(&tally(0, 0), Some(1_000)), None);
    }

    #[test]
    fn the_most_frequent_reasons_are_named_with_their_counts() {
        let mut whole = tally(1, 0);
        for (code, pointer, count) in [
            ("schema_type", "/items/0/price", 2),
            ("schema_type", "/items/17/price", 3),
            ("id", "/id", 4),
            ("type", "", 1),
            ("column", "/b", 2),
        ] {
            let mut part = Tally::default();
            (0..count).for_each(|_| part.refuse(&error(code, pointer)));
            whole.merge(&part);
        }
        let breach = Guards::default().judge(&whole);
        let said = breach.map(|breach| breach.what).unwrap_or_default();
        assert_eq!(
            said,
            "12 of 13 records are refused, more than 10 %: 5 × schema_type at \"/items/*/price\", \
             4 × id at \"/id\", 2 × column at \"/b\", 1 for other reasons"
        );
    }

    #[test]
    fn reasons_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..1_000 {
            tally.refuse(&error("type", &format!("/a{number}")));
        }
        assert_eq!(tally.reasons.counts.len(), MAX_REASONS);
        assert_eq!(tally.reasons.others, 1_000 - MAX_REASONS as u64);
    }

    #[test]
    fn a_share_is_shown_as_it_is_written() {
        for (hundredths, text) in [
            (1_000, "10 %"),
            (50, "0.5 %"),
            (5, "0.05 %"),
            (125, "1.25 %"),
        ] {
            assert_eq!(Share::new(hundredths).to_string(), text);
        }
    }
}
