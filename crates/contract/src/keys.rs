//! The keys of one object, to find those that differ only in case.
//!
//! To DuckDB and Athena such keys are the same column. Lower case is that of Unicode, character by character.

use std::borrow::Cow;
use std::collections::HashSet;

/// Up to this many keys are compared one by one, which needs no further allocation.
const MAX_FEW: usize = 16;

/// The keys of an object so far.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    /// ASCII keys as they are, other keys in lower case. So a comparison that ignores ASCII case is enough.
    few: Vec<Cow<'a, str>>,
    /// All keys in lower case, once there are many. Otherwise a sender could make the check quadratic.
    many: Option<HashSet<String>>,
}

impl<'a> Keys<'a> {
    /// Removes all keys, but keeps the allocation of `few`.
    pub(super) fn clear(&mut self) {
        self.few.clear();
        self.many = None;
    }

    /// Adds a key; `false` if it is there already.
    pub(super) fn insert(&mut self, key: Cow<'a, str>) -> bool {
        let folded = fold(key);
        if let Some(many) = &mut self.many {
            return many.insert(folded.to_ascii_lowercase());
        }
        if self
            .few
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&folded))
        {
            return false;
        }
        if self.few.capacity() == 0 {
            self.few.reserve(8);
        }
        self.few.push(folded);
        if self.few.len() > MAX_FEW {
            let lower = self.few.iter().map(|key| key.to_ascii_lowercase());
            self.many = Some(lower.collect());
        }
        true
    }
}

fn fold(key: Cow<'_, str>) -> Cow<'_, str> {
    if key.is_ascii() {
        return key;
    }
    Cow::Owned(key.chars().flat_map(char::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_the_same_as_in_a_set_of_lower_case_ones(list in prop::collection::vec("[a-cA-C\u{212a}kKéÉσΣß]{1,2}", 0..60)) {
            let mut keys = Keys::default();
            let mut model = HashSet::new();
            for key in &list {
                let lower: String = key.chars().flat_map(char::to_lowercase).collect();
                prop_assert_eq!(keys.insert(Cow::Borrowed(key)), model.insert(lower));
            }
        }
    }
}
