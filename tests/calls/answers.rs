//! What an answer means: what is stored, what is sent again, what is refused.

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{answered, call, check_once, fake, journeys, rows, setup, shares, write};

#[test]
fn chunks_respect_all_bounds_and_a_second_run_sends_nothing() {
    let (api, seen) = fake(|_, body, _| {
        assert!(journeys(body).len() <= 12);
        answered(body)
    });
    let setup = setup(&api.url(), "chunk = { groups = 5, rows = 12 }");
    write(&setup, "a.ndjson", 0..23);
    let dry = call(&setup, &["--dry-run"], 0);
    assert_eq!(dry.matches(" groups, 12 rows").count(), 5, "{dry}");
    assert!(dry.contains("3 groups, 9 rows"), "{dry}");
    assert_eq!(seen.requests(), 0);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("6 requests, 23 groups, 69 rows stored"),
        "{said}"
    );
    seen.check();
    check_once(&setup, 23);
    // Other white space, another order, another file: the same rows.
    let text = std::fs::read_to_string(setup.directory().join("outbox/a.ndjson")).unwrap();
    std::fs::write(
        setup.directory().join("outbox/b.ndjson"),
        text.replace(":\"", ": \""),
    )
    .unwrap();
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("0 requests, 0 groups, 0 rows stored, 46 sent before"),
        "{said}"
    );
    // A group whose rows have changed is sent again.
    std::fs::write(
        setup.directory().join("outbox/b.ndjson"),
        text.replace("\"s4-2\"", "\"s4-9\""),
    )
    .unwrap();
    let said = call(&setup, &["ihc"], 0);
    assert!(
        said.contains("1 requests, 1 groups, 3 rows stored"),
        "{said}"
    );
    let sent = rows(&setup, "ihc_sent");
    assert_eq!(sent.len(), 24);
    assert!(
        sent.iter()
            .all(|row| row["answered"] == 3 && row["status"] == 200),
        "{sent:?}"
    );
}

#[test]
fn storms_and_lost_answers_repeat_the_same_request_under_the_same_key() {
    let (api, seen) = fake(|_, body, n| match n % 5 {
        0 => ResponseTemplate::new(429).insert_header("retry-after-ms", "10"),
        1 => ResponseTemplate::new(502).set_body_string("bad gateway"),
        2 => ResponseTemplate::new(200).set_body_string("{\"statusCode\":200,\"val"),
        3 => ResponseTemplate::new(200).set_body_json(json!({"statusCode": 503, "value": []})),
        _ => answered(body),
    });
    let setup = setup(&api.url(), "chunk = { groups = 4 }");
    write(&setup, "a.ndjson", 0..12);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("15 requests, 12 groups, 36 rows stored"),
        "{said}"
    );
    assert!(!said.contains("s3cret-key"));
    seen.check();
    check_once(&setup, 12);
}

#[test]
fn failures_within_a_success_are_kept_with_their_group() {
    let (api, _seen) = fake(|_, body, _| {
        let mut answer = shares(body);
        let value = answer["value"].as_array().unwrap().clone();
        let good = value
            .iter()
            .filter(|row| row["conversion_id"] != "c3" && row["conversion_id"] != "c5");
        answer["value"] = good.cloned().collect();
        answer["statusCode"] = 206.into();
        answer["partialFailureErrors"] =
            json!([{"journey": {"conversion_id": "c3"}, "message": "no closer"}]);
        ResponseTemplate::new(200).set_body_json(answer)
    });
    let setup = setup(&api.url(), "");
    write(&setup, "a.ndjson", 0..8);
    let said = call(&setup, &[], 0);
    let expected =
        "1 requests, 8 groups, 18 rows stored, 1 refused, 1 without an answer, 1 in the quarantine";
    assert!(said.contains(expected), "{said}");
    check_once(&setup, 6);
    let kept = rows(&setup, "quarantine/ihc");
    let raw: Value = serde_json::from_str(kept[0]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(
        (kept.len(), &kept[0]["errors"][0]["code"]),
        (1, &json!("call_failed"))
    );
    assert_eq!(raw["group"], "c3");
    assert_eq!(
        (
            raw["failure"]["message"].as_str(),
            raw["rows"].as_array().unwrap().len()
        ),
        (Some("no closer"), 3)
    );
    let said = call(&setup, &[], 0);
    assert!(said.contains("8 sent before"), "{said}");
}

#[test]
fn a_failure_for_each_row_of_a_group_holds_up_nothing() {
    let (api, seen) = fake(|_, body, _| {
        let failures = journeys(body)
            .iter()
            .map(|row| json!({"conversion_id": row["conversion_id"], "why": "no"}));
        let failures: Vec<Value> = failures.collect();
        ResponseTemplate::new(200)
            .set_body_json(json!({"statusCode": 200, "partialFailureErrors": failures}))
    });
    let setup = setup(&api.url(), "");
    let row = |n: u32| json!({"conversion_id": "c1", "session_id": n, "about": "x".repeat(100)});
    let lines: Vec<String> = (0..500).map(|n| row(n).to_string()).collect();
    let text = lines.join("\n");
    std::fs::write(setup.directory().join("outbox/a.ndjson"), text).unwrap();
    let said = call(&setup, &[], 0);
    let expected = "1 requests, 1 groups, 0 rows stored, 1 refused, 500 in the quarantine";
    assert!(said.contains(expected), "{said}");
    assert_eq!(rows(&setup, "ihc_sent")[0]["failed"], 500);
    assert!(call(&setup, &[], 0).contains("0 requests"));
    assert_eq!(seen.requests(), 1);
}

#[test]
fn an_answer_of_countless_records_is_kept_as_text() {
    // 600 000 rows, which no entry of the log holds.
    let records = vec!["{\"a\":1}"; 600_000].join(",");
    let answer = format!("{{\"statusCode\":200,\"value\":[{records}]}}");
    let sent = answer.clone();
    let (api, seen) = fake(move |_, _, _| ResponseTemplate::new(200).set_body_string(&*sent));
    let setup = setup(&api.url(), "");
    let text = std::fs::read_to_string(setup.directory().join("lakehook.toml")).unwrap();
    setup.configure(&text.replace("id = [\"conversion_id\", \"session_id\"]\n", ""));
    write(&setup, "a.ndjson", 0..2);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("1 requests, 2 groups, 0 rows stored, 2 refused"),
        "{said}"
    );
    let mut kept = rows(&setup, "quarantine/ihc");
    kept.sort_by_key(|row| row["lsn"].as_u64());
    let text: String = kept.iter().filter_map(|row| row["raw"].as_str()).collect();
    assert!(text == answer, "the whole answer is there");
    assert!(call(&setup, &[], 0).contains("0 requests"));
    assert_eq!(seen.requests(), 1);
}

