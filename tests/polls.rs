//! Polls: what APIs hold arrives, whole or not at all, whatever they do meanwhile.

use std::process::Output;

use crate::support::duckdb::{Lake, Runs};
use crate::support::process::Setup;

mod arrival;
mod auth;
mod apis;
mod append;
mod children;
mod current;
mod bodies;
mod erase;
mod columns;
mod exact;
mod faults;
mod forms;
mod found;
mod guards;
mod hostile;
mod kills;
mod limits;
mod links;
mod marks;
mod pages;
mod resume;
mod service;
mod state;
mod tokens;
mod windows;

/// A poll named `things` of that URL, into a directory, with further settings.
fn setup(url: &str, settings: &str) -> Setup {
    Setup::new(&config(url, settings))
}

fn config(url: &str, settings: &str) -> String {
    format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.things]\nurl = \"{url}/things\"\nrecords = \"/things\"\nid = \"id\"\n{settings}\n"
    )
}

fn lake(setup: &Setup) -> Lake {
    Lake::directory(&setup.directory().join("lake"))
}

/// Runs all polls once: what was said, and the exit code.
fn poll(setup: &Setup) -> (String, Option<i32>) {
    said(&setup.run(&["poll"]))
}

fn said(output: &Output) -> (String, Option<i32>) {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (String::from_utf8(both).unwrap(), output.status.code())
}

/// Runs all polls once, which must go well; then what the lake holds of `things`.
fn poll_well(setup: &Setup) -> (String, Runs) {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(0), "{said}");
    let runs = lake(setup).runs("things", "id");
    runs.check();
    (said, runs)
}

/// Runs all polls once, which must fail with each of these words and leave nothing to be seen.
fn poll_in_vain(setup: &Setup, words: &[&str]) -> String {
    let (said, code) = poll(setup);
    assert_eq!(code, Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    let runs = lake(setup).runs("things", "id");
    assert_eq!((runs.runs.len(), runs.unmarked.len()), (0, 0), "{runs:?}");
    said
}
