//! Partition keys, and the layout of the objects that a stream has.

use std::collections::BTreeSet;

/// A partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name of the key.
    pub name: String,
    /// The pattern of its values, such as `%Y-%m-%d`; empty for a name that is not a time.
    pub pattern: String,
}

impl Key {
    /// The keys of a pattern such as `dt=%Y-%m-%d/hour=%H`.
    pub fn all(pattern: &str) -> Vec<Self> {
        let keys = pattern.split('/').filter_map(|part| part.split_once('='));
        keys.map(|(name, pattern)| Self {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        })
        .collect()
    }

    /// The key of a snapshot's run.
    pub fn run() -> Self {
        Self {
            name: "run".to_owned(),
            pattern: String::new(),
        }
    }

    /// Whether a value could come from this pattern.
    fn makes(&self, value: &str) -> bool {
        let mut rest = value;
        let mut parts = self.pattern.split('%');
        let literal = parts.next().unwrap_or_default();
        if self.pattern.is_empty() {
            return !value.is_empty();
        }
        let Some(after) = rest.strip_prefix(literal) else {
            return false;
        };
        rest = after;
        for part in parts {
            let (digits, literal) = (digits_of(part), part.get(1..).unwrap_or_default());
            let number = rest.get(..digits).unwrap_or_default();
            let is_number = number.len() == digits && number.bytes().all(|b| b.is_ascii_digit());
            let after = rest
                .get(digits..)
                .and_then(|rest| rest.strip_prefix(literal));
            match after {
                Some(after) if is_number => rest = after,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    /// The number of characters of every value, if all values have the same.
    pub(super) fn width(&self) -> Option<usize> {
        let mut parts = self.pattern.split('%');
        let literal = parts.next().unwrap_or_default().len();
        let width = parts.map(|part| digits_of(part) + part.len().saturating_sub(1));
        (!self.pattern.is_empty()).then(|| literal + width.sum::<usize>())
    }

    /// A regular expression for the values that the pattern makes.
    pub(super) fn regex(&self) -> String {
        if self.pattern.is_empty() {
            return "[^/]+".to_owned();
        }
        let escaped = |literal: &str| literal.replace('.', "[.]");
        let mut parts = self.pattern.split('%');
        let mut regex = escaped(parts.next().unwrap_or_default());
        for part in parts {
            let literal = escaped(part.get(1..).unwrap_or_default());
            regex = format!("{regex}[0-9]{{{}}}{literal}", digits_of(part));
        }
        regex
    }
}

/// How many digits a conversion such as `%Y` writes; `part` is what follows the `%`.
fn digits_of(part: &str) -> usize {
    match part.as_bytes().first() {
        Some(b'Y') => 4,
        Some(b'j') => 3,
        _ => 2,
    }
}

/// How a partition key appears in the path of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum KeyState {
    /// With a value of the current pattern.
    Fits,
    /// With a value of another pattern.
    Differs,
    /// The path does not have the key.
    Missing,
}

/// The state of each of a stream's partition keys in the path of an object, in the order of the keys.
pub(super) type Layout = Vec<KeyState>;

/// Which objects a stream has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// The layouts of NDJSON objects, compressed or not.
    pub(super) lines: BTreeSet<Layout>,
    /// Layouts of Parquet objects.
    pub(super) columns: BTreeSet<Layout>,
    /// The directories of objects whose keys do not follow the current pattern.
    pub(super) earlier: BTreeSet<String>,
    /// Whether the paths of some directories do not begin with the keys in their order.
    pub(super) is_out_of_order: bool,
    /// The smallest value of each key among those that follow the current pattern.
    pub oldest: Vec<Option<String>>,
}

impl There {
    /// Adds the object with this key, which belongs to a stream with these partition keys.
    pub fn add(&mut self, key: &str, partitions: &[Key]) {
        let Some((dir, name)) = key.rsplit_once('/') else {
            return;
        };
        let layouts = if name.contains(".ndjson") {
            &mut self.lines
        } else if name.ends_with(".parquet") {
            &mut self.columns
        } else {
            return;
        };
        let values: Vec<_> = partitions
            .iter()
            .map(|key| value_in(dir, &key.name))
            .collect();
        let states = partitions.iter().zip(&values);
        let layout: Layout = states
            .map(|(key, value)| match value {
                Some(value) if key.makes(value) => KeyState::Fits,
                Some(_) => KeyState::Differs,
                None => KeyState::Missing,
            })
            .collect();
        self.oldest.resize(partitions.len(), None);
        let known = self.oldest.iter_mut().zip(layout.iter().zip(&values));
        for (oldest, (state, value)) in known {
            if let (KeyState::Fits, Some(value)) = (state, value)
                && oldest.as_deref().is_none_or(|oldest| *value < oldest)
            {
                *oldest = Some((*value).to_owned());
            }
        }
        let names = dir
            .split('/')
            .skip(1)
            .map(|part| part.split_once('=').map(|(name, _)| name));
        let begins = names
            .zip(partitions)
            .all(|(name, key)| name == Some(&*key.name));
        if fits(&layout) {
            self.is_out_of_order |= !begins;
        } else {
            self.earlier.insert(dir.to_owned());
        }
        layouts.insert(layout);
    }

