//! lakehook: webhooks into a data lake.

pub mod config;

pub mod receive;
pub mod contract;
pub mod quarantine;
pub mod wal;
pub mod batch;
pub mod encode;
pub mod lake;
pub mod commit;
pub mod ship;

pub mod status;
pub mod metrics;

pub mod upstream;

pub mod clock;
pub mod files;
pub mod ids;
pub mod record;

/// The commit that was built, and when it was made.
pub const COMMIT: &str = env!("LAKEHOOK_COMMIT");

/// No right clock shows an earlier time.
pub fn build_date() -> clock::Micros {
    let seconds: i64 = env!("LAKEHOOK_COMMIT_SECONDS").parse().unwrap_or(0);
    clock::Micros(seconds.saturating_mul(clock::MICROS_PER_SECOND))
}
