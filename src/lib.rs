//! lakehook takes events that applications push and lands them in a data lake: a 2xx is durable, is in
//! the lake exactly once, and can be audited.
//!
//! ```text
//!  apps ── POST /webhook/events ─▶ receive ─▶ contract ─▶ wal ──▶ 200
//!                                                │          │ (durable)
//!                                                │          ▼
//!                                                │        batch ─ seal ─▶ encode ─▶ lake ─ commit ─▶ trim the wal
//!                                                │
//!                                                └─ refused ─▶ quarantine (same wal, same lake, own prefix)
//! ```
//!
//! One way, no way back; each step knows only the next one's interface. The modules below stand in the
//! order of the data. Receive knows no lake, the contract no HTTP, the log no JSON, the lake no events.
//! Effects sit behind four seams only: [`clock`], [`ids`], [`files`] and [`lake::store`].

pub mod cli;
pub mod control;
pub mod config;
pub mod serve;

pub mod receive;
pub mod poll;
pub mod contract;
pub mod quarantine;
pub mod wal;
pub use wal::batch;
pub mod encode;
pub mod lake;
pub mod commit;
pub mod publish;
pub mod ship;

pub mod status;
pub mod metrics;
pub mod telemetry;
pub mod out;
pub mod sql;
pub mod audit;
pub mod rescue;
pub mod replay;
pub mod upstream;
pub mod torture;

pub mod clock;
pub mod files;
pub mod ids;
pub mod record;
pub mod members;
pub mod columns;
pub mod tables;

#[cfg(test)]
mod mutated;

/// When the commit that was built was made: no right clock shows an earlier time.
pub fn build_date() -> clock::Micros {
    let seconds: i64 = env!("LAKEHOOK_COMMIT_SECONDS").parse().unwrap_or(0);
    clock::Micros(seconds.saturating_mul(clock::MICROS_PER_SECOND))
}
