//! Faults that pass are waited for, and others are reported.

use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;
use wiremock::ResponseTemplate;

use super::{poll, poll_in_vain, poll_well, setup};
use crate::support::api::{Api, RawApi, number, page, things, write_head};

/// An API that answers with these statuses first, and then with pages of ten records up to 30.
fn after(statuses: &'static [u16], headers: &'static [(&str, &str)]) -> Api {
    Api::start(move |request, n| {
        if let Some(status) = statuses.get(n) {
            return headers
                .iter()
                .fold(ResponseTemplate::new(*status), |answer, (name, value)| {
                    answer.insert_header(*name, *value)
                });
        }
        let offset = number(request, "offset");
        page(json!({"things": things(offset..(offset + 10).min(30))}))
    })
}

const OFFSET: &str = "pagination = { type = \"offset\" }";

#[test]
fn passing_troubles_are_tried_again() {
    let api = after(&[500, 502, 503, 504, 429, 408], &[]);
    let (_, runs) = poll_well(&setup(&api.url(), OFFSET));
    assert_eq!(runs.runs[0].rows, 30);
    assert_eq!(api.requests().len(), 6 + 4);
}

#[test]
fn retry_after_is_honoured_in_both_forms() {
    let start = Instant::now();
    let api = after(&[429], &[("retry-after", "2")]);
    poll_well(&setup(&api.url(), OFFSET));
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );

    let start = Instant::now();
    let api = Api::start(|_, n| {
        if n == 0 {
            // The header has whole seconds, so this asks for a pause of two to three seconds.
            let at = SystemTime::now() + Duration::from_secs(3);
            let at: chrono::DateTime<chrono::Utc> = at.into();
            let date = at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            return ResponseTemplate::new(503).insert_header("retry-after", date);
        }
        page(json!({"things": things(0..3)}))
    });
    poll_well(&setup(&api.url(), ""));
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_budget_that_is_used_up_publishes_nothing_and_says_what_it_waited_for() {
    let api = Api::start(|request, _| {
        if number(request, "offset") < 20 {
            let offset = number(request, "offset");
            return page(json!({"things": things(offset..offset + 10)}));
        }
        ResponseTemplate::new(503)
    });
    let settings = format!("{OFFSET}\nbudget = \"1s\"");
    let words = [
        "page 3",
        "no time left of the run's budget of 1s",
        "answered 503",
    ];
    poll_in_vain(&setup(&api.url(), &settings), &words);

    // A pause that would outlast the run's time is not begun.
    let start = Instant::now();
    let api = after(&[429], &[("retry-after", "3600")]);
    poll_in_vain(
        &setup(&api.url(), "budget = \"20s\""),
        &["budget of 20s", "429"],
    );
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_late_answer_is_asked_for_again() {
    let api = Api::start(|_, n| {
        let answer = page(json!({"things": things(0..3)}));
        answer.set_delay(Duration::from_millis(if n < 2 { 1500 } else { 0 }))
    });
    let (_, runs) = poll_well(&setup(&api.url(), "timeout = \"300ms\""));
    assert_eq!(runs.runs[0].rows, 3);
}

/// A body breaks off in the middle, in several ways, and then comes whole. It has so many records that some
/// are stored before it breaks off.
#[test]
fn a_body_that_breaks_off_is_read_again_and_no_record_twice() {
    let body = json!({"things": (0..20_000).map(|id| json!({"id": id, "text": "x".repeat(100)})).collect::<Vec<_>>()});
    let body = body.to_string();
    let api = RawApi::start(move |_, n, stream| {
        let half = &body.as_bytes()[..body.len() * 3 / 4];
        match n {
            // There is no answer at all.
            0 => {}
            1 => {
                write_head(stream, &format!("content-length: {}", body.len()));
                let _gone = stream.write_all(half);
            }
            2 => {
                write_head(stream, "transfer-encoding: chunked");
                let _gone = stream.write_all(format!("{:x}\r\n", half.len()).as_bytes());
                let _gone = stream.write_all(half);
            }
            // The body ends with the connection, so only the JSON shows that something is missing.
            3 => {
                write_head(stream, "connection: close");
                let _gone = stream.write_all(half);
            }
            // The body stops without an end.
            4 => {
                write_head(stream, &format!("content-length: {}", body.len()));
                let _gone = stream.write_all(half);
                std::thread::sleep(Duration::from_secs(3));
            }
            _ => {
                write_head(stream, &format!("content-length: {}", body.len()));
                let _gone = stream.write_all(body.as_bytes());
            }
        }
    });
    let (_, runs) = poll_well(&setup(&api.url(), "timeout = \"1s\""));
    assert_eq!(runs.runs[0].rows, 20_000);
    assert_eq!(api.connections(), 6);
}

#[test]
fn a_page_that_is_another_one_when_it_is_read_again_is_drift() {
    let body = |shift: usize| {
        let all = (shift..20_000 + shift).map(|id| json!({"id": id, "text": "x".repeat(100)}));
        json!({"things": all.collect::<Vec<_>>()}).to_string()
    };
    let bodies = [body(0), body(1)];
    let api = RawApi::start(move |_, n, stream| {
        let body = &bodies[n.min(1)];
        let end = if n == 0 { body.len() / 2 } else { body.len() };
        write_head(stream, &format!("content-length: {}", body.len()));
        let _gone = stream.write_all(&body.as_bytes()[..end]);
    });
    let (_, runs) = poll_well(&setup(&api.url(), ""));
    assert_eq!(runs.runs[0].rows, 20_000);
    // The page that broke off, then the other one in its place, and then the whole page again.
    assert_eq!(api.connections(), 3);
}

#[test]
fn what_will_not_pass_is_told_at_once() {
    for (status, words) in [
        (400, "answered 400 Bad Request; expected 200 OK"),
        (401, "perhaps it wants credentials (auth.type)"),
        (403, "perhaps it wants credentials (auth.type)"),
        (
            404,
            "answered 404 Not Found; expected 200 OK; check the url",
        ),
        (410, "answered 410 Gone; expected 200 OK; check the url"),
    ] {
        let api = Api::start(move |_, _| ResponseTemplate::new(status));
        poll_in_vain(&setup(&api.url(), ""), &["things  failed: page 1", words]);
        assert_eq!(api.requests().len(), 1);
    }
}

#[test]
fn nobody_there_is_tried_again_and_then_told() {
    let address = crate::support::process::free_address();
    let setup = setup(&format!("http://{address}"), "budget = \"1s\"");
    poll_in_vain(&setup, &["page 1", "failed to connect", "budget of 1s"]);
}

#[test]
fn of_two_polls_one_may_fail_and_the_other_arrive() {
    let api = Api::start(|request, _| {
        if request.url.path() == "/things" {
            return page(json!({"things": things(0..3)}));
        }
        ResponseTemplate::new(404)
    });
    let other = format!("[poll.others]\nurl = \"{}/others\"", api.url());
    let setup = setup(&api.url(), &other);
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("others  failed: page 1") && said.contains("things  3 records"));
    let runs = super::lake(&setup).runs("things", "id");
    runs.check();
    assert_eq!(runs.runs[0].rows, 3);
}

#[test]
fn a_snapshot_that_has_not_changed_is_not_even_sent() {
    let api = Api::start(|request, _| {
        let known = crate::support::api::header(request, "if-none-match");
        if known.as_deref() == Some("\"v1\"") {
            return ResponseTemplate::new(304);
        }
        page(json!({"things": things(0..3)})).insert_header("etag", "\"v1\"")
    });
    let setup = setup(&api.url(), "");
    poll_well(&setup);
    let (said, runs) = poll_well(&setup);
    assert!(said.contains("unchanged since"), "{said}");
    assert_eq!(runs.runs[1].same_as.as_ref(), Some(&runs.runs[0].name));
    let forced = setup.run(&["poll", "--force"]);
    assert!(forced.status.success());
    let runs = super::lake(&setup).runs("things", "id");
    runs.check();
    assert_eq!((runs.runs[2].rows, &runs.runs[2].same_as), (3, &None));
    let requests = api.requests();
    let etags = requests
        .iter()
        .map(|request| request.headers.contains_key("if-none-match"));
    assert_eq!(etags.collect::<Vec<_>>(), [false, true, false]);
}
