//! The shortcut is never wrong, and it accepts the values that it exists for.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::reader::Reader;

fn is_surely_valid(quick: &Quick, raw: &str) -> bool {
    let mut members = Vec::new();
    Reader::new(raw).object(&mut members).unwrap();
    quick.is_surely_valid(&members)
}

#[test]
fn a_simple_schema_has_a_short_cut() {
    let quick = Quick::compile(&json!({
        "type": "object", "title": "t", "required": ["amount", "id", "other"],
        "properties": {
            "amount": {"type": "number", "minimum": 0},
            "id": {"type": "string", "minLength": 1, "maxLength": 3},
            "kind": {"enum": ["a", "b"]},
            "day": {"type": "string", "format": "date"},
        },
    }));
    let quick = quick.unwrap();
    assert!(is_surely_valid(
        &quick,
        r#"{"amount":1.5,"id":"äöü","other":[1],"more":{"x":1}}"#
    ));
    assert!(is_surely_valid(
        &quick,
        r#"{"amount":0,"id":"\u0041","other":null,"kind":"b"}"#
    ));
    for raw in [
        r#"{"amount":-1,"id":"a","other":1}"#,
        r#"{"amount":1,"id":"","other":1}"#,
        r#"{"amount":1,"id":"abcd","other":1}"#,
        r#"{"amount":1,"id":"a"}"#,
        r#"{"amount":1,"id":"a","other":1,"kind":"c"}"#,
        r#"{"amount":"1","id":"a","other":1}"#,
    ] {
        assert!(!is_surely_valid(&quick, raw), "{raw}");
    }
}

#[test]
fn any_other_keyword_has_none() {
    for schema in [
        json!(true),
        json!({"type": "array"}),
        json!({"minProperties": 1}),
        json!({"additionalProperties": false}),
        json!({"properties": {"a": true}}),
        json!({"properties": {"a": {"pattern": "x"}}}),
        json!({"properties": {"a": {"enum": ["x", 1]}}}),
        json!({"properties": {"a": {"minimum": 1e17}}}),
        json!({"properties": {"a": {"enum": ["x"], "const": "x"}}}),
    ] {
        assert!(Quick::compile(&schema).is_none(), "{schema}");
    }
}

fn property() -> impl Strategy<Value = Value> {
    let words = [
        "null", "boolean", "string", "integer", "number", "array", "object",
    ];
    let keyword = prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|t| ("type", json!(t))),
        prop::sample::subsequence(words.to_vec(), 1..4).prop_map(|t| ("type", json!(t))),
        prop::collection::hash_set("[ab]{0,2}", 1..3).prop_map(|w| ("enum", json!(w))),
        "[ab]{1,2}".prop_map(|w| ("const", json!(w))),
        (-3..3).prop_map(|n| ("minimum", json!(n))),
        (-3.0..3.0).prop_map(|n| ("maximum", json!(n))),
        (0..3).prop_map(|n| ("minLength", json!(n))),
        (0..3).prop_map(|n| ("maxLength", json!(n))),
    ];
    prop::collection::vec(keyword, 0..3).prop_map(|keywords| {
        let pairs = keywords.into_iter().map(|(k, v)| (k.to_owned(), v));
        Value::Object(pairs.collect())
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "null|true|false|\\[\\]|\\[1,\\{\\}\\]|\\{\\}|\\{\"a\":1\\}".prop_map(|text| text),
        "-?[0-3](\\.[0-9])?(e[+-]?[0-9])?",
        "-?900719925474099[0-9](\\.0)?|18446744073709551616|1e300",
        "\"[abé]{0,3}\"",
        Just("\"\\u0061\"".to_owned()),
    ]
}

proptest! {
    #![proptest_config(crate::mutations::cases(2000))]
    #[test]
    fn what_is_surely_valid_is_valid(
        a in property(), b in property(),
        required in prop::sample::subsequence(vec!["a", "b", "c"], 0..3),
        values in prop::collection::btree_map("[abcd]", value(), 0..4),
    ) {
        let schema = json!({"type": "object", "properties": {"a": a, "b": b}, "required": required});
        let members: Vec<String> = values.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect();
        let raw = format!("{{{}}}", members.join(","));
        if let Some(quick) = Quick::compile(&schema)
            && is_surely_valid(&quick, &raw)
        {
            let value: Value = serde_json::from_str(&raw).unwrap();
            prop_assert!(jsonschema::is_valid(&schema, &value), "{} {}", schema, raw);
        }
    }
}
