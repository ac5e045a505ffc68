//! 503: stopping, a wrong clock, a held batch. (See `outages` for a full log and a foreign object.)

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lakehook::clock::{Clock, Micros};
use lakehook::config::{Config, LakeUrl};
use lakehook::ids::Ids;
use lakehook::serve::Service;

use super::{PATH, body, click, connect, event, head, post, problem, request, setup};
use crate::support::http;
use crate::support::process::Setup;

/// A request that began before the stop is answered during it: complete bodies are stored, later ones are refused.
#[test]
fn a_stop_answers_what_is_under_way() {
    let setup = setup("");
    let mut program = setup.start();
    let whole = body(&[click(1)]);
    let head = head(whole.len());
    let (mut in_body, mut in_head, mut idle) = (connect(&setup), connect(&setup), connect(&setup));
    assert_eq!(idle.request("GET", "/ready", &[], b"").unwrap().status, 200);
    in_body.send_raw(head.as_bytes()).unwrap();
    in_body.send_raw(&whole.as_bytes()[..10]).unwrap();
    in_head.send_raw(&head.as_bytes()[..20]).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    program.terminate();
    std::thread::sleep(Duration::from_millis(300));
    assert!(idle.read_answer(false).is_err(), "an idle connection ends");
    assert!(
        http::get(setup.address(), "/health").is_err(),
        "nobody new is let in"
    );
    in_body.send_raw(&whole.as_bytes()[10..]).unwrap();
    let answer = in_body.read_answer(false).unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    in_head.send_raw(&head.as_bytes()[20..]).unwrap();
    in_head.send_raw(whole.as_bytes()).unwrap();
    insta::assert_snapshot!(problem(&in_head.read_answer(false).unwrap()), @r#"
503
retry-after: 5
connection: close
{"type":"urn:lakehook:problem:stopping","title":"Not available now","status":503,"detail":"the service is stopping"}
"#);
    let status = program.wait(Duration::from_secs(20)).unwrap();
    assert!(status.success(), "{}", setup.stderr());
}

/// Runs in this process, because a test cannot set the clock of the machine.
#[test]
fn a_wrong_clock_is_not_the_senders_fault() {
    let directory = tempfile::TempDir::new().unwrap();
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.lake.url = LakeUrl::Directory(directory.path().join("lake"));
    config.wal.dir = directory.path().join("wal");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clock = Clock::manual(Micros(0));
    let started = Service::start(&config, clock.clone(), Ids::System);
    let service = runtime.block_on(started).unwrap();
    let answer = http::post_json(service.address(), PATH, body(&[click(1)]).as_bytes()).unwrap();
    insta::assert_snapshot!(problem(&answer), @r#"
503
retry-after: 5
{"type":"urn:lakehook:problem:wrong-clock","title":"Not available now","status":503,"detail":"the clock of this machine is wrong"}
"#);
    let ready = http::get(service.address(), "/ready").unwrap();
    assert_eq!(problem(&ready), problem(&answer));
    // Alive it is.
    assert_eq!(http::get(service.address(), "/health").unwrap().status, 200);
    let hurry = tokio_util::sync::CancellationToken::new();
    runtime.block_on(service.stop(Duration::from_secs(5), hurry));
}

/// Changes a byte of the log where this text is, without the service noticing; returns the file.
pub(crate) fn damage(setup: &Setup, mark: &str) -> PathBuf {
    for entry in std::fs::read_dir(setup.directory().join("data/wal")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "wal") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let mut places = bytes.windows(mark.len());
        let Some(at) = places.position(|place| place == mark.as_bytes()) else {
            continue;
        };
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"#", at as u64).unwrap();
        return path;
    }
    panic!("{mark} is not in the log");
}

#[test]
fn a_batch_that_cannot_be_read_back_is_told_and_holds_up_nothing_else() {
    let setup = setup(
        "[batch]\nmax_age = \"2s\"\nlate_max_age = \"2s\"\n[server]\nshutdown_grace = \"2s\"\n",
    );
    let mut program = setup.start();
    let marked = event(1, "click", r#"{"mark":"damaged"}"#);
    assert_eq!(post(&setup, body(&[marked])).status, 200);
    damage(&setup, "damaged");
    let start = Instant::now();
    let held = loop {
        let answer = request(&setup, "GET", "/ready", &[]);
        if answer.status == 503 {
            break answer;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = problem(&held);
    assert!(
        said.contains("batch-held") && said.contains("seal 1"),
        "{said}"
    );
    assert_eq!(post(&setup, body(&[click(2)])).status, 200);
    program.terminate();
    assert!(
        program.wait(Duration::from_secs(30)).is_some(),
        "{}",
        setup.stderr()
    );
}
