//! Integration tests: the real program, over real HTTP, into real lakes, read by a real DuckDB.

mod support;
mod support_checks;

mod arrival;
mod commands;
mod crashes;
mod http;
mod outages;
mod readable;
mod stopping;
