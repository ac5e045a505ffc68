//! Configuration: one TOML file and the environment in, typed sections out, or every error at once.
//!
//! The environment overrides the file, and the file overrides defaults. Every value has been checked, both
//! alone and together with others, and paths are absolute, so that no other module has to check again.
//! Secrets are never printed.
//!
//! This module does not check whether the lake can be reached or a port is free. On disk, it reads only the
//! configuration file and files of secrets.

mod amounts;
mod aws_endpoint;
mod checks;
mod effective;
mod errors;
mod findings;
mod hook_checks;
mod hooks;
mod key;
mod lake_options;
mod lake_url;
mod lines;
mod load;
mod paths;
mod poll_checks;
mod poll_requests;
mod polls;
mod rules;
mod secret_file;
mod sections;
mod shape;
mod simple;
mod sources;
mod strays;
mod words;
#[cfg(test)]
mod tests;

pub use amounts::{AmountError, ByteSize, Span};
pub use effective::EffectiveSetting;
pub use errors::{ConfigErrors, ConfigPlace, ConfigProblem};
pub use hooks::{Hook, SchemeName, SignatureEncoding};
pub use lake_url::{LakeUrl, LakeUrlError};
pub use load::Loaded;
pub use polls::{Auth, Pagination, Poll, Polls, Watermark};
pub use sections::{Batch, Config, Dedup, Events, Lake, Log, Quarantine, Server, Wal};
pub use sources::Argument;
