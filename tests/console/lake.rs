//! The lake, queries, the contract and the node in the console.

use super::{Stage, Visitor, link_with};
use crate::http::{body, click, event, post};

const QUICK: &str = "[batch]\nmax_age = \"1s\"";

#[test]
fn objects_are_counted_looked_into_and_audited() {
    let stage = Stage::new(&format!("console_show_values = true\n{QUICK}"));
    let _program = stage.setup.start();
    assert!(
        stage
            .whole_page("/lake")
            .contains("Nothing is in the lake yet.")
    );
    post(
        &stage.setup,
        body(&[
            click(1),
            event(2, "purchase", r#"{"amount":9.5,"product_id":"<i>p</i>"}"#),
        ]),
    );
    let page = stage.page_until("/lake", |page| page.contains("/lake/object?"));
    assert!(
        page.contains("1\u{a0}object, ") && page.contains("class=\"s4\""),
        "{page}"
    );
    let object = stage.whole_page(&link_with(&page, "/lake/object?"));
    assert!(
        object.contains("&lt;i&gt;p&lt;/i&gt;") && object.contains("<dt>Rows</dt><dd>2</dd>"),
        "{object}"
    );
    let visitor = Visitor::of(&stage.ask("GET", "/lake", &[], ""));
    assert_eq!(
        visitor.send(&stage, "/lake/audit", &[]).header("location"),
        Some("/lake")
    );
    let page = stage.page_until("/lake", |page| page.contains("adds up"));
    assert!(page.contains("2\u{a0}rows in 1\u{a0}object"), "{page}");
    for key in ["../lakehook.toml", "_lakehook/lake.json", "wal/node", ""] {
        let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let page = stage.whole_page(&format!("/lake/object?key={key}"));
        assert!(page.contains("There is no such object"), "{page}");
    }
}

#[test]
fn values_of_the_lake_are_hidden_by_default() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    post(
        &stage.setup,
        body(&[event(
            2,
            "purchase",
            r#"{"amount":9.5,"product_id":"a-product"}"#,
        )]),
    );
    let page = stage.page_until("/lake", |page| page.contains("/lake/object?"));
    let object = stage.whole_page(&link_with(&page, "/lake/object?"));
    assert!(
        object.contains("product_id") && !object.contains("a-product"),
        "{object}"
    );
}

#[test]
fn queries_are_those_that_the_command_prints() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    post(&stage.setup, body(&[click(1)]));
    stage.page_until("/lake", |page| page.contains("/lake/object?"));
    let page = stage.whole_page("/query");
    let printed = stage.setup.run(&["sql", "duckdb"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    let shown = page
        .replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    assert!(shown.contains(printed.trim_end()), "{printed}\n{shown}");
    for engine in ["DuckDB", "Athena", "Trino"] {
        assert!(page.contains(&format!("<h2>{engine}</h2>")), "{engine}");
    }
}

#[test]
fn an_event_is_tried_and_nothing_of_it_is_stored() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    let page = stage.ask("GET", "/contract", &[], "");
    let text = page.text();
    assert!(
        text.contains("<code>purchase</code>") && text.contains("counted, not stored"),
        "{text}"
    );
    let visitor = Visitor::of(&page);
    let tried = |text: &str| visitor.send(&stage, "/contract", &[("event", text)]).text();
    let valid = tried(&click(1));
    assert!(
        valid.contains("It is valid.") && valid.contains("1\u{a0}event would be stored"),
        "{valid}"
    );
    let whole = tried(&body(&[click(1), click(2)]));
    assert!(whole.contains("2\u{a0}events would be stored"), "{whole}");
    let wrong = tried(r#"{"event_id":"</textarea><b data-xss>","event_type":"click"}"#);
    assert!(
        wrong.contains("It breaks the contract") && !wrong.contains("<b data-xss>"),
        "{wrong}"
    );
    assert!(
        wrong.contains("class=\"line marked\"") && wrong.contains("missing"),
        "{wrong}"
    );
    let no_json = tried("{\"a\":");
    assert!(no_json.contains("not_json"), "{no_json}");
    assert!((crate::http::metric(&stage.setup, "lakehook_events_received_total")).abs() < 0.5);
}

#[test]
fn the_node_shows_its_settings_without_secrets() {
    let stage = Stage::new(
        "tokens = [\"a-token-of-a-sender\"]\n[hook.github]\nscheme = \"github\"\nsecrets = [\"a-secret-of-github\"]",
    );
    let _program = stage.setup.start();
    let page = stage.whole_page("/node");
    for part in [
        "Segments",
        "Running for",
        "[hook.github]",
        "lakehook.toml:",
        "LAKEHOOK_SERVER__CONSOLE_LISTEN",
        "max_bytes",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for path in super::VIEWS {
        let page = stage.whole_page(path);
        for secret in ["a-token-of-a-sender", "a-secret-of-github"] {
            assert!(!page.contains(secret), "{secret} on {path}");
        }
    }
}
