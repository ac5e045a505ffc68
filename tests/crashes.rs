//! SIGKILL under load, at random moments, restart each time: no acknowledged event is missing and none
//! is there twice, while the client sends every request again whose answer it did not see.

use std::time::Duration;

use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::random::Random;
use crate::support::s3::{Chances, S3Server};

/// Kills in each test; `make proof` sets more.
fn kills() -> u64 {
    std::env::var("LAKEHOOK_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(50)
}

/// Small segments and batches, so that kills meet rolls, seals, puts, commits and trims.
fn config(lake: &str) -> String {
    format!(
        "[lake]\n{lake}\n[batch]\nmax_records = 400\nmax_age = \"1s\"\n\
         [wal]\nmax_bytes = \"64 MiB\"\nsegment_bytes = \"1 MiB\"\n[server]\nshutdown_grace = \"40s\"\n"
    )
}

fn survives(setup: &Setup, lake: &Lake, seed: u64, calm: impl FnOnce()) {
    let random = Random::new(seed);
    let mut plan = Plan::new(setup.address(), seed);
    plan.connections = 6;
    plan.events_per_request = 20;
    plan.days = 3;
    plan.repeats = 0.05;
    plan.think = Duration::from_millis(5);
    let mut load = None;
    for _ in 0..kills() {
        let mut program = setup.spawn();
        let load = load.get_or_insert_with(|| Load::start(plan.clone()));
        // Some lives end while the log is still being read.
        if random.chance(0.9) {
            program.wait_ready(Duration::from_secs(60));
            let before = load.acknowledged();
            load.wait_acknowledged(before + random.below(400), Duration::from_secs(60));
        }
        std::thread::sleep(Duration::from_millis(random.below(60)));
        program.kill();
    }
    let program = setup.start();
    let Some(load) = load else { return };
    let report = load.finish(Duration::from_secs(60));
    let stopped = program.stop(STOP_LIMIT);
    assert!(stopped.success(), "{stopped:?}\n{}", setup.stderr());
    calm();
    assert!(
        setup.stderr().contains("everything is in the lake"),
        "{}",
        setup.stderr()
    );
    let count = check(&report, lake);
    assert!(
        count.rows > kills() * 20,
        "only {} events got through",
        count.rows
    );
    let verified = setup.run(&["wal", "verify"]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stdout)
    );
    let acknowledged = report
        .acknowledged()
        .filter(|e| !DROPPED.contains(&e.kind))
        .count();
    println!(
        "{} kills, {acknowledged} events acknowledged, each there once",
        kills()
    );
}

#[test]
fn a_directory_survives_kills_under_load() {
    let setup = Setup::new(&config("url = \"lake\""));
    survives(
        &setup,
        &Lake::directory(&setup.directory().join("lake")),
        11,
        || {},
    );
}

#[test]
fn s3_with_faults_survives_kills_under_load() {
    let server = S3Server::start(12);
    server.faults().set(Chances {
        stall_for: Some(Duration::from_millis(300)),
        ..Chances::storm(0.06)
    });
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let setup = Setup::new(&config(&lake));
    survives_then_calm(&setup, &server);
}

fn survives_then_calm(setup: &Setup, server: &S3Server) {
    let lake = Lake::s3("s3://lake", &server.endpoint());
    survives(setup, &lake, 12, || server.faults().calm());
    let counts = server.faults().counts();
    assert!(counts.faults > 20, "the store behaved too well: {counts:?}");
    assert_eq!(counts.replaced, 0, "an object was replaced");
}
