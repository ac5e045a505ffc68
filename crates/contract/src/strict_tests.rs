//! Compares the scanner with examples, and with a model that parses the whole value.

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::faults::Errors;

fn faults(text: &str) -> Vec<(String, &'static str)> {
    let mut errors = Errors::below(String::new(), 100);
    Scanner::default().scan(text, &String::new, &mut errors);
    let found = errors.listed().iter();
    found.map(|e| (e.pointer.clone(), e.code)).collect()
}

fn codes(text: &str) -> Vec<&'static str> {
    faults(text).into_iter().map(|(_, code)| code).collect()
}

#[test]
fn what_is_wrong_is_found_where_it_is() {
    let text = r#"{"a":[1,{"b":"\ud800","B":1e999}],"c\u0000":{},"\udc00":0,"x/y":{"k":1,"\u212a":-1e400}}"#;
    let expected = [
        ("/a/1/b", "lone_surrogate"),
        ("/a/1/B", "duplicate_key"),
        ("/a/1/B", "number_out_of_range"),
        ("/c\0", "nul_in_key"),
        ("/\\udc00", "lone_surrogate"),
        ("/x~1y/\u{212a}", "duplicate_key"),
        ("/x~1y/\u{212a}", "number_out_of_range"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
    assert_eq!(faults(text), expected);
}

#[test]
fn numbers_are_finite_or_refused() {
    let long = |digits: usize| "9".repeat(digits);
    for number in [
        "0",
        "-0",
        "1e308",
        "1e-999",
        "-1.5E+10",
        "0e99999",
        &long(60),
        &long(308),
    ] {
        assert!(codes(number).is_empty(), "{number}");
    }
    let long_fraction = format!("1.{}", long(1000));
    assert!(codes(&long_fraction).is_empty());
    for number in [
        "1e999",
        "-1e309",
        "1E+400",
        "2e308",
        &long(400),
        &format!("-{}", long(400)),
    ] {
        assert_eq!(codes(number), ["number_out_of_range"], "{number}");
    }
    let huge_exponent = format!("1e{}", long(1000));
    assert_eq!(codes(&huge_exponent), ["number_out_of_range"]);
}

#[test]
fn surrogates_come_in_pairs() {
    for text in [
        r#""\ud83d\ude00""#,
        r#""\\ud800""#,
        r#""\u0041\n""#,
        r#""é""#,
        r#""\ufffd""#,
    ] {
        assert!(codes(text).is_empty(), "{text}");
    }
    for text in [
        r#""\ud800""#,
        r#""\uDC00""#,
        r#""\ude00\ud83d""#,
        r#""\ud800\ud800\udc00""#,
        r#""\ud800A""#,
        r#""\ud800\n""#,
        r#""\ud83d\ude00\udc00""#,
        r#""\\\ud800""#,
    ] {
        assert_eq!(codes(text), ["lone_surrogate"], "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(codes(&nested(64)).is_empty());
    assert_eq!(codes(&nested(65)), ["too_deep"]);
    assert_eq!(codes(&nested(100_000)), ["too_deep"]);
    let objects = format!("{}1{}", r#"{"a":"#.repeat(64), "}".repeat(64));
    assert!(codes(&objects).is_empty());
    assert_eq!(codes(&format!("[{objects}]")), ["too_deep"]);
}

#[test]
fn many_keys_take_linear_time() {
    let keys: Vec<String> = (0..100_000).map(|key| format!("\"key{key}\":0,")).collect();
    let keys = keys.concat();
    let text = format!("{{{keys}\"KEY77\":0}}");
    assert_eq!(faults(&text), [("/KEY77".to_owned(), "duplicate_key")]);
}

/// What the scanner should find, computed from a tree. Only for values without escaped surrogates.
fn model(value: &[Node], codes: &mut Vec<&'static str>) {
    let mut seen = HashSet::new();
    for node in value {
        if !seen.insert(node.key.to_lowercase()) {
            codes.push("duplicate_key");
        }
        match &node.value {
            Leaf::Number(text) if !text.parse().is_ok_and(f64::is_finite) => {
                codes.push("number_out_of_range");
            }
            Leaf::Object(members) => model(members, codes),
            _ => {}
        }
    }
}

#[derive(Clone, Debug)]
struct Node {
    key: String,
    value: Leaf,
}

#[derive(Clone, Debug)]
enum Leaf {
    Number(String),
    Text(String),
    Object(Vec<Node>),
}

fn written(value: &[Node], out: &mut String) {
    out.push_str("{ ");
    for (index, node) in value.iter().enumerate() {
        if index > 0 {
            out.push_str(" ,\n");
        }
        out.push_str(&Value::from(node.key.as_str()).to_string());
        out.push_str(" : ");
        match &node.value {
            Leaf::Number(text) => out.push_str(text),
            Leaf::Text(text) => out.push_str(&Value::from(text.as_str()).to_string()),
            Leaf::Object(members) => written(members, out),
        }
    }
    out.push('}');
}

fn object() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?".prop_map(Leaf::Number),
        "[a-z\"\\\\{}\\[\\],:é\n]{0,8}".prop_map(Leaf::Text),
    ];
    let key = "[aAbB\"\\\\éÉ]{0,2}";
    let members = move |value: BoxedStrategy<Leaf>| {
        let member = (key, value).prop_map(|(key, value)| Node { key, value });
        prop::collection::vec(member, 0..20)
    };
    let value = leaf.prop_recursive(3, 40, 20, move |inner| {
        members(inner.boxed()).prop_map(Leaf::Object)
    });
    members(value.boxed())
}

proptest! {
    #![proptest_config(crate::mutations::cases(256))]
    #[test]
    fn the_scanner_finds_what_the_model_finds(value in object()) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        written(&value, &mut text);
        model(&value, &mut expected);
        let mut errors = Errors::below(String::new(), usize::MAX);
        Scanner::default().scan(&text, &String::new, &mut errors);
        let found: Vec<_> = errors.listed().iter().map(|e| e.code).collect();
        prop_assert_eq!(found, expected, "{}", text);
    }

    #[test]
    fn strings_are_refused_exactly_where_serde_json_refuses_them(parts in prop::collection::vec(prop_oneof![
        Just("\\ud83d"), Just("\\ude00"), Just("\\u0041"), Just("\\\\"), Just("\\n"), Just("x"), Just("ud800"),
    ], 0..8)) {
        let text = format!("\"{}\"", parts.concat());
        let is_text = serde_json::from_str::<String>(&text).is_ok();
        prop_assert_eq!(codes(&text).is_empty(), is_text, "{}", text);
    }
}
