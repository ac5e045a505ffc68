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

/// Powers of ten.
const POWERS: [i64; MAX_WHOLE_DIGITS + 1] = {
    let mut powers = [1; MAX_WHOLE_DIGITS + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

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

/// The values of one column in several rows.
#[derive(Debug, Default)]
pub struct ReadColumn {
    /// If the column has whole numbers: one for each row, which means nothing in a row without a value.
    pub wholes: Vec<i64>,
    /// Otherwise: a value for each row.
    pub others: Vec<CellValue>,
    /// For each row whether it certainly has no value, …
    pub nulls: Vec<bool>,
    /// … and whether any row has none.
    pub has_nulls: bool,
}

/// A number in JSON's form without an exponent, of at most [`MAX_WHOLE_DIGITS`].
#[derive(Clone, Copy)]
struct Number {
    /// All of its digits as one number.
    units: i64,
    /// How many digits stand before its point, and behind it.
    whole: usize,
    part: usize,
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
    /// Reads the values of a column in several rows, given as texts, or `None` for null. A row whose value is left to the
    /// other way no longer fits.
    pub fn read<'c>(
        &self,
        column: usize,
        texts: impl Iterator<Item = Option<&'c [u8]>>,
        into: &mut ReadColumn,
        fits: &mut [bool],
    ) {
        let own = &self.columns[column];
        into.clear();
        match own.kind {
            ColumnType::Integer => into.read_wholes(own, texts, fits, |text| own.integer(text)),
            ColumnType::Decimal(size) if !size.is_wide() => {
                into.read_wholes(own, texts, fits, |text| own.decimal(text, size));
            }
            ColumnType::Time => into.read_wholes(own, texts, fits, |text| own.time(text)),
            _ => into.read_others(own, texts, fits),
        }
    }

    /// Whether the values of a column are whole numbers: integers, times, or decimals of at most 18 digits.
    pub fn is_whole(&self, column: usize) -> bool {
        self.columns[column].is_whole()
    }

    /// Whether records have ids.
    pub fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Hash of the id of a record that fits and whose texts are these; `None` if records have none, or if the other way
    /// decides.
    pub fn id<'c>(&self, cell: impl Fn(usize) -> Option<&'c [u8]>) -> Option<u128> {
        let part = |index: usize| match cell(index)? {
            b"" => None,
            digits if self.columns[index].kind == ColumnType::Integer => {
                Some(hash_of_number_id(digits))
            }
            text => Some(hash_of_text_id(text)),
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

impl ReadColumn {
    fn clear(&mut self) {
        self.wholes.clear();
        self.others.clear();
        self.nulls.clear();
        self.has_nulls = false;
    }

    #[inline]
    fn read_wholes<'c>(
        &mut self,
        own: &StraightColumn,
        texts: impl Iterator<Item = Option<&'c [u8]>>,
        fits: &mut [bool],
        whole: impl Fn(&[u8]) -> Option<i64>,
    ) {
        let allows_null = own.rule.allows_null();
        for (text, fits) in texts.zip(fits) {
            let value = text.and_then(&whole);
            *fits &= value.is_some() || (text.is_none() && allows_null);
            self.has_nulls |= text.is_none();
            self.nulls.push(text.is_none());
            self.wholes.push(value.unwrap_or(0));
        }
    }

    fn read_others<'c>(
        &mut self,
        own: &StraightColumn,
        texts: impl Iterator<Item = Option<&'c [u8]>>,
        fits: &mut [bool],
    ) {
        let allows_null = own.rule.allows_null();
        for (text, fits) in texts.zip(fits) {
            let value = text.and_then(|text| own.other(text));
            *fits &= value.is_some() || (text.is_none() && allows_null);
            self.has_nulls |= text.is_none();
            self.nulls.push(text.is_none());
            self.others.push(value.unwrap_or(CellValue::Null));
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

    /// Whether its values are whole numbers.
    fn is_whole(&self) -> bool {
        match self.kind {
            ColumnType::Integer | ColumnType::Time => true,
            ColumnType::Decimal(size) => !size.is_wide(),
            _ => false,
        }
    }

    /// A value that is no whole number.
    fn other(&self, bytes: &[u8]) -> Option<CellValue> {
        match self.kind {
            ColumnType::Double => self.double(bytes).map(CellValue::Double),
            ColumnType::Decimal(size) => {
                let units = self.decimal(bytes, size)?;
                Some(CellValue::Wide(units.into()))
            }
            ColumnType::Boolean => {
                let flag = flag(bytes)?;
                let is_valid = self.rule.allows_booleans();
                is_valid.then_some(CellValue::Boolean(flag))
            }
            ColumnType::Text => self.text(bytes).map(|_| CellValue::Text),
            ColumnType::Date => columns::date(self.text(bytes)?).map(CellValue::Days),
            _ => None,
        }
    }

    fn text<'b>(&self, bytes: &'b [u8]) -> Option<&'b str> {
        let text = std::str::from_utf8(bytes).ok()?;
        self.rule.allows_text(text).then_some(text)
    }

    fn time(&self, bytes: &[u8]) -> Option<i64> {
        Some(rfc3339::parse(self.text(bytes)?)?.0)
    }

    #[inline]
    fn integer(&self, bytes: &[u8]) -> Option<i64> {
        let number = Number::of(bytes)?;
        let whole = number.units;
        #[expect(clippy::cast_precision_loss, reason = "it is exact")]
        let is_valid = number.part == 0
            && whole.unsigned_abs() <= MAX_EXACT
            && self.rule.allows_whole(whole as f64);
        is_valid.then_some(whole)
    }

    #[inline]
    fn decimal(&self, bytes: &[u8], size: Decimal) -> Option<i64> {
        let number = Number::of(bytes)?;
        if !self.rule.allows_all_numbers() {
            self.double(bytes)?;
        }
        let scale = usize::from(size.scale());
        let shift = scale.checked_sub(number.part)?;
        if number.whole + scale > MAX_WHOLE_DIGITS {
            return None;
        }
        let units = number.units * POWERS[shift];
        let fits = size.is_wide() || units.abs() < POWERS[usize::from(size.precision())];
        fits.then_some(units)
    }

    /// A number that is valid whether or not it is written with digits after its point.
    fn double(&self, bytes: &[u8]) -> Option<f64> {
        let number = Number::of(bytes)?;
        if number.whole + number.part > MAX_DIGITS {
            return None;
        }
        let double: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
        self.rule.allows_fraction(double).then_some(double)
    }
}

impl Number {
    /// Reads a number. Zero has no sign.
    #[inline]
    fn of(bytes: &[u8]) -> Option<Self> {
        let (is_negative, digits) = match bytes {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        // One more for the point.
        if digits.len() > MAX_WHOLE_DIGITS + 1 {
            return None;
        }
        let (mut units, mut point) = (0_u64, None);
        for (at, byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => units = units.wrapping_mul(10) + u64::from(byte - b'0'),
                b'.' if point.is_none() => point = Some(at),
                _ => return None,
            }
        }
        let whole = point.unwrap_or(digits.len());
        let part = point.map_or(0, |point| digits.len() - point - 1);
        let is_number = whole > 0
            && (digits[0] != b'0' || whole == 1)
            && point.is_some() == (part > 0)
            && whole + part <= MAX_WHOLE_DIGITS
            && !(is_negative && units == 0);
        let units = i64::try_from(units).ok().filter(|_| is_number)?;
        let units = if is_negative { -units } else { units };
        Some(Self { units, whole, part })
    }
}

fn flag(bytes: &[u8]) -> Option<bool> {
    if bytes.eq_ignore_ascii_case(b"true") {
        return Some(true);
    }
    bytes.eq_ignore_ascii_case(b"false").then_some(false)
}
