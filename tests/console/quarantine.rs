//! The quarantine in the console: kinds, rows, files, and what is tried again.

use super::{Stage, Visitor, link_with};
use crate::http::{body, event, id, post};

/// Batches close at once, and refused events do not take others along.
const QUICK: &str = "[batch]\nmax_age = \"1s\"\n[events]\non_invalid = \"quarantine\"";

/// An event that lacks its user and has a value of the wrong kind.
pub(super) fn broken(number: u64) -> String {
    let time = lakehook::clock::Clock::system().now().wall;
    format!(
        r#"{{"event_id":"{}","event_type":"purchase","source":"web","timestamp":"{time}","properties":{{"amount":"<b data-xss>9.5</b>","product_id":"p"}}}}"#,
        id(number)
    )
}

#[test]
fn what_was_refused_is_found_by_what_is_wrong_and_shown_with_the_place() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    assert!(
        stage
            .whole_page("/quarantine")
            .contains("Nothing was refused.")
    );
    let answer = post(
        &stage.setup,
        body(&[broken(1), broken(2), event(3, "click", "{}")]),
    );
    assert_eq!(answer.json()["quarantined"], 2, "{}", answer.text());
    let page = stage.page_until("/quarantine", |page| {
        page.contains("2\u{a0}rows, by what is wrong")
    });
    let kind = stage.whole_page(&link_with(&page, "/quarantine?stream="));
    assert!(
        kind.contains("All kinds") && kind.matches("/quarantine/row?").count() == 2,
        "{kind}"
    );
    let row = stage.whole_page(&link_with(&kind, "/quarantine/row?"));
    assert!(row.contains("class=\"line marked\""), "{row}");
    // Values are hidden, names and kinds are not.
    assert!(
        row.contains("amount") && row.contains("Values are hidden") && !row.contains("9.5"),
        "{row}"
    );
    assert!(!page.contains("data-xss") && !row.contains("data-xss"));
}

#[test]
fn rows_are_kept_as_files_whose_cells_are_no_formulas() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", "=cmd|'/c'!A0"),
    ];
    let mut connection =
        crate::support::http::Connection::open(stage.setup.address(), super::LIMIT * 50).unwrap();
    let sent = body(&[broken(1)]);
    let answer = connection
        .request("POST", crate::http::PATH, &headers, sent.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200);
    stage.page_until("/quarantine", |page| page.contains("1\u{a0}row, by"));
    let answer = stage.ask("GET", "/quarantine/rows.csv", &[], "");
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment"), "{disposition}");
    let text = answer.text();
    assert!(
        text.contains("\"'=cmd|'/c'!A0\"") && !text.contains("9.5"),
        "{text}"
    );
    let answer = stage.ask("GET", "/quarantine/rows.ndjson", &[], "");
    let row: serde_json::Value = serde_json::from_str(answer.text().trim()).unwrap();
    assert_eq!(row["request_id"], "=cmd|'/c'!A0");
    assert_eq!(row["reason"], "invalid_event");
}

#[test]
fn a_row_is_judged_again_and_nothing_else_is_read() {
    let stage = Stage::new(&format!("console_show_values = true\n{QUICK}"));
    let _program = stage.setup.start();
    post(&stage.setup, body(&[broken(1)]));
    let page = stage.page_until("/quarantine", |page| page.contains("/quarantine/row?"));
    let link = link_with(&page, "/quarantine/row?");
    let row = stage.whole_page(&link);
    assert!(row.contains("&lt;b data-xss&gt;9.5&lt;/b&gt;"), "{row}");
    let visitor = Visitor::of(&stage.ask("GET", &link, &[], ""));
    let query = link.split_once('?').unwrap().1;
    let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    let tried = visitor.send(&stage, "/quarantine/try", &fields);
    assert!(
        tried.status == 200 && tried.text().contains("It is still invalid"),
        "{}",
        tried.text()
    );
    for key in [
        "events/dt=2026-01-01/x.ndjson",
        "quarantine/../lakehook.toml",
        "/etc/passwd",
        "quarantine//x.ndjson",
    ] {
        let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let page = stage.whole_page(&format!("/quarantine/row?key={key}&lsn=1"));
        assert!(page.contains("There is no such row"), "{page}");
    }
}

#[test]
fn rows_that_are_valid_by_now_are_replayed_once() {
    let stage = Stage::new(&format!("{QUICK}\nschemas = \"schemas\""));
    let schemas = stage.setup.directory().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    let schema = |kind: &str| {
        let text = format!(
            "{{\"type\":\"object\",\"properties\":{{\"amount\":{{\"type\":\"{kind}\"}}}}}}"
        );
        std::fs::write(schemas.join("purchase.json"), text).unwrap();
    };
    schema("number");
    let program = stage.setup.start();
    // Nothing but the schema speaks against them.
    let text = r#"{"amount":"9.5","product_id":"p"}"#;
    let events: Vec<String> = (1..=3)
        .map(|number| event(number, "purchase", text))
        .collect();
    post(&stage.setup, body(&events));
    stage.page_until("/quarantine", |page| page.contains("3\u{a0}rows, by"));
    assert!(program.stop(std::time::Duration::from_secs(20)).success());
    schema("string");
    let _program = stage.setup.start();
    let page = stage.page_until("/quarantine", |page| page.contains("3\u{a0}rows, by"));
    let kind = link_with(&page, "/quarantine?stream=");
    let replay = |link: &str| {
        let visitor = Visitor::of(&stage.ask("GET", link, &[], ""));
        let query = link.split_once('?').unwrap().1;
        let fields: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, text)| (&**name, &**text))
            .collect();
        let asked = visitor.send(&stage, "/quarantine/replay", &fields);
        assert_eq!(asked.header("location"), Some("/quarantine"));
    };
    let row = link_with(&stage.whole_page(&kind), "/quarantine/row?");
    replay(&row);
    let page = stage.page_until("/quarantine", |page| {
        page.contains("1\u{a0}row with 1 new events")
    });
    assert!(page.contains("0\u{a0}rows are still invalid"), "{page}");
    stage.page_until(&kind, |page| page.contains("Replay 2\u{a0}rows"));
    replay(&kind);
    stage.page_until("/quarantine", |page| {
        page.contains("2\u{a0}rows with 2 new events")
    });
    let page = stage.page_until(&kind, |page| page.matches(">replayed<").count() == 3);
    assert!(!page.contains("Replay …"), "{page}");
    // The command sees the same marks.
    let said = stage.setup.run(&["quarantine", "list"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("3 rows that were replayed"), "{said}");
    let events = stage.page_until("/lake", |page| page.contains("/lake/object?key=events"));
    assert!(events.contains("<h2>events</h2>"), "{events}");
}

#[test]
fn ten_thousand_rows_take_no_longer() {
    let stage = Stage::new(QUICK);
    let _program = stage.setup.start();
    let events: Vec<String> = (0..10_000).map(broken).collect();
    let answer = post(&stage.setup, body(&events));
    assert_eq!(answer.json()["quarantined"], 10_000, "{}", answer.text());
    // Each answer on the way is in time, too.
    let page = stage.page_until("/quarantine", |page| {
        page.contains("10\u{202f}000\u{a0}rows, by")
    });
    assert!(page.contains("page 1 of 200"), "{page}");
    let last = stage.whole_page("/quarantine?page=199");
    assert_eq!(last.matches("/quarantine/row?").count(), 50);
    let row = link_with(&last, "/quarantine/row?");
    assert!(stage.whole_page(&row).contains("What is wrong"));
}
