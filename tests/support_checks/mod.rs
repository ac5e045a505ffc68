//! Tests of the laboratory itself: a fault that does not happen would make every test above it green.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod needs;
mod s3;
mod duckdb;
mod moto;
mod proxy;
mod http;
mod process;
mod load;
