//! Simulations: the write-ahead log and the commit protocol on a disk and in a lake that fail.
//!
//! Everything runs on one thread, with a clock that stands still and random numbers from a seed, so
//! that a seed replays exactly. `LAKEHOOK_SEEDS=n` decides how many seeds run, `LAKEHOOK_SEED=n` replays
//! one of them and prints what happened.
//!
//! What happened to others, and where it cannot happen to us any more:
//!
//! | what | test |
//! |---|---|
//! | acknowledged before the sync | `planted::an_answer_before_the_outcome_is_found`, `nth_tests::a_power_cut_…` |
//! | file synced, its name or an ancestor's not | `planted::a_directory_sync_…`, `nth_tests::a_power_cut_…` |
//! | rolled before the old end was durable | `nth_tests::a_power_cut_…`, `damage_tests::an_acknowledged_last_frame_…` |
//! | unlinked before the checkpoint was durable | `log_tests::unlinked_only_once_…`, `log_tests::a_trim_that_is_the_last_frame_…` |
//! | no space, seen only at the sync | `log_tests::a_full_disk_is_survived_…`, `nth_tests::every_operation_finds_the_disk_full_…` |
//! | no space for a spare | `log_tests::without_space_for_a_spare_…` |
//! | a retried sync that lies | `damage_tests::a_failed_sync_that_lies_later_…` |
//! | damage, torn tails, flipped bits | `damage_tests` |
//! | lost and late answers, foreign objects, rows that are gone | `lake_tests` |
//! | notes under one key, cut anywhere | `note_tests` |
//! | any operation fails, once or for good | `nth_tests` |
//! | a request of several logs, stored in part | `cluster_tests` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

/// The servers of NATS, from the laboratory.
#[allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a journal in real servers needs little of the laboratory, and lives in real time"
)]
#[path = "support"]
mod support {
    pub(crate) mod nats;
    pub(crate) mod needs;
    pub(crate) mod proxy;
    pub(crate) mod python;
}

#[path = "simulation/chance.rs"]
mod chance;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/disk_state.rs"]
mod disk_state;
#[path = "simulation/disk_files.rs"]
mod disk_files;
#[path = "simulation/memory.rs"]
mod memory;
#[path = "simulation/engine.rs"]
mod engine;
#[path = "simulation/any_journal.rs"]
mod any_journal;
#[path = "simulation/spoiled.rs"]
mod spoiled;
#[path = "simulation/store.rs"]
mod store;
#[path = "simulation/senders.rs"]
mod senders;
#[path = "simulation/polls.rs"]
mod polls;
#[path = "simulation/lender.rs"]
mod lender;
#[path = "simulation/shape.rs"]
mod shape;
#[path = "simulation/world.rs"]
mod world;
#[path = "simulation/shipping.rs"]
mod shipping;
#[path = "simulation/owners.rs"]
mod owners;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/cluster.rs"]
mod cluster;
#[path = "simulation/journal_suite.rs"]
mod journal_suite;
#[path = "simulation/replica_tests.rs"]
mod replica_tests;
#[path = "simulation/moving_tests.rs"]
mod moving_tests;
#[path = "simulation/zombie_tests.rs"]
mod zombie_tests;
#[path = "simulation/disk_tests.rs"]
mod disk_tests;
#[path = "simulation/seeds.rs"]
mod seeds;
#[path = "simulation/cluster_tests.rs"]
mod cluster_tests;
#[path = "simulation/log_tests.rs"]
mod log_tests;
#[path = "simulation/lake_tests.rs"]
mod lake_tests;
#[path = "simulation/cost_tests.rs"]
mod cost_tests;
#[path = "simulation/note_tests.rs"]
mod note_tests;
#[path = "simulation/erase_tests.rs"]
mod erase_tests;
#[path = "simulation/retain_tests.rs"]
mod retain_tests;
#[path = "simulation/planted.rs"]
mod planted;
#[path = "simulation/nth_tests.rs"]
mod nth_tests;
#[path = "simulation/damage_tests.rs"]
mod damage_tests;
#[path = "simulation/takeover_tests.rs"]
mod takeover_tests;
#[path = "simulation/late_tests.rs"]
mod late_tests;
#[path = "simulation/rescue_tests.rs"]
mod rescue_tests;
#[path = "simulation/id_tests.rs"]
mod id_tests;
