//! Hashes JSON by what it says: the order of keys, white space, escapes and the way in which a number is
//! written make no difference. Digits are never lost, whatever their number.
//!
//! Nothing is built: the hash of an object is a sum over its members, so that they need not be sorted,
//! and a member that is written in the canonical way is hashed where it stands.

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::strict::{number_end, string_end};
use lakehook_base::json::push_json;

/// A number whose plain form is longer is written with an exponent.
const MAX_PLAIN_BYTES: usize = 40;
const OF_OBJECT: u64 = 1;
const OF_LIST: u64 = 2;
/// An odd factor, by which the place of an element counts.
const PLACE: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// The hash of a JSON value in which `super::strict::Scanner` has found no fault, so that it is not
/// nested deeply, and its keys differ.
pub fn hash(raw: &str) -> u128 {
    let mut reader = Reader {
        text: raw,
        at: 0,
        scratch: Vec::new(),
    };
    reader.skip_space();
    reader.element()
}

/// A value that was read past.
enum Value {
    /// An object or a list, with its hash.
    Nested(u128),
    /// Anything else, and whether it is written in the canonical way.
    Scalar(bool),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    scratch: Vec<u8>,
}

impl Reader<'_> {
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(b' ')
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    fn skip_space(&mut self) {
        while !self.is_at_end() && matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Value {
        let bytes = self.text.as_bytes();
        let start = self.at;
        match self.byte() {
            b'{' => Value::Nested(self.object()),
            b'[' => Value::Nested(self.list()),
            b'"' => {
                let (end, is_escaped) = string_end(bytes, start + 1);
                self.at = (end + 1).min(bytes.len());
                Value::Scalar(!is_escaped)
            }
            b'-' | b'0'..=b'9' => {
                self.at = number_end(bytes, start + 1);
                Value::Scalar(is_canonical_number(&bytes[start..self.at]))
            }
            // True, false and null.
            _ => {
                let is_letter = |byte: &&u8| byte.is_ascii_lowercase();
                let letters = bytes[start..].iter().take_while(is_letter).count();
                self.at = (start + letters.max(1)).min(bytes.len());
                Value::Scalar(true)
            }
        }
    }

    fn object(&mut self) -> u128 {
        let bytes = self.text.as_bytes();
        let mut sum = 0_u128;
        self.at += 1;
        loop {
            self.skip_space();
            if self.is_at_end() || self.byte() == b'}' {
                self.at += 1;
                return xxh3_128_with_seed(&sum.to_le_bytes(), OF_OBJECT);
            }
            if self.byte() == b',' {
                self.at += 1;
                continue;
            }
            let key = self.at;
            let (end, is_escaped) = string_end(bytes, key + 1);
            let key_end = (end + 1).min(bytes.len());
            self.at = key_end;
            self.skip_space();
            self.at += 1;
            self.skip_space();
            let start = self.at;
            let value = self.value();
            let is_tight = start == key_end + 1 && !is_escaped;
            let member = match value {
                Value::Scalar(true) if is_tight => xxh3_128(&bytes[key..self.at]),
                value => self.rewritten(key..key_end, start, &value),
            };
            sum = sum.wrapping_add(member);
        }
    }

    /// The hash of a member that is not written in the canonical way, or whose value is nested.
    fn rewritten(&mut self, key: std::ops::Range<usize>, start: usize, value: &Value) -> u128 {
        let text = self.text;
        let scratch = &mut self.scratch;
        scratch.clear();
        push_scalar(scratch, &text[key]);
        scratch.push(b':');
        match value {
            Value::Nested(hash) => {
                scratch.push(text.as_bytes()[start]);
                scratch.extend_from_slice(&hash.to_le_bytes());
            }
            Value::Scalar(_) => push_scalar(scratch, &text[start..self.at]),
        }
        xxh3_128(scratch)
    }

    /// The hash of the value that begins here.
    fn element(&mut self) -> u128 {
        let (text, start) = (self.text, self.at);
        match self.value() {
            Value::Nested(hash) => hash,
            Value::Scalar(true) => xxh3_128(&text.as_bytes()[start..self.at]),
            Value::Scalar(false) => {
                self.scratch.clear();
                push_scalar(&mut self.scratch, &text[start..self.at]);
                xxh3_128(&self.scratch)
            }
        }
    }

    fn list(&mut self) -> u128 {
        let mut all = 0_u128;
        self.at += 1;
        loop {
            self.skip_space();
            if self.is_at_end() || self.byte() == b']' {
                self.at += 1;
                return xxh3_128_with_seed(&all.to_le_bytes(), OF_LIST);
            }
            if self.byte() == b',' {
                self.at += 1;
                continue;
            }
            let element = self.element();
            all = all
                .wrapping_mul(PLACE)
                .wrapping_add(element)
                .wrapping_add(1);
        }
    }
}

/// Appends a string, a number, or a word in the canonical way.
fn push_scalar(out: &mut Vec<u8>, raw: &str) {
    if raw.starts_with('"') {
        match lakehook_base::json::text(raw) {
            Some(text) => push_json(out, &text),
            // Excluded by the scanner.
            None => out.extend_from_slice(raw.as_bytes()),
        }
    } else if raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        push_number(out, raw);
    } else {
        out.extend_from_slice(raw.as_bytes());
    }
}

/// Whether a number is written as [`push_number`] does.
fn is_canonical_number(number: &[u8]) -> bool {
    let (mut has_point, mut has_exponent) = (false, false);
    for byte in number {
        has_point |= *byte == b'.';
        has_exponent |= matches!(byte, b'e' | b'E');
    }
    let is_zero_with_sign = number == b"-0";
    let has_idle_zero = has_point && number.last() == Some(&b'0');
    number.len() <= MAX_PLAIN_BYTES && !has_exponent && !has_idle_zero && !is_zero_with_sign
}

/// Appends a number so that equal values have equal texts: without an exponent if that is short, and
/// without zeros that say nothing.
fn push_number(out: &mut Vec<u8>, raw: &str) {
    let (sign, rest) = match raw.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", raw),
    };
    let (number, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else {
        // It is finite, so that it is a zero, or so near to it that its text may stand for it.
        out.extend_from_slice(raw.as_bytes());
        return;
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let exponent = exponent.saturating_sub(as_i64(fraction.len()));
    let shown = digits.trim_end_matches('0');
    if shown.is_empty() {
        out.push(b'0');
        return;
    }
    let exponent = exponent.saturating_add(as_i64(digits.len() - shown.len()));
    out.extend_from_slice(sign.as_bytes());
    let room = as_i64(MAX_PLAIN_BYTES - sign.len());
    let length = as_i64(shown.len());
    let point = length.saturating_add(exponent);
    let plain_length = match (exponent >= 0, point > 0) {
        (true, _) => point,
        (false, true) => length + 1,
        (false, false) => length.saturating_sub(point).saturating_add(2),
    };
    if plain_length > room {
        out.extend_from_slice(format!("{shown}e{exponent}").as_bytes());
        return;
    }
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    if exponent >= 0 {
        out.extend_from_slice(shown.as_bytes());
        out.extend_from_slice(zeros(exponent).as_bytes());
    } else if let Some((whole, fraction)) = usize::try_from(point)
        .ok()
        .filter(|point| *point > 0)
        .and_then(|point| shown.split_at_checked(point))
    {
        out.extend_from_slice(format!("{whole}.{fraction}").as_bytes());
    } else {
        out.extend_from_slice(format!("0.{}{shown}", zeros(-point)).as_bytes());
    }
}

fn as_i64(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
