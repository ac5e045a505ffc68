//! The reader accepts the same values as serde_json together with the scanner, which the slow pass uses.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::faults::{Counted, Faults as _};
use crate::strict::Scanner;
use lakehook_base::json::Members;

/// Whether the reader accepts the whole text as one value.
fn takes(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.value().is_some() && reader.peek().is_none()
}

/// Whether the slow pass would find nothing wrong with the text.
fn is_good(text: &str) -> bool {
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else {
        return false;
    };
    let mut faults = Counted::default();
    Scanner::default().scan(raw.get(), &String::new, &mut faults);
    faults.total() == 0
}

#[test]
fn examples_are_taken_or_not() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let keys = |count: usize, more: &str| {
        let own: Vec<String> = (0..count)
            .map(|key| format!("\"Key{key}\":{key}"))
            .collect();
        format!("{{{}{more}}}", own.join(","))
    };
    for text in [
        "0",
        "-0",
        " [ 1 , 2.5e+3 , -0.0E-1 , true , false , null ] ",
        r#"{"":"","a":{"a":{"a":[{}]}},"b":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 \u0000"}"#,
        r#"{"\u0061":1,"b":2}"#,
        "\"\u{7f}\u{10ffff}é\"",
        &nested(MAX_DEPTH),
        &keys(100, ""),
    ] {
        assert!(takes(text) && is_good(text), "{text}");
    }
    for text in [
        "",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e+",
        "-",
        "--1",
        "1e999",
        "nul",
        "nulll",
        "tru",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:1}",
        "{}{}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12",
        "\"\t\"",
        "\"\u{1f}\"",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\ud800\ud800""#,
        r#""\ud83d\""#,
        r#"{"a":1,"A":1}"#,
        r#"{"k":1,"\u212a":1}"#,
        "{\"k\":1,\"\u{212a}\":1}",
        r#"{"a":1,"\u0061":1}"#,
        r#"{"x\u0000":1}"#,
        "\u{a0}1",
        "\u{feff}1",
        &nested(MAX_DEPTH + 1),
        &keys(100, ",\"KEY0\":1"),
        &keys(16, ",\"kEY15\":1"),
    ] {
        assert!(!takes(text) && !is_good(text), "{text}");
    }
}

#[test]
fn members_are_shown_with_their_keys_as_text() {
    let text = r#" {"a" : [1, 2] ,"\u0062": "x" }"#;
    let mut members = Vec::new();
    let raw = Reader::new(text).object(&mut members);
    assert_eq!(raw, Some(text.trim()));
    let expected = [("a".into(), "[1, 2]"), ("b".into(), "\"x\"")];
    assert_eq!(members, expected);
}

#[test]
fn raw_members_are_those_that_serde_finds() {
    for text in [
        r#" {"a" : [1, 2] ,"\u0062": "x", "é\"": {"a":{}} } "#,
        "{}",
        "{ }",
        r#"{"a":1}"#,
    ] {
        let Members(expected) = serde_json::from_str(text).unwrap();
        assert_eq!(Reader::raw_members(text), Some(expected), "{text}");
    }
    for text in [
        "[]",
        "1",
        "{",
        r#"{"a":1} 2"#,
        r#"{"a":1,"A":2}"#,
        r#"{"a":"\ud800"}"#,
    ] {
        assert_eq!(Reader::raw_members(text), None, "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Pieces that are usually JSON, in an order that sometimes makes a JSON value.
    #[test]
    fn the_same_texts_are_taken(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"a\":", "\"A\":", "\"b\":", "\"\\u0061\":", "\"é\":", "\"É\":",
        "\"a\"", "\"\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\n\"", "\"\n\"", "\"sixteen plain bytes\"",
        "\"long and \\\"quoted\\\" in the middle\"", "1", "0", "-", ".5", "e9", "e999", "E+1", "true",
        "null", "false", " ", "\n", "\t", "\r", "\\", "\"", "\u{212a}", "{}", "[]", "{\"k\":1}",
    ]), 0..12)) {
        let text = pieces.concat();
        prop_assert_eq!(takes(&text), is_good(&text), "{}", text);
    }

    /// A good value of which one byte was changed.
    #[test]
    fn changed_texts_are_taken_alike(at in 0..200_usize, byte in 0..128_u8) {
        let mut text = br#"{"name":"x \u00e9 \ud83d\ude00","list":[1,-2.5e-3,true,null,{"a":{},"b":[]}],"other name":"plain"}"#.to_vec();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        prop_assert_eq!(takes(&text), is_good(&text), "{}", text);
    }

    #[test]
    fn strings_are_taken_alike(inner in "[ -~\u{0}-\u{1f}\u{7f}-\u{ff}\"\\\\]{0,40}") {
        let text = format!("\"{inner}\"");
        prop_assert_eq!(takes(&text), is_good(&text), "{}", text);
    }

    #[test]
    fn eight_bytes_are_searched_like_one(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0..40_usize) {
        let at = at.min(bytes.len());
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
        let expected = bytes[at..].iter().position(is_special).map_or(bytes.len(), |offset| at + offset);
        prop_assert_eq!(plain_end(&bytes, at), expected);
    }
}
