//! Simulations: the write-ahead log and the commit protocol on a disk and in a lake that fail.
//!
//! Everything runs on one thread, with a clock that stands still and random numbers from a seed, so
//! that a seed replays exactly. `LAKEHOOK_SEEDS=n` decides how many seeds run, `LAKEHOOK_SEED=n` replays
//! one of them and prints what happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/senders.rs"]
mod senders;
#[path = "simulation/world.rs"]
mod world;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/disk_tests.rs"]
mod disk_tests;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/log_tests.rs"]
mod log_tests;
#[path = "simulation/lake_tests.rs"]
mod lake_tests;
#[path = "simulation/planted.rs"]
mod planted;
#[path = "simulation/nth_tests.rs"]
mod nth_tests;
