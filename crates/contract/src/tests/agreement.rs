//! The two passes agree about every body.

use proptest::prelude::*;

use super::*;
use crate::mutations::{changed, changes};

/// Members of an event, most of them good.
fn member() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#""x":1"#,
        r#""X":[ 1,
2 ]"#,
        r#""y":{"a":1,"A":2}"#,
        r#""z":"\ud800""#,
        r#""\ud800":1"#,
        r#""n\u0000":1"#,
        r#""big":1e400"#,
        r#""event_id":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50""#,
        r#""user":{"k":[{}]}"#,
        r#""lsn":-0.0"#,
        r#""":null"#,
        r#""a\"b":"\"""#,
        r#""é":1"#,
        r#""É":1"#,
        r#""properties":{}"#,
        r#""source":1"#,
        r#""source":"\u0077eb""#,
    ])
    .prop_map(str::to_owned)
}

/// One of the good values nine times out of ten.
fn mostly(good: &[&'static str], bad: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let (good, bad) = (good.to_vec(), bad.to_vec());
    prop_oneof![9 => prop::sample::select(good), 1 => prop::sample::select(bad)]
        .prop_map(str::to_owned)
}

fn event() -> impl Strategy<Value = String> {
    let id = mostly(
        &[
            r#""event_id":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50""#,
            r#""event_id" : "0193E0A2-7F3B-7C11-8A5E-4B1D2C3E4F51""#,
            r#""event\u005fid":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f5\u0030""#,
        ],
        &[
            r#""event_id":"0193e0a27f3b7c118a5e4b1d2c3e4f50""#,
            r#""event_id":1"#,
            r#""event_id":"\ud800""#,
            r#""event":1"#,
        ],
    );
    let user = mostly(
        &[
            r#""user_id":null"#,
            r#""user_id":"u""#,
            r#""user_id":"\u0000\u0041""#,
            r#""user_id":{"user_id":"v","x":[1
]}"#,
        ],
        &[
            r#""user_id":"""#,
            r#""user_id":1"#,
            r#""user_id":{}"#,
            r#""user_id":{"user_id":""}"#,
            r#""user_id":"\ud800""#,
            r#""user_id":{"user_id":"v","a":{"b":1,"B":1}}"#,
        ],
    );
    let kind = mostly(
        &[
            r#""event_type":"click""#,
            r#""event_type":"signup""#,
            r#""event_type":"view""#,
            r#""event_type":"purchase""#,
        ],
        &[r#""event_type":"nap""#, r#""event_type":null"#],
    );
    let source = mostly(
        &[r#""source":"web""#, r#""source":"\u0061pple""#],
        &[r#""source":"ios""#],
    );
    let time = mostly(
        &[
            r#""timestamp":"2026-11-20T16:00:00Z""#,
            r#""timestamp":"2026-11-19T16:00:00.5+01:00""#,
        ],
        &[
            r#""timestamp":"2024-11-20T16:00:00Z""#,
            r#""timestamp":"2026-11-20 16:00:00Z""#,
            r#""timestamp":1"#,
        ],
    );
    let properties = mostly(
        &[
            r#""properties":{"content_id":"c","amount":1,"product_id":"p"}"#,
            r#""properties":{"content_id":"c","media_type":"text","amount":1.0e2,"product_id":"\u0041"}"#,
        ],
        &[
            r#""properties":{}"#,
            r#""properties":[]"#,
            r#""properties":{"a":1e999}"#,
            r#""properties":{"content_id":1,"amount":-1}"#,
        ],
    );
    let fields = (id, user, kind, source, time, properties);
    let extra = prop_oneof![3 => prop::collection::vec(member(), 0..1), 1 => prop::collection::vec(member(), 0..4)];
    let shuffled = (fields, extra)
        .prop_map(|((a, b, c, d, e, f), extra)| [vec![a, b, c, d, e, f], extra].concat());
    let members = shuffled.prop_shuffle();
    let event = members.prop_map(|members| format!("{{ {} }}", members.join(" ,\n")));
    prop_oneof![30 => event, 1 => "1|null|\\[\\]|\\{\\}"]
}

proptest! {
    #![proptest_config(crate::mutations::cases(1000))]
    #[test]
    fn the_passes_agree(events in prop::collection::vec(event(), 0..3), tail in prop::sample::select(vec!["]}", "]}\n", "]} x", "],\"x\":1}", "]", ",]}"]), ignore in any::<bool>(), small in 0..8_u8) {
        let max_event_bytes = if small == 0 { 250 } else { 1 << 20 };
        let dedup_ignore = if ignore { vec!["/properties/amount".to_owned(), "/x".to_owned()] } else { vec![] };
        let rules = Rules { max_event_bytes, dedup_ignore, drop_unchecked: false,
            ..Rules::default() };
        let contract = contract(rules);
        let body = format!("{{\"events\":[{}{tail}", events.join(", "));
        let origin = origin();
        let quick = fast::check(&contract, &body, &origin);
        let thorough = slow::check(&contract, &body, &origin);
        match (quick, thorough) {
            (Some(quick), Ok(thorough)) => {
                prop_assert_eq!(thorough.errors_total, 0);
                prop_assert_eq!(quick.rows, thorough.rows);
                prop_assert_eq!((quick.received, quick.dropped), (thorough.received, thorough.dropped));
            }
            (None, Err(_)) => {}
            (quick, thorough) => prop_assert!(false, "{body}\n{quick:?}\n{thorough:?}"),
        }
    }

    /// What is dropped unchecked is taken by the slow pass alone, unless it is valid; all else is taken by both.
    #[test]
    fn the_passes_agree_on_what_is_dropped(events in prop::collection::vec(event(), 0..3)) {
        let contract = contract(Rules::default());
        let body = format!("{{\"events\":[{}]}}", events.join(", "));
        let origin = origin();
        let quick = fast::check(&contract, &body, &origin);
        let thorough = slow::check(&contract, &body, &origin);
        match (quick, thorough) {
            (Some(quick), Ok(thorough)) => {
                prop_assert_eq!(quick.rows, thorough.rows);
                prop_assert_eq!((quick.received, quick.dropped), (thorough.received, thorough.dropped));
            }
            (None, Ok(thorough)) => prop_assert!(!thorough.dropped.is_empty(), "{body}"),
            (None, Err(_)) => {}
            (quick, thorough) => prop_assert!(false, "{body}\n{quick:?}\n{thorough:?}"),
        }
    }

    /// The same for bodies of which bytes were changed: if one pass accepts a body, the other makes the same
    /// rows of it.
    #[test]
    fn the_passes_agree_on_changed_bytes(events in prop::collection::vec(event(), 1..3), changes in changes(&[
        b"{", b"}", b"[", b"]", b",", b":", b"\"", b"\\", b"\\u0000", b"\\ud800", b"1e999", b"null", b"\n", b"\"A\":1,\"a\":2,",
    ])) {
        let contract = contract(Rules { drop_unchecked: false, ..Rules::default() });
        let body = changed(format!("{{\"events\":[{}]}}", events.join(",")).as_bytes(), &changes);
        let Ok(body) = std::str::from_utf8(&body) else { return Ok(()) };
        let quick = fast::check(&contract, body, &origin());
        let thorough = slow::check(&contract, body, &origin());
        match (quick, thorough) {
            (Some(quick), Ok(thorough)) => prop_assert_eq!(quick.rows, thorough.rows),
            (None, Err(_)) => {}
            (quick, thorough) => prop_assert!(false, "{body}\n{quick:?}\n{thorough:?}"),
        }
    }
}
