//! The laboratory: what tests need around the real program.
//!
//! An S3 server with faults, APIs to poll, the real DuckDB, a second S3 server (moto), a TCP proxy with switches,
//! the program as a child process, and load that remembers what was acknowledged. Nothing here
//! knows the inside of the program: it is controlled by its configuration and observed by its answers.

#![allow(
    dead_code,
    unused_imports,
    reason = "no single test uses all of the laboratory"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a laboratory that fails must fail its test, at once and loudly; it lives in real time"
)]

pub(crate) mod needs;
pub(crate) mod api;
pub(crate) mod s3;
pub(crate) mod moto;
pub(crate) mod nats;
pub(crate) mod nats_users;
pub(crate) mod python;
pub(crate) mod duckdb;
pub(crate) mod proxy;
pub(crate) mod ways;
pub(crate) mod browser;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod sns;
pub(crate) mod tls;
pub(crate) mod process;
pub(crate) mod instructions;
pub(crate) mod load;
pub(crate) mod stages;
pub(crate) mod random;
pub(crate) mod strace;
pub(crate) mod volume;
pub(crate) mod day;
