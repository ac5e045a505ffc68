//! Values of tables, straight from their text: a shortcut beside the way over JSON, for simple schemas.
//!
//! It gives the values that the way over JSON would give, or leaves the decision to that. So it may leave out rows
//! that are valid, and it must never give a value that the other way would refuse, or write differently.

use super::entity::{Entities, hash_of_number_id, hash_of_parts, hash_of_text_id};
use super::quick::{MAX_EXACT, PropertyRule};
use lakehook_base::columns::{self, CellValue, ColumnType, Decimal};
use lakehook_base::rfc3339;

/// A number of at most this many digits is exact as a double before its point is placed.
const MAX_DIGITS: usize = 15;
/// Whole numbers of at most this many digits have 64 bits.
const MAX_WHOLE_DIGITS: usize = 18;

/// The shortcut for a table with certain columns.
#[derive(Debug)]
pub struct StraightTable {
    columns: Vec<StraightColumn>,
    /// The columns that identify a record together.
    ids: Vec<usize>,
}

#[derive(Debug)]
struct StraightColumn {
    kind: ColumnType,
    rule: PropertyRule,
}

/// The digits of a number in JSON's form.
struct Number<'a> {
    is_negative: bool,
    whole: &'a [u8],
    part: &'a [u8],
}

impl Entities {
    /// The shortcut for a table whose columns have these names, which differ; `None` if there is none.
    pub fn straight<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<StraightTable> {
        let (schema, columns) = (self.schema.as_ref()?, self.columns.as_ref()?);
        let quick = schema.quick.as_ref()?;
        let names: Vec<&str> = names.collect();
        let has = |name: &str| names.contains(&name);
        if !self.rules.are_plain_decimals() || !quick.required().all(has) {
            return None;
        }
        let own = names.iter().map(|name| {
            let kind = columns.kind(name)?;
            let rule = quick.rule(name);
            (kind != ColumnType::Json).then_some(StraightColumn { kind, rule })
        });
        let own: Vec<StraightColumn> = own.collect::<Option<_>>()?;
        let ids = self.id.iter().map(|path| {
            let [key] = path.keys() else { return None };
            let index = names.iter().position(|name| name == key)?;
            own[index].may_identify().then_some(index)
        });
        Some(StraightTable {
            ids: ids.collect::<Option<_>>()?,
            columns: own,
        })
    }
}

impl StraightTable {
    /// The value of a column, given as text; `None` if the other way decides.
    pub fn value(&self, column: usize, text: &[u8]) -> Option<CellValue> {
        self.columns[column].value(text)
    }

    /// The value of a column that has none.
    pub fn null(&self, column: usize) -> Option<CellValue> {
        let is_valid = self.columns[column].rule.allows_null();
        is_valid.then_some(CellValue::Null)
    }

    /// The columns that identify a record together.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Whether records have ids.
    pub fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Hash of the id of a record whose values were given, and whose texts are these; `None` if records have none, or
    /// if the other way decides.
    pub fn id<'c>(&self, values: &[CellValue], cell: impl Fn(usize) -> &'c [u8]) -> Option<u128> {
        let part = |index: usize| match (values.get(index)?, cell(index)) {
            (CellValue::Null, _) | (_, b"") => None,
            (CellValue::Whole(_), digits) if self.columns[index].kind == ColumnType::Integer => {
                Some(hash_of_number_id(digits))
            }
            (_, text) => Some(hash_of_text_id(text)),
        };
        match self.ids.as_slice() {
            [] => None,
            [index] => part(*index),
            indices => {
                let parts = indices.iter().map(|index| part(*index));
                let parts: Vec<u128> = parts.collect::<Option<_>>()?;
                Some(hash_of_parts(&parts))
            }
        }
    }
}

impl StraightColumn {
    /// Whether its text is what JSON has as an id.
    fn may_identify(&self) -> bool {
        matches!(
            self.kind,
            ColumnType::Integer | ColumnType::Text | ColumnType::Time | ColumnType::Date
        )
    }

