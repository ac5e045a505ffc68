//! A log that is kept in a bucket: the machine is lost under load, with its disk, and the service goes on
//! elsewhere. Nothing that was acknowledged is lost, nothing is there twice, and what the old machine may
//! still do changes nothing.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::arrival::{STOP_LIMIT, check};
use crate::support::api::{Api, number, page};
use crate::support::duckdb::{Lake, Run};
use crate::support::http;
use crate::support::load::{Load, Plan};
use crate::support::moto::Moto;
use crate::support::process::{Program, Setup};
use crate::support::random::Random;
use crate::support::s3::{BUCKET, Chances, S3Server};

mod beside;
mod broken;
mod cluster;
mod follower;
mod full;
mod guarded;
mod logs;
mod partitions;
mod streams;
mod versions;
mod without_lake;

/// Machines that are lost in each test; `make proof` sets more.
fn losses() -> u64 {
    std::env::var("LAKEHOOK_LOSSES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(5)
}

/// How long a service may need to take a log over.
const TAKEOVER: Duration = Duration::from_secs(10);
const REPLICA: &str = "s3://lake/_lakehook/log";

fn config(endpoint: &str, format: &str, more: &str) -> String {
    format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{endpoint}\"\n[batch]\nformat = \"{format}\"\nmax_records = 400\n\
         max_age = \"1s\"\nlate_max_age = \"1s\"\n[wal]\nreplica = \"{REPLICA}\"\nreplica_interval = \"20ms\"\n\
         max_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[server]\nshutdown_grace = \"40s\"\n{more}"
    )
}

/// The disk of the machine is gone.
fn lose_disk(setup: &Setup) {
    let data = setup.directory().join("data");
    if data.exists() {
        fs::remove_dir_all(&data).unwrap();
    }
    assert!(!data.exists());
}

fn plan(setup: &Setup, seed: u64) -> Plan {
    let mut plan = Plan::new(setup.address(), seed);
    plan.connections = 6;
    plan.events_per_request = 20;
    plan.days = 3;
    plan.repeats = 0.05;
    plan.think = Duration::from_millis(5);
    plan
}

/// Records that are polled meanwhile, and how many of them there are.
const RECORDS: usize = 120;

fn polled() -> (Api, String) {
    let api = Api::start(|request, _| {
        let offset = number(request, "offset");
        let ids = offset..(offset + 50).min(RECORDS);
        let things: Vec<_> = ids.map(|id| serde_json::json!({"id": id})).collect();
        page(serde_json::json!({"things": things, "total": RECORDS}))
    });
    let more = format!(
        "[polls]\nmax_bytes = \"64 MiB\"\n[poll.things]\nurl = \"{}/things\"\nrecords = \"/things\"\ntotal = \"/total\"\n\
         id = \"id\"\nevery = \"1s\"\npagination = {{ type = \"offset\" }}\n",
        api.url()
    );
    (api, more)
}

/// SIGKILL under load and the disk deleted, again and again; then everything is in the lake once.
fn survives(setup: &Setup, lake: &Lake, seed: u64, calm: impl FnOnce()) {
    let random = Random::new(seed);
    let load = Load::start(plan(setup, seed));
    let mut slowest = Duration::ZERO;
    for _ in 0..losses() {
        let began = Instant::now();
        let mut program = setup.spawn();
        program.wait_ready(Duration::from_secs(60));
        slowest = slowest.max(began.elapsed());
        let before = load.acknowledged();
        load.wait_acknowledged(before + 100 + random.below(300), Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(random.below(60)));
        program.kill();
        lose_disk(setup);
    }
    let program = setup.start();
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let said = setup.stderr();
    assert!(said.contains("everything is in the lake"), "{said}");
    let count = check(&report, lake);
    assert!(count.rows > losses() * 80, "only {} events", count.rows);
    // A machine that has never seen the log can prove it too.
    calm();
    lose_disk(setup);
    crate::audit::adds_up(setup, &["data/wal", "data/polls"]);
    let verified = setup.run(&["wal", "verify"]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}");
    println!(
        "{} machines lost, {} events acknowledged, each there once; the slowest takeover took {slowest:?}",
        losses(),
        report.acknowledged().count()
    );
    assert!(slowest < TAKEOVER, "a takeover took {slowest:?}");
}

