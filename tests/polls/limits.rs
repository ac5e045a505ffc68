//! Limits of APIs are kept to, and whoever waits holds up nobody else.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::{config, lake, poll, poll_in_vain, poll_well, said, setup};
use crate::support::api::{Api, RawApi, page, things};
use crate::support::http;
use crate::support::process::{Setup, free_address};

const LIMIT: Duration = Duration::from_secs(60);

fn health(setup: &Setup, poll: &str) -> Value {
    http::get(setup.address(), "/health").unwrap().json()["polls"]["streams"][poll].clone()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An API that answers the first request like this, and then with three records.
fn limited(status: u16, headers: &'static [(&str, &str)]) -> Api {
    Api::start(move |_, n| {
        if n > 0 {
            return page(json!({"things": things(0..3)}));
        }
        let first = ResponseTemplate::new(status);
        headers.iter().fold(first, |first, (name, value)| {
            first.insert_header(*name, *value)
        })
    })
}

#[test]
fn every_way_to_ask_for_a_pause_is_understood() {
    for (status, headers) in [
        (429, &[("retry-after", "1.5")][..]),
        (420, &[("retry-after-ms", "1500")]),
        (
            403,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "2")],
        ),
        (430, &[("ratelimit", "\"day\";r=0;t=2")]),
    ] {
        let start = Instant::now();
        let api = limited(status, headers);
        poll_well(&setup(&api.url(), ""));
        let took = start.elapsed();
        assert!(
            took >= Duration::from_millis(1500),
            "{status} {headers:?}: {took:?}"
        );
        assert_eq!(api.requests().len(), 2);
    }
    let refused = limited(403, &[("x-ratelimit-remaining", "9")]);
    poll_in_vain(&setup(&refused.url(), ""), &["403"]);
}

#[test]
fn a_long_pause_is_waited_for_between_runs_and_after_a_restart() {
    let api = limited(429, &[("retry-after", "3600")]);
    let setup = setup(&api.url(), "every = \"1s\"\nbudget = \"20s\"");
    let words = ["answered 429", "asks to wait until", "budget of 20s"];
    let start = Instant::now();
    poll_in_vain(&setup, &words);
    assert!(start.elapsed() < Duration::from_secs(15));
    // Neither another command nor the service asks before that.
    poll_in_vain(&setup, &["asks to wait until"]);
    let program = setup.start();
    wait_until("no hold is shown", || {
        !health(&setup, "things")["waiting"].is_null()
    });
    let state = health(&setup, "things");
    let until = state["waiting"]["until"].as_str().unwrap();
    assert_eq!(state["next_run"], until);
    let until = chrono::DateTime::parse_from_rfc3339(until).unwrap();
    let left = until.timestamp()
        - chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).timestamp();
    assert!((3500..=3600).contains(&left), "{left}");
    let metrics = http::get(setup.address(), "/metrics").unwrap().text();
    assert!(
        metrics.contains("lakehook_poll_waiting{poll=\"things\"} 1"),
        "{metrics}"
    );
    let shown = said(&setup.run(&["polls", "state", "show"])).0;
    let pause = format!(
        "pause that the API asked for: until {}",
        state["waiting"]["until"].as_str().unwrap()
    );
    assert!(shown.contains(&pause), "{pause}: {shown}");
    assert!(program.stop(LIMIT).success());
    let shown = said(&setup.run(&["polls", "state", "show"])).0;
    assert!(shown.contains(&pause), "{pause}: {shown}");
    assert_eq!(api.requests().len(), 1);
}

/// Two polls of one API: two pages each, with one rate and one hold.
#[test]
fn polls_of_one_api_share_its_rate() {
    let api = Api::start(|request, _| {
        let from = crate::support::api::number(request, "offset");
        page(json!({"things": things(from..(from + 5).min(10))}))
    });
    let text = format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [api.one]\nurl = \"{}/v1\"\nrate_limit = \"120/m\"\nquery = {{ shared = \"yes\" }}\n\
         [poll.things]\napi = \"one\"\npath = \"/things\"\nrecords = \"/things\"\nid = \"id\"\n\
         pagination = {{ type = \"offset\" }}\n\
         [poll.others]\napi = \"one\"\npath = \"/others\"\nrecords = \"/things\"\nid = \"id\"\n\
         pagination = {{ type = \"offset\" }}\n",
        api.url()
    );
    let setup = Setup::new(&text);
    let start = Instant::now();
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(0), "{said}");
    let requests = api.requests();
    // Three pages each; the first request waits for nothing.
    assert_eq!(requests.len(), 6);
    assert!(
        start.elapsed() >= Duration::from_millis(2500),
        "{:?}",
        start.elapsed()
    );
    for request in &requests {
        assert!(request.url.path().starts_with("/v1/"), "{}", request.url);
        assert_eq!(
            crate::support::api::param(request, "shared").as_deref(),
            Some("yes")
        );
    }
    assert_eq!(lake(&setup).runs("others", "id").runs[0].rows, 10);
}

