//! A shortcut for simple schemas: it either finds that properties are certainly valid, or leaves the decision to
//! the validator. So it may miss properties that are valid, but it must never pass any that are not.
//!
//! It understands `required` and, for each property, `type`, `minimum`, `maximum`, `minLength`, `maxLength`, and
//! an `enum` or `const` whose values are strings. Keywords that restrict nothing, such as `title`, are ignored. A
//! schema with any other keyword has no shortcut: the validator checks everything.

use serde_json::{Map, Value};

use super::reader::Member;
use lakehook_base::json::text;

const NULL: u8 = 1;
const BOOLEAN: u8 = 2;
const STRING: u8 = 4;
const INTEGER: u8 = 8;
const NUMBER: u8 = 16;
const ARRAY: u8 = 32;
const OBJECT: u8 = 64;
const ANY: u8 = 127;

/// The properties seen are bits of a `u64`.
const MAX_PROPERTIES: usize = 64;

/// Integers up to here are exact as doubles: 2^53.
pub(super) const MAX_EXACT: u64 = 1 << 53;

/// Keywords that say nothing about validity.
const ANNOTATIONS: [&str; 10] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "x-lakehook-type",
    "description",
    "default",
    "examples",
    "deprecated",
    // What a column demands of it is checked elsewhere.
    "format",
];

/// A compiled shortcut.
#[derive(Debug)]
pub(super) struct Quick {
    properties: Vec<(String, PropertyRule)>,
    /// The required properties: a bit for each, by index.
    required: u64,
}

/// The rule for one property.
#[derive(Clone, Debug)]
pub(super) struct PropertyRule {
    types: u8,
    one_of: Option<Vec<String>>,
    minimum: f64,
    maximum: f64,
    min_chars: usize,
    max_chars: usize,
}

impl Default for PropertyRule {
    fn default() -> Self {
        Self {
            types: ANY,
            one_of: None,
            minimum: f64::NEG_INFINITY,
            maximum: f64::INFINITY,
            min_chars: 0,
            max_chars: usize::MAX,
        }
    }
}

impl Quick {
    /// Compiles a valid schema; `None` if it is not simple enough.
    pub(super) fn compile(schema: &Value) -> Option<Self> {
        let mut properties: Vec<(String, PropertyRule)> = Vec::new();
        let mut required: &[Value] = &[];
        for (keyword, value) in schema.as_object()? {
            match keyword.as_str() {
                "type" if value == "object" => {}
                "additionalProperties" if *value == true => {}
                "required" => required = value.as_array()?,
                "properties" => {
                    for (name, property) in value.as_object()? {
                        properties
                            .push((name.clone(), PropertyRule::compile(property.as_object()?)?));
                    }
                }
                other if ANNOTATIONS.contains(&other) => {}
                _ => return None,
            }
        }
        let mut bits = 0;
        for name in required {
            let name = name.as_str()?;
            let known = properties.iter().position(|(known, _)| known == name);
            let index = known.unwrap_or_else(|| {
                properties.push((name.to_owned(), PropertyRule::default()));
                properties.len() - 1
            });
            bits |= 1_u64.checked_shl(u32::try_from(index).ok()?)?;
        }
        let is_small = properties.len() <= MAX_PROPERTIES;
        is_small.then_some(Self {
            properties,
            required: bits,
        })
    }

    /// Whether an object with these members is certainly valid. Their keys must differ.
    pub(super) fn is_surely_valid(&self, members: &[Member<'_>]) -> bool {
        let mut seen = 0;
        for (key, value) in members {
            let mut known = self.properties.iter().enumerate();
            if let Some((index, (_, property))) = known.find(|(_, (name, _))| name == key) {
                if !property.allows_raw(value) {
                    return false;
                }
                seen |= 1_u64 << index;
            }
        }
        seen & self.required == self.required
    }

    /// The rule for a property.
    pub(super) fn rule(&self, name: &str) -> PropertyRule {
        let known = self.properties.iter().find(|(known, _)| known == name);
        known.map_or_else(PropertyRule::default, |(_, rule)| rule.clone())
    }

    /// The properties that every object must have.
    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        let properties = self.properties.iter().enumerate();
        let required = properties.filter(|(index, _)| self.required & (1_u64 << index) != 0);
        required.map(|(_, (name, _))| name.as_str())
    }
}

impl PropertyRule {
    fn compile(schema: &Map<String, Value>) -> Option<Self> {
        let mut property = Self::default();
        for (keyword, value) in schema {
            match keyword.as_str() {
                "type" => property.types = types(value)?,
                "enum" => property.allow(value.as_array()?)?,
                "const" => property.allow(std::slice::from_ref(value))?,
                "minimum" => property.minimum = exact(value)?,
                "maximum" => property.maximum = exact(value)?,
                "minLength" => property.min_chars = usize::try_from(value.as_u64()?).ok()?,
                "maxLength" => property.max_chars = usize::try_from(value.as_u64()?).ok()?,
                other if ANNOTATIONS.contains(&other) => {}
                _ => return None,
            }
        }
        Some(property)
    }

