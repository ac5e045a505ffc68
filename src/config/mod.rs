//! Configuration: one TOML file and the environment in, typed sections out, or every error at once.
//!
//! Defaults < file < environment. What comes out has been checked, alone and together, and its paths
//! are absolute, so that no other module has to ask again. Secrets are never printed.
//!
//! Says nothing about the outside: whether the lake can be reached or a port is free is for those
//! who use them. Of the disk it reads the file itself and the file of tokens, nothing else.

mod amounts;
mod aws_endpoint;
mod checks;
mod errors;
mod findings;
mod hooks;
mod lake_options;
mod lake_url;
mod lines;
mod load;
mod paths;
mod poll_checks;
mod polls;
mod secret;
mod sections;
mod shape;
mod sources;
mod words;
#[cfg(test)]
mod tests;

pub use amounts::{AmountError, ByteSize, Span};
pub use errors::{ConfigErrors, Place, Problem};
pub use hooks::{Hook, SchemeName, SignatureEncoding};
pub use lake_url::{LakeUrl, LakeUrlError};
pub use load::Loaded;
pub use polls::{Auth, AuthKind, Mode, Pagination, PaginationKind, Poll, Polls, Watermark};
pub use secret::Secret;
pub use sections::{
    Batch, Config, Dedup, Destination, Events, Lake, Log, LogFormat, Quarantine, Server, Wal,
};
