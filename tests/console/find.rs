//! One event, found: stored, a duplicate, dropped, refused, in the quarantine, or unknown.

use super::Stage;
use crate::http::{PATH, body, click, event, id};
use crate::support::http::{Answer, Connection};

/// Sends a request with an id of its own.
fn send(stage: &Stage, request_id: &str, text: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("x-request-id", request_id),
    ];
    let mut connection = Connection::open(stage.setup.address(), super::LIMIT * 50).unwrap();
    connection
        .request("POST", PATH, &headers, text.as_bytes())
        .unwrap()
}

/// The page of an id, once it says this.
fn found(stage: &Stage, id: &str, text: &str) -> String {
    stage.page_until(&format!("/find?q={id}"), |page| page.contains(text))
}

#[test]
fn what_became_of_an_event_is_told_from_its_receipt_on() {
    let stage = Stage::new("[batch]\nmax_age = \"4s\"\n[events]\non_invalid = \"quarantine\"");
    let _program = stage.setup.start();
    send(&stage, "first-1", &body(&[click(1)]));
    let page = found(&stage, &id(1), "<strong>Stored</strong>");
    assert!(page.contains("from <code>127.0.0.1</code>"), "{page}");
    found(&stage, &id(1), "No row of it is in the lake yet");
    send(&stage, "again-1", &body(&[click(1)]));
    let page = found(&stage, &id(1), "<strong>A duplicate</strong>");
    assert!(page.contains("<strong>Stored</strong>"), "{page}");
    // Dropped events are known by their request.
    send(&stage, "dropped-1", &body(&[event(2, "signup", "{}")]));
    let page = found(&stage, "dropped-1", "<strong>Accepted</strong>");
    assert!(page.contains("1 dropped by a rule"), "{page}");
    let refused = send(&stage, "refused-1", "{\"events\":");
    assert_eq!(refused.status, 400);
    let page = found(&stage, "refused-1", "Refused with 400");
    assert!(page.contains("line 1, column"), "{page}");
    let kept = send(
        &stage,
        "kept-1",
        &body(&[event(3, "purchase", "{\"amount\":\"x\"}")]),
    );
    assert_eq!(kept.json()["quarantined"], 1);
    // In the lake, once their batches have closed.
    let page = found(&stage, &id(1), "<h2>In the lake</h2>");
    assert!(
        page.contains("LSN 1, batch 1, row 1<") && page.contains("events/dt="),
        "{page}"
    );
    let page = found(&stage, "first-1", "<h2>In the lake</h2>");
    assert!(page.contains("<strong>Accepted</strong>"), "{page}");
    let page = found(&stage, &id(3), "<h2>In the quarantine</h2>");
    assert!(page.contains("/quarantine/row?"), "{page}");
    found(&stage, "kept-1", "1 in the quarantine");
    let page = stage.whole_page(&format!("/find?q={}", id(99)));
    assert!(
        page.contains("Nothing is known of it.") && page.contains("were looked into"),
        "{page}"
    );
    assert!(stage.page("/find?q=").contains("The id of an event"));
    // The last refusal is told where its source is.
    let page = stage.page("/sources");
    assert!(
        page.contains("with 400") && page.contains("refused-1"),
        "{page}"
    );
}

#[test]
fn after_a_restart_the_lake_still_knows() {
    let stage = Stage::new("[batch]\nmax_age = \"1s\"");
    let program = stage.setup.start();
    send(&stage, "first-1", &body(&[click(1)]));
    assert!(program.stop(std::time::Duration::from_secs(20)).success());
    let _again = stage.setup.start();
    let page = found(&stage, &id(1), "<h2>In the lake</h2>");
    assert!(!page.contains("<strong>Stored</strong>"), "{page}");
    let page = stage.whole_page("/find?q=first-1");
    assert!(page.contains("Nothing is known of it."), "{page}");
}
