//! The owner of a log is lost while the lake is away.

use std::time::{Duration, Instant};

use super::cluster::{HASTE, Machines, PATIENCE, all_is_there, goes_on};
use super::streams::in_stream;
use super::{TAKEOVER, config, lose_disk};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::nats::Nats;
use crate::support::proxy::{Mode, Proxy};
use crate::support::s3::S3Server;

/// How long a takeover may take: as long as usual, by nodes that wait for less.
const LIMIT: Duration = TAKEOVER.saturating_sub(USUALLY.saturating_sub(HASTE));
/// What nodes wait for usually.
const USUALLY: Duration = Duration::from_secs(5);

/// A log in NATS does not need the lake: another node takes it over, whether the lake refuses or does not answer, and
/// ships everything once the lake is back.
#[test]
fn a_log_in_a_stream_is_taken_over_while_the_lake_is_away() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(271);
    let way = Proxy::start(server.address());
    let config = in_stream(&nats, &config(&way.endpoint(), "ndjson", ""));
    let machines = Machines::hasty(&config, 271);
    let mut running = machines.start();
    let load = machines.load();
    goes_on(&load);
    let mut slowest = Duration::ZERO;
    for mode in [Mode::Reset, Mode::Stall] {
        way.set(mode);
        let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
        let began = Instant::now();
        running[owner].take().unwrap().kill();
        machines.wait_owner(&Machines::others(owner), PATIENCE);
        slowest = slowest.max(began.elapsed());
        goes_on(&load);
        // So does a node that comes back, with its disk.
        running[owner] = Some(machines.setups[owner].start());
        goes_on(&load);
        way.set(Mode::Pass);
    }
    goes_on(&load);
    let report = load.finish(PATIENCE);
    machines.stop(running);
    all_is_there(
        &machines,
        &report,
        &Lake::s3("s3://lake", &server.endpoint()),
    );
    // The lake is not waited for.
    println!("the slowest takeover took {slowest:?}");
    assert!(slowest < LIMIT, "a takeover took {slowest:?}");
}

/// A log in the lake's bucket is away with it: nobody can take it over, and each node says so. It goes on by itself.
#[test]
fn a_log_in_the_bucket_of_the_lake_waits_for_it() {
    let server = S3Server::start(272);
    let way = Proxy::start(server.address());
    let machines = Machines::hasty(&config(&way.endpoint(), "ndjson", ""), 272);
    let mut running = machines.start();
    let load = machines.load();
    load.wait_acknowledged(200, PATIENCE);
    let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
    way.set(Mode::Reset);
    running[owner].take().unwrap().kill();
    lose_disk(&machines.setups[owner]);
    let others = Machines::others(owner);
    for node in &others {
        let began = Instant::now();
        let is_told = |said: &str| said.contains("the replica of the log does not answer");
        loop {
            let ready = http::get(machines.setups[*node].address(), "/ready").unwrap();
            if ready.status == 503 && is_told(&ready.text()) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{}", ready.text());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let before = load.acknowledged();
    way.set(Mode::Pass);
    machines.wait_owner(&others, PATIENCE);
    load.wait_acknowledged(before + 200, PATIENCE);
    running[owner] = Some(machines.setups[owner].start());
    let report = load.finish(PATIENCE);
    machines.stop(running);
    all_is_there(
        &machines,
        &report,
        &Lake::s3("s3://lake", &server.endpoint()),
    );
}

/// A machine that has never seen the log follows its owner while the lake is away. It takes the log over only once the lake
/// has said that it is the right one.
#[test]
fn a_node_with_an_empty_directory_follows_while_the_lake_is_away() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(273);
    let way = Proxy::start(server.address());
    let config = in_stream(&nats, &config(&way.endpoint(), "ndjson", ""));
    let machines = Machines::hasty(&config, 273);
    let mut running = machines.start();
    let load = machines.load();
    goes_on(&load);
    let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
    let others = Machines::others(owner);
    let (fresh, third) = (others[0], others[1]);
    way.set(Mode::Reset);
    running[fresh].take().unwrap().kill();
    lose_disk(&machines.setups[fresh]);
    running[fresh] = Some(machines.setups[fresh].start());
    machines.wait_role(fresh, "following");
    goes_on(&load);
    let identity = machines.setups[fresh].directory().join("data/wal/node");
    assert!(
        !identity.exists(),
        "it has remembered what nobody confirmed"
    );
    // Nobody is left who knows the log.
    for node in [third, owner] {
        running[node].take().unwrap().kill();
    }
    let began = Instant::now();
    let said = || machines.setups[fresh].stderr();
    while !said().contains("failed to take the log over") {
        assert!(began.elapsed() < PATIENCE, "{}", said());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_ne!(machines.standing(fresh)["role"], "owning", "{}", said());
    way.set(Mode::Pass);
    assert_eq!(machines.wait_owner(&[fresh], PATIENCE), fresh);
    assert!(identity.exists());
    for node in [third, owner] {
        running[node] = Some(machines.setups[node].start());
    }
    goes_on(&load);
    let report = load.finish(PATIENCE);
    machines.stop(running);
    all_is_there(
        &machines,
        &report,
        &Lake::s3("s3://lake", &server.endpoint()),
    );
}
