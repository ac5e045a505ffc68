//! Tokens that an API gives out at the end of a run: the next run begins with them.

use std::sync::Arc;

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::kills::{Gate, kill_at_every_stage, succeed};
use super::{lake, poll, said, setup};
use crate::support::api::{Api, number, page, param};
use crate::support::process::Setup;

const DELTA: &str = "mode = \"append\"\nresume_from = \"/@odata.deltaLink\"\n\
                     pagination = { type = \"next-url\", next = \"/@odata.nextLink\" }";

/// Three pages of two records after `start`, and a link to what comes after them.
fn delta(request: &Request, base: &str) -> ResponseTemplate {
    let start = number(request, "start");
    let skip = number(request, "skip");
    let things: Vec<Value> = (0..2).map(|n| json!({"id": start + skip + n})).collect();
    let link = |start: usize, skip: usize| format!("{base}/things?start={start}&skip={skip}");
    page(match skip {
        4 => json!({"things": things, "@odata.deltaLink": link(start + 6, 0)}),
        skip => json!({"things": things, "@odata.nextLink": link(start, skip + 2)}),
    })
}

fn api() -> Api {
    Api::start(|request, _| {
        delta(
            request,
            &format!("http://{}", request.headers["host"].to_str().unwrap()),
        )
    })
}

fn well(setup: &Setup) -> String {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(0), "{said}");
    said
}

#[test]
fn a_delta_link_is_followed_by_the_next_run() {
    let api = api();
    let setup = setup(&api.url(), DELTA);
    well(&setup);
    well(&setup);
    let asked: Vec<_> = api
        .requests()
        .iter()
        .map(|r| (number(r, "start"), number(r, "skip")))
        .collect();
    assert_eq!(asked, [(0, 0), (0, 2), (0, 4), (6, 0), (6, 2), (6, 4)]);
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (12, 12));
    let shown = said(&setup.run(&["polls", "state", "show"])).0;
    assert!(shown.contains("token: of"), "{shown}");
}

#[test]
fn kills_lose_and_repeat_nothing_between_tokens() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let api = Api::start(move |request, _| {
        passing.pass();
        delta(
            request,
            &format!("http://{}", request.headers["host"].to_str().unwrap()),
        )
    });
    let setup = setup(&api.url(), &format!("{DELTA}\nevery = \"1s\""));
    kill_at_every_stage(&setup, &gate, 4);
    succeed(&setup);
    let found = lake(&setup).stream("things", "id");
    // Ids are numbers without a gap: what is there, is there once, and nothing before it is missing.
    assert_eq!((found.rows, found.lsns), (found.ids, found.ids));
    let newest = api
        .requests()
        .iter()
        .map(|r| number(r, "start") + number(r, "skip"))
        .max()
        .unwrap();
    assert!(
        found.ids as usize >= newest && found.ids as usize <= newest + 2,
        "{found:?} {newest}"
    );
}

#[test]
fn a_token_goes_where_it_is_wanted() {
    let api = Api::start(|request, _| {
        let history = number(request, "history");
        page(json!({"things": [{"id": history}], "historyId": history + 1}))
    });
    let text = "mode = \"append\"\nresume_from = \"/historyId\"\nresume_into = \"query:history\"";
    let setup = setup(&api.url(), text);
    for _ in 0..3 {
        well(&setup);
    }
    let asked: Vec<_> = api.requests().iter().map(|r| param(r, "history")).collect();
    assert_eq!(asked, [None, Some("1".to_owned()), Some("2".to_owned())]);
    let set = setup.run(&["polls", "state", "set", "things", "41"]);
    assert!(set.status.success(), "{}", said(&set).0);
    well(&setup);
    assert_eq!(param(&api.requests()[3], "history").as_deref(), Some("41"));
}

#[test]
fn a_token_that_has_expired_begins_anew_and_says_so() {
    let api = Api::start(|request, n| match n {
        1 => ResponseTemplate::new(410),
        _ => page(json!({"things": [{"id": number(request, "t")}], "token": format!("{n}")})),
    });
    let text = "mode = \"append\"\nresume_from = \"/token\"\nresume_into = \"query:t\"";
    let setup = setup(&api.url(), text);
    well(&setup);
    let told = well(&setup);
    assert!(told.contains("everything is read anew"), "{told}");
    let asked: Vec<_> = api.requests().iter().map(|r| param(r, "t")).collect();
    assert_eq!(asked, [None, Some("0".to_owned()), None]);
}

#[test]
fn what_cannot_work_is_told() {
    let api = Api::start(|_, n| {
        let token = if n == 0 {
            json!(null)
        } else {
            json!("x".repeat(7000))
        };
        page(json!({"things": [{"id": 1}], "token": token}))
    });
    let text = "mode = \"append\"\nresume_from = \"/token\"\nresume_into = \"query:t\"";
    let setup = setup(&api.url(), text);
    for words in [
        "names a token where poll.things.resume_from says",
        "has 7000 bytes",
    ] {
        let (told, code) = poll(&setup);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(lake(&setup).stream("things", "id").rows, 0);
    for (settings, words) in [
        (
            "mode = \"append\"\nresume_into = \"query:t\"",
            "needs resume_from",
        ),
        ("resume_from = \"/token\"", "for mode"),
        (
            "mode = \"append\"\nresume_from = \"/token\"\nresume_into = \"path\"",
            "cannot be",
        ),
        (
            "mode = \"append\"\nquery = { t = \"{token}\" }",
            "needs resume_from",
        ),
        (
            "mode = \"append\"\nresume_from = \"/token\"\nwatermark = { field = \"a\", param = \"b\" }",
            "by a token or by watermark",
        ),
    ] {
        setup.configure(&super::config(&api.url(), settings));
        let (told, code) = said(&setup.run(&["check"]));
        assert_ne!(code, Some(0), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    }
}
