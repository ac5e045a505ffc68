//! Appending polls: everything new or changed is stored once, from where the previous run ended.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{lake, poll, setup};
use crate::support::api::{Api, number, page, param};
use crate::support::duckdb::{Reading, StreamTotals};
use crate::support::process::Setup;

const WATERMARK: &str = "mode = \"append\"\n\
    watermark = { field = \"updated_at\", param = \"since\", lag = \"5s\", start = \"2026-01-01T00:00:00Z\" }\n\
    pagination = { type = \"offset\", limit = 2 }";

fn row(id: usize, second: usize) -> Value {
    json!({"id": id, "updated_at": format!("2026-03-01T00:00:{second:02}Z")})
}

/// An API of rows that the test changes. It returns rows from `since` on, in pages of two.
fn api(rows: &Arc<Mutex<Vec<Value>>>) -> Api {
    let rows = Arc::clone(rows);
    Api::start(move |request, _| {
        let since = param(request, "since").unwrap();
        let all = rows.lock().unwrap().clone();
        let new = all
            .into_iter()
            .filter(|row| row["updated_at"].as_str().unwrap() >= &since[..19]);
        let skipped = new.skip(number(request, "offset"));
        page(json!({"things": skipped.take(2).collect::<Vec<_>>()}))
    })
}

fn well(setup: &Setup) -> String {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(0), "{said}");
    said
}

fn totals(setup: &Setup) -> StreamTotals {
    lake(setup).stream("things", "id")
}

fn sinces(api: &Api, from: usize) -> Vec<String> {
    let requests = api.requests();
    let sinces = requests[from..]
        .iter()
        .map(|request| param(request, "since").unwrap());
    sinces.collect()
}

#[test]
fn each_run_asks_from_the_watermark_and_keeps_what_is_new_or_changed() {
    let rows = Arc::new(Mutex::new((0..5).map(|id| row(id, id)).collect::<Vec<_>>()));
    let api = api(&rows);
    let setup = setup(&api.url(), WATERMARK);
    assert!(well(&setup).contains("5 records"));
    let first = sinces(&api, 0);
    assert!(
        first
            .iter()
            .all(|since| since.starts_with("2026-01-01T00:00:00"))
    );
    assert_eq!(first.len(), 4);

    // One row is changed and one is new. The highest value seen was second 4, and the lag is 5 seconds.
    rows.lock().unwrap()[1] = row(1, 20);
    rows.lock().unwrap().push(row(5, 30));
    let said = well(&setup);
    assert!(
        said.contains("6 records") && said.contains("4 known already"),
        "{said}"
    );
    assert_eq!(sinces(&api, 4)[0], "2026-02-28T23:59:59.000000Z");
    let found = totals(&setup);
    assert_eq!((found.rows, found.ids, found.lsns), (7, 6, 7));

    // Nothing is new.
    let before = api.requests().len();
    let said = well(&setup);
    assert!(
        said.contains("1 records") && said.contains("1 known already"),
        "{said}"
    );
    assert_eq!(sinces(&api, before)[0], "2026-03-01T00:00:25.000000Z");
    assert_eq!(totals(&setup), found);
}

#[test]
fn a_record_from_the_future_hides_nothing() {
    let rows = Arc::new(Mutex::new(vec![
        json!({"id": 0, "updated_at": "2999-01-01T00:00:00Z"}),
    ]));
    let api = api(&rows);
    let setup = setup(&api.url(), WATERMARK);
    well(&setup);
    well(&setup);
    let since = sinces(&api, 0).pop().unwrap();
    assert!(since.starts_with("20") && &since[..4] < "2999", "{since}");
}

#[test]
fn a_watermark_that_no_record_has_is_told() {
    let rows = Arc::new(Mutex::new(vec![row(0, 0), row(1, 1)]));
    let api = api(&rows);
    let text = WATERMARK.replace("\"updated_at\"", "\"updated\"");
    let setup = setup(&api.url(), &text);
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("poll.things.watermark.field"), "{said}");
}

#[test]
fn an_invalid_record_is_quarantined_once_however_often_it_is_read() {
    let rows = Arc::new(Mutex::new(vec![
        row(0, 0),
        json!({"updated_at": "2026-03-01T00:00:01Z"}),
    ]));
    let api = api(&rows);
    let setup = setup(
        &api.url(),
        &format!("{WATERMARK}\nguards = {{ max_refused = \"50 %\" }}"),
    );
    assert!(well(&setup).contains("1 quarantined"));
    let said = well(&setup);
    assert!(
        said.contains("2 records") && !said.contains(", 1 quarantined"),
        "{said}"
    );
    let count = lake(&setup).count(Reading::Typed);
    assert_eq!(count.quarantine["invalid_record"], 1);
    assert_eq!(totals(&setup).rows, 1);
}

