//! The settings of a rule, and what is wrong with them.

use crate::field_path::FieldPath;
use lakehook_base::columns::ColumnType;
use lakehook_base::secret::Secret;
use serde_json::Value;

/// Columns that every row has, which no rule may make.
const RESERVED: [&str; 6] = ["received_at", "lsn", "dt", "run", "extra", "filename"];

/// Which letters a text gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
}

/// How one column is made.
#[derive(Clone, Debug, Default)]
pub struct ColumnRule {
    /// Key of the member that it is made from, or a JSON Pointer to a value within one; the column's own name if it
    /// is not set.
    pub from: Option<String>,
    /// Type of the column.
    pub kind: Option<ColumnType>,
    /// Forms of a date or time, of which the first that fits is taken.
    pub formats: Vec<String>,
    /// Text that is removed from a number.
    pub strip: Vec<String>,
    /// Character between groups of three digits.
    pub thousands: Option<String>,
    /// Whether white space around a text is removed.
    pub trim: bool,
    /// Which letters a text gets.
    pub case: Option<Case>,
    /// The key of an HMAC-SHA256 that replaces the text.
    pub hash: Option<Secret>,
    /// Whether a whole number may have a fraction of zero.
    pub whole: bool,
    /// Texts and numbers that stand for null.
    pub nulls: Vec<String>,
    /// Whether the member is left out.
    pub drop: bool,
    /// A constant, whatever was sent.
    pub value: Option<Value>,
}

/// A setting of a rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("columns.{column}.{key}: {rule}")]
pub struct RuleError {
    /// The column.
    pub column: String,
    /// The setting.
    pub key: &'static str,
    /// The rule that it breaks.
    pub rule: String,
}

impl ColumnRule {
    /// Whether the rule only says that its column holds decimals.
    pub(super) fn is_plain_decimal(&self) -> bool {
        let Self {
            from: None,
            kind: Some(ColumnType::Decimal(_)),
            strip,
            thousands: None,
            trim: false,
            case: None,
            hash: None,
            nulls,
            drop: false,
            value: None,
            formats: _,
            whole: _,
        } = self
        else {
            return false;
        };
        strip.is_empty() && nulls.is_empty()
    }

    /// Where the value is that the column is made from. Its own name is a key, whatever it looks like.
    pub(super) fn source(&self, column: &str) -> FieldPath {
        match &self.from {
            Some(from) => FieldPath::new(from),
            None => FieldPath::of_key(column),
        }
    }

    /// Everything about the rule that cannot be used.
    pub(super) fn errors(&self, column: &str) -> Vec<RuleError> {
        let mut errors = Vec::new();
        let mut add = |key, rule: &str| {
            errors.push(RuleError {
                column: column.to_owned(),
                key,
                rule: rule.to_owned(),
            });
        };
        self.check_alone(column, &mut add);
        for (key, needs) in self.misplaced() {
            add(key, needs);
        }
        let is_separator = |text: &String| {
            let mut chars = text.chars();
            matches!(chars.next(), Some(c) if !c.is_ascii_alphanumeric() && !"+-.".contains(c))
                && chars.next().is_none()
        };
        if self
            .thousands
            .as_ref()
            .is_some_and(|text| !is_separator(text))
        {
            add(
                "thousands",
                "must be one character that no number has itself, such as \",\"",
            );
        }
        let has_digits = |text: &String| {
            text.trim().is_empty()
                || text.contains(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        };
        if self.strip.iter().any(has_digits) {
            add(
                "strip",
                "must be texts without digits, signs and points, such as \"USD\"",
            );
        }
        errors
    }

    /// Checks the name, and the keys that stand alone.
    fn check_alone(&self, column: &str, add: &mut impl FnMut(&'static str, &str)) {
        if RESERVED.contains(&column.to_lowercase().as_str()) || column.is_empty() {
            add(
                "from",
                "every row has a column of this name, or it is empty; choose another name",
            );
        }
        if self.from.as_deref() == Some("") {
            add("from", "must not be empty; name a member of the record");
        }
        let others = self.others();
        if self.drop && (self.value.is_some() || !others.is_empty()) {
            add(
                "drop",
                "leaves the member out, so that it takes no other key; remove them",
            );
        }
        if let Some(value) = &self.value {
            if !others.is_empty() || self.from.is_some() {
                add(
                    "value",
                    "is the column's only value, so that it takes no other key; remove them",
                );
            }
            if value.is_object() || value.is_array() {
                add("value", "must be text, a number, true or false");
            }
        }
    }

    /// The keys that mean nothing for the type of the column.
    fn misplaced(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let keys = [
            (
                "formats",
                !self.formats.is_empty(),
                matches!(self.kind, Some(ColumnType::Date | ColumnType::Time)),
                "means something only for type = \"date\" or \"time\"; set the type, or remove it",
            ),
            (
                "strip",
                !self.strip.is_empty(),
                self.is_number(),
                "means something only for a number; set type = \"integer\", \"double\" or \"decimal(p,s)\", or remove it",
            ),
            (
                "thousands",
                self.thousands.is_some(),
                self.is_number(),
                "means something only for a number; set type = \"integer\", \"double\" or \"decimal(p,s)\", or remove it",
            ),
            (
                "whole",
                self.whole,
                self.kind == Some(ColumnType::Integer),
                "means something only for type = \"integer\"; set the type, or remove it",
            ),
            (
                "case",
                self.case.is_some(),
                self.is_text(),
                "means something only for text; remove it, or the type",
            ),
            (
                "hash",
                self.hash.is_some(),
                self.is_text(),
                "makes text; remove the type, or set type = \"text\"",
            ),
        ];
        let misplaced = keys
            .into_iter()
            .filter(|(_, is_set, fits, _)| *is_set && !fits);
        misplaced.map(|(key, _, _, needs)| (key, needs))
    }

    fn is_number(&self) -> bool {
        matches!(
            self.kind,
            Some(ColumnType::Integer | ColumnType::Double | ColumnType::Decimal(_))
        )
    }

    fn is_text(&self) -> bool {
        matches!(self.kind, None | Some(ColumnType::Text))
    }

    /// The keys besides `from`, `drop` and `value` that are set.
    fn others(&self) -> Vec<&'static str> {
        let set = [
            ("type", self.kind.is_some()),
            ("formats", !self.formats.is_empty()),
            ("strip", !self.strip.is_empty()),
            ("thousands", self.thousands.is_some()),
            ("trim", self.trim),
            ("case", self.case.is_some()),
            ("hash", self.hash.is_some()),
            ("whole", self.whole),
            ("nulls", !self.nulls.is_empty()),
        ];
        set.into_iter()
            .filter(|(_, is)| *is)
            .map(|(key, _)| key)
            .collect()
    }
}
