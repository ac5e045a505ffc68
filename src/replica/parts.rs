//! How the items of a log are named in a stream, and how they are cut into parts.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_128;

/// Most parts of an item.
const MAX_PARTS: u64 = 1 << 16;
/// An item follows, whole.
pub(super) const WHOLE: u8 = 0;
/// The name of its parts follows.
pub(super) const IN_PARTS: u8 = 1;

/// The name of the parts of an item: what they add up to, and how they are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    hash: u128,
    bytes: u64,
    part: u64,
}

impl Parts {
    pub(super) fn of(bytes: &[u8], part: usize) -> Self {
        Self {
            hash: xxh3_128(bytes),
            bytes: bytes.len() as u64,
            part: part as u64,
        }
    }

    pub(super) fn token(&self) -> String {
        format!("{:032x}-{}", self.hash, self.part)
    }

    pub(super) fn count(&self) -> u64 {
        self.bytes.div_ceil(self.part.max(1))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = vec![IN_PARTS];
        text.extend_from_slice(&self.hash.to_le_bytes());
        text.extend_from_slice(&self.bytes.to_le_bytes());
        text.extend_from_slice(&self.part.to_le_bytes());
        text
    }

    pub(super) fn decode(text: &[u8]) -> Option<Self> {
        let (hash, rest) = text.split_first_chunk::<16>()?;
        let (bytes, part) = rest.split_first_chunk::<8>()?;
        let own = Self {
            hash: u128::from_le_bytes(*hash),
            bytes: u64::from_le_bytes(*bytes),
            part: u64::from_le_bytes(part.try_into().ok()?),
        };
        (own.part > 0 && own.count() <= MAX_PARTS).then_some(own)
    }
}

/// The name of a file as a part of a subject.
pub(super) fn token_of(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(byte.into());
        } else {
            let _infallible = write!(token, "={byte:02x}");
        }
    }
    token
}

/// What [`token_of`] was made of.
pub(super) fn name_of_token(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'=' {
            let (hex, after) = rest.split_first_chunk::<2>()?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_one_part_of_a_subject() {
        for name in [
            "node",
            "side/apis/a.b=c@1-2",
            "00000000000000000001.ids",
            "ä *>",
            "",
        ] {
            let token = token_of(name);
            assert!(!token.contains(['.', '*', '>', ' ', '/']), "{token}");
            assert_eq!(name_of_token(&token).as_deref(), Some(name));
        }
        assert_eq!(name_of_token("=0"), None);
    }

    #[test]
    fn the_name_of_parts_comes_back() {
        let parts = Parts::of(&[7; 2500], 1000);
        assert_eq!(parts.count(), 3);
        assert_eq!(Parts::decode(&parts.encode()[1..]), Some(parts));
        assert_eq!(Parts::decode(&parts.encode()[2..]), None);
        let none = Parts { part: 0, ..parts };
        assert_eq!(Parts::decode(&none.encode()[1..]), None);
    }
}