    /// Whether the stream has no object yet.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.columns.is_empty()
    }

    /// Whether the stream has objects of both formats.
    pub(super) fn is_mixed(&self) -> bool {
        !self.lines.is_empty() && !self.columns.is_empty()
    }
}

/// Whether all keys have values of the current pattern.
pub(super) fn fits(layout: &[KeyState]) -> bool {
    layout.iter().all(|state| *state == KeyState::Fits)
}

/// The value of a key in a directory such as `events/dt=2026-11-20`.
pub(super) fn value_in<'d>(dir: &'d str, key: &str) -> Option<&'d str> {
    let mut parts = dir.split('/').filter_map(|part| part.split_once('='));
    parts.find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_makes_the_values_that_its_regular_expression_matches() {
        let key = |pattern: &str| Key::all(&format!("k={pattern}")).remove(0);
        for (pattern, value, makes) in [
            ("%Y-%m-%d", "2026-11-20", true),
            ("%Y-%m-%d", "2026-11", false),
            ("%Y-%m", "2026-11-20", false),
            ("%Y-%m", "2026-11", true),
            ("y%Y.%j", "y2026.324", true),
            ("y%Y.%j", "y2026x324", false),
            ("%Y%m", "20261", false),
            ("%H", "07", true),
            ("%H", "7", false),
        ] {
            assert_eq!(key(pattern).makes(value), makes, "{pattern} {value}");
        }
        assert_eq!(key("y%Y.%j").width(), Some("y2026.324".len()));
        assert_eq!(key("%Y-%m-%d").width(), Some(10));
        assert_eq!(Key::run().width(), None);
        assert_eq!(key("y%Y.%j").regex(), "y[0-9]{4}[.][0-9]{3}");
        assert!(Key::run().makes("20261125T060000Z-00000000000000aa-1"));
    }

    #[test]
    fn what_is_there_tells_layouts_the_oldest_day_and_earlier_directories() {
        let keys = Key::all("dt=%Y-%m-%d");
        let mut there = There::default();
        for key in [
            "events/dt=2026-11-21/a.ndjson.zst",
            "events/dt=2024-02-29/a.ndjson.zst",
            "events/dt=2023-11/a.parquet",
            "events/dt=2022-11-21/sub",
            "events/",
            "events/other/a.parquet",
        ] {
            there.add(key, &keys);
        }
        assert_eq!(there.lines, BTreeSet::from([vec![KeyState::Fits]]));
        let other = [vec![KeyState::Differs], vec![KeyState::Missing]];
        assert_eq!(there.columns, BTreeSet::from(other));
        assert_eq!(there.oldest, [Some("2024-02-29".to_owned())]);
        let earlier = ["events/dt=2023-11", "events/other"].map(str::to_owned);
        assert_eq!(there.earlier, BTreeSet::from(earlier));
    }
}
