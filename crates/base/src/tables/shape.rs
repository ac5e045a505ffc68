//! The shape of a stream whose records have no schema: the columns that were found in them. Pure.
//!
//! A member gets a column with the first value that is not null. Until an object holds the column, its type
//! widens with the values (whole numbers and fractions become doubles, times and text become text, what has
//! nothing in common becomes JSON). From then on the column is *settled*: its type never changes, and a value
//! that does not fit stays under `extra`, where each reader looks for what its column cannot hold. So does what
//! can have no column: a member that is always null, one of too many, and one whose name another column has,
//! whatever its case.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::columns::{ColumnType, day, double, integer, time};
use crate::json::text;

/// Columns that every row has; members of a record with these names go under `extra`.
pub const RESERVED: [&str; 5] = ["received_at", "lsn", "dt", "run", "extra"];
/// Most columns of a shape. Each costs memory while an object is written.
const MAX_COLUMNS: usize = 250;
/// Longest name of a column.
const MAX_NAME: usize = 120;
/// Most bytes of all names together: the notes of a shape are small objects.
const MAX_NAMES: usize = 16 << 10;
/// Most digits of a fraction of a second that a column of times holds.
const MAX_FRACTION: usize = 6;

/// How far a column's type is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settled {
    /// No object has it: the type may still widen.
    No,
    /// An object has it, or a note in the lake.
    Yes,
    /// An object with typed columns has it.
    Typed,
}

/// A column that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenColumn", into = "WrittenColumn")]
pub struct FoundColumn {
    /// The member of records, and the column.
    pub name: String,
    /// The type of its values.
    pub kind: ColumnType,
    /// How far the type is fixed.
    pub settled: Settled,
}

/// A column as files and notes have it.
#[derive(Serialize, Deserialize)]
struct WrittenColumn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    settled: Settled,
}

impl TryFrom<WrittenColumn> for FoundColumn {
    type Error = String;

    fn try_from(written: WrittenColumn) -> Result<Self, String> {
        let kind = ColumnType::parse(&written.kind);
        Ok(Self {
            kind: kind.ok_or_else(|| format!("there is no type {:?}", written.kind))?,
            name: written.name,
            settled: written.settled,
        })
    }
}

impl From<FoundColumn> for WrittenColumn {
    fn from(column: FoundColumn) -> Self {
        Self {
            name: column.name,
            kind: column.kind.to_string(),
            settled: column.settled,
        }
    }
}

/// What a value is for its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It fits, or needs no column.
    Fits,
    /// It makes the column, or widens its type.
    Grows,
    /// It does not fit, and the type is settled.
    Unfit(u32),
}

/// The columns that were found in the records of a stream, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    columns: Vec<FoundColumn>,
    by_name: HashMap<String, usize>,
    /// The names of columns in lower case, since engines ignore case.
    taken: HashSet<String>,
}

impl Shape {
    /// A shape with these columns, as far as they can be columns.
    pub fn new(columns: impl IntoIterator<Item = FoundColumn>) -> Self {
        let mut own = Self::default();
        for column in columns {
            own.add(column);
        }
        own
    }

    /// The columns.
    pub fn columns(&self) -> &[FoundColumn] {
        &self.columns
    }

