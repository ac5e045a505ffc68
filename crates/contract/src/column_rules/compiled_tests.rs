#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::column_rules::Case;
use lakehook_base::columns::Decimal;
use lakehook_base::json::Members;
use lakehook_base::secret::Secret;

fn rules(own: impl IntoIterator<Item = (&'static str, ColumnRule)>) -> ColumnRules {
    let own = own.into_iter();
    ColumnRules::new(&own.map(|(name, rule)| (name.to_owned(), rule)).collect()).unwrap()
}

fn typed(kind: &str) -> ColumnRule {
    ColumnRule {
        kind: Some(ColumnType::parse(kind).unwrap()),
        ..ColumnRule::default()
    }
}

/// What the rules make of a record, the columns that they make null, and the errors.
fn applied(rules: &ColumnRules, record: &str) -> (String, Nulled, Vec<String>) {
    let Members(members) = serde_json::from_str(record).unwrap();
    let mut errors = Errors::below(String::new(), 20);
    let mut out = Vec::new();
    let nulled = rules.apply(&members, &mut out, &mut errors);
    let text = String::from_utf8(out).unwrap();
    assert!(
        serde_json::from_str::<serde_json::Value>(&text).is_ok(),
        "{text}"
    );
    let errors = errors.listed().iter();
    let errors = errors.map(|error| format!("{} {}", error.pointer, error.detail));
    (text, nulled, errors.collect())
}

/// What a rule makes of each value of a column `a`; `None` if it refuses the value.
fn made(rule: &ColumnRule, cases: &[(&str, Option<&str>)]) {
    let rules = rules([("a", rule.clone())]);
    for (raw, expected) in cases {
        let (text, _, errors) = applied(&rules, &format!("{{\"a\":{raw}}}"));
        let found = text
            .strip_prefix("{\"a\":")
            .and_then(|text| text.strip_suffix('}'));
        let found = found.filter(|_| errors.is_empty());
        assert_eq!(found, *expected, "{raw}: {errors:?}");
    }
}

#[test]
fn members_are_renamed_left_out_and_added_and_others_stay_as_they_are() {
    let rules = rules([
        (
            "claim_id",
            ColumnRule {
                from: Some("Claim_ID".to_owned()),
                ..ColumnRule::default()
            },
        ),
        (
            "notes",
            ColumnRule {
                drop: true,
                ..ColumnRule::default()
            },
        ),
        (
            "region",
            ColumnRule {
                value: Some("eu".into()),
                ..ColumnRule::default()
            },
        ),
    ]);
    let record = r#"{"n":1.50,"Claim_ID":"c1","notes":"x","nested":{"notes": [1e5,null]},"region":"us","\u006eotes2":1}"#;
    let (text, nulled, errors) = applied(&rules, record);
    assert_eq!(
        text,
        r#"{"n":1.50,"claim_id":"c1","nested":{"notes": [1e5,null]},"\u006eotes2":1,"region":"eu"}"#
    );
    assert!(nulled.is_empty() && errors.is_empty());
    assert_eq!(applied(&rules, "{}").0, r#"{"region":"eu"}"#);
    assert_eq!(
        applied(&rules, r#"{"claim_id":1}"#).0,
        r#"{"claim_id":1,"region":"eu"}"#
    );
    let (_, _, errors) = applied(&rules, r#"{"claim_id":1,"Claim_ID":2}"#);
    assert!(errors[0].starts_with("/claim_id "), "{errors:?}");
    // A key with an escape is the same key.
    assert_eq!(
        applied(&rules, r#"{"Claim\u005fID":7}"#).0,
        r#"{"claim_id":7,"region":"eu"}"#
    );
}

#[test]
fn one_member_may_feed_several_columns() {
    let rules = rules([
        (
            "email",
            ColumnRule {
                drop: true,
                ..ColumnRule::default()
            },
        ),
        (
            "email_hash",
            ColumnRule {
                from: Some("email".to_owned()),
                trim: true,
                case: Some(Case::Lower),
                hash: Some(Secret::new("key")),
                ..ColumnRule::default()
            },
        ),
    ]);
    let hash = "b9f1a4e5d5d9c8f9"; // only its length is compared below
    let (text, _, _) = applied(&rules, r#"{"email":" A@Example.com "}"#);
    let (same, _, _) = applied(&rules, r#"{"email":"a@example.com"}"#);
    assert_eq!(text, same);
    assert!(
        text.starts_with(r#"{"email_hash":""#) && text.len() > hash.len() + 60,
        "{text}"
    );
    assert!(!text.contains("xample"), "{text}");
}

#[test]
fn a_hash_is_that_of_the_standard() {
    // RFC 4231, test case 2.
    let rule = ColumnRule {
        hash: Some(Secret::new("Jefe")),
        ..ColumnRule::default()
    };
    let expected = "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"";
    made(
        &rule,
        &[
            ("\"what do ya want for nothing?\"", Some(expected)),
            ("null", Some("null")),
            ("[1]", None),
        ],
    );
}

#[test]
fn nulls_are_counted_if_the_rule_made_them() {
    let rule = ColumnRule {
        nulls: vec!["not-a-date".to_owned(), String::new(), "-1".to_owned()],
        trim: true,
        ..ColumnRule::default()
    };
    let rules = rules([("a", rule)]);
    for (raw, expected, count) in [
        ("\"not-a-date\"", "null", 1),
        ("\"  \"", "null", 1),
        ("-1", "null", 1),
        ("null", "null", 0),
        ("\" x \"", "\"x\"", 0),
        ("[ \"\" ]", "[ \"\" ]", 0),
    ] {
        let (text, nulled, _) = applied(&rules, &format!("{{\"a\":{raw}}}"));
        assert_eq!(
            (text, nulled.len()),
            (format!("{{\"a\":{expected}}}"), count),
            "{raw}"
        );
    }
    assert_eq!(rules.column(0), "a");
}

#[test]
fn whole_numbers() {
    made(
        &typed("integer"),
        &[
            ("21", Some("21")),
            ("\"-0021\"", Some("-21")),
            ("\"+7\"", Some("7")),
            ("21.0", None),
            ("\"21.0\"", None),
            ("\"\"", None),
            ("\"x\"", None),
            ("true", None),
            ("9223372036854775808", None),
            ("\"9223372036854775807\"", Some("9223372036854775807")),
        ],
    );
    let whole = ColumnRule {
        whole: true,
        ..typed("integer")
    };
    made(
        &whole,
        &[
            ("21.0", Some("21")),
            ("\"21.00\"", Some("21")),
            ("2.1e1", Some("21")),
            ("21.5", None),
            ("\"21.5\"", None),
            ("9223372036854775808.0", None),
        ],
    );
}

#[test]
fn decimals_lose_nothing() {
    let rule = ColumnRule {
        strip: vec!["$".to_owned(), "USD".to_owned()],
        thousands: Some(",".to_owned()),
        kind: Some(ColumnType::Decimal(Decimal::new(12, 2).unwrap())),
        ..ColumnRule::default()
    };
    made(
        &rule,
        &[
            ("\"$1,234.50\"", Some("1234.50")),
            ("\"1,234,567 USD\"", Some("1234567.00")),
            ("\"-$ 5\"", Some("-5.00")),
            ("\".5\"", Some("0.50")),
            ("12.345", None),
            ("\"12,50\"", None),
            ("\"1,2345\"", None),
            ("\",123\"", None),
            ("\"1,234,56\"", None),
            ("1e3", Some("1000.00")),
            ("\"\"", None),
            ("\"$\"", None),
            ("12.10", Some("12.10")),
            ("99999999999", None),
            ("\"--1\"", None),
            ("\"1.2.3\"", None),
            ("\"0x10\"", None),
            ("\"NaN\"", None),
        ],
    );
}

#[test]
fn doubles_booleans_texts_and_dates() {
    made(
        &typed("double"),
        &[
            ("\"1.5e3\"", Some("1.5e3")),
            ("1.10", Some("1.10")),
            ("\"007.5\"", Some("7.5")),
            ("\"1,5\"", None),
            ("9007199254740993", None),
            ("\"5.\"", None),
        ],
    );
    made(
        &typed("boolean"),
        &[
            ("true", Some("true")),
            ("\"FALSE\"", Some("false")),
            ("1", Some("true")),
            ("\"0\"", Some("false")),
            ("2", None),
            ("\"yes\"", None),
        ],
    );
    made(
        &typed("text"),
        &[
            ("1.50", Some("\"1.50\"")),
            ("true", Some("\"true\"")),
            ("\"a\\nb\"", Some("\"a\\nb\"")),
            ("{}", None),
        ],
    );
    let dates = ColumnRule {
        formats: vec!["%m/%d/%Y".to_owned(), "%Y%m%d".to_owned()],
        ..typed("date")
    };
    made(
        &dates,
        &[
            ("\"11/20/2026\"", Some("\"2026-11-20\"")),
            ("20261120", Some("\"2026-11-20\"")),
            ("\"2026-11-20\"", None),
        ],
    );
    made(
        &typed("time"),
        &[
            (
                "\"2026-11-20T10:00:00+01:00\"",
                Some("\"2026-11-20T09:00:00.000000Z\""),
            ),
            ("\"2026-11-20\"", None),
        ],
    );
}

#[test]
fn what_cannot_be_used_is_named_all_at_once() {
    let own = [
        ("lsn", ColumnRule::default()),
        (
            "a",
            ColumnRule {
                drop: true,
                trim: true,
                ..ColumnRule::default()
            },
        ),
        (
            "b",
            ColumnRule {
                formats: vec!["%Y".to_owned()],
                ..typed("date")
            },
        ),
        (
            "c",
            ColumnRule {
                strip: vec!["1".to_owned()],
                ..typed("integer")
            },
        ),
        (
            "d",
            ColumnRule {
                thousands: Some(".".to_owned()),
                ..typed("double")
            },
        ),
        (
            "e",
            ColumnRule {
                whole: true,
                ..typed("double")
            },
        ),
        (
            "f",
            ColumnRule {
                hash: Some(Secret::new("k")),
                ..typed("integer")
            },
        ),
        (
            "g",
            ColumnRule {
                value: Some(serde_json::json!([1])),
                ..ColumnRule::default()
            },
        ),
        ("H", ColumnRule::default()),
        ("h", ColumnRule::default()),
        (
            "i",
            ColumnRule {
                formats: vec!["%d/%m/%Y".to_owned(), "%m/%d/%Y".to_owned()],
                ..typed("date")
            },
        ),
        (
            "j",
            ColumnRule {
                formats: vec!["%Y-%m-%d".to_owned()],
                ..ColumnRule::default()
            },
        ),
    ];
    let own = own
        .map(|(name, rule)| (name.to_owned(), rule))
        .into_iter()
        .collect();
    let errors = ColumnRules::new(&own).unwrap_err();
    let mut found: Vec<_> = errors
        .iter()
        .map(|error| (error.column.as_str(), error.key))
        .collect();
    found.sort_unstable();
    let mut expected = vec![
        ("lsn", "from"),
        ("a", "drop"),
        ("b", "formats"),
        ("c", "strip"),
        ("d", "thousands"),
        ("e", "whole"),
        ("f", "hash"),
        ("g", "value"),
        ("h", "from"),
        ("i", "formats"),
        ("j", "formats"),
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn another_rule_or_key_has_another_hash() {
    let hash = |key: &str| {
        let rule = ColumnRule {
            hash: Some(Secret::new(key)),
            ..ColumnRule::default()
        };
        rules([("a", rule)]).hash()
    };
    assert_ne!(hash("one"), hash("other"));
    assert_eq!(hash("one"), hash("one"));
    assert_eq!(ColumnRules::default().hash(), 0);
}

#[test]
fn a_column_is_made_of_a_value_within_a_member() {
    let from = |place: &str, kind: Option<&str>| ColumnRule {
        from: Some(place.to_owned()),
        kind: kind.and_then(ColumnType::parse),
        ..ColumnRule::default()
    };
    let rules = rules([
        ("day", from("/dimensions/0/value", Some("date"))),
        ("email", from("/user/e~1mail", None)),
        ("top", from("/name", None)),
        (
            "user",
            ColumnRule {
                drop: true,
                ..ColumnRule::default()
            },
        ),
    ]);
    let (text, _, errors) = applied(
        &rules,
        r#"{"dimensions":[{"value":"2026-01-31"}],"user":{"e/mail":"a@b"},"name":1}"#,
    );
    assert_eq!(errors, [""; 0]);
    // What a value is taken from stays, unless it is a member of the record itself, or is left out.
    assert_eq!(
        text,
        r#"{"dimensions":[{"value":"2026-01-31"}],"top":1,"day":"2026-01-31","email":"a@b"}"#
    );
    let (text, _, errors) = applied(&rules, r#"{"dimensions":[],"user":null}"#);
    assert_eq!((text.as_str(), errors.len()), (r#"{"dimensions":[]}"#, 0));
    let (_, _, errors) = applied(
        &rules,
        r#"{"dimensions":[{"value":"x"}],"day":"2026-01-31"}"#,
    );
    assert!(errors[0].starts_with("/dimensions/0/value "), "{errors:?}");
    assert!(
        errors[1].starts_with("/day no member of this name"),
        "{errors:?}"
    );
}
