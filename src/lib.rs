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
//! A module uses only modules that stand below it; a test holds the table of who may use whom
//! (`tests/structure/rooms.rs`). Receive knows no lake, the contract no HTTP, the log no JSON, the lake no
//! events. Effects sit behind four seams only: [`clock`], [`ids`], [`files`] and [`lake::store`].

// Programs: commands, what they test with, and the service.
pub mod cli;
pub mod torture;
pub mod upstream;
pub mod serve;
pub mod config;
pub mod console;

// What feeds the log.
pub mod receive;
pub use lakehook_feeds as feeds;
pub use lakehook_feeds::{call, poll};
pub use lakehook_inbox as inbox;
pub mod replay;

// What looks into the lake.
pub mod audit;
pub mod find;
pub mod rescue;
pub mod sql;

// What takes rows out of the lake.
pub mod retain;
pub mod erase;

// From the log to the lake, the log in a bucket, and nodes that share it.
pub mod ship;
pub mod replica;
pub mod cluster;

// What running parts tell about themselves, and how they are asked.
pub mod status;
pub mod metrics;
pub use lakehook_feeds::control;
pub mod telemetry;
pub mod traces;
pub mod out;
pub mod version;

// From bytes to rows, from rows to a durable log, from the log to objects: packages of their own.
pub use lakehook_contract as contract;
pub use lakehook_contract::quarantine;
pub use lakehook_lake as lake;
pub use lakehook_lake::encode;
pub use lakehook_log as wal;

// The ground: no network, no threads.
pub use lakehook_base::{
    checksum, clock, codec, columns, files, ids, instant, json, record, rfc3339, secret,
    side_files, signature, tables,
};

#[cfg(test)]
mod mutated;