    /// Keeps a name for a column of another kind: no member gets one of this name.
    pub fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_lowercase());
    }

    /// What a value of a member is for its column; changes nothing.
    pub fn look(&self, name: &str, raw: &str) -> Noted {
        self.look_from(&mut 0, name, raw)
    }

    /// Does the same for the members of one record, one after the other. Most records have their members in the order
    /// of the columns, so the column behind that of the member before is tried first.
    pub(super) fn look_from(&self, next: &mut usize, name: &str, raw: &str) -> Noted {
        let is_next = |column: &FoundColumn| column.name == name;
        let index = if self.columns.get(*next).is_some_and(is_next) {
            Some(*next)
        } else {
            self.by_name.get(name).copied()
        };
        *next = index.map_or(*next, |index| index + 1);
        if raw == "null" {
            return Noted::Fits;
        }
        let Some(index) = index else {
            return if self.can_have(name) {
                Noted::Grows
            } else {
                Noted::Fits
            };
        };
        let column = &self.columns[index];
        if column.settled == Settled::No {
            return if wider(column.kind, raw) == column.kind {
                Noted::Fits
            } else {
                Noted::Grows
            };
        }
        if column.kind.fits(raw) {
            Noted::Fits
        } else {
            Noted::Unfit(u32::try_from(index).unwrap_or(u32::MAX))
        }
    }

    /// Makes or widens the column of a value where [`Shape::look`] says so.
    pub fn grow(&mut self, name: &str, raw: &str) -> Noted {
        let noted = self.look(name, raw);
        if noted != Noted::Grows {
            return noted;
        }
        match self.by_name.get(name) {
            Some(index) => {
                let column = &mut self.columns[*index];
                column.kind = wider(column.kind, raw);
            }
            None => self.add(FoundColumn {
                name: name.to_owned(),
                kind: kind_of(raw),
                settled: Settled::No,
            }),
        }
        noted
    }

    /// Settles all types; returns whether that changed anything.
    pub fn settle(&mut self, settled: Settled) -> bool {
        let mut has_changed = false;
        for column in &mut self.columns {
            has_changed |= column.settled < settled;
            column.settled = column.settled.max(settled);
        }
        has_changed
    }

    /// Takes over columns that objects of the lake have. What is settled further counts, and then what is here;
    /// returns whether anything changed. A column that no object has gives way to one whose name differs in case
    /// only.
    pub fn adopt(&mut self, columns: &[FoundColumn]) -> bool {
        let before = self.clone();
        for column in columns {
            let own = self.by_name.get(&column.name).copied();
            match own.or_else(|| self.unsettled_like(&column.name)) {
                Some(index) => {
                    let own = &mut self.columns[index];
                    if column.settled > own.settled {
                        self.by_name.remove(&own.name);
                        self.by_name.insert(column.name.clone(), index);
                        own.clone_from(column);
                    }
                }
                None => self.add(column.clone()),
            }
        }
        *self != before
    }

    /// The column that is not settled and whose name differs from this one in case only.
    fn unsettled_like(&self, name: &str) -> Option<usize> {
        let lower = name.to_lowercase();
        if !self.taken.contains(&lower) {
            return None;
        }
        let is_it =
            |own: &FoundColumn| own.settled == Settled::No && own.name.to_lowercase() == lower;
        self.columns.iter().position(is_it)
    }

    fn can_have(&self, name: &str) -> bool {
        let lower = name.to_lowercase();
        let bytes: usize = self.columns.iter().map(|column| column.name.len()).sum();
        !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.contains(char::is_control)
            && self.columns.len() < MAX_COLUMNS
            && bytes + name.len() <= MAX_NAMES
            && !RESERVED.contains(&lower.as_str())
            && !self.taken.contains(&lower)
    }

    fn add(&mut self, column: FoundColumn) {
        if self.can_have(&column.name) {
            self.taken.insert(column.name.to_lowercase());
            self.by_name.insert(column.name.clone(), self.columns.len());
            self.columns.push(column);
        }
    }
}

/// The type that holds this value, too.
fn wider(kind: ColumnType, raw: &str) -> ColumnType {
    let own = match kind {
        ColumnType::Json => return kind,
        ColumnType::Text if raw.starts_with('"') => return kind,
        _ => kind_of(raw),
    };
    match (kind, own) {
        (ColumnType::Double, ColumnType::Integer) => kind,
        _ => kind.or(own),
    }
}

/// The narrowest type that holds a value.
fn kind_of(raw: &str) -> ColumnType {
    match raw.as_bytes() {
        [b'"', ..] => kind_of_text(raw),
        [b't' | b'f', ..] => ColumnType::Boolean,
        [b'-' | b'0'..=b'9', ..] => {
            let is_whole = !raw.contains(['.', 'e', 'E']);
            if is_whole && integer(raw).is_some() {
                ColumnType::Integer
            } else if double(raw).is_some_and(|number| keeps_digits(raw, number)) {
                ColumnType::Double
            } else {
                // More digits than a number of 64 bits has.
                ColumnType::Json
            }
        }
        _ => ColumnType::Json,
    }
}

