//! JSON in parts: the raw members of an object, strings, and values appended to a buffer.
//!
//! *Raw* is text as it was sent, valid JSON, without white space around it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The raw keys (with their quotes) and values of an object, in order, with repetitions.
pub struct Members<'a>(pub Vec<(&'a str, &'a str)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                // Most records have a few members.
                let mut members = Vec::with_capacity(8);
                while let Some(key) = map.next_key::<&RawValue>()? {
                    members.push((key.get(), map.next_value::<&RawValue>()?.get()));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A string, borrowed if it holds no escapes.
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// The text of a raw string; `None` if `raw` is not a string, or holds a lone surrogate.
#[inline]
pub fn text(raw: &str) -> Option<Cow<'_, str>> {
    let [b'"', inner @ .., b'"'] = raw.as_bytes() else {
        return None;
    };
    if inner.contains(&b'\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    raw.get(1..=inner.len()).map(Cow::Borrowed)
}

/// Whether the text between the quotes of a string has no escapes.
pub fn is_plain(inner: &str) -> bool {
    !inner.as_bytes().contains(&b'\\')
}

/// The text between the quotes of a raw string.
pub fn between_quotes(raw: &str) -> &str {
    let inner = raw.strip_prefix('"').unwrap_or(raw);
    inner.strip_suffix('"').unwrap_or(inner)
}

/// Appends a value as JSON. Writing to memory cannot fail.
pub fn push_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok(), "strings and numbers always serialise");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn members_are_raw_and_in_order_with_repetitions() {
        let Members(members) =
            serde_json::from_str(r#"{"b" : 1.0, "\u0061":[ 1 ], "b":null}"#).unwrap();
        assert_eq!(
            members,
            [
                ("\"b\"", "1.0"),
                (r#""\u0061""#, "[ 1 ]"),
                ("\"b\"", "null")
            ]
        );
        assert!(serde_json::from_str::<Members<'_>>("[]").is_err());
    }

    #[test]
    fn a_string_is_borrowed_unless_it_has_escapes() {
        assert!(matches!(text(r#""a/é""#), Some(Cow::Borrowed("a/é"))));
        assert_eq!(text(r#""\u0061\n""#).as_deref(), Some("a\n"));
        assert_eq!(text(r#""\ud800""#), None);
        assert_eq!(text("1"), None);
        let Text(read) = serde_json::from_str(r#""a/é""#).unwrap();
        assert!(matches!(read, Cow::Borrowed("a/é")));
        let Text(read) = serde_json::from_str(r#""\u0061""#).unwrap();
        assert_eq!(read, "a");
    }
}