    /// Allows only these strings. A schema with both `enum` and `const` has no shortcut.
    fn allow(&mut self, words: &[Value]) -> Option<()> {
        if self.one_of.is_some() {
            return None;
        }
        let words = words.iter().map(|word| word.as_str().map(str::to_owned));
        self.one_of = Some(words.collect::<Option<_>>()?);
        Some(())
    }

    /// Whether a raw value is certainly valid.
    fn allows_raw(&self, raw: &str) -> bool {
        match raw.as_bytes() {
            [b'n', ..] => self.allows(NULL),
            [b't' | b'f', ..] => self.allows(BOOLEAN),
            [b'[', ..] => self.allows(ARRAY),
            [b'{', ..] => self.allows(OBJECT),
            [b'"', ..] => self.allows_raw_text(raw),
            _ => self.allows_raw_number(raw),
        }
    }

    fn allows_raw_number(&self, raw: &str) -> bool {
        let is_whole = raw.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
        // The validator decides whether -0 or 1.0 is an integer.
        let (kinds, number) = if is_whole && raw != "-0" {
            let whole = raw.parse::<i64>().ok();
            let exact = whole.filter(|whole| whole.unsigned_abs() <= MAX_EXACT);
            #[expect(
                clippy::cast_precision_loss,
                reason = "larger numbers are left to the validator"
            )]
            let number = exact.map(|whole| whole as f64);
            (INTEGER | NUMBER, number)
        } else {
            // This is the parser that the validator uses, so both agree at a bound.
            (NUMBER, serde_json::from_str(raw).ok())
        };
        number.is_some_and(|number| self.allows_number(kinds, number))
    }

    /// Whether null is valid.
    pub(super) fn allows_null(&self) -> bool {
        self.allows(NULL)
    }

    /// Whether true and false are valid.
    pub(super) fn allows_booleans(&self) -> bool {
        self.allows(BOOLEAN)
    }

    /// Whether a whole number that is exact as a double is valid.
    #[inline]
    pub(super) fn allows_whole(&self, number: f64) -> bool {
        self.allows_number(INTEGER | NUMBER, number)
    }

    /// Whether every number is valid, with a fraction or without.
    #[inline]
    pub(super) fn allows_all_numbers(&self) -> bool {
        self.allows(NUMBER) && self.minimum.is_infinite() && self.maximum.is_infinite()
    }

    /// Whether a number that may have a fraction is valid.
    pub(super) fn allows_fraction(&self, number: f64) -> bool {
        self.allows_number(NUMBER, number)
    }

    /// Whether any value of that type is valid.
    #[inline]
    fn allows(&self, kind: u8) -> bool {
        self.types & kind != 0 && self.one_of.is_none()
    }

    /// Reads the text only if the length in bytes does not decide. Every character takes at least one byte, with an
    /// escape or without, so a string never has more characters than bytes.
    fn allows_raw_text(&self, raw: &str) -> bool {
        let bytes = raw.len().saturating_sub(2);
        let fits = self.min_chars <= usize::from(bytes > 0) && bytes <= self.max_chars;
        if fits && self.one_of.is_none() {
            return self.types & STRING != 0;
        }
        text(raw).is_some_and(|text| self.allows_text(&text))
    }

    /// Whether a text is valid.
    pub(super) fn allows_text(&self, text: &str) -> bool {
        let is_one = self
            .one_of
            .as_ref()
            .is_none_or(|words| words.iter().any(|word| word == text));
        let has_bounds = self.min_chars > 0 || self.max_chars < usize::MAX;
        let is_long_enough = || {
            let chars = text.chars().count();
            self.min_chars <= chars && chars <= self.max_chars
        };
        self.types & STRING != 0 && is_one && (!has_bounds || is_long_enough())
    }

    #[inline]
    fn allows_number(&self, kinds: u8, number: f64) -> bool {
        self.allows(kinds) && self.minimum <= number && number <= self.maximum
    }
}

fn types(value: &Value) -> Option<u8> {
    match value {
        Value::String(name) => type_bit(name),
        Value::Array(names) => names
            .iter()
            .try_fold(0, |types, name| Some(types | type_bit(name.as_str()?)?)),
        _ => None,
    }
}

fn type_bit(name: &str) -> Option<u8> {
    Some(match name {
        "null" => NULL,
        "boolean" => BOOLEAN,
        "string" => STRING,
        "integer" => INTEGER,
        "number" => NUMBER,
        "array" => ARRAY,
        "object" => OBJECT,
        _ => return None,
    })
}

/// A bound that is exact as a double, so that it compares equally with doubles and integers.
fn exact(value: &Value) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit is where precision ends"
    )]
    let max = MAX_EXACT as f64;
    value.as_f64().filter(|bound| bound.abs() <= max)
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
