//! Three nodes and three logs that share the rows: owners are lost with their disks, logs are spread again, and a request whose
//! rows go to a log that is away is refused, and exact when it is sent again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{Machines, NODES, PATIENCE, Running, goes_on, is_known_everywhere};
use super::streams::in_stream;
use super::{TAKEOVER, config, lose_disk, losses, polled};
use crate::arrival::{STOP_LIMIT, check_logs};
use crate::http::{PATH, body, click, event, id};
use crate::support::duckdb::Lake;
use crate::support::http::{self, Answer};
use crate::support::nats::Nats;
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server};

const LOGS: usize = 3;
const ALL: [usize; NODES] = [0, 1, 2];
const SHARED: &str = "logs = 3\ntakeover_after = \"2s\"\n";

/// The node among these that owns a log, as they say themselves.
fn owner_of(machines: &Machines, log: usize, among: &[usize]) -> Option<usize> {
    let owns = |node: &usize| machines.standing(*node)["logs"][log]["role"] == "owning";
    among.iter().copied().find(owns)
}

fn is_ready(machines: &Machines, node: usize) -> bool {
    let answer = http::get(machines.setups[node].address(), "/ready");
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Waits until these nodes own all logs between them, and each is ready. Returns the owners.
fn wait_owners(machines: &Machines, among: &[usize]) -> [usize; LOGS] {
    let began = Instant::now();
    loop {
        let owners: Vec<usize> = (0..LOGS)
            .filter_map(|log| owner_of(machines, log, among))
            .collect();
        if let Ok(owners) = <[usize; LOGS]>::try_from(owners)
            && among.iter().all(|node| is_ready(machines, *node))
        {
            return owners;
        }
        assert!(began.elapsed() < PATIENCE, "{}", machines.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until each node owns one of the logs.
fn wait_spread(machines: &Machines) -> [usize; LOGS] {
    let began = Instant::now();
    loop {
        let owners = wait_owners(machines, &ALL);
        if BTreeSet::from(owners).len() == NODES {
            return owners;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{owners:?}\n{}",
            machines.said()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Stops one node after the other; the last one owns all logs by then, and ships what they hold.
fn stop(machines: &Machines, mut running: Running<'_>) {
    for node in ALL {
        wait_owners(machines, &ALL[node..]);
        let program = running[node].take().unwrap();
        assert!(program.stop(STOP_LIMIT).success(), "{}", machines.said());
    }
    let said = machines.setups[NODES - 1].stderr();
    assert!(said.contains("everything is in the lake"), "{said}");
}

/// SIGKILL of the owner of a log under load, its disk deleted, while the owners of the others go on.
fn owners_of_logs_are_lost(machines: &Machines, lake: &Lake, rounds: u64) {
    let mut running = machines.start();
    wait_spread(machines);
    let load = machines.load();
    goes_on(&load);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let log = usize::try_from(round).unwrap() % LOGS;
        let owner = owner_of(machines, log, &ALL).unwrap();
        let began = Instant::now();
        running[owner].take().unwrap().kill();
        lose_disk(&machines.setups[owner]);
        wait_owners(machines, &Machines::others(owner));
        slowest = slowest.max(began.elapsed());
        goes_on(&load);
        running[owner] = Some(machines.setups[owner].start());
        goes_on(&load);
        // Whoever owns two of them hands one over.
        wait_spread(machines);
    }
    let report = load.finish(PATIENCE);
    wait_owners(machines, &ALL);
    is_known_everywhere(machines, &report);
    let info = machines.setups[0].run(&["wal", "info"]);
    let info = String::from_utf8(info.stdout).unwrap();
    for log in ["log 0 of 3", "log 1 of 3", "log 2 of 3"] {
        assert!(info.contains(log), "{info}");
    }
    let metrics = http::get(machines.setups[0].address(), "/metrics").unwrap();
    let metrics = metrics.text();
    assert!(
        metrics.contains("lakehook_cluster_owner{cluster=\"prod\",log=\"2\"}"),
        "{metrics}"
    );
    stop(machines, running);
    let events = report.acknowledged().count();
    println!("{events} events acknowledged; the slowest takeover took {slowest:?}");
    let count = check_logs(&report, lake);
    assert!(count.rows > 300, "only {} events", count.rows);
    // A machine that has never seen the logs can prove it.
    lose_disk(&machines.setups[0]);
    crate::audit::adds_up(&machines.setups[0], &["data/wal"]);
    assert!(slowest < TAKEOVER, "a takeover took {slowest:?}");
}

/// The ids of the logs that have shipped something, as the keys of their objects say.
fn shippers(server: &S3Server) -> BTreeSet<String> {
    let keys = server.keys("events/").into_iter();
    keys.filter_map(|key| Some(key.rsplit_once('/')?.1.split_once('-')?.0.to_owned()))
        .collect()
}

#[test]
fn owners_of_logs_are_lost_and_other_nodes_go_on_with_a_bucket() {
    let server = S3Server::start(251);
    let (_api, more) = polled();
    let config = config(&server.endpoint(), "ndjson.zst", &more);
    let machines = Machines::sharing(&config, SHARED, 251);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    owners_of_logs_are_lost(&machines, &lake, losses().min(3));
    assert_eq!(shippers(&server).len(), LOGS);
    lake.runs("things", "id").check();
}

#[test]
fn owners_of_logs_are_lost_and_other_nodes_go_on_with_streams() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(252);
    let config = in_stream(&nats, &config(&server.endpoint(), "ndjson", ""));
    let machines = Machines::sharing(&config, SHARED, 252);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    owners_of_logs_are_lost(&machines, &lake, 1);
    assert_eq!(shippers(&server).len(), LOGS);
}

fn post(machines: &Machines, node: usize, events: &[String]) -> Answer {
    let address = machines.setups[node].address();
    http::post_json(address, PATH, body(events).as_bytes()).unwrap()
}

fn counts(answer: &Answer) -> [u64; 3] {
    let said: Value = answer.json();
    ["accepted", "duplicates", "quarantined"].map(|name| said[name].as_u64().unwrap_or(u64::MAX))
}

/// The owner of a log is away for long. What needs the log is refused as a whole; nothing is there twice once it is back, not
/// even what has no id.
#[test]
fn a_request_for_a_log_that_is_away_is_refused_whole_and_exact_when_sent_again() {
    const MANY: u64 = 40;
    let server = S3Server::start(253);
    let invalid = "[events]\non_invalid = \"quarantine\"\n";
    let shared = "logs = 3\ntakeover_after = \"2m\"\n";
    let config = config(&server.endpoint(), "ndjson", invalid);
    let machines = Machines::sharing(&config, shared, 253);
    let mut running = machines.start();
    let owners = wait_spread(&machines);
    let (away, here) = (owners[2], owners[1]);
    running[away].take().unwrap().kill();
    let began = Instant::now();
    while is_ready(&machines, here) {
        assert!(began.elapsed() < PATIENCE, "{}", machines.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut events: Vec<String> = (0..MANY).map(click).collect();
    events.push("{\"event_id\":7}".to_owned());
    for _ in 0..3 {
        let refused = post(&machines, here, &events);
        let said = refused.text();
        assert_eq!(refused.status, 503, "{said}");
        assert!(
            said.contains("no-owner") && said.contains("log 2"),
            "{said}"
        );
    }
    // What belongs to the other logs alone is taken, and known already.
    let alone = (0..MANY).map(|number| post(&machines, here, &[click(number)]));
    let taken = alone.filter(|answer| answer.status == 200).count() as u64;
    assert!(taken > 0 && taken < MANY, "{taken} of {MANY}");
    running[away] = Some(machines.setups[away].start());
    wait_owners(&machines, &ALL);
    let stored = post(&machines, here, &events);
    assert_eq!(
        counts(&stored),
        [MANY - taken, taken, 1],
        "{}",
        stored.text()
    );
    let again = post(&machines, away, &events[..40]);
    assert_eq!(counts(&again), [0, MANY, 0], "{}", again.text());
    stop(&machines, running);
    let mut ids = Lake::s3("s3://lake", &server.endpoint()).ids();
    ids.sort_unstable();
    assert_eq!(ids, (0..MANY).map(id).collect::<Vec<_>>());
    let kept = machines.setups[0].run(&["quarantine", "show", "--json"]);
    let kept = String::from_utf8(kept.stdout).unwrap();
    assert_eq!(kept.lines().count(), 1, "{kept}");
    crate::audit::adds_up(&machines.setups[0], &["data/wal"]);
}

/// Lets clicks have numbers up to `maximum`, on each machine.
fn allow(machines: &Machines, maximum: u64) {
    let schema = format!(
        r#"{{"type":"object","properties":{{"n":{{"type":"integer","maximum":{maximum}}}}}}}"#
    );
    for setup in &machines.setups {
        let schemas = setup.directory().join("schemas");
        std::fs::create_dir_all(&schemas).unwrap();
        std::fs::write(schemas.join("click.json"), &schema).unwrap();
    }
}

/// What a replay says, if it succeeds, or why it does not.
fn replay(machines: &Machines, node: usize) -> Result<Value, String> {
    let output = machines.setups[node].run(&["quarantine", "replay", "--json"]);
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Rows of the quarantine are stored again where all logs are owned, and nowhere else: what a node sends to the owner of
/// another log could arrive there behind an erasure.
#[test]
fn a_replay_is_for_the_node_that_owns_all_logs() {
    const MANY: u64 = 30;
    let server = S3Server::start(255);
    let more = "[events]\nschemas = \"schemas\"\non_invalid = \"quarantine\"\n";
    let config = config(&server.endpoint(), "ndjson", more);
    let machines = Machines::sharing(&config, SHARED, 255);
    allow(&machines, 0);
    let running = machines.start();
    wait_spread(&machines);
    let click = |number| event(number, "click", "{\"n\":7}");
    let events: Vec<String> = (0..MANY).map(click).collect();
    assert_eq!(counts(&post(&machines, 1, &events)), [0, 0, MANY]);
    stop(&machines, running);

    allow(&machines, 9);
    let mut running = machines.start();
    let owners = wait_spread(&machines);
    let (first, second) = (owners[0], owners[1]);
    let why = replay(&machines, first).unwrap_err();
    for words in ["needs a node that owns all logs", "log 1: ", "log 2: "] {
        assert!(why.contains(words), "{words} in {why}");
    }
    let why = replay(&machines, second).unwrap_err();
    assert!(why.contains("do this on that machine"), "{why}");
    for node in Machines::others(second) {
        let program = running[node].take().unwrap();
        assert!(program.stop(STOP_LIMIT).success(), "{}", machines.said());
    }
    wait_owners(&machines, &[second]);
    let said = replay(&machines, second).unwrap();
    assert_eq!(said["replayed"]["stored"], MANY, "{said}");
    let said = replay(&machines, second).unwrap();
    assert_eq!(said["skipped"]["replayed_before"], MANY, "{said}");
    for node in Machines::others(second) {
        running[node] = Some(machines.setups[node].start());
    }
    wait_owners(&machines, &ALL);
    assert_eq!(counts(&post(&machines, first, &events)), [0, MANY, 0]);
    stop(&machines, running);
    let mut ids = Lake::s3("s3://lake", &server.endpoint()).ids();
    ids.sort_unstable();
    assert_eq!(ids, (0..MANY).map(id).collect::<Vec<_>>());
    // All three have some of them.
    let keys = server.keys("events/");
    assert_eq!(shippers(&server).len(), LOGS, "{keys:?}");
}

/// The number of logs is decided when they are founded. Another one is refused, until the logs have been drained and founded
/// anew.
#[test]
fn another_number_of_logs_is_refused_until_all_is_drained() {
    let server = S3Server::start(254);
    let config = config(&server.endpoint(), "ndjson", "");
    let machines = Machines::sharing(&config, SHARED, 254);
    let setup = &machines.setups[0];
    let program = setup.start();
    let events: Vec<String> = (0..30).map(click).collect();
    assert_eq!(counts(&post(&machines, 0, &events)), [30, 0, 0]);
    // Who owns all logs may erase.
    let erase = [
        "erase",
        "--stream",
        "events",
        "--where",
        &format!("event_id={}", id(3)),
    ];
    let erased = setup.run(&erase);
    let said = String::from_utf8_lossy(&erased.stdout).into_owned();
    assert!(
        erased.status.success() && said.contains("1 row"),
        "{said}{}",
        setup.stderr()
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let refused = |config: &str, command: &[&str], words: &str| {
        setup.configure(config);
        let output = setup.run(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(words), "{words} in {said}");
    };
    let two = Machines::config(&config, "logs = 2\n");
    let one = Machines::config(&config, "");
    let words = "docs/cluster.md says how the number is changed";
    for config in [&two, &one] {
        refused(config, &["serve"], words);
        lose_disk(setup);
        refused(config, &["serve"], words);
    }
    // Nor does a service alone take one of them.
    let alone = Setup::new(&config).run(&["serve"]);
    let said = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(!alone.status.success() && said.contains(words), "{said}");
    let three = Machines::config(&config, SHARED);
    refused(&three, &["wal", "move", "--to-disk"], "only one log moves");
    // The way that docs/cluster.md describes.
    for prefix in ["_lakehook/log/events", "_lakehook/logs/main/events"] {
        for key in server.keys(prefix) {
            assert!(server.store().delete(BUCKET, &key));
        }
    }
    lose_disk(setup);
    setup.configure(&two);
    let program = setup.start();
    let more: Vec<String> = (100..130).map(click).collect();
    assert_eq!(counts(&post(&machines, 0, &more)), [30, 0, 0]);
    assert_eq!(counts(&post(&machines, 0, &more)), [0, 30, 0]);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert_eq!(shippers(&server).len(), 5);
    assert_eq!(Lake::s3("s3://lake", &server.endpoint()).ids().len(), 59);
    crate::audit::adds_up(setup, &["data/wal"]);
}
