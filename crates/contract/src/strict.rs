//! Finds what JSON allows but engines cannot read, in one pass over a raw value.
//!
//! serde_json has already established that the bytes are one JSON value, but checks a raw value no
//! further. This refuses lone surrogates, numbers that are not finite, deep nesting, keys
//! that differ only in case and keys with U+0000. It builds nothing, does not recurse, and takes
//! linear time.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::faults::Faults;
use super::keys::Keys;
use super::pointer::segment;

/// The deepest nesting of objects and arrays within a value.
pub(super) const MAX_DEPTH: usize = 64;

/// A number of at most this many bytes and without an exponent is finite.
const MAX_SURELY_FINITE_BYTES: usize = 300;

/// Scans values one after another, and reuses its memory.
#[derive(Debug, Default)]
pub(super) struct Scanner<'a> {
    /// The objects and arrays around the current position are the first `depth` entries.
    open: Vec<Open<'a>>,
    depth: usize,
}

/// An object or array that is not closed yet.
#[derive(Debug, Default)]
struct Open<'a> {
    is_object: bool,
    keys: Keys<'a>,
    /// The current member's key, as it is written between the quotes.
    key: &'a str,
    /// The current element's index.
    index: usize,
}

impl<'a> Scanner<'a> {
    /// Adds what is wrong with `text`, a valid JSON value, to `faults`; `prefix` points to it.
    pub(super) fn scan(
        &mut self,
        text: &'a str,
        prefix: &dyn Fn() -> String,
        faults: &mut impl Faults,
    ) {
        let bytes = text.as_bytes();
        self.depth = 0;
        let mut expects_key = false;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'"' => {
                    let (end, is_escaped) = string_end(bytes, at);
                    let inner = &text[at..end];
                    at = end + 1;
                    if expects_key {
                        self.key(inner, &text[start..at], is_escaped, prefix, faults);
                        expects_key = false;
                    } else if is_escaped && has_lone_surrogate(inner.as_bytes()) {
                        self.lone_surrogate(prefix, faults);
                    }
                }
                b'{' | b'[' => {
                    if self.depth == MAX_DEPTH {
                        let detail = || format!("nesting of at most {MAX_DEPTH} levels");
                        faults.add("too_deep", || self.pointer(prefix), detail);
                        return;
                    }
                    expects_key = byte == b'{';
                    self.push(expects_key);
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    expects_key = false;
                }
                b',' => expects_key = self.next(),
                b'-' | b'0'..=b'9' => {
                    at = number_end(bytes, at);
                    if !is_finite(&text[start..at]) {
                        let detail = || "a number within the range of a double".to_owned();
                        faults.add("number_out_of_range", || self.pointer(prefix), detail);
                    }
                }
                // White space, colons, and the letters of true, false and null.
                _ => {}
            }
        }
    }

    fn push(&mut self, is_object: bool) {
        if self.open.len() == self.depth {
            self.open.push(Open::default());
        }
        let open = &mut self.open[self.depth];
        open.is_object = is_object;
        open.keys.clear();
        open.key = "";
        open.index = 0;
        self.depth += 1;
    }

    /// Goes on to the next member or element, and returns whether it begins with a key.
    fn next(&mut self) -> bool {
        let Some(open) = self.innermost() else {
            return false;
        };
        open.index += 1;
        open.is_object
    }

    fn innermost(&mut self) -> Option<&mut Open<'a>> {
        self.open[..self.depth].last_mut()
    }

    fn key(
        &mut self,
        inner: &'a str,
        quoted: &'a str,
        is_escaped: bool,
        prefix: &dyn Fn() -> String,
        faults: &mut impl Faults,
    ) {
        let decoded = if is_escaped {
            serde_json::from_str(quoted).ok().map(Cow::Owned)
        } else {
            Some(Cow::Borrowed(inner))
        };
        let has_nul = is_escaped && decoded.as_ref().is_some_and(|key| key.contains('\0'));
        let is_lone = decoded.is_none();
        let Some(open) = self.innermost() else {
            return;
        };
        open.key = inner;
        let is_new = decoded.is_none_or(|key| open.keys.insert(key));
        if is_lone {
            self.lone_surrogate(prefix, faults);
        }
        if has_nul {
            nul_in_key(|| self.pointer(prefix), faults);
        }
        if !is_new {
            duplicate_key(|| self.pointer(prefix), faults);
        }
    }

    fn lone_surrogate(&self, prefix: &dyn Fn() -> String, faults: &mut impl Faults) {
        lone_surrogate(|| self.pointer(prefix), faults);
    }

    /// The pointer to the current position.
    fn pointer(&self, prefix: &dyn Fn() -> String) -> String {
        let mut pointer = prefix();
        for open in &self.open[..self.depth] {
            if open.is_object {
                pointer.push_str(&segment(&unescaped(open.key)));
            } else {
                pointer.push('/');
                pointer.push_str(&open.index.to_string());
            }
        }
        pointer
    }
}

/// The text of a key, given as what is between its quotes; unchanged if it holds a lone surrogate.
pub(super) fn unescaped(inner: &str) -> Cow<'_, str> {
    if memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    let decoded = serde_json::from_str(&format!("\"{inner}\""));
    decoded.map_or(Cow::Borrowed(inner), Cow::Owned)
}

pub(super) fn lone_surrogate(pointer: impl FnOnce() -> String, faults: &mut impl Faults) {
    let detail = || "surrogates only in pairs".to_owned();
    faults.add("lone_surrogate", pointer, detail);
}

pub(super) fn duplicate_key(pointer: impl FnOnce() -> String, faults: &mut impl Faults) {
    let detail = || "keys of one object that differ in more than case".to_owned();
    faults.add("duplicate_key", pointer, detail);
}

pub(super) fn nul_in_key(pointer: impl FnOnce() -> String, faults: &mut impl Faults) {
    let detail = || "a key without U+0000".to_owned();
    faults.add("nul_in_key", pointer, detail);
}

/// The index of the closing quote of the string whose content begins at `at`, and whether it holds escapes.
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let mut is_escaped = false;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr2(b'"', b'\\', rest) {
            Some(offset) if rest[offset] == b'\\' => {
                is_escaped = true;
                at += offset + 2;
            }
            Some(offset) => return (at + offset, is_escaped),
            // Cannot happen in valid JSON.
            None => return (bytes.len(), is_escaped),
        }
    }
}

pub(super) fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    at + bytes[at..].iter().take_while(|&byte| is_part(byte)).count()
}

/// Whether a JSON number is one that a double can hold.
pub(super) fn is_finite(number: &str) -> bool {
    let has_exponent = || number.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    if number.len() <= MAX_SURELY_FINITE_BYTES && !has_exponent() {
        return true;
    }
    number.parse().is_ok_and(f64::is_finite)
}

/// Whether a string, given with its escapes, contains a lone surrogate.
fn has_lone_surrogate(mut rest: &[u8]) -> bool {
    while let Some(offset) = memchr(b'\\', rest) {
        rest = &rest[offset..];
        match escaped_unit(rest) {
            None => rest = rest.get(2..).unwrap_or_default(),
            Some(0xd800..0xdc00) => {
                let low = rest.get(6..).and_then(escaped_unit);
                if !low.is_some_and(|unit| (0xdc00..0xe000).contains(&unit)) {
                    return true;
                }
                rest = &rest[12..];
            }
            Some(0xdc00..0xe000) => return true,
            Some(_) => rest = &rest[6..],
        }
    }
    false
}

/// The UTF-16 unit of the escape `\uXXXX` at the beginning of `rest`.
fn escaped_unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
