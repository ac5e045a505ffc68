//! The examples: each runs in small, and compares its numbers with an independent count.

#![allow(
    clippy::disallowed_methods,
    reason = "a test looks at what the machine has"
)]

use std::fs::DirEntry;
use std::process::{Command, Stdio};

use crate::support::needs::Need;
use crate::support::python::repository;

/// Runs an example to its end.
fn run(name: &str) {
    let python = repository().join(".venv-analytics/bin/python");
    assert!(
        python.exists(),
        "there is no {}: run make setup",
        python.display()
    );
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(repository().join("examples").join(name).join("run.py"))
        .args(["--small", "--dir", dir.path().to_str().unwrap()])
        .env("LAKEHOOK", env!("CARGO_BIN_EXE_lakehook"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(&format!("{name}: everything adds up")),
        "{said}"
    );
}

#[test]
fn attribution_adds_up_and_a_second_run_sends_nothing() {
    run("attribution");
}

#[test]
fn campaign_adds_up_twice_and_through_a_kill() {
    run("campaign");
}

#[test]
fn claims_adds_up_and_a_second_run_changes_no_byte() {
    run("claims");
}

#[test]
fn ecommerce_adds_up_in_the_lake_in_postgresql_and_in_graphql() {
    let has_server = |version: DirEntry| version.path().join("bin/initdb").exists();
    let mut versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    if !versions.any(|version| version.is_ok_and(has_server)) {
        Need::Postgresql.skip("there is no PostgreSQL server: run make setup");
        return;
    }
    if !repository()
        .join("examples/ecommerce/graphql/node_modules")
        .exists()
    {
        Need::Node.skip("there is no PostGraphile: run make setup");
        return;
    }
    run("ecommerce");
}

#[test]
fn hallow_adds_up_twice_and_through_a_kill() {
    run("hallow");
}