    fn value(&self, bytes: &[u8]) -> Option<CellValue> {
        let text = || {
            let text = std::str::from_utf8(bytes).ok()?;
            self.rule.allows_text(text).then_some(text)
        };
        match self.kind {
            ColumnType::Integer => self.integer(bytes),
            ColumnType::Double => {
                let double = self.number(bytes)?.1;
                Some(CellValue::Double(double))
            }
            ColumnType::Decimal(size) => self.decimal(bytes, size),
            ColumnType::Boolean => {
                let flag = flag(bytes)?;
                let is_valid = self.rule.allows_booleans();
                is_valid.then_some(CellValue::Boolean(flag))
            }
            ColumnType::Text => text().map(|_| CellValue::Text),
            ColumnType::Time => {
                let time = rfc3339::parse(text()?)?;
                Some(CellValue::Whole(time.0))
            }
            ColumnType::Date => columns::date(text()?).map(CellValue::Days),
            ColumnType::Json => None,
        }
    }

    fn integer(&self, bytes: &[u8]) -> Option<CellValue> {
        let number = Number::of(bytes)?;
        if !number.part.is_empty() || number.whole.len() > MAX_WHOLE_DIGITS {
            return None;
        }
        let whole = number.units()?;
        #[expect(clippy::cast_precision_loss, reason = "it is exact")]
        let is_valid = whole.unsigned_abs() <= MAX_EXACT && self.rule.allows_whole(whole as f64);
        is_valid.then_some(CellValue::Whole(whole))
    }

    fn decimal(&self, bytes: &[u8], size: Decimal) -> Option<CellValue> {
        let number = if self.rule.allows_all_numbers() {
            Number::of(bytes)?
        } else {
            self.number(bytes)?.0
        };
        let shift = usize::from(size.scale()).checked_sub(number.part.len())?;
        if number.whole.len() + usize::from(size.scale()) > MAX_WHOLE_DIGITS {
            return None;
        }
        let units = number.units()? * 10_i64.pow(u32::try_from(shift).ok()?);
        let fits = size.is_wide() || units.unsigned_abs() < 10_u64.pow(u32::from(size.precision()));
        fits.then_some(if size.is_wide() {
            CellValue::Wide(units.into())
        } else {
            CellValue::Whole(units)
        })
    }

    /// A number that is valid whether or not it is written with digits after its point.
    fn number<'b>(&self, bytes: &'b [u8]) -> Option<(Number<'b>, f64)> {
        let number = Number::of(bytes)?;
        if number.whole.len() + number.part.len() > MAX_DIGITS {
            return None;
        }
        let double: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
        self.rule
            .allows_fraction(double)
            .then_some((number, double))
    }
}

impl<'a> Number<'a> {
    /// Reads a number that is written as in JSON, without an exponent. Zero has no sign.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
        let point = digits.iter().position(|byte| *byte == b'.');
        let (whole, part) = match point {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &[][..]),
        };
        let has_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
        let is_number = !whole.is_empty()
            && has_digits(whole)
            && has_digits(part)
            && (whole[0] != b'0' || whole.len() == 1)
            && point.is_some() != part.is_empty();
        let is_negative = digits.len() < bytes.len();
        let is_zero = || whole == b"0" && part.iter().all(|digit| *digit == b'0');
        (is_number && !(is_negative && is_zero())).then_some(Self {
            is_negative,
            whole,
            part,
        })
    }

    /// All of its digits as one number; `None` beyond 64 bits.
    fn units(&self) -> Option<i64> {
        if self.whole.len() + self.part.len() > MAX_WHOLE_DIGITS {
            return None;
        }
        let add = |units: i64, digit: &u8| units * 10 + i64::from(digit - b'0');
        let units = self.part.iter().fold(self.whole.iter().fold(0, add), add);
        Some(if self.is_negative { -units } else { units })
    }
}

fn flag(bytes: &[u8]) -> Option<bool> {
    if bytes.eq_ignore_ascii_case(b"true") {
        return Some(true);
    }
    bytes.eq_ignore_ascii_case(b"false").then_some(false)
}
