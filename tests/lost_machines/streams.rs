//! A log that is kept in a stream of NATS JetStream: three real servers, which are killed, paused, and made anew.

use std::time::{Duration, Instant};

use lakehook::clock::Clock;
use serde_json::{Value, json};

use super::{
    RECORDS, REPLICA, TAKEOVER, Two, config, lose_disk, plan, polled, survives, wait_unready,
};
use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::support::duckdb::{Lake, Run};
use crate::support::http;
use crate::support::load::{Load, Source};
use crate::support::nats::{Nats, NatsPlan};
use crate::support::process::Setup;
use crate::support::s3::S3Server;

/// The configuration of a log in the bucket, with the log in a stream.
pub(super) fn in_stream(nats: &Nats, config: &str) -> String {
    let bucket = format!("replica = \"{REPLICA}\"\nreplica_interval = \"20ms\"\n");
    assert!(config.contains(&bucket));
    config.replace(&bucket, &format!("replica = \"{}\"\n", nats.url()))
}

pub(super) const STREAM: &str = "lakehook-main-events";

/// Asks JetStream something.
pub(super) fn ask(nats: &Nats, what: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let body = body.to_string();
    let answer = runtime.block_on(async {
        let client = async_nats::connect(nats.urls()).await.unwrap();
        let asked = client.request(format!("$JS.API.{what}"), body.into()).await;
        asked.unwrap().payload
    });
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["error"].is_null(), "{what}: {answer}");
    answer
}

#[test]
fn machines_are_lost_and_a_stream_keeps_everything() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(221);
    let (_api, more) = polled();
    let setup = Setup::new(&in_stream(
        &nats,
        &config(&server.endpoint(), "ndjson.zst", &more),
    ));
    let lake = Lake::s3("s3://lake", &server.endpoint());
    survives(&setup, &lake, 221, || {});
    let runs = lake.runs("things", "id");
    runs.check();
    let is_whole = |run: &Run| run.rows == RECORDS as u64 || run.same_as.is_some();
    assert!(
        !runs.runs.is_empty() && runs.runs.iter().all(is_whole),
        "{runs:?}"
    );
    // What is shipped is trimmed.
    let info = ask(
        &nats,
        &format!("STREAM.INFO.{STREAM}"),
        &json!({"subjects_filter": ">"}),
    );
    let (stored, left) = (&info["state"]["last_seq"], &info["state"]["messages"]);
    assert!(
        left.as_u64().unwrap() * 2 < stored.as_u64().unwrap(),
        "{left} of {stored}"
    );
}

/// Servers are killed and paused under load, the leader of the stream among them; the machine is lost in between.
#[test]
fn servers_are_killed_and_nothing_is_lost() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let server = S3Server::start(222);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let mut program = setup.start();
    let load = Load::start(plan(&setup, 222));
    let go_on = |load: &Load| {
        let before = load.acknowledged();
        load.wait_acknowledged(before + 200, Duration::from_secs(60));
    };
    for round in 0..3 {
        go_on(&load);
        let leader = nats.leader_of(STREAM).unwrap();
        nats.kill(leader);
        go_on(&load);
        if round == 1 {
            program.kill();
            lose_disk(&setup);
            program = setup.start();
        }
        nats.revive(leader);
        nats.wait_ready();
        let leader = nats.leader_of(STREAM).unwrap();
        nats.pause(leader, true);
        std::thread::sleep(Duration::from_secs(3));
        nats.pause(leader, false);
    }
    go_on(&load);
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
    crate::audit::adds_up(&setup, &["data/wal"]);
}

