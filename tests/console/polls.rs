//! Polls in the console: how they stand, and a run on request.

use super::{Stage, Visitor};
use crate::support::api::{Api, page, things};

#[test]
fn a_poll_is_shown_with_its_runs_and_runs_when_it_is_asked_to() {
    let api = Api::start(|_, number| {
        if number == 0 {
            page(serde_json::json!({"things": things(0..3)}))
        } else {
            wiremock::ResponseTemplate::new(404)
        }
    });
    let stage = Stage::new(&format!(
        "[poll.things]\nurl = \"{}/things?key=a-secret-in-a-url\"\nrecords = \"/things\"\nid = \"id\"\n[polls]\nmax_bytes = \"64 MiB\"",
        api.url()
    ));
    let _program = stage.setup.start();
    let seen = stage.page("/polls");
    assert!(
        seen.contains("not run yet") && seen.contains("only when asked"),
        "{seen}"
    );
    assert!(seen.contains("snapshot of 127.0.0.1:"), "{seen}");
    let ask = || {
        let visitor = Visitor::of(&stage.ask("GET", "/polls", &[], ""));
        let asked = visitor.send(&stage, "/polls/run", &[("name", "things")]);
        assert_eq!(
            (asked.status, asked.header("location")),
            (303, Some("/polls?asked=yes"))
        );
    };
    ask();
    let seen = stage.page_until("/polls", |seen| {
        seen.contains("1 new, 0 unchanged, 0 failed")
    });
    assert!(seen.contains("3\u{a0}records"), "{seen}");
    ask();
    let seen = stage.page_until("/polls", |seen| seen.contains("1 failed"));
    assert!(
        seen.contains("404") && seen.contains("class=\"pill bad\""),
        "{seen}"
    );
    let visitor = Visitor::of(&stage.ask("GET", "/polls", &[], ""));
    let unknown = visitor.send(&stage, "/polls/run", &[("name", "nobody")]);
    assert_eq!(unknown.header("location"), Some("/polls?asked=no"));
    for path in super::VIEWS {
        assert!(!stage.page(path).contains("a-secret-in-a-url"), "{path}");
    }
}
