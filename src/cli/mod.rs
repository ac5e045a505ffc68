//! The command line: a module for each command, or group of commands, and what they share.

pub mod command;
pub mod config;
pub mod erase;
pub mod files;
pub mod retain;
pub mod serve;
pub mod shell;
pub mod poll;
pub mod call;
pub mod polls;
pub mod demo;
pub mod init;
pub mod check;
pub mod sql;
pub mod schema;
pub mod audit;
pub mod find;
pub mod torture;
pub mod quarantine;
pub mod wal;
pub mod health;
pub mod hook;
mod chosen;
mod elsewhere;
mod ending;
pub mod exit;
mod board;
mod logs;
mod cluster_check;
mod replica_check;
mod progress;
mod runtime;
mod signals;

pub use command::run;
