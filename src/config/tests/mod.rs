//! Loading as a whole, in directories and environments of the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed unwrap is a failed test"
)]

mod access;
mod cluster;
mod effective;
mod files;
mod hook_page;
mod hooks;
mod keys;
mod load;
mod mistakes;
mod poll_pages;
mod polls;
mod replica;
mod robust;
mod rules;
mod sample;

use std::ffi::OsString;
use std::path::Path;

use super::Loaded;
use super::errors::ConfigErrors;
use super::load::load as load_all;

/// An environment of exactly these variables.
fn environment(variables: &[(&str, &str)]) -> impl Iterator<Item = (OsString, OsString)> {
    let owned: Vec<_> = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    owned.into_iter()
}

/// Loads without arguments of a command line.
fn load_in(
    explicit: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
    working_dir: &Path,
) -> Result<Loaded, ConfigErrors> {
    load_all(explicit, environment, &[], working_dir)
}

/// Loads a `lakehook.toml` of this text (no file if it is empty) and these variables, in a directory of its
/// own. Errors are returned as text.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    load_from(dir.path(), text, variables)
}

fn load_from(dir: &Path, text: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    if !text.is_empty() {
        std::fs::write(dir.join("lakehook.toml"), text).unwrap();
    }
    load_in(None, environment(variables), dir).map_err(|errors| errors.to_string())
}

/// The whole text of the errors.
fn errors(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables)
        .map(|loaded| loaded.source)
        .unwrap_err()
}

/// A poll of users with further settings.
fn poll(settings: &str) -> String {
    format!("[poll.users]\nurl = \"https://api.example.com/users\"\n{settings}")
}

/// Checks that each setting is refused at a key of the poll, with an error that contains these words.
fn refuse_poll(cases: &[(&str, &str, &str)]) {
    for (settings, key, words) in cases {
        let text = poll(settings);
        let key = format!("poll.users.{key}");
        rules::refused(&[(&text, &key, words)]);
    }
}

/// The text of the only problem.
fn error(text: &str) -> String {
    let errors = errors(text, &[]);
    let problem = errors.strip_prefix("there is 1 error in the configuration:\n  ");
    problem.unwrap_or_else(|| panic!("{errors}")).to_owned()
}
