//! Reads JSON in one pass, and checks grammar and strictness together.
//!
//! Gives up at the first error, and allocates almost nothing. It accepts exactly the values that serde_json accepts
//! as raw values and in which the [`Scanner`](super::strict::Scanner) finds nothing wrong. The slow pass uses those
//! two, since they can say what is wrong; a property test ensures that both accept the same values. The
//! recursion is as deep as values may be nested.

use std::borrow::Cow;

use super::keys::Keys;
use super::strict::{MAX_DEPTH, is_finite, unescaped};

/// Up to this many keys of one object are compared one by one.
const MAX_FEW: usize = 16;

/// A string as it was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'a> {
    /// What is between the quotes.
    inner: &'a str,
    is_escaped: bool,
}

impl<'a> Quoted<'a> {
    /// The text, without escapes.
    #[inline]
    pub(super) fn text(self) -> Cow<'a, str> {
        if self.is_escaped {
            return unescaped(self.inner);
        }
        Cow::Borrowed(self.inner)
    }
}

/// A member of an object: its key as text, its value as it was sent.
pub(super) type Member<'a> = (Cow<'a, str>, &'a str);

/// A position in a text.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The keys of the objects around the position; those of the innermost object are last.
    keys: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// Starts before the first byte.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            keys: Vec::new(),
        }
    }

    /// Skips white space, and returns the byte that follows without passing it.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Passes white space and this byte; `None` if another one follows.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> Option<()> {
        self.passes(byte).then_some(())
    }

    /// Passes white space, and this byte if it follows. Returns whether it did.
    #[inline]
    pub(super) fn passes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes white space, and exactly these bytes if they follow. Returns whether they did.
    #[inline]
    pub(super) fn passes_all<const N: usize>(&mut self, bytes: &[u8; N]) -> bool {
        self.peek();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let are_next = rest.first_chunk() == Some(bytes);
        self.at += if are_next { N } else { 0 };
        are_next
    }

    /// The number of bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Reads a string without lone surrogates.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Quoted<'a>> {
        let bytes = self.text.as_bytes();
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at;
        let mut at = start + 1;
        let mut is_escaped = false;
        loop {
            at = plain_end(bytes, at);
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => at = escape_end(bytes, at)?,
                _ => return None,
            }
            is_escaped = true;
        }
        self.at = at + 1;
        let inner = &self.text[start + 1..at];
        Some(Quoted { inner, is_escaped })
    }

    /// Reads any value, and returns it as it was sent.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.nested(0)?;
        Some(&self.text[start..self.at])
    }

    /// The raw keys (with their quotes) and values of a text that is one object and nothing else.
    pub(super) fn raw_members(text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut reader = Self::new(text);
        // Most records have a few members.
        let mut members = Vec::with_capacity(8);
        reader.pass(b'{')?;
        reader.members(1, |key, end, value| {
            let quoted = &text[end - key.inner.len() - 2..end];
            members.push((quoted, value));
        })?;
        reader.peek().is_none().then_some(members)
    }

    /// Reads an object, adds its members to `members`, and returns it as it was sent.
    pub(super) fn object(&mut self, members: &mut Vec<Member<'a>>) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.pass(b'{')?;
        self.members(1, |key, _, value| {
            members.push((key.text(), value));
        })?;
        Some(&self.text[start..self.at])
    }

    /// Reads a value at that depth of objects and arrays.
    fn nested(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => {
                self.at += 1;
                self.members(depth + 1, |_, _, _| ())
            }
            b'[' if depth < MAX_DEPTH => {
                self.at += 1;
                self.elements(depth + 1)
            }
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    fn elements(&mut self, depth: usize) -> Option<()> {
        if self.passes(b']') {
            return Some(());
        }
        loop {
            self.nested(depth)?;
            if !self.passes(b',') {
                return self.pass(b']');
            }
        }
    }

    /// Reads what follows an opening brace, and passes each member to `see`: its key, the position behind the key's
    /// closing quote, and its value.
    fn members(
        &mut self,
        depth: usize,
        mut see: impl FnMut(Quoted<'a>, usize, &'a str),
    ) -> Option<()> {
        if self.passes(b'}') {
            return Some(());
        }
        let first_key = self.keys.len();
        let mut many = None;
        loop {
            let key = self.string()?;
            let key_end = self.at;
            self.note_key(key, first_key, &mut many)?;
            self.pass(b':')?;
            self.peek()?;
            let start = self.at;
            self.nested(depth)?;
            see(key, key_end, &self.text[start..self.at]);
            if !self.passes(b',') {
                self.keys.truncate(first_key);
                return self.pass(b'}');
            }
        }
    }

    /// Adds a key of the innermost object; `None` if the object has it already, or if it holds U+0000.
    ///
    /// A few plain keys are compared one by one. All keys move to `many` once one is not plain or they are not few.
    fn note_key(
        &mut self,
        key: Quoted<'a>,
        first_key: usize,
        many: &mut Option<Box<Keys<'a>>>,
    ) -> Option<()> {
        let inner = key.inner;
        let is_plain = !key.is_escaped && inner.is_ascii();
        let own = &self.keys[first_key..];
        if many.is_none() && is_plain && own.len() < MAX_FEW {
            if own.iter().any(|known| known.eq_ignore_ascii_case(inner)) {
                return None;
            }
            self.keys.push(inner);
            return Some(());
        }
        let many = many.get_or_insert_with(Box::default);
        for known in self.keys.drain(first_key..) {
            many.insert(Cow::Borrowed(known));
        }
        let text = key.text();
        let has_nul = key.is_escaped && text.contains('\0');
        (!has_nul && many.insert(text)).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        at = match bytes.get(at)? {
            b'0' => at + 1,
            b'1'..=b'9' => digits_end(bytes, at),
            _ => return None,
        };
        if bytes.get(at) == Some(&b'.') {
            at = some_digits_end(bytes, at + 1)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let is_signed = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
            at = some_digits_end(bytes, at + 1 + usize::from(is_signed))?;
        }
        self.at = at;
        is_finite(&self.text[start..at]).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(())
    }
}

/// The index of the first quote, backslash or control character from `at` on, or the end of the text.
#[inline]
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special(u64::from_le_bytes(*eight));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | ..0x20);
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(is_plain).count()
}

/// Examines eight bytes at once: the lowest bit that is set belongs to the first special byte. Higher bits
/// are not reliable, because the subtractions borrow.
#[inline]
fn special(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let all = |byte: u8| ONES * u64::from(byte);
    // Flipping bit 1 places the quote right behind the control characters, and moves the space behind it.
    let quote_or_control = (eight ^ all(2)).wrapping_sub(all(0x21));
    let backslash = (eight ^ all(b'\\')).wrapping_sub(ONES);
    (quote_or_control | backslash) & !eight & all(0x80)
}

/// The end of the escape that begins at `at`; a surrogate pair is one escape.
fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => match unit(bytes, at + 2)? {
            0xd800..0xdc00 => {
                let is_second = bytes.get(at + 6..at + 8)? == b"\\u"
                    && matches!(unit(bytes, at + 8)?, 0xdc00..0xe000);
                is_second.then_some(at + 12)
            }
            0xdc00..0xe000 => None,
            _ => Some(at + 6),
        },
        _ => None,
    }
}

/// The value of the four hexadecimal digits at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?.iter();
    digits
        .map(|digit| char::from(*digit).to_digit(16))
        .try_fold(0, |value, digit| Some(value << 4 | digit?))
}

fn digits_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn some_digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = digits_end(bytes, at);
    (end > at).then_some(end)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
