//! What happens to whole requests: limits, positions of errors, the quarantine, identities, partitions.

use serde_json::Value;

use super::*;
use lakehook_base::clock::Micros;
use lakehook_base::record::RowKind;

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let contract = contract(Rules::default());
    let deep = "[".repeat(100_000);
    let deep_event = format!(r#"{{"events":[{}"#, r#"{"a":"#.repeat(100_000));
    for (body, place) in [
        (b"".as_slice(), (1, 1)),
        (b"{\"events\":[\n  x]}", (2, 3)),
        (b"\xef\xbb\xbf{x", (1, 5)),
        (b"{\"events\":[]}x", (1, 14)),
        (b"{\"events\":[]}\n\n{}", (3, 1)),
        (b"{\"events\":[\"\xff\"]}", (1, 13)),
        (b"\n\xef", (2, 1)),
        // Here the parser stops before the byte that it refuses.
        (b"{\"events\":[\"\x01\"]}", (1, 12)),
        (deep.as_bytes(), (1, 100_000)),
        (deep_event.as_bytes(), (1, 500_011)),
    ] {
        match contract.check(body, &origin()) {
            Err(Refusal::Syntax {
                line,
                column,
                detail,
            }) => {
                assert_eq!(
                    (line, column),
                    place,
                    "{}",
                    String::from_utf8_lossy(&body[..body.len().min(20)])
                );
                assert!(
                    !detail.contains(" at line ") && !detail.is_empty(),
                    "{detail}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nesting_too_deep_is_refused_quickly() {
    let contract = contract(Rules::default());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        invalid(contract.check(deep.as_bytes(), &origin())).0[0].1,
        "not_events"
    );
    let event = EVENT.replace("{}", &format!(r#"{{"a":{deep}}}"#));
    let (errors, _) = invalid(contract.check(body(&[&event]).as_bytes(), &origin()));
    let pointer = format!("/events/0/properties/a{}", "/0".repeat(63));
    assert_eq!(errors, [(pointer, "too_deep".to_owned())]);
}

#[test]
fn no_events_are_fine() {
    let contract = contract(Rules::default());
    for body in ["{\"events\":[]}", "\u{feff} {\n\"events\" : [ ] }\n"] {
        let checked = contract.check(body.as_bytes(), &origin()).unwrap();
        assert_eq!((checked.received, checked.rows.rows.len()), (0, 0));
    }
}

#[test]
fn limits_come_before_errors() {
    let contract = contract(Rules {
        max_events: 2,
        max_event_bytes: EVENT.len(),
        ..Rules::default()
    });
    let check = |events: &[&str]| contract.check(body(events).as_bytes(), &origin());
    assert!(check(&[EVENT, EVENT]).is_ok());
    let many = check(&["1", "2", "3"]);
    assert!(matches!(
        many,
        Err(Refusal::TooManyEvents { max_events: 2 })
    ));
    let longer = EVENT.replace("{}", "{ }");
    let large = check(&["1", &longer]);
    assert!(
        matches!(large, Err(Refusal::EventTooLarge { index: 1, .. })),
        "{large:?}"
    );
}

#[test]
fn many_errors_are_counted_and_some_listed() {
    let contract = contract(Rules::default());
    let events = vec!["{}"; 1000];
    let (errors, total) = invalid(contract.check(body(&events).as_bytes(), &origin()));
    assert_eq!((errors.len(), total), (MAX_ERRORS, 6000));
}

#[test]
fn dropped_events_are_counted_by_type() {
    let contract = contract(Rules {
        drop: vec!["signup".into(), "view".into()],
        ..Rules::default()
    });
    let signup = EVENT.replace("click", "signup");
    let checked = contract
        .check(body(&[&signup, EVENT, &signup]).as_bytes(), &origin())
        .unwrap();
    assert_eq!(checked.dropped, [(3, 2)]);
    assert_eq!((checked.received, checked.rows.rows.len()), (3, 1));
}

#[test]
fn bad_events_go_to_the_quarantine_and_good_ones_do_not() {
    let contract = contract(Rules {
        on_invalid: OnInvalid::Quarantine,
        ..Rules::default()
    });
    let bad = " {\"a\":\n1} ";
    let checked = contract
        .check(body(&[bad, EVENT, "\"x\""]).as_bytes(), &origin())
        .unwrap();
    let kinds: Vec<bool> = checked
        .rows
        .rows
        .iter()
        .map(|r| r.kind == RowKind::Quarantined)
        .collect();
    assert_eq!(kinds, [true, false, true]);
    assert_eq!(
        (checked.received, checked.errors_total, checked.errors.len()),
        (3, 7, 7)
    );
    let partitions = ["quarantine/events/dt=2026-11-20", "events/dt=2026-11-20"];
    assert_eq!(checked.rows.partitions, partitions);
    let lines = lines(&checked);
    let row: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(row["raw"], bad.trim());
    assert_eq!(
        (&row["reason"], &row["errors_total"]),
        (&"invalid_event".into(), &6.into())
    );
    assert_eq!(row["errors"][0]["pointer"], "/events/0/event_id");
    assert_keys(&lines[1]);

    // A body that is not of the form is refused in both modes.
    invalid(contract.check(br#"{"events":[],"x":1}"#, &origin()));
}

fn identities(contract: &Contract, event: &str) -> lakehook_base::record::Identity {
    let checked = contract
        .check(body(&[event]).as_bytes(), &origin())
        .unwrap();
    match checked.rows.rows[0].kind {
        RowKind::Record(identity) => identity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn identities_depend_on_what_counts() {
    let strict = contract(Rules::default());
    let first = identities(&strict, EVENT);
    let upper = EVENT
        .replace("0193e0a2", "0193E0A2")
        .replace("u1", "\\u0075\\u0031");
    assert_eq!(identities(&strict, &upper), first);
    let other = identities(&strict, &EVENT.replace("{}", "{\"attempt\":2}"));
    assert_eq!(other.tag, first.tag);
    assert_ne!(other.content, first.content);
    // The time of receipt is not part of the identity.
    let mut later = origin();
    later.received_at = Micros(later.received_at.0 + 5);
    let checked = strict.check(body(&[EVENT]).as_bytes(), &later).unwrap();
    assert_eq!(checked.rows.rows[0].kind, RowKind::Record(first));
}

#[test]
fn ignored_fields_do_not_count() {
    let ignore = [
        "/properties/attempt",
        "/sent_at",
        "/properties/list/1",
        "/user_id/a~1b",
        "/timestamp",
    ];
    let lax = contract(Rules {
        dedup_ignore: ignore.map(str::to_owned).to_vec(),
        ..Rules::default()
    });
    let event = |user: &str, second: u8, properties: &str, extra: &str| {
        let event = EVENT
            .replace("\"u1\"", user)
            .replace("58Z", &format!("{second:02}Z"));
        event.replace("{}}", &format!("{properties}{extra}}}"))
    };
    let properties = r#"{"attempt":1,"list":[1,2,3],"x":{"attempt":1}}"#;
    let user = r#"{"user_id":"u","a/b":1}"#;
    let first = identities(&lax, &event(user, 1, properties, r#","sent_at":1,"k":1"#));
    for same in [
        event(user, 2, properties, r#","sent_at":{"a":2},"k":1"#),
        event(
            user,
            1,
            r#"{"list":[1,9,3],"x":{"attempt":1}}"#,
            r#","k":1"#,
        ),
        event(&user.replace(":1}", ":2}"), 1, properties, r#","k":1"#),
    ] {
        assert_eq!(identities(&lax, &same).content, first.content, "{same}");
    }
    for other in [
        event("\"u\"", 1, properties, r#","k":1"#),
        event(user, 1, properties, r#","k":2"#),
        event(user, 1, &properties.replace("3]", "4]"), r#","k":1"#),
        event(user, 1, &properties.replace("1}}", "2}}"), r#","k":1"#),
    ] {
        assert_ne!(identities(&lax, &other).content, first.content, "{other}");
    }
}

#[test]
fn partitions_follow_the_pattern_and_the_time() {
    let by = |by| Partitioning::new("events", "dt=%Y-%m-%d/hour=%H", by).unwrap();
    let events = [EVENT, &EVENT.replace("16:59", "15:59"), EVENT];
    for (by, expected) in [
        (
            by(PartitionBy::Timestamp),
            vec![
                "events/dt=2026-11-20/hour=16",
                "events/dt=2026-11-20/hour=15",
            ],
        ),
        (
            by(PartitionBy::ReceivedAt),
            vec!["events/dt=2026-11-20/hour=17"],
        ),
    ] {
        let contract = contract(Rules {
            partition: by,
            ..Rules::default()
        });
        let checked = contract.check(body(&events).as_bytes(), &origin()).unwrap();
        assert_eq!(checked.rows.partitions, expected);
        assert_eq!(
            checked.rows.rows[0].partition,
            checked.rows.rows[2].partition
        );
    }
}

#[test]
fn errors_never_echo_values() {
    let contract = contract(Rules::default());
    let event = EVENT
        .replace("click", "purchase")
        .replace("web", "SECRET")
        .replace("0193e0a2", "SECRET")
        .replace("{}", r#"{"amount":"SECRET","product_id":["SECRET"]}"#);
    match contract.check(body(&[&event]).as_bytes(), &origin()) {
        Err(Refusal::Invalid { errors, .. }) => {
            assert_eq!(errors.len(), 4);
            assert!(!format!("{errors:?}").contains("SECRET"), "{errors:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// What a rule drops need not be right, and does not hold up the events beside it.
#[test]
fn an_event_of_a_dropped_type_is_dropped_whatever_else_is_wrong_with_it() {
    let bad = r#"{"event_id":"x","event_type":"signup","source":7}"#;
    let both = body(&[EVENT, bad, bad]);
    let twice = body(&[r#"{"event_type":"signup","event_type":"click"}"#]);
    for on_invalid in [OnInvalid::Reject, OnInvalid::Quarantine] {
        let rules = |drop_unchecked| Rules {
            drop_unchecked,
            on_invalid,
            ..Rules::default()
        };
        let unchecked = contract(rules(true));
        let checked = unchecked.check(both.as_bytes(), &origin()).unwrap();
        assert_eq!((checked.received, checked.rows.rows.len()), (3, 1));
        assert_eq!(checked.dropped, [(3, 2)]);
        assert_eq!(checked.errors_total, 0);
        let strict = contract(rules(false)).check(both.as_bytes(), &origin());
        let twice = unchecked.check(twice.as_bytes(), &origin());
        for result in [strict, twice] {
            match (on_invalid, result) {
                (OnInvalid::Reject, result) => assert!(result.is_err()),
                (OnInvalid::Quarantine, result) => assert!(result.unwrap().errors_total > 0),
            }
        }
    }
}
