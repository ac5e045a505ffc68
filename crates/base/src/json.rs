//! JSON in parts: the raw members of an object, strings, and values appended to a buffer.
//!
//! *Raw* is text as it was sent, valid JSON, without white space around it.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
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

/// Passes the raw key (with its quotes) and the raw value of each member of an object to `see`, in order, with
/// repetitions. `None` if the text is no object; some members may have been passed before that shows.
///
/// This only finds where members begin and end. It is for JSON that is known to be valid.
pub fn each_member<'a>(object: &'a str, mut see: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let bytes = object.as_bytes();
    let mut at = passed(bytes, 0, b'{')?;
    if let Some(end) = passed(bytes, at, b'}') {
        return (space_end(bytes, end) == bytes.len()).then_some(());
    }
    loop {
        let key_at = space_end(bytes, at);
        let key_end = string_end(bytes, key_at)?;
        let value_at = space_end(bytes, passed(bytes, key_end, b':')?);
        let value_end = value_end(bytes, value_at)?;
        see(
            object.get(key_at..key_end)?,
            object.get(value_at..value_end)?,
        );
        at = space_end(bytes, value_end);
        if bytes.get(at) != Some(&b',') {
            let end = passed(bytes, at, b'}')?;
            return (space_end(bytes, end) == bytes.len()).then_some(());
        }
        at += 1;
    }
}

/// Where the white space at `at` ends.
#[inline]
fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The place after white space and this byte, if it follows.
#[inline]
fn passed(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = space_end(bytes, at);
    (bytes.get(at) == Some(&byte)).then_some(at + 1)
}

/// Where the string that begins at `at` ends.
#[inline]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the value that begins at `at` ends.
#[inline]
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            let is_outside =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            let length = bytes[at..].iter().position(is_outside)?;
            (length > 0).then_some(at + length)
        }
    }
}

/// Where the object or array that begins at `at` ends.
fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
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
    use proptest::prelude::*;

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

    fn each(object: &str) -> Option<Vec<(&str, &str)>> {
        let mut members = Vec::new();
        each_member(object, |key, value| members.push((key, value)))?;
        Some(members)
    }

    #[test]
    fn members_that_are_found_are_those_that_are_parsed() {
        for object in [
            "{}",
            " { } ",
            r#"{"a":1}"#,
            r#"{"b" : 1.0, "\u0061":[ 1 ], "b":null}"#,
            r#"{"é\"":"\\","":"}{\"]","c":{"d":["]",{"e":"}"}],"f":{}},"g":-1e5 , "h":true}"#,
            "\n{\t\"a\"\r:\n[ [ ] , [ \"\\\\\" ] ]\t}\n",
        ] {
            let Members(parsed) = serde_json::from_str(object).unwrap();
            assert_eq!(each(object).unwrap(), parsed, "{object}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        let whole = r#"{"a":"b\"","c":[{"d":1}],"e":2}"#;
        let cut = (0..whole.len()).map(|end| &whole[..end]);
        let others = [
            "null",
            "[]",
            r#"{"a":1}{"#,
            r#"{"a":}"#,
            r#"{"a" 1}"#,
            "{a:1}",
            r#"{"a":1,}"#,
        ];
        for text in cut.chain(others) {
            assert_eq!(each(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_object_is_divided_as_it_is_parsed(
            members in proptest::collection::vec((".*", "(?s).*", any::<f64>()), 0..5),
        ) {
            let members = members.iter().map(|(key, text, number)| {
                let value = serde_json::json!([text, {text: number}]);
                format!("{}: {value}", serde_json::Value::from(key.as_str()))
            });
            let object = format!("{{{}}}", members.collect::<Vec<_>>().join(" ,"));
            let Members(parsed) = serde_json::from_str(&object).unwrap();
            prop_assert_eq!(each(&object), Some(parsed));
        }

        #[test]
        fn any_text_is_divided_without_a_panic(text in "[{}\\[\\]\",: \\\\a1é]{0,30}") {
            let is_object = each(&text).is_some();
            let may_be_one = text.trim().starts_with('{') && text.trim().ends_with('}');
            prop_assert!(may_be_one || !is_object);
        }
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
