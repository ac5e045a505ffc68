//! Finds where a JSON value ends, however its bytes arrive.
//!
//! It knows strings, escapes and nesting, and no more: whether the value is JSON is for whoever
//! reads it. It holds no byte of the value.

/// The search for the end of one value, which may go on in the next bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Objects and lists that are open.
    depth: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Begin,
    /// Within an object or a list, and not in a string.
    Between,
    String,
    /// Behind a backslash.
    Escape,
    /// In a number, or in `true`, `false` or `null`.
    Word,
}

impl Extent {
    /// Whether the value may end here although no byte says so: it is a number or a word.
    pub(super) fn may_end(self) -> bool {
        self.state == State::Word
    }

    /// Goes on through further bytes; returns how many of them belong to the value once its end is
    /// found.
    #[inline]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            match self.state {
                State::Between => {
                    let (next, is_end) = self.between(bytes, at);
                    if is_end {
                        return Some(next);
                    }
                    at = next;
                }
                State::String => {
                    let found = string_byte(bytes, at)?;
                    at = found + 1;
                    if bytes[found] == b'\\' {
                        self.state = State::Escape;
                    } else if self.depth == 0 {
                        return Some(at);
                    } else {
                        self.state = State::Between;
                    }
                }
                State::Escape => {
                    at += 1;
                    self.state = State::String;
                }
                State::Word => match word_end(bytes, at) {
                    Some(end) => return Some(end),
                    None => return None,
                },
                State::Begin => {
                    self.state = match bytes[at] {
                        b'{' | b'[' => {
                            self.depth = 1;
                            State::Between
                        }
                        b'"' => State::String,
                        _ => State::Word,
                    };
                    at += 1;
                }
            }
        }
        None
    }

    /// Goes on to the next string, or to the end of the value or of the bytes.
    #[inline]
    fn between(&mut self, bytes: &[u8], from: usize) -> (usize, bool) {
        let mut depth = self.depth;
        for (offset, byte) in bytes[from..].iter().enumerate() {
            match byte {
                b'"' => {
                    self.depth = depth;
                    self.state = State::String;
                    return (from + offset + 1, false);
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return (from + offset + 1, true);
                    }
                }
                _ => {}
            }
        }
        self.depth = depth;
        (bytes.len(), false)
    }
}

/// Position of the next quote or backslash.
#[inline]
fn string_byte(bytes: &[u8], from: usize) -> Option<usize> {
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    let mut at = from;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().unwrap_or_default());
        let found = zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES);
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    found.map(|offset| at + offset)
}

/// Sets the highest bit of the first byte that is zero. Bytes behind it may be marked wrongly.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Where a number or a word ends.
fn word_end(bytes: &[u8], from: usize) -> Option<usize> {
    let is_behind = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b':' | b'"') || is_space(*byte);
    let found = bytes[from..].iter().position(is_behind);
    found.map(|offset| from + offset)
}

/// Whether JSON takes the byte for white space.
#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value at the beginning of a text, which is given in pieces of this many bytes.
    fn value(text: &str, piece: usize) -> Option<&str> {
        let mut extent = Extent::default();
        let mut before = 0;
        for bytes in text.as_bytes().chunks(piece) {
            if let Some(count) = extent.feed(bytes) {
                return Some(&text[..before + count]);
            }
            before += bytes.len();
        }
        extent.may_end().then_some(text)
    }

    #[test]
    fn a_value_ends_where_it_ends_however_it_arrives() {
        for (text, whole) in [
            (
                r#"{"a":[1,{"b":"}"}],"c":"\"]"}, 5"#,
                r#"{"a":[1,{"b":"}"}],"c":"\"]"}"#,
            ),
            (
                r#""long enough for eight \\" tail"#,
                r#""long enough for eight \\""#,
            ),
            (r#""\\\"12345678\"" ,"#, r#""\\\"12345678\"""#),
            ("-12.5e3,", "-12.5e3"),
            ("true]", "true"),
            ("null", "null"),
            ("[]]", "[]"),
            ("[[[{}]]]x", "[[[{}]]]"),
            (
                r#"["ünï\u00e9\\\\","12345678901234567890\\"]z"#,
                r#"["ünï\u00e9\\\\","12345678901234567890\\"]"#,
            ),
        ] {
            for piece in 1..40 {
                assert_eq!(value(text, piece), Some(whole), "{text} by {piece}");
            }
        }
        assert_eq!(value(r#"{"a":"}"#, 3), None);
    }
}
