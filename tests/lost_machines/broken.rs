//! A stream of NATS whose servers are cut off from each other, or lose their power all at once.

use std::time::{Duration, Instant};

use super::streams::{STREAM, in_stream};
use super::{config, lose_disk, losses, plan, wait_unready};
use crate::arrival::{STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::load::Load;
use crate::support::nats::{Nats, NatsPlan};
use crate::support::process::Setup;
use crate::support::proxy::Mode;
use crate::support::s3::S3Server;
use crate::support::volume::Volume;

/// How often in each test; `make proof` sets more.
fn rounds() -> u64 {
    (losses() / 2).max(2)
}

const PATIENCE: Duration = Duration::from_secs(60);

fn go_on(load: &Load) {
    let before = load.acknowledged();
    load.wait_acknowledged(before + 200, PATIENCE);
}

/// The leader of the stream is cut off from the others under load: connections are stalled, or reset. The others
/// choose another one, and whoever was told "stored" has been told the truth.
#[test]
fn a_leader_that_is_cut_off_loses_nothing() {
    let plan_of_servers = NatsPlan {
        has_proxies: true,
        ..NatsPlan::default()
    };
    let Some(mut nats) = Nats::planned(plan_of_servers) else {
        return;
    };
    let server = S3Server::start(241);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let program = setup.start();
    let load = Load::start(plan(&setup, 241));
    for round in 0..rounds() {
        go_on(&load);
        let began = Instant::now();
        let leader = nats.leader_of(STREAM).unwrap();
        let another = (leader + 1) % 3;
        let is_stalled = round % 2 == 0;
        nats.between(leader, if is_stalled { Mode::Stall } else { Mode::Reset });
        go_on(&load);
        let went_on = began.elapsed();
        let chosen = nats.leader_by(another, STREAM);
        assert_ne!(chosen, Some(format!("n{leader}")), "nobody was cut off");
        nats.between(leader, Mode::Pass);
        nats.wait_ready();
        let healed = began.elapsed().saturating_sub(went_on);
        println!("went on after {went_on:?}, healed after {healed:?}");
    }
    go_on(&load);
    let report = load.finish(PATIENCE);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
    crate::audit::adds_up(&setup, &["data/wal"]);
    println!(
        "{} partitions, {} events acknowledged, each there once",
        rounds(),
        report.acknowledged().count()
    );
}

/// Three servers, each with a disk of its own whose power can be cut.
struct Powered {
    nats: Nats,
    volumes: Vec<Volume>,
}

impl Powered {
    /// `None` where a test cannot have that.
    fn start(sync: &'static str) -> Option<Self> {
        let mut volumes = Vec::new();
        for _ in 0..3 {
            volumes.push(Volume::new_or_skip(512)?);
        }
        let stores = volumes.iter().map(|volume| volume.path().join("store"));
        let nats = Nats::planned(NatsPlan {
            sync,
            stores: stores.collect(),
            ..NatsPlan::default()
        })?;
        Some(Self { nats, volumes })
    }

    /// All of them lose what they have not synced, and start again.
    fn cut(&mut self) {
        std::thread::scope(|scope| {
            for volume in &self.volumes {
                scope.spawn(|| volume.cut());
            }
        });
        for number in 0..3 {
            self.nats.kill(number);
        }
        for (number, volume) in self.volumes.iter_mut().enumerate() {
            volume.unmount();
            assert!(volume.mount(), "the file system did not come back");
            self.nats.revive(number);
        }
        self.nats.wait_ready();
    }
}

/// Servers that sync before they answer lose their power under load, all at once; every second time the machine of
/// the service is lost with them.
#[test]
fn a_power_cut_of_all_servers_loses_nothing() {
    let Some(mut powered) = Powered::start("always") else {
        return;
    };
    let server = S3Server::start(242);
    let in_bucket = config(&server.endpoint(), "ndjson", "");
    let setup = Setup::new(&in_stream(&powered.nats, &in_bucket));
    let mut program = setup.start();
    let load = Load::start(plan(&setup, 242));
    for round in 0..rounds() {
        go_on(&load);
        powered.cut();
        if round % 2 == 1 {
            program.kill();
            lose_disk(&setup);
            program = setup.start();
        }
    }
    go_on(&load);
    let report = load.finish(PATIENCE);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
    crate::audit::adds_up(&setup, &["data/wal"]);
    println!(
        "{} power cuts of three servers, {} events acknowledged, each there once",
        rounds(),
        report.acknowledged().count()
    );
}

/// Servers that sync later lose what they have acknowledged. That is noticed: nothing more is answered 2xx.
#[test]
fn a_power_cut_of_servers_that_sync_later_is_noticed() {
    let Some(mut powered) = Powered::start("2m") else {
        return;
    };
    let server = S3Server::start(243);
    let in_bucket = config(&server.endpoint(), "ndjson", "");
    let setup = Setup::new(&in_stream(&powered.nats, &in_bucket));
    let program = setup.start();
    let load = Load::start(plan(&setup, 243));
    load.wait_acknowledged(300, PATIENCE);
    powered.cut();
    let said = wait_unready(&setup);
    assert!(said.contains("replica-away"), "{said}");
    // What is under way may have been stored before the cut.
    let before = load.acknowledged();
    std::thread::sleep(Duration::from_secs(5));
    let answer = http::get(setup.address(), "/ready").unwrap();
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(load.acknowledged(), before, "{}", setup.stderr());
    program.kill();
}
