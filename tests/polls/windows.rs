//! Windows: a run asks for one stretch of time after the other, up to now; back-fills move nothing.

use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use super::kills::{Gate, kill_at_every_stage, succeed};
use super::{lake, poll, said, setup};
use crate::support::api::{Api, number, page, param};

const WINDOW: &str = "mode = \"append\"\nquery = { from = \"{mark}\", to = \"{until}\" }\n\
                      window = { size = \"730d\", start = \"2020-01-01\" }\n";

/// Both ends of the window that was asked for.
fn ends(request: &Request) -> (String, String) {
    (
        param(request, "from").unwrap(),
        param(request, "to").unwrap(),
    )
}

/// Four records for each window, in pages of two; each has the window's beginning in its id.
fn things(request: &Request) -> ResponseTemplate {
    let (from, _) = ends(request);
    let offset = number(request, "offset");
    let ids = offset..(offset + 2).min(4);
    let things: Vec<_> = ids.map(|n| json!({"id": format!("{from} {n}")})).collect();
    page(json!({"things": things, "more": offset + 2 < 4}))
}

const PAGES: &str = "pagination = { type = \"offset\", more = \"/more\" }\n";

#[test]
fn each_window_is_asked_for_and_the_next_run_goes_on_at_its_end() {
    let api = Api::start(|request, _| things(request));
    let setup = setup(&api.url(), &format!("{WINDOW}{PAGES}"));
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(0), "{told}");
    let asked: Vec<_> = api.requests().iter().map(ends).collect();
    assert!(asked.len() >= 6, "{asked:?}");
    assert_eq!(asked[0].0, "2020-01-01T00:00:00.000000Z");
    assert_eq!(asked[0].1, "2021-12-31T00:00:00.000000Z");
    for (page, next) in asked.iter().zip(&asked[1..]) {
        assert!(page == next || page.1 == next.0, "{asked:?}");
    }
    let found = lake(&setup).stream("things", "id");
    assert_eq!(
        (found.rows, found.ids),
        (asked.len() as u64 * 2, found.rows)
    );

    // A back-fill asks for what it is told to, and moves nothing.
    let end = asked.last().unwrap().1.clone();
    let filled = setup.run(&[
        "poll",
        "things",
        "--from",
        "2021-01-01",
        "--to",
        "2024-01-01",
    ]);
    assert!(filled.status.success(), "{}", said(&filled).0);
    let filled: Vec<_> = api.requests()[asked.len()..].iter().map(ends).collect();
    assert_eq!(filled[0].0, "2021-01-01T00:00:00.000000Z");
    assert_eq!(filled.last().unwrap().1, "2024-01-01T00:00:00.000000Z");
    let before = asked.len() + filled.len();
    assert_eq!(poll(&setup).1, Some(0));
    assert_eq!(ends(&api.requests()[before]).0, end);
}

#[test]
fn a_failed_window_is_asked_for_again_and_those_before_it_are_not() {
    let api = Api::start(|request, n| match n {
        // The second page of the second window.
        3 => ResponseTemplate::new(418),
        _ => things(request),
    });
    let setup = setup(&api.url(), &format!("{WINDOW}{PAGES}"));
    let (told, code) = poll(&setup);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("window 2021-12-31T00:00:00.000000Z to"),
        "{told}"
    );
    assert_eq!(lake(&setup).stream("things", "id").rows, 6);
    assert_eq!(poll(&setup).1, Some(0));
    let requests = api.requests();
    // Pages are counted, so the last one is read again.
    let again: Vec<_> = requests[4..6]
        .iter()
        .map(|r| (ends(r).0, number(r, "offset")))
        .collect();
    let second = "2021-12-31T00:00:00.000000Z".to_owned();
    assert_eq!(again, [(second.clone(), 0), (second, 2)]);
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (found.ids, found.lsns));
}

#[test]
fn kills_lose_and_repeat_nothing_of_any_window() {
    let gate = std::sync::Arc::new(Gate::default());
    let passing = std::sync::Arc::clone(&gate);
    let api = Api::start(move |request, _| {
        passing.pass();
        things(request)
    });
    let setup = setup(&api.url(), &format!("{WINDOW}{PAGES}every = \"1s\"\n"));
    kill_at_every_stage(&setup, &gate, 3);
    succeed(&setup);
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.lsns), (found.ids, found.ids));
    // Every window that was asked for is there, except for one that the end has interrupted.
    let mut windows: Vec<_> = api.requests().iter().map(|r| ends(r).0).collect();
    windows.sort();
    windows.dedup();
    let most = windows.len() as u64 * 4;
    assert!(
        found.ids <= most && found.ids + 4 >= most,
        "{found:?}, {most}"
    );
}

#[test]
fn ends_are_written_as_declared() {
    let api = Api::start(|_, _| page(json!({"things": []})));
    let window = WINDOW.replace("start =", "format = \"date\", inclusive = true, start =");
    let setup = setup(&api.url(), &window);
    assert_eq!(poll(&setup).1, Some(0));
    let first = ends(&api.requests()[0]);
    assert_eq!(first, ("2020-01-01".to_owned(), "2021-12-30".to_owned()));
}

#[test]
fn what_cannot_be_asked_for_is_told() {
    let api = Api::start(|_, _| page(json!({"things": [{"id": 1, "at": 5}]})));
    let mark =
        "mode = \"append\"\nwatermark = { field = \"at\", param = \"since\", format = \"serial\" }";
    let setup = setup(&api.url(), mark);
    for (arguments, words) in [
        (&["--from", "x"][..], "--from must be a whole number"),
        (
            &["--from", "1", "--to", "2"],
            "--to needs a poll with a window",
        ),
    ] {
        let output = setup.run(&[&["poll", "things"], arguments].concat());
        let (told, code) = said(&output);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(poll(&setup).1, Some(0));
    let filled = setup.run(&["poll", "things", "--from", "1"]);
    assert!(filled.status.success(), "{}", said(&filled).0);
    assert_eq!(poll(&setup).1, Some(0));
    let sinces: Vec<_> = api.requests().iter().map(|r| param(r, "since")).collect();
    let texts = ["1", "-55"].map(|text| Some(text.to_owned()));
    assert_eq!(sinces[1..], texts);
    for (settings, words) in [
        (
            "mode = \"append\"\nwindow = { start = \"2020-01-01\" }",
            "{until} must stand",
        ),
        (
            "mode = \"append\"\nwindow = { start = \"soon\" }\nquery = { a = \"{until}\" }",
            "must be a time",
        ),
        (
            "window = { start = \"2020-01-01\" }\nquery = { a = \"{until}\" }",
            "for mode",
        ),
    ] {
        setup.configure(&super::config(&api.url(), settings));
        let (told, code) = said(&setup.run(&["check"]));
        assert_ne!(code, Some(0), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    }
}
