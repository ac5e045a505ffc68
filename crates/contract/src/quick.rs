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
const MAX_EXACT: u64 = 1 << 53;

/// Keywords that say nothing about validity.
const ANNOTATIONS: [&str; 9] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "x-lakehook-type",
    "description",
    "default",
    "examples",
    "deprecated",
];

/// A compiled shortcut.
#[derive(Debug)]
pub(super) struct Quick {
    properties: Vec<(String, PropertyRule)>,
    /// The required properties: a bit for each, by index.
    required: u64,
}

/// The rule for one property.
#[derive(Debug)]
struct PropertyRule {
    types: u8,
    /// The strings that are allowed, as JSON without unneeded escapes.
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
        let words = words
            .iter()
            .map(|word| word.is_string().then(|| word.to_string()));
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

    /// Whether any value of that type is valid.
    fn allows(&self, kind: u8) -> bool {
        self.types & kind != 0 && self.one_of.is_none()
    }

    /// A string may have escapes that it does not need. Then it is not found among the words, and its length is
    /// counted without them.
    fn allows_raw_text(&self, raw: &str) -> bool {
        let is_one = self
            .one_of
            .as_ref()
            .is_none_or(|words| words.iter().any(|word| word == raw));
        self.types & STRING != 0 && is_one && self.allows_length(raw)
    }

    /// A character has at least one byte, and no escape is shorter than what it stands for.
    fn allows_length(&self, raw: &str) -> bool {
        let bytes = raw.len().saturating_sub(2);
        if self.min_chars <= usize::from(bytes > 0) && bytes <= self.max_chars {
            return true;
        }
        text(raw).is_some_and(|text| {
            let chars = text.chars().count();
            self.min_chars <= chars && chars <= self.max_chars
        })
    }

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
