#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;

use super::*;

#[test]
fn what_says_the_same_has_the_same_hash() {
    for (a, b) in [
        (r#"{"a":1,"b":"x"}"#, r#"{ "b" : "x" ,"a": 1.0 }"#),
        (
            r#"{"a":[1,2,{"c":null}]}"#,
            "{\n\t\"a\": [1e0, 20e-1, {\"c\" :null}]}",
        ),
        (r#"{"é":"a/b"}"#, r#"{"\u00e9":"a\/b"}"#),
        (r#"{"a":{"x":1,"y":2}}"#, r#"{"a":{"y":2,"x":1}}"#),
        (r#"{"a":1000}"#, r#"{"a":1e3}"#),
        (r#"{"a":0.001}"#, r#"{"a":1E-3}"#),
        (r#"{"a":0}"#, r#"{"a":-0.0}"#),
        (r#"{"a":1e60}"#, r#"{"a":10e59}"#),
        (
            r#"{"a":123456789012345678901234567890123456789012345678900}"#,
            r#"{"a":1234567890123456789012345678901234567890123456789e2}"#,
        ),
        ("{}", "{ }"),
        ("[]", "[ ]"),
        ("1.50", " 1.5"),
    ] {
        assert_eq!(hash(a), hash(b), "{a} {b}");
    }
}

#[test]
fn what_says_something_else_has_another_hash() {
    let all = [
        "{}",
        "[]",
        "null",
        "0",
        "\"\"",
        "\"0\"",
        "true",
        "false",
        "[[]]",
        "[{}]",
        "[null]",
        "[null,null]",
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"a":null}"#,
        r#"{"b":1}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[2,1]}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":{"b":2}}"#,
        r#"{"a":9007199254740993}"#,
        r#"{"a":9007199254740992}"#,
        r#"{"a":0.1}"#,
        r#"{"a":0.10000000000000000001}"#,
        r#"{"a":-1}"#,
        r#"{"a":1e-400}"#,
        r#"{"a":"{}"}"#,
        r#"{"a":[[1],[2]]}"#,
        r#"{"a":[[1,2]]}"#,
        r#"{"a":[1,[2]]}"#,
    ];
    for (index, a) in all.iter().enumerate() {
        for b in &all[index + 1..] {
            assert_ne!(hash(a), hash(b), "{a} {b}");
        }
    }
}

#[test]
fn numbers_have_one_text() {
    for (raw, text) in [
        ("-0", "0"),
        ("0e99999999999999999999", "0e99999999999999999999"),
        ("100", "100"),
        ("-1.2300", "-1.23"),
        ("12e-1", "1.2"),
        ("12e-4", "0.0012"),
        ("12e400", "12e400"),
        (
            "0.00000000000000000000000000000000000001",
            "0.00000000000000000000000000000000000001",
        ),
        ("0.000000000000000000000000000000000000001", "1e-39"),
    ] {
        let mut out = Vec::new();
        push_number(&mut out, raw);
        assert_eq!(String::from_utf8(out).unwrap(), text, "{raw}");
    }
}

/// A value, and two ways to write it.
#[derive(Clone, Debug)]
struct Written {
    plain: String,
    other: String,
}

fn scalar() -> impl Strategy<Value = Written> {
    let same = |text: &str| Written {
        plain: text.to_owned(),
        other: text.to_owned(),
    };
    prop_oneof![
        Just(same("null")),
        Just(same("true")),
        any::<i32>().prop_map(|number| Written {
            plain: number.to_string(),
            other: format!("{number}.0e0"),
        }),
        "[a-zé/\"\\\\\n]{0,6}".prop_map(|text| Written {
            plain: serde_json::to_string(&text).unwrap(),
            other: escaped(&text),
        }),
    ]
}

/// The text with every character escaped.
fn escaped(text: &str) -> String {
    let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
    format!("\"{}\"", units.collect::<String>())
}

fn value() -> impl Strategy<Value = Written> {
    scalar().prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|list| {
                let joined = |part: fn(&Written) -> &str, with: &str| {
                    let parts: Vec<&str> = list.iter().map(part).collect();
                    parts.join(with)
                };
                Written {
                    plain: format!("[{}]", joined(|w| &w.plain, ",")),
                    other: format!("[ {} ]", joined(|w| &w.other, " ,\n")),
                }
            }),
            prop::collection::btree_map("[a-z]{0,3}", inner, 0..5).prop_map(|map| {
                let plain = map.iter().map(|(key, w)| format!("\"{key}\":{}", w.plain));
                let other = map.iter().rev();
                let other = other.map(|(key, w)| format!("{} : {}", escaped(key), w.other));
                Written {
                    plain: format!("{{{}}}", plain.collect::<Vec<_>>().join(",")),
                    other: format!("{{\t{}}}", other.collect::<Vec<_>>().join(" , ")),
                }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn the_way_of_writing_makes_no_difference(one in value(), two in value()) {
        prop_assert_eq!(hash(&one.plain), hash(&one.other));
        prop_assert_eq!(one.plain == two.plain, hash(&one.plain) == hash(&two.other));
    }

    #[test]
    fn a_canonical_number_is_written_as_it_is(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
        let mut out = Vec::new();
        push_number(&mut out, &number);
        let written = String::from_utf8(out).unwrap();
        let has_exponent = number.contains(['e', 'E']);
        prop_assert!(has_exponent || is_canonical_number(number.as_bytes()) == (written == number));
        let mut again = Vec::new();
        push_number(&mut again, &written);
        prop_assert_eq!(String::from_utf8(again).unwrap(), written);
    }
}
