//! Configuration: one TOML file and the environment in, typed sections out, or every error at once.
//!
//! The environment overrides the file, and the file overrides defaults. Every value has been checked, both
//! alone and together with others, and paths are absolute, so that no other module has to check again.
//! Secrets are never printed.
//!
//! This module does not check whether the lake can be reached or a port is free. On disk, it reads only the
//! configuration file and files of secrets.

mod amounts;
mod api_checks;
mod apis;
mod auth;
mod auth_checks;
mod aws_endpoint;
mod call_checks;
mod calls;
mod checks;
mod address;
mod cluster;
mod cluster_checks;
mod deciding;
mod console;
mod console_checks;
mod effective;
mod errors;
mod event_rules;
mod file_checks;
mod files;
mod findings;
mod guesses;
mod hook_auth_checks;
mod hook_checks;
mod hook_scheme;
mod hook_sign;
mod hook_words;
mod hooks;
mod key;
mod lake_options;
mod lake_place;
mod lake_url;
mod lines;
mod load;
mod paths;
mod poll;
mod poll_checks;
mod poll_column_checks;
mod poll_columns;
mod poll_page_checks;
mod poll_pages;
mod poll_guards;
mod poll_requests;
mod polls;
mod rate;
mod renewal;
mod replica_checks;
mod replica_url;
mod rules;
mod secret_file;
mod sections;
mod shape;
mod share;
mod simple;
mod sources;
mod strays;
mod wal;
mod words;
#[cfg(test)]
mod tests;

pub use amounts::{AmountError, ByteSize, Span};
pub use apis::Api;
pub use auth::Auth;
pub use calls::Call;
pub use cluster::{Cluster, Membership};
pub use console::ConsoleListen;
pub use effective::EffectiveSetting;
pub use errors::{ConfigErrors, ConfigPlace, ConfigProblem};
pub use files::{CsvTable, Inbox};
pub use hook_sign::Delivery;
pub use hook_words::{AuthKind, KeyEncoding, OnConflict, QuestionName, SchemeName, Texts};
pub use hooks::{Hook, HookAuth};
pub use lake_url::{LakeUrl, LakeUrlError};
pub use load::Loaded;
pub use poll::children::{Each, IdKeys};
pub use poll::deleted::Deleted;
pub use poll::marks::Watermark;
pub use poll::windows::Window;
pub use poll_columns::{Column, Hash};
pub use poll_guards::{Guards, PollsBatch};
pub use poll_pages::{Csv, Empties, FailIf, Stop};
pub use polls::{Pagination, Poll, Polls};
pub use rate::Rate;
pub use replica_url::{ReplicaUrl, ReplicaUrlError};
pub use sections::{Batch, Config, Dedup, Events, Lake, Log, Quarantine, Server};
pub use share::{Share, ShareError};
pub use sources::Argument;
pub use wal::Wal;
pub use words::ContractKind;