/// Whether a double, as it is shown, has all digits of the number that was sent.
fn keeps_digits(raw: &str, number: f64) -> bool {
    number.is_finite() && significant(raw) == significant(&format!("{number:e}"))
}

/// The significant digits of a number, and the power of ten that they are multiplied by.
fn significant(number: &str) -> (String, i64) {
    let number = number.trim_start_matches('-');
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let trimmed = digits.trim_end_matches('0');
    if trimmed.is_empty() {
        return (String::new(), 0);
    }
    let exponent: i64 = exponent.parse().unwrap_or(i64::MAX / 2);
    let dropped = digits.len() - trimmed.len();
    let power = exponent
        .saturating_sub(i64::try_from(part.len()).unwrap_or(i64::MAX))
        .saturating_add(i64::try_from(dropped).unwrap_or(i64::MAX));
    (trimmed.trim_start_matches('0').to_owned(), power)
}

fn kind_of_text(raw: &str) -> ColumnType {
    if time(raw).is_some() {
        let fraction = text(raw).and_then(|text| {
            let (_, fraction) = text.split_once('.')?;
            Some(fraction.bytes().take_while(u8::is_ascii_digit).count())
        });
        if fraction.unwrap_or(0) <= MAX_FRACTION {
            return ColumnType::Time;
        }
    } else if day(raw).is_some() {
        return ColumnType::Date;
    }
    ColumnType::Text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn shape(values: &[(&str, &str)]) -> Shape {
        let mut shape = Shape::default();
        for (name, raw) in values {
            shape.grow(name, raw);
        }
        shape
    }

    fn kind(values: &[&str]) -> String {
        let values: Vec<_> = values.iter().map(|raw| ("a", *raw)).collect();
        let shape = shape(&values);
        let columns = shape.columns();
        columns
            .first()
            .map_or("none".to_owned(), |column| column.kind.to_string())
    }

    #[test]
    fn types_widen_until_they_are_settled() {
        for (values, expected) in [
            (&["null"][..], "none"),
            (&["null", "1"], "integer"),
            (&["1", "1.0"], "double"),
            (&["1.0", "1"], "double"),
            (&["1", "1e3"], "double"),
            (
                &["0.1", "-0.10e-3", "0.30000000000000004", "-0.0", "1E+2"],
                "double",
            ),
            (&["12345678901234567890123.45"], "json"),
            (&["0.5", "0.12345678901234567890"], "json"),
            (&["1e400"], "json"),
            (&["9223372036854775807"], "integer"),
            (&["9223372036854775808"], "json"),
            (&["1", "\"1\""], "json"),
            (&["\"2026-11-25T01:00:00+01:00\""], "time"),
            (&["\"2026-11-25T01:00:00.123456789Z\""], "text"),
            (
                &[
                    "\"2026-11-25T01:00:00Z\"",
                    "\"2026-11-25T01:00:00.1234567Z\"",
                ],
                "text",
            ),
            (&["\"2026-11-25T01:00:00Z\"", "\"\""], "text"),
            (&["\"2026-11-25\""], "date"),
            (&["\"2026-11-25\"", "\"2026-11-25T01:00:00Z\""], "text"),
            (&["true", "null", "false"], "boolean"),
            (&["true", "0"], "json"),
            (&["{}"], "json"),
            (&["[]", "\"a\""], "json"),
        ] {
            assert_eq!(kind(values), expected, "{values:?}");
        }
        let mut shape = shape(&[("a", "1"), ("b", "\"x\"")]);
        assert!(shape.settle(Settled::Yes));
        assert!(!shape.settle(Settled::Yes));
        assert_eq!(shape.grow("a", "1.5"), Noted::Unfit(0));
        assert_eq!(shape.grow("a", "2"), Noted::Fits);
        assert_eq!(shape.grow("b", "{}"), Noted::Unfit(1));
        assert_eq!(shape.grow("c", "1"), Noted::Grows);
        assert_eq!(shape.columns()[0].kind, ColumnType::Integer);
        assert!(shape.settle(Settled::Typed));
    }

    #[test]
    fn names_that_engines_take_for_one_and_those_of_every_row_get_no_column() {
        let long = "x".repeat(MAX_NAME + 1);
        let mut shape = shape(&[
            ("Id", "1"),
            ("id", "1"),
            ("LSN", "1"),
            ("extra", "1"),
            ("", "1"),
            ("a\nb", "1"),
            (&long, "1"),
            ("@odata.etag", "1"),
        ]);
        shape.reserve("Given");
        shape.grow("given", "1");
        let names: Vec<_> = shape
            .columns()
            .iter()
            .map(|own| own.name.as_str())
            .collect();
        assert_eq!(names, ["Id", "@odata.etag"]);
    }

    #[test]
    fn the_number_of_columns_is_bounded() {
        let mut shape = Shape::default();
        for number in 0..2 * MAX_COLUMNS {
            shape.grow(&format!("c{number}"), "1");
        }
        assert_eq!(shape.columns().len(), MAX_COLUMNS);
        let mut shape = Shape::default();
        for number in 0..MAX_COLUMNS {
            shape.grow(&format!("{number:0100}"), "1");
        }
        assert_eq!(shape.columns().len(), MAX_NAMES / 100);
    }

    #[test]
    fn what_the_lake_has_counts_more_than_what_is_not_settled() {
        let mut own = shape(&[("a", "1"), ("b", "1")]);
        let mut lake = shape(&[("a", "1.5"), ("c", "true")]);
        lake.settle(Settled::Yes);
        assert!(own.adopt(lake.columns()));
        assert!(!own.adopt(lake.columns()));
        let kinds: Vec<_> = own
            .columns()
            .iter()
            .map(|own| own.kind.to_string())
            .collect();
        assert_eq!(kinds, ["double", "integer", "boolean"]);
        assert_eq!(own.columns()[0].settled, Settled::Yes);
        own.settle(Settled::Yes);
        let mut other = shape(&[("b", "\"x\"")]);
        for (settled, kind) in [
            (Settled::No, "integer"),
            (Settled::Yes, "integer"),
            (Settled::Typed, "text"),
        ] {
            other.settle(settled);
            assert_eq!(own.adopt(other.columns()), kind == "text", "{settled:?}");
            assert_eq!(own.columns()[1].kind.to_string(), kind, "{settled:?}");
        }
    }

    #[test]
    fn a_name_that_differs_in_case_only_gives_way_unless_an_object_has_it() {
        let mut lake = shape(&[("Id", "1"), ("Name", "1")]);
        lake.settle(Settled::Yes);
        let mut own = shape(&[("a", "1"), ("id", "\"x\"")]);
        assert!(own.adopt(lake.columns()) && !own.adopt(lake.columns()));
        let names = |shape: &Shape| -> Vec<String> {
            let columns = shape.columns().iter();
            columns
                .map(|own| format!("{} {}", own.name, own.kind))
                .collect()
        };
        assert_eq!(names(&own), ["a integer", "Id integer", "Name integer"]);
        assert_eq!(own.look("id", "1"), Noted::Fits, "it stands under `extra`");
        assert_eq!(own.look("Id", "\"x\""), Noted::Unfit(1));
        let mut own = shape(&[("id", "\"x\"")]);
        own.settle(Settled::Yes);
        assert!(own.adopt(lake.columns()));
        assert_eq!(names(&own), ["id text", "Name integer"]);
    }

    #[test]
    fn columns_are_written_and_read() {
        let mut shape = shape(&[("a", "1"), ("b\"", "\"2026-11-25\"")]);
        shape.settle(Settled::Typed);
        let text = serde_json::to_string(shape.columns()).unwrap();
        let read: Vec<FoundColumn> = serde_json::from_str(&text).unwrap();
        assert_eq!(Shape::new(read), shape);
        let other = r#"[{"name":"a","type":"whole","settled":"yes"}]"#;
        assert!(serde_json::from_str::<Vec<FoundColumn>>(other).is_err());
    }
}
