//! Kinds of refusals: rows of the quarantine that were refused for the same reason at the same place.

use std::collections::BTreeMap;

use serde::Serialize;

use super::kept::{Kept, KeptError};

/// Kinds beyond this number are counted as one, because senders choose the places of errors.
pub const MAX_KINDS: usize = 1_000;
/// Kinds are distinguished by this many characters of a place, because senders choose its length too.
const MAX_POINTER_CHARS: usize = 200;
/// The place of those that are counted as one.
const OTHER_PLACES: &str = "(other places)";

/// What distinguishes one kind of refusal from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Kind {
    /// The stream that it was meant for.
    pub stream: String,
    /// Why it was refused: see [`crate::quarantine::Reason`].
    pub reason: String,
    /// The rule of the first error.
    pub code: String,
    /// The place of that error, with `*` for positions in arrays.
    pub pointer: String,
}

impl Kind {
    /// The kind of a row.
    pub fn of(row: &Kept) -> Self {
        let (code, pointer) = rule_and_place(&row.errors);
        Self {
            stream: row.stream.clone(),
            reason: row.reason.clone(),
            code,
            pointer,
        }
    }
}

/// The rule of the first error, and its place; dashes if there is none.
pub fn rule_and_place(errors: &[KeptError]) -> (String, String) {
    match errors.first() {
        Some(first) => (first.code.clone(), any_position(&first.pointer)),
        None => ("-".to_owned(), "-".to_owned()),
    }
}

/// How many rows are of a kind, and one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KindCount {
    /// The kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many rows there are.
    pub rows: u64,
    /// When the first of them was received.
    pub first_received_at: String,
    /// When the last of them was received.
    pub last_received_at: String,
    /// The LSN of one of the rows, …
    pub example_lsn: u64,
    /// … and the key of its object.
    pub example_key: String,
}

/// The kinds of many rows, in bounded memory.
#[derive(Clone, Debug, Default)]
pub struct Kinds(BTreeMap<Kind, KindCount>);

impl Kinds {
    /// Counts a row of the object with this key.
    pub fn add(&mut self, key: &str, row: &Kept) {
        self.merge(&KindCount {
            kind: Kind::of(row),
            rows: 1,
            first_received_at: row.received_at.clone(),
            last_received_at: row.received_at.clone(),
            example_lsn: row.lsn,
            example_key: key.to_owned(),
        });
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &KindCount) {
        let mut kind = other.kind.clone();
        if self.0.len() >= MAX_KINDS && !self.0.contains_key(&kind) {
            OTHER_PLACES.clone_into(&mut kind.pointer);
        }
        let count = self.0.entry(kind.clone()).or_insert_with(|| KindCount {
            kind,
            rows: 0,
            ..other.clone()
        });
        count.rows += other.rows;
        if other.first_received_at < count.first_received_at {
            count.first_received_at.clone_from(&other.first_received_at);
        }
        if other.last_received_at > count.last_received_at {
            count.last_received_at.clone_from(&other.last_received_at);
        }
    }

    /// All kinds; those with most rows first.
    pub fn sorted(&self) -> Vec<KindCount> {
        let mut counts: Vec<KindCount> = self.0.values().cloned().collect();
        counts.sort_by(|a, b| (b.rows, &a.kind).cmp(&(a.rows, &b.kind)));
        counts
    }
}

/// Replaces every number in a pointer by `*`, so that `/events/3/user_id` and `/events/4/user_id` are the
/// same place. Long pointers are cut.
pub fn any_position(pointer: &str) -> String {
    let end = pointer.char_indices().nth(MAX_POINTER_CHARS);
    let pointer = &pointer[..end.map_or(pointer.len(), |(at, _)| at)];
    let parts = pointer.split('/').map(|part| {
        let is_position = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_position { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_arrays_are_one_place() {
        assert_eq!(any_position("/events/31/p/7x"), "/events/*/p/7x");
        assert_eq!(any_position(""), "");
        assert_eq!(any_position("/"), "/");
        let long = format!("/{}", "é".repeat(1_000));
        assert_eq!(any_position(&long), long[..2 * MAX_POINTER_CHARS - 1]);
    }

    #[test]
    fn kinds_are_bounded_and_sorted() {
        let mut kinds = Kinds::default();
        let count = |pointer: String, lsn: u64| KindCount {
            kind: Kind {
                stream: "events".to_owned(),
                reason: "invalid_event".to_owned(),
                code: "required".to_owned(),
                pointer,
            },
            rows: 1,
            first_received_at: format!("2026-01-{:02}", 1 + lsn % 9),
            last_received_at: format!("2026-01-{:02}", 1 + lsn % 9),
            example_lsn: lsn,
            example_key: "k".to_owned(),
        };
        for lsn in 0..2 * MAX_KINDS as u64 {
            kinds.merge(&count(format!("/x{lsn}"), lsn));
            kinds.merge(&count("/x0".to_owned(), lsn));
        }
        let sorted = kinds.sorted();
        assert_eq!(sorted.len(), MAX_KINDS + 1);
        assert_eq!(
            (sorted[0].rows, sorted[0].kind.pointer.as_str()),
            (2 * MAX_KINDS as u64 + 1, "/x0")
        );
        assert_eq!(
            (sorted[1].rows, sorted[1].kind.pointer.as_str()),
            (MAX_KINDS as u64, OTHER_PLACES)
        );
        assert_eq!(
            (
                sorted[0].first_received_at.as_str(),
                sorted[0].last_received_at.as_str()
            ),
            ("2026-01-01", "2026-01-09")
        );
    }
}
