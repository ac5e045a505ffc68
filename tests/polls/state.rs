//! What polls remember is shown and moved by hand, whether a service runs or not.

use std::time::Duration;

use serde_json::json;

use super::{lake, poll, said, setup};
use crate::support::api::{Api, page, param};
use crate::support::process::Setup;

const MARK: &str =
    "mode = \"append\"\nwatermark = { field = \"at\", param = \"since\", lag = \"0s\" }";
const AT: &str = "2026-03-01T00:00:00.000000Z";

fn state(setup: &Setup, arguments: &[&str]) -> (String, Option<i32>) {
    said(&setup.run(&[&["polls", "state"], arguments].concat()))
}

#[test]
fn a_mark_is_shown_set_and_reset() {
    let api = Api::start(|_, _| page(json!({"things": [{"id": 1, "at": AT}]})));
    let setup = setup(&api.url(), MARK);
    let (told, code) = state(&setup, &["show"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("things") && told.contains("nothing is remembered"),
        "{told}"
    );
    assert_eq!(poll(&setup).1, Some(0));
    assert!(
        state(&setup, &["show", "things"])
            .0
            .contains(&format!("mark: {AT}"))
    );

    for with_service in [false, true] {
        let program = with_service.then(|| setup.start());
        let (told, code) = state(&setup, &["set", "things", "2026-01-01"]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("expected a time"), "{told}");
        let (told, code) = state(&setup, &["set", "things", "2026-01-01T00:00:00Z"]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains("mark: 2026-01-01T00:00:00.000000Z"), "{told}");
        assert_eq!(poll(&setup).1, Some(0));
        let since = param(&api.requests().pop().unwrap(), "since");
        assert_eq!(since.as_deref(), Some("2026-01-01T00:00:00.000000Z"));
        let (told, code) = state(&setup, &["reset", "things"]);
        assert_eq!(code, Some(0), "{told}");
        assert!(!told.contains("mark"), "{told}");
        if let Some(program) = program {
            // It is durable at once.
            program.kill();
        }
        assert_eq!(poll(&setup).1, Some(0));
        assert_eq!(param(&api.requests().pop().unwrap(), "since"), None);
    }
    let found = lake(&setup).stream("things", "id");
    assert_eq!((found.rows, found.ids), (1, 1));
    let program = setup.start();
    assert!(program.stop(Duration::from_secs(60)).success());
}

#[test]
fn the_end_of_a_window_is_set_and_a_snapshot_has_none() {
    let api = Api::start(|_, _| page(json!({"things": []})));
    let window = "mode = \"append\"\nquery = { from = \"{mark}\", to = \"{until}\" }\n\
                  window = { start = \"2020-01-01\", size = \"36500d\" }";
    let setup = setup(&api.url(), window);
    let (told, code) = state(&setup, &["set", "things", "2024-02-03"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("2024-02-03T00:00:00.000000Z"), "{told}");
    assert_eq!(poll(&setup).1, Some(0));
    let from = param(&api.requests()[0], "from");
    assert_eq!(from.as_deref(), Some("2024-02-03T00:00:00.000000Z"));
    setup.configure(&super::config(&api.url(), ""));
    let (told, code) = state(&setup, &["set", "things", "2024-02-03"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("nothing to set"), "{told}");
    let (told, code) = state(&setup, &["show", "nobody"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("there is no poll"), "{told}");
}