/// Without a majority nothing is answered 2xx; all goes on once there is one.
#[test]
fn without_a_majority_nothing_is_acknowledged() {
    let Some(mut nats) = Nats::start() else {
        return;
    };
    let server = S3Server::start(223);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let program = setup.start();
    let load = Load::start(plan(&setup, 223));
    load.wait_acknowledged(100, Duration::from_secs(60));
    nats.kill(0);
    nats.kill(1);
    let said = wait_unready(&setup);
    assert!(said.contains("replica-away"), "{said}");
    let before = load.acknowledged();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(load.acknowledged(), before);
    nats.revive(0);
    nats.revive(1);
    load.wait_acknowledged(before + 100, Duration::from_secs(90));
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

fn source(seed: u64) -> Source {
    Source {
        seed,
        now: Clock::system().now().wall,
        days: 1,
    }
}

/// Sends one event of a source.
fn send(setup: &Setup, source: &Source, number: u64) -> Value {
    let body = source.body(number..number + 1);
    let answer = http::post_json(setup.address(), "/webhook/events", &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The next owner knows the ids of the one before, who is fenced, and says by whom.
#[test]
fn a_duplicate_is_known_after_a_takeover() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(224);
    let config = in_stream(&nats, &config(&server.endpoint(), "ndjson", ""));
    let two = Two {
        first: Setup::new(&config),
        second: Setup::new(&config),
        server,
    };
    let mut first = two.first.start();
    let source = source(224);
    let sent = (0..20).filter(|number| !DROPPED.contains(&source.event(*number).kind));
    let sent: Vec<u64> = sent.collect();
    for number in &sent {
        assert_eq!(send(&two.first, &source, *number)["accepted"], 1);
    }
    let began = Instant::now();
    let second = two.second.start();
    assert!(began.elapsed() < TAKEOVER, "{:?}", began.elapsed());
    for number in &sent {
        assert_eq!(send(&two.second, &source, *number)["duplicates"], 1);
    }
    let ended = first.wait(Duration::from_secs(45));
    let said = two.first.stderr();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
    assert!(said.contains(&format!("process {}", second.id())), "{said}");
    assert!(second.stop(STOP_LIMIT).success(), "{}", two.second.stderr());
}

/// A stream that is made anew while the log is in use takes messages; none of them is answered 2xx, and no start
/// takes it for a new log.
#[test]
fn a_stream_that_is_made_anew_is_not_believed() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(225);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let program = setup.start();
    let source = source(225);
    for number in 0..10 {
        send(&setup, &source, number);
    }
    let info = ask(&nats, &format!("STREAM.INFO.{STREAM}"), &json!({}));
    ask(&nats, &format!("STREAM.DELETE.{STREAM}"), &json!({}));
    ask(&nats, &format!("STREAM.CREATE.{STREAM}"), &info["config"]);
    let load = Load::start(plan(&setup, 225));
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(load.acknowledged(), 0);
    let said = http::get(setup.address(), "/ready").unwrap().text();
    assert!(said.contains("replica-away"), "{said}");
    assert!(
        setup.stderr().contains("has lost messages"),
        "{}",
        setup.stderr()
    );
    program.kill();
    drop(load);
    let refused = |words: &str| {
        let output = setup.run(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words} in {said}");
    };
    refused("has lost the log");
    lose_disk(&setup);
    refused("is `wal.replica` wrong");
}

#[test]
fn check_refuses_a_stream_that_cannot_keep_a_log() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(226);
    let right = in_stream(&nats, &config(&server.endpoint(), "ndjson", ""));
    let setup = Setup::new(&right);
    let check = || {
        let output = setup.run(&["check"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ok       write-ahead log (stream lakehook-main-events of NATS)"),
        "{said}"
    );
    assert!(
        said.contains("warning") && said.contains("wal.nats_monitor"),
        "{said}"
    );
    let watched = right.replace(
        "[wal]\n",
        &format!("[wal]\nnats_monitor = {}\n", nats.monitors()),
    );
    setup.configure(&watched);
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("sync"), "{said}");
    // Somebody edits the stream.
    let mut changed = ask(&nats, &format!("STREAM.INFO.{STREAM}"), &json!({}))["config"].clone();
    changed["max_age"] = json!(3_600_000_000_000_i64);
    changed["num_replicas"] = json!(1);
    ask(&nats, &format!("STREAM.UPDATE.{STREAM}"), &changed);
    let (code, said) = check();
    assert_eq!(code, Some(1), "{said}");
    for words in ["num_replicas = 1", "max_age = 3600000000000"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let output = setup.run(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("max_age"), "{said}");
}

#[test]
fn check_tells_of_servers_that_cannot_keep_a_log() {
    let plan = NatsPlan {
        servers: 1,
        ..NatsPlan::default()
    };
    let Some(one) = Nats::planned(plan) else {
        return;
    };
    let server = S3Server::start(227);
    let setup = Setup::new(&in_stream(&one, &config(&server.endpoint(), "ndjson", "")));
    let output = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("needs 3 servers of one cluster"), "{said}");
    drop(one);
    // By default, they sync every two minutes.
    let plan = NatsPlan {
        sync: "2m",
        ..NatsPlan::default()
    };
    let Some(lazy) = Nats::planned(plan) else {
        return;
    };
    let config = in_stream(&lazy, &config(&server.endpoint(), "ndjson", ""));
    setup.configure(&config.replace(
        "[wal]\n",
        &format!("[wal]\nnats_monitor = {}\n", lazy.monitors()),
    ));
    let output = setup.run(&["check"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for server in 0..3 {
        assert!(
            said.contains(&format!("server n{server} answers before it syncs")),
            "{said}"
        );
    }
}

/// Requests that are larger than a message may be are kept in parts, and come back from another machine.
#[test]
fn a_frame_that_is_larger_than_a_message_outlives_the_machine() {
    let small = NatsPlan {
        max_payload: 64 << 10,
        ..NatsPlan::default()
    };
    let Some(nats) = Nats::planned(small) else {
        return;
    };
    let server = S3Server::start(228);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let program = setup.start();
    let mut large = plan(&setup, 228);
    large.connections = 1;
    large.events_per_request = 1000;
    large.max_requests = Some(4);
    let report = Load::start(large).complete(Duration::from_secs(60));
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    program.kill();
    lose_disk(&setup);
    let program = setup.start();
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}
