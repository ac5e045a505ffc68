//! SIGKILL at every stage of a call: before, while and after a request is made, its answer stored, its chunk
//! forgotten. Afterwards each row is answered once, and no request was made under a second key.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::json;
use wiremock::ResponseTemplate;

use super::{LIMIT, answered, call, check_once, fake, journeys, setup, write};

#[test]
fn each_row_is_answered_once_whenever_the_process_is_killed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let (api, seen) = fake(move |_, body, _| {
        let n = counted.fetch_add(1, SeqCst);
        let is_bad = journeys(body)
            .iter()
            .any(|row| row["conversion_id"] == "c17");
        match n % 7 {
            3 => ResponseTemplate::new(502),
            5 => ResponseTemplate::new(200).set_body_string("{\"statusCode\":2"),
            _ if is_bad && journeys(body).len() > 3 => {
                ResponseTemplate::new(413).set_body_json(json!({}))
            }
            _ => answered(body).set_delay(Duration::from_millis(10)),
        }
    });
    let setup = setup(&api.url(), "chunk = { groups = 4 }");
    write(&setup, "a.ndjson", 0..60);
    for kill in 0..30_u32 {
        let before = asked.load(SeqCst);
        let mut child = setup
            .command(&["call"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        // After a request, and a little later each time.
        while asked.load(SeqCst) < before + 1 + (kill % 2) as usize && start.elapsed() < LIMIT {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(u64::from(kill % 10) * 3));
        let _gone = child.kill();
        child.wait().unwrap();
    }
    call(&setup, &[], 0);
    let said = call(&setup, &[], 0);
    assert!(
        said.contains("0 requests") && said.contains("60 sent before"),
        "{said}"
    );
    seen.check();
    check_once(&setup, 60);
    let pending = setup.directory().join("data/polls/calls/ihc.pending");
    assert!(!pending.exists(), "nothing is pending");
}

/// A service makes the calls by itself, and on demand, while it runs.
#[test]
fn a_service_calls_on_schedule_and_when_it_is_asked() {
    let (api, seen) = fake(|_, body, _| answered(body));
    let setup = setup(&api.url(), "every = \"1s\"");
    write(&setup, "a.ndjson", 0..5);
    let program = setup.start();
    let start = Instant::now();
    while seen.requests() == 0 {
        assert!(start.elapsed() < LIMIT, "{}", setup.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    write(&setup, "b.ndjson", 5..9);
    let said = call(&setup, &["ihc"], 0);
    assert!(said.contains("ihc: "), "{said}");
    assert!(program.stop(LIMIT).success(), "{}", setup.stderr());
    seen.check();
    check_once(&setup, 9);
}