#[test]
fn one_bad_group_is_found_by_halves_and_refused_alone() {
    let (api, seen) = fake(|_, body, _| {
        let is_bad = journeys(body)
            .iter()
            .any(|row| row["conversion_id"] == "c5");
        if is_bad {
            ResponseTemplate::new(400).set_body_json(json!({"message": "c5 is no conversion"}))
        } else {
            answered(body)
        }
    });
    let setup = setup(&api.url(), "");
    write(&setup, "a.ndjson", 0..8);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("8 groups, 21 rows stored, 1 refused, 1 in the quarantine"),
        "{said}"
    );
    // 8, 4, 4, 2, 1, 1, 2.
    assert_eq!(seen.requests(), 7, "{said}");
    seen.check();
    check_once(&setup, 7);
    let kept = rows(&setup, "quarantine/ihc");
    assert_eq!(kept.len(), 1);
    assert!(kept[0].to_string().contains("call_refused"), "{}", kept[0]);
    assert!(call(&setup, &[], 0).contains("0 requests"));
}

#[test]
fn what_cannot_be_sent_is_quarantined_and_holds_up_nothing() {
    let (api, seen) = fake(|_, body, _| answered(body));
    let setup = setup(&api.url(), "chunk = { rows = 5 }\nmax_calls = 2");
    let large: Vec<String> = (0..6)
        .map(|n| format!("{{\"conversion_id\":\"big\",\"session_id\":{n}}}\n"))
        .collect();
    let large = large.concat();
    let text = format!("no row\n{{\"session_id\":\"s\"}}\n{large}");
    std::fs::write(setup.directory().join("outbox/0.ndjson"), text).unwrap();
    write(&setup, "a.ndjson", 0..3);
    let said = call(&setup, &[], 0);
    assert!(said.contains("2 requests"), "{said}");
    assert!(said.contains("max_calls is reached"), "{said}");
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("1 requests, 1 groups, 3 rows stored, 5 sent before"),
        "{said}"
    );
    assert_eq!(seen.requests(), 3);
    check_once(&setup, 3);
    let kept = rows(&setup, "quarantine/ihc");
    let mut codes: Vec<String> = kept
        .iter()
        .map(|row| row["errors"][0]["code"].to_string())
        .collect();
    codes.sort();
    assert_eq!(codes, ["\"group\"", "\"json\"", "\"too_large\""]);
    let bad = kept
        .iter()
        .find(|row| row["errors"][0]["code"] == "json")
        .unwrap();
    let detail = bad["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("0.ndjson, line 1"), "{detail}");
}

#[test]
fn a_range_of_times_is_sent_alone() {
    let (api, seen) = fake(|_, body, _| answered(body));
    let setup = setup(&api.url(), "time = \"timestamp\"");
    write(&setup, "a.ndjson", 0..28);
    let said = call(
        &setup,
        &["--since", "2026-01-10", "--until", "2026-01-12"],
        0,
    );
    assert!(
        said.contains("1 requests, 2 groups, 6 rows stored, 26 outside of the range"),
        "{said}"
    );
    assert_eq!(seen.requests(), 1);
    call(&setup, &["--since", "soon"], 1);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("26 groups, 78 rows stored, 2 sent before"),
        "{said}"
    );
    check_once(&setup, 28);
}

#[test]
fn a_refusal_of_the_credentials_and_a_redirect_fail_the_run_and_keep_the_request() {
    for (status, words) in [
        (401, "check the credentials"),
        (302, "follow no redirects"),
        (404, "check the path"),
    ] {
        let (api, seen) = fake(move |_, body, n| {
            if n == 0 {
                ResponseTemplate::new(status)
                    .insert_header("location", "/v1/compute?conv_type_id=all")
            } else {
                answered(body)
            }
        });
        let setup = setup(&api.url(), "");
        write(&setup, "a.ndjson", 0..2);
        let said = call(&setup, &[], 1);
        assert!(said.contains(words), "{said}");
        // The outbox has changed meanwhile, and the request has not.
        write(&setup, "a.ndjson", 0..4);
        let said = call(&setup, &[], 0);
        assert!(
            said.contains("2 requests, 4 groups, 12 rows stored, 2 sent before"),
            "{said}"
        );
        seen.check();
        check_once(&setup, 4);
    }
}
