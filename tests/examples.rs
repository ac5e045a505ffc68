//! The examples: each runs in small, and compares its numbers with an independent count.

use std::process::{Command, Stdio};

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
fn hallow_adds_up_twice_and_through_a_kill() {
    run("hallow");
}