#[test]
fn machines_are_lost_and_a_bucket_of_moto_keeps_everything() {
    let moto = Moto::start();
    let (_api, more) = polled();
    let setup = Setup::new(&config(&moto.endpoint(), "ndjson.zst", &more));
    let lake = Lake::s3("s3://lake", &moto.endpoint());
    survives(&setup, &lake, 201, || {});
    let runs = lake.runs("things", "id");
    runs.check();
    let is_whole = |run: &Run| run.rows == RECORDS as u64 || run.same_as.is_some();
    assert!(
        !runs.runs.is_empty() && runs.runs.iter().all(is_whole),
        "{runs:?}"
    );
}

#[test]
fn machines_are_lost_and_a_bucket_with_faults_keeps_everything() {
    let server = S3Server::start(202);
    server.faults().set(Chances {
        stall_for: Some(Duration::from_millis(300)),
        ..Chances::storm(0.02)
    });
    let setup = Setup::new(&config(&server.endpoint(), "parquet", ""));
    let lake = Lake::s3("s3://lake", &server.endpoint());
    survives(&setup, &lake, 202, || server.faults().calm());
    assert_eq!(
        server.faults().counts().replaced,
        0,
        "something was replaced"
    );
}

/// Two machines with one configuration, each with a disk of its own.
struct Two {
    server: S3Server,
    first: Setup,
    second: Setup,
}

impl Two {
    fn start(seed: u64) -> Self {
        let server = S3Server::start(seed);
        let config = config(&server.endpoint(), "ndjson", "");
        Self {
            first: Setup::new(&config),
            second: Setup::new(&config),
            server,
        }
    }
}

