//! Groups: rows of the outbox that go to the API in one request, or not at all. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use lakehook_base::clock::Micros;
use lakehook_base::record::{Fingerprint, Identity};

/// Lookups are known by the part of `fresh` in which they were answered, of which there are this many.
const PARTS: i64 = 8;

/// Rows that are never sent apart from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// The value that keeps them together, as JSON; `null` for a row that is a group by itself.
    pub key: String,
    /// The file that they are from.
    pub file: String,
    /// The line of the first of them, from 1.
    pub line: u64,
    /// The rows, as JSON.
    pub rows: Vec<String>,
}

/// What the rows of a call are known by, once they were sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identities<'a> {
    pub fingerprint: &'a Fingerprint,
    /// Name of the stream in which groups that were sent are listed.
    pub stream: &'a str,
    /// Whether a group is known by its key alone.
    pub is_lookup: bool,
    /// How long an answer counts, if not for ever.
    pub fresh: Option<Duration>,
}

impl Group {
    /// Bytes of its rows in a list.
    pub(super) fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.len() + 1).sum()
    }

    /// About how many bytes the row says of it that lists it among those that were sent.
    pub(super) fn told_bytes(&self) -> usize {
        512 + 2 * (self.key.len() + self.file.len())
    }

    /// Hash of the group: of its key and all its rows, by what they say.
    fn content(&self) -> u128 {
        let mut hash = Xxh3Default::new();
        hash.update(self.key.as_bytes());
        for row in &self.rows {
            hash.update(&lakehook_contract::canonical_hash(row).to_le_bytes());
        }
        hash.digest128()
    }
}

impl Identities<'_> {
    fn of(&self, content: u128, part: i64) -> Identity {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&content.to_le_bytes());
        bytes[16..].copy_from_slice(&part.to_le_bytes());
        Identity {
            tag: self.fingerprint.tag(self.stream, &bytes),
            content: self.fingerprint.content(&bytes, b""),
        }
    }

    /// The part of time that an answer now belongs to.
    pub(super) fn part(&self, now: Micros) -> i64 {
        self.fresh
            .map_or(0, |fresh| now.0.div_euclid(length(fresh)))
    }

    /// The identity that an answer now gives to a group.
    pub(super) fn now(&self, group: &Group, now: Micros) -> Identity {
        self.of(self.subject(group), self.part(now))
    }

    /// The identities, one of which is known if the group need not be sent.
    pub(super) fn known_by(&self, group: &Group, now: Micros) -> Vec<Identity> {
        let (subject, last) = (self.subject(group), self.part(now));
        let parts = if self.fresh.is_some() { PARTS } else { 1 };
        (0..parts)
            .map(|back| self.of(subject, last - back))
            .collect()
    }

    fn subject(&self, group: &Group) -> u128 {
        if self.is_lookup {
            xxh3_128(group.key.as_bytes())
        } else {
            group.content()
        }
    }
}

/// The length of a part of the time for which an answer counts, in microseconds.
fn length(fresh: Duration) -> i64 {
    let micros = i64::try_from(fresh.as_micros()).unwrap_or(i64::MAX);
    (micros / PARTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakehook_base::ids::HashKey;

    fn group(key: &str, rows: &[&str]) -> Group {
        Group {
            key: key.to_owned(),
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
            ..Group::default()
        }
    }

    #[test]
    fn a_group_is_known_by_what_its_rows_say() {
        let fingerprint = Fingerprint::new(HashKey([1; 16]));
        let identities = Identities {
            fingerprint: &fingerprint,
            stream: "ihc_sent",
            is_lookup: false,
            fresh: None,
        };
        let one = identities.now(&group("1", &[r#"{"a":1,"b":2}"#]), Micros(0));
        let other = group("1", &[r#"{ "b":2, "a":1 }"#]);
        assert_eq!(identities.known_by(&other, Micros(9)), [one]);
        for changed in [
            group("1", &[r#"{"a":1,"b":3}"#]),
            group("2", &[r#"{"a":1,"b":2}"#]),
            group("1", &[r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#]),
        ] {
            assert_ne!(
                identities.known_by(&changed, Micros(9)),
                [one],
                "{changed:?}"
            );
        }
    }

    #[test]
    fn a_lookup_is_known_for_as_long_as_it_is_fresh() {
        let fingerprint = Fingerprint::new(HashKey([1; 16]));
        let day = Duration::from_hours(24);
        let identities = Identities {
            fingerprint: &fingerprint,
            stream: "company_sent",
            is_lookup: true,
            fresh: Some(8 * day),
        };
        let at = |hours: i64| Micros(hours * 3_600_000_000);
        let own = group("\"a\"", &["{}"]);
        let answered = identities.now(&own, at(2412));
        let is_known = |hours| identities.known_by(&own, at(hours)).contains(&answered);
        assert!(is_known(2412) && is_known(2590));
        assert!(!is_known(2595));
        let changed = group("\"a\"", &["{\"x\":1}"]);
        assert!(identities.known_by(&changed, at(2424)).contains(&answered));
    }
}
