//! Integration tests: the real program, over real HTTP, into real lakes, read by a real DuckDB.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, say what they did, and watch the program from outside its seams"
)]

mod support;
mod support_checks;

mod analytics;
mod arrival;
mod audit;
mod calls;
mod clock;
mod commands;
mod console;
mod copies;
mod crashes;
mod deploy;
mod door;
mod examples;
mod files;
mod first_hour;
mod http;
mod instructions;
mod json_suite;
mod known_lakes;
mod late;
mod lost_machines;
#[cfg(feature = "otlp")]
mod otlp;
mod outages;
mod overload;
mod pages;
mod pipeline;
mod polls;
mod power_cuts;
mod queries;
mod readers;
mod readable;
mod replica;
mod stack;
mod stopping;
mod stores;
mod structure;
mod torture;
mod transfer;