/// One place, an API that never answers and one that answers 503, and three that are well.
#[test]
fn an_api_that_does_not_answer_changes_nothing_for_the_others() {
    let dead = RawApi::start(|_, _, stream| {
        let _gone = stream.read(&mut [0; 16]);
        std::thread::sleep(Duration::from_secs(30));
    });
    let broken = Api::start(|_, _| ResponseTemplate::new(503));
    let well = Api::start(|_, n| page(json!({"things": things(n..n + 3)})));
    let one = |name: &str, url: &str| {
        format!(
            "[poll.{name}]\nurl = \"{url}/{name}\"\nrecords = \"/things\"\nid = \"id\"\nevery = \"1s\"\n\
             timeout = \"20s\"\n"
        )
    };
    let text = format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         concurrency = 1\n{}{}{}{}{}",
        one("dead", &dead.url()),
        one("broken", &broken.url()),
        one("a", &well.url()),
        one("b", &well.url()),
        one("c", &well.url()),
    );
    let setup = Setup::new(&text);
    let program = setup.start();
    for name in ["dead", "broken"] {
        wait_until(name, || !health(&setup, name)["waiting"].is_null());
    }
    let before = well.requests().len();
    std::thread::sleep(Duration::from_secs(8));
    let after = well.requests().len();
    // Three polls a second would be 24; a busy machine is granted half of it.
    assert!(after - before >= 12, "{before} {after}");
    let dead_state = health(&setup, "dead");
    assert_eq!(dead_state["waiting"]["for"], "an answer", "{dead_state}");
    let broken_state = health(&setup, "broken");
    let why = broken_state["waiting"]["for"].as_str().unwrap_or_default();
    assert!(why.contains("answered 503"), "{broken_state}");
    assert!(program.stop(LIMIT).success());
}

/// The default number of places, as many APIs that never answer, and twenty that are well.
#[test]
fn twenty_polls_run_beside_two_apis_that_do_not_answer() {
    let dead = RawApi::start(|_, _, stream| {
        let _gone = stream.read(&mut [0; 16]);
        std::thread::sleep(LIMIT);
    });
    let well = Api::start(|_, n| page(json!({"things": things(n..n + 3)})));
    let one = |name: &str, url: &str| {
        format!(
            "[poll.{name}]\nurl = \"{url}/{name}\"\nrecords = \"/things\"\nid = \"id\"\nevery = \"2s\"\n\
             timeout = \"50s\"\n"
        )
    };
    let names: Vec<String> = (0..20).map(|number| format!("live_{number}")).collect();
    let live: String = names.iter().map(|name| one(name, &well.url())).collect();
    let text = format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"256 MiB\"\n{}{}{live}",
        one("dead_1", &dead.url()),
        one("dead_2", &dead.url()),
    );
    let setup = Setup::new(&text);
    let program = setup.start();
    let is_stuck = |name: &str| health(&setup, name)["waiting"]["for"] == "an answer";
    for name in ["dead_1", "dead_2"] {
        wait_until(name, || is_stuck(name));
    }
    // Each of them runs again and again, long before the silence of the others is given up.
    let start = Instant::now();
    let before = well.requests().len();
    let runs_since = |name: &str| {
        let requests = well.requests();
        let path = format!("/{name}");
        let since = requests.iter().skip(before);
        since.filter(|request| request.url.path() == path).count()
    };
    wait_until("a live poll does not run", || {
        names.iter().all(|name| runs_since(name) >= 3)
    });
    assert!(
        start.elapsed() < Duration::from_secs(40),
        "{:?}",
        start.elapsed()
    );
    assert!(is_stuck("dead_1") && is_stuck("dead_2"));
    assert!(program.stop(LIMIT).success());
}

/// What a command says within this time, and whether it has ended by then.
fn said_within(setup: &Setup, arguments: &[&str], time: Duration) -> (String, bool) {
    let mut command = setup.command(arguments);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < time && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let has_ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    (text, has_ended)
}

#[test]
fn every_failed_try_is_shown_at_once_with_its_reason_and_the_pause() {
    let nobody = format!("http://{}", free_address());
    let setup = setup(&nobody, "");
    let (text, has_ended) = said_within(&setup, &["poll"], Duration::from_secs(4));
    assert!(!has_ended, "{text}");
    assert!(text.matches("another try (page 1: ").count() >= 3, "{text}");
    assert!(text.contains("failed to connect"), "{text}");

    let start = Instant::now();
    let (text, code) = said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("3 tries ended like this"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_host_that_does_not_exist_is_given_up_soon() {
    let start = Instant::now();
    let unknown = setup("http://nowhere.invalid", "");
    poll_in_vain(&unknown, &["failed to connect", "4 tries ended like this"]);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
}

/// The lake does not take anything for longer than the run takes; then it does.
#[test]
fn the_verdict_is_about_the_lake() {
    let api = Api::start(|_, _| page(json!({"things": things(0..3)})));
    let text = config(&api.url(), "");
    let setup = Setup::new(&text);
    let lake_dir = setup.directory().join("lake");
    // A first run makes the lake; then nothing can be created in it.
    poll_well(&setup);
    let stream = lake_dir.join("things");
    let aside = lake_dir.join("aside");
    std::fs::rename(&stream, &aside).unwrap();
    std::fs::write(&stream, "in the way").unwrap();
    let back = std::thread::spawn({
        let (stream, aside) = (stream.clone(), aside.clone());
        move || {
            std::thread::sleep(Duration::from_secs(35));
            std::fs::remove_file(&stream).unwrap();
            std::fs::rename(&aside, &stream).unwrap();
        }
    });
    let (text, code) = said(&setup.run(&["poll", "--force"]));
    back.join().unwrap();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("on their way to the lake"), "{text}");
    lake(&setup).runs("things", "id").check();
}