fn signal(program: &Program<'_>, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(program.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The owner is alive and under load when another machine starts: it is fenced, says by whom, and ends.
#[test]
fn whoever_is_fenced_says_by_whom_and_ends() {
    let two = Two::start(203);
    let mut first = two.first.start();
    let load = Load::start(plan(&two.first, 203));
    load.wait_acknowledged(200, Duration::from_secs(60));
    let began = Instant::now();
    let second = two.second.start();
    assert!(began.elapsed() < TAKEOVER, "{:?}", began.elapsed());
    let ended = first.wait(Duration::from_secs(45));
    let said = two.first.stderr();
    assert_eq!(ended.and_then(|status| status.code()), Some(1), "{said}");
    let by = format!("process {}", second.id());
    assert!(said.contains(&by), "{by} in {said}");
    // A supervisor that starts it again begins no war; a person may.
    let again = two.first.run(&["serve"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains(&by) && said.contains("--take-over"), "{said}");
    let report = load.finish(Duration::ZERO);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    assert!(second.stop(STOP_LIMIT).success(), "{}", two.second.stderr());
    let mut back = two.first.spawn_with(&["serve", "--take-over"]);
    back.wait_ready(TAKEOVER);
    assert!(back.stop(STOP_LIMIT).success(), "{}", two.first.stderr());
    assert!(two.first.start().stop(STOP_LIMIT).success());
    let lake = Lake::s3("s3://lake", &two.server.endpoint());
    let ids = lake.ids();
    for event in report.acknowledged() {
        let times = ids.iter().filter(|id| **id == event.id).count();
        let expected = usize::from(!crate::arrival::DROPPED.contains(&event.kind));
        assert_eq!(times, expected, "{}", event.id);
    }
}

/// A paused owner wakes up after another one has taken over: it answers 503, puts nothing, and ends.
#[test]
fn an_owner_that_was_paused_changes_nothing() {
    let two = Two::start(204);
    let mut first = two.first.start();
    let load = Load::start(plan(&two.first, 204));
    load.wait_acknowledged(300, Duration::from_secs(60));
    signal(&first, Signal::STOP);
    let second = two.second.start();
    let ids_before = wait_until_shipped(&two);
    signal(&first, Signal::CONT);
    let ended = first.wait(Duration::from_secs(45));
    assert_eq!(
        ended.and_then(|status| status.code()),
        Some(1),
        "{}",
        two.first.stderr()
    );
    let report = load.finish(Duration::ZERO);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    let keys = two.server.keys("events/");
    assert_eq!(keys, ids_before, "the former owner has put something");
    assert!(second.stop(STOP_LIMIT).success(), "{}", two.second.stderr());
    crate::audit::adds_up(&two.second, &[]);
}

/// Waits until the second machine has shipped everything; returns the objects of events.
fn wait_until_shipped(two: &Two) -> Vec<String> {
    let began = Instant::now();
    loop {
        let answer = http::get(two.second.address(), "/health").unwrap().json();
        if answer["buffer_size"] == 0 {
            return two.server.keys("events/");
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until the service says that it takes nothing. Returns why.
fn wait_unready(setup: &Setup) -> String {
    let began = Instant::now();
    loop {
        let answer = http::get(setup.address(), "/ready").unwrap();
        if answer.status != 200 {
            return answer.text();
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// While the bucket is away, nothing is answered 2xx, requests are refused at once, and all goes on afterwards.
#[test]
fn without_the_bucket_nothing_is_acknowledged() {
    let server = S3Server::start(205);
    let setup = Setup::new(&config(&server.endpoint(), "ndjson", ""));
    let program = setup.start();
    let mut plan = plan(&setup, 205);
    plan.max_requests = Some(40);
    let load = Load::start(plan);
    load.wait_acknowledged(40, Duration::from_secs(60));
    server.faults().down();
    let said = wait_unready(&setup);
    assert!(said.contains("replica"), "{said}");
    server.faults().up();
    let report = load.complete(Duration::from_secs(120));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

/// A directory that is a copy is no log of its own, and a wrong address is no new log.
#[test]
fn a_copy_is_no_log_and_a_wrong_address_no_new_one() {
    let server = S3Server::start(206);
    let right = config(&server.endpoint(), "ndjson", "");
    let setup = Setup::new(&right);
    assert!(setup.start().stop(STOP_LIMIT).success());
    let refused = |config: &str, words: &str| {
        setup.configure(config);
        let output = setup.run(&["serve"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words), "{words} in {said}");
    };
    let without = right.replace(&format!("replica = \"{REPLICA}\"\n"), "");
    refused(&without, "set `wal.replica` again");
    let wrong = right.replace(REPLICA, "s3://lake/_lakehook/log/typo");
    refused(&wrong, "use an empty directory");
    // On a machine that has never seen the log, the lake knows it.
    lose_disk(&setup);
    refused(&wrong, "is `wal.replica` wrong");
    for key in server.keys("_lakehook/log/") {
        assert!(server.store().delete(BUCKET, &key));
    }
    lose_disk(&setup);
    refused(&right, "was what it names emptied");
    // Another service may have a log of its own.
    let other = wrong.replace(
        "replica_interval",
        "replica_name = \"other\"\nreplica_interval",
    );
    setup.configure(&other);
    lose_disk(&setup);
    assert!(setup.start().stop(STOP_LIMIT).success());
}

#[test]
fn check_refuses_what_cannot_fence() {
    let server = S3Server::start(207);
    let setup = Setup::new(&config(&server.endpoint(), "ndjson", ""));
    let check = || {
        let output = setup.run(&["check"]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, said) = check();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("ok       write-ahead log (s3://lake/_lakehook/log/events"),
        "{said}"
    );
    server.faults().ignore_conditions(true);
    let (code, said) = check();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("two owners could both believe"), "{said}");
    let output = setup.run(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("two owners could both believe"), "{said}");
    assert!(!setup.directory().join("data/wal/node").exists());
}

/// Commands that would have to take the log from its owner are refused, and those that look read the bucket.
#[test]
fn commands_leave_the_log_to_its_owner() {
    let two = Two::start(208);
    let first = two.first.start();
    let mut plan = plan(&two.first, 208);
    plan.max_requests = Some(10);
    let report = Load::start(plan).complete(Duration::from_secs(60));
    assert!(report.violations.is_empty());
    let erase = ["erase", "--stream", "events", "--where", "user_id=u-1"];
    let retain = ["retain", "--older-than", "30d"];
    for command in [&erase[..], &retain[..]] {
        let output = two.second.run(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{command:?}: {said}");
        assert!(
            said.contains("where `lakehook serve` runs"),
            "{command:?}: {said}"
        );
    }
    let info = two.second.run(&["wal", "info"]);
    let said = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.status.success() && said.contains("received"), "{said}");
    assert!(first.stop(STOP_LIMIT).success(), "{}", two.first.stderr());
}
