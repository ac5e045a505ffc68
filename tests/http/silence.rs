//! No token and no part of a body ever appears in the program's own log, at any level.

use super::{PATH, body, connect, event, setup};
use crate::arrival::STOP_LIMIT;

const MARK: &str = "never-to-be-logged";

#[test]
fn bodies_and_tokens_are_not_logged() {
    let token = format!("token-{MARK}-at-all");
    let setup = setup(&format!(
        "[server]\ntokens = [\"{token}\"]\nmax_events = 3\n[log]\nlevel = \"trace\"\n[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n"
    ));
    let program = setup.start();
    let json = ("content-type", "application/json");
    let good = format!("Bearer {token}");
    let property = format!("{{\"{MARK}\":\"{MARK}\"}}");
    let bodies = [
        body(&[event(1, "click", &property)]),
        body(&[event(1, "click", &format!("{{\"x\":{property}}}"))]),
        body(&[event(2, MARK, &property)]),
        body(&[event(3, "purchase", &property)]),
        body(&vec![event(4, "click", &property); 4]),
        format!("{{\"{MARK}\":[]}}"),
        format!("{MARK} is not JSON"),
        format!("{{\"events\":[{{\"event_id\":\"{MARK}\",\"{MARK}\":1,\"{MARK}\":2}}]}}"),
    ];
    for bytes in &bodies {
        for authorization in [
            good.clone(),
            format!("Bearer {MARK}"),
            format!("Basic {MARK}"),
        ] {
            let headers = [json, ("authorization", &*authorization), ("cookie", MARK)];
            let answer = connect(&setup)
                .request("POST", PATH, &headers, bytes.as_bytes())
                .unwrap();
            assert!(
                matches!(answer.status, 200 | 400 | 401 | 413),
                "{}",
                answer.status
            );
            // Answers name members, so that they can be found; but they echo no value.
            assert!(!answer.text().contains(&token));
        }
    }
    let broken =
        format!("POST /{MARK} HTTP/1.1\r\nhost: {MARK}\r\nauthorization {MARK}\r\n\r\n{MARK}");
    connect(&setup).send_raw(broken.as_bytes()).unwrap();
    assert!(program.stop(STOP_LIMIT).success());
    let said = setup.stderr();
    assert!(
        said.contains("\"answered\""),
        "trace tells of requests: {said}"
    );
    assert!(!said.contains(MARK), "{said}");
    // Nor by way of `check`, which shows the configuration's errors.
    setup.configure(&format!("[server]\ntokens = [\"{MARK} with spaces\"]\n"));
    let checked = setup.run(&["check"]);
    assert_eq!(checked.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&checked.stderr).contains(MARK));
}