/// Pages of ten records up to 50; the first request for page 4 is refused.
fn interrupted(kind: &'static str) -> Api {
    let refused = Mutex::new(false);
    Api::start(move |request, _| {
        let offset = number(request, kind);
        if offset == 30 && !std::mem::replace(&mut *refused.lock().unwrap(), true) {
            return ResponseTemplate::new(418);
        }
        let next = (offset + 10 < 50).then(|| (offset + 10).to_string());
        let things: Vec<Value> = (offset..offset + 10).map(|id| json!({"id": id})).collect();
        page(json!({"things": things, "next": next, "more": next.is_some()}))
    })
}

#[test]
fn an_interrupted_run_goes_on_where_it_was() {
    let cursor = "pagination = { type = \"cursor\", next = \"/next\" }";
    let offset = "pagination = { type = \"offset\", more = \"/more\" }";
    // By cursor, the second run goes on behind the last stored page. Where pages are counted, it reads that
    // page again, to check that nothing has moved.
    for (kind, pagination, second_run) in [
        ("cursor", cursor, vec![30, 40]),
        ("offset", offset, vec![20, 30, 40]),
    ] {
        let api = interrupted(kind);
        let setup = setup(&api.url(), &format!("mode = \"append\"\n{pagination}"));
        let (said, code) = poll(&setup);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("page 4: answered 418"), "{said}");
        // The rows that were read before are stored all the same.
        assert_eq!(totals(&setup).rows, 30);
        well(&setup);
        let asked = api
            .requests()
            .iter()
            .map(|r| number(r, kind))
            .collect::<Vec<_>>();
        assert_eq!(asked[4..], second_run, "{kind}");
        let found = totals(&setup);
        assert_eq!((found.rows, found.ids), (50, 50), "{kind}");
    }
}

#[test]
fn where_pages_have_moved_meanwhile_all_is_read_again() {
    let shift = Arc::new(Mutex::new(0));
    let moved = Arc::clone(&shift);
    let api = Api::start(move |request, n| {
        let offset = number(request, "offset");
        if n == 3 {
            *moved.lock().unwrap() = 1;
            return ResponseTemplate::new(418);
        }
        // The newest rows come first, so an inserted row moves all others.
        let shift = *moved.lock().unwrap();
        let end = 50 + shift;
        let ids = (offset..(offset + 10).min(end)).map(|at| end - 1 - at);
        let things: Vec<Value> = ids.map(|id| json!({"id": id})).collect();
        page(json!({"things": things}))
    });
    let setup = setup(
        &api.url(),
        "mode = \"append\"\npagination = { type = \"offset\" }",
    );
    assert_eq!(poll(&setup).1, Some(1));
    well(&setup);
    let found = totals(&setup);
    assert_eq!((found.rows, found.ids), (51, 51));
}

#[test]
fn a_cursor_that_is_too_long_to_be_remembered_is_told_of() {
    // Three pages; the second request fails for good in the first run.
    let run = |bytes: usize| {
        let api = Api::start(move |request, n| {
            let at =
                param(request, "cursor").map_or(0, |cursor| cursor[..1].parse::<usize>().unwrap());
            if n == 1 {
                return ResponseTemplate::new(404);
            }
            let next = (at < 2).then(|| format!("{}{}", at + 1, "x".repeat(bytes)));
            page(json!({"things": [{"id": at}], "next": next}))
        });
        let settings = "mode = \"append\"\npagination = { type = \"cursor\", next = \"/next\" }";
        let setup = setup(&api.url(), settings);
        let (_, code) = poll(&setup);
        assert_eq!(code, Some(1));
        let (told, code) = poll(&setup);
        assert_eq!(code, Some(0), "{told}");
        let found = lake(&setup).stream("things", "id");
        assert_eq!((found.rows, found.ids), (3, 3));
        (told, api.requests().len())
    };
    // One that fits is gone on with; one that does not is not lost without a word.
    let (told, requests) = run(6_000);
    assert!(!told.contains("to be remembered"), "{told}");
    assert_eq!(requests, 2 + 2);
    let (told, requests) = run(40_000);
    assert!(
        told.contains("what is to be remembered of the next page has 40"),
        "{told}"
    );
    assert_eq!(requests, 2 + 3);
}
