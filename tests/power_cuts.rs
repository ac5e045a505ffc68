//! The power is cut under load: log and lake lie on a file system that loses what was not synced. A
//! SIGKILL cannot show a missing sync, since the kernel keeps what was written.
//!
//! Needs root and loop mounts, and is skipped without them (`Need::LoopMounts`).

use std::path::Path;
use std::time::Duration;

use crate::arrival::{STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::random::Random;
use crate::support::volume::Volume;

/// How often the power is cut; `make proof` sets more.
fn cuts() -> u64 {
    std::env::var("LAKEHOOK_CUTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20)
}

fn config(volume: &Path) -> String {
    let volume = volume.display();
    format!(
        "[lake]\nurl = \"{volume}/lake\"\n[wal]\ndir = \"{volume}/wal\"\nmax_bytes = \"64 MiB\"\n\
         segment_bytes = \"1 MiB\"\n[batch]\nmax_records = 300\nmax_bytes = \"1 MiB\"\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n"
    )
}

#[test]
fn acknowledged_events_survive_power_cuts() {
    let Some(mut volume) = Volume::new_or_skip(512) else {
        return;
    };
    let setup = Setup::new(&config(&volume.path()));
    let random = Random::new(41);
    let mut plan = Plan::new(setup.address(), 41);
    plan.connections = 6;
    plan.events_per_request = 15;
    plan.days = 3;
    let load = Load::start(plan);
    for _ in 0..cuts() {
        let program = setup.start();
        load.wait_acknowledged(
            load.acknowledged() + random.below(600),
            Duration::from_secs(60),
        );
        std::thread::sleep(Duration::from_millis(random.below(40)));
        volume.cut();
        program.kill();
        volume.unmount();
        assert!(volume.mount(), "the file system did not come back");
    }
    let program = setup.start();
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let count = check(&report, &Lake::directory(&volume.path().join("lake")));
    println!("{} power cuts, {} events in the lake", cuts(), count.rows);
    assert!(count.rows > cuts() * 20);
    volume.unmount();
}
