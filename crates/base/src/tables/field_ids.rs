//! Numbers of columns, which stay when names and orders change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Field ids of columns of a stream. None is ever given to another column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldIds {
    /// By the name in lower case, because engines ignore case.
    ids: BTreeMap<String, i32>,
}

impl FieldIds {
    /// The id of a column.
    pub fn of(&self, column: &str) -> Option<i32> {
        self.ids.get(&column.to_lowercase()).copied()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The next ids, for columns that have none. The names of the columns that get
    /// one have at most `most_bytes` together; the others have to wait, and a column whose name alone has more never
    /// gets one.
    #[must_use]
    pub fn missing<'c>(&self, columns: impl Iterator<Item = &'c str>, most_bytes: usize) -> Self {
        let mut next = self.ids.values().max().map_or(1, |highest| highest + 1);
        let (mut ids, mut bytes) = (BTreeMap::new(), 0);
        for column in columns.map(str::to_lowercase) {
            let with_column = bytes + column.len();
            let is_known = self.ids.contains_key(&column) || ids.contains_key(&column);
            if !is_known && with_column <= most_bytes {
                bytes = with_column;
                ids.insert(column, next);
                next += 1;
            }
        }
        Self { ids }
    }

    /// Adds others; `false`, and nothing is added, if one of them contradicts what is known.
    #[must_use]
    pub fn add(&mut self, others: &Self) -> bool {
        let mut given: BTreeSet<i32> = self.ids.values().copied().collect();
        let is_new = |(name, id): (&String, &i32)| {
            *id > 0 && !self.ids.contains_key(name) && given.insert(*id)
        };
        let all_are_new = others.ids.iter().all(is_new);
        if all_are_new {
            self.ids
                .extend(others.ids.iter().map(|(name, id)| (name.clone(), *id)));
        }
        all_are_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_on_and_are_never_given_twice() {
        let mut ids = FieldIds::default();
        let first = ids.missing(["lsn", "p_a", "LSN", "p_long"].into_iter(), 7);
        assert!(ids.add(&first));
        assert_eq!(
            (ids.of("lsn"), ids.of("P_A"), ids.of("p_long")),
            (Some(1), Some(2), None)
        );
        // A column that was left out for a while still has its id, and nobody else has it.
        let second = ids.missing(["P_B", "lsn"].into_iter(), 9);
        assert!(ids.add(&second));
        assert!(ids.missing(["p_b", "p_a"].into_iter(), 9).is_empty());
        assert_eq!(ids.of("p_b"), Some(3));
        let known = ids.clone();
        for broken in ["{\"c\":1}", "{\"lsn\":4}", "{\"c\":4,\"d\":4}", "{\"c\":0}"] {
            let broken: FieldIds = serde_json::from_str(broken).unwrap();
            assert!(!ids.add(&broken), "{broken:?}");
            assert_eq!(ids, known);
        }
    }
}
