//! The first hour of a new user, as README.md tells it: every command in its order, with this program first in
//! PATH, in a network namespace where the default ports are free.
//!
//! Needs root for the namespace, and is skipped without it (`Need::Namespaces`).

use std::path::Path;
use std::process::Command;

use crate::support::needs::Need;

#[test]
fn the_commands_of_the_readme_work_as_typed() {
    let has_namespaces = Command::new("unshare").args(["--net", "true"]).status();
    if !has_namespaces.is_ok_and(|status| status.success()) {
        return Need::Namespaces.skip("this user may not make a network namespace");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_BIN_EXE_lakehook"));
    let directory = tempfile::tempdir().unwrap();
    let path = format!(
        "{}:{}:{}",
        program.parent().unwrap().display(),
        root.join(".venv/bin").display(),
        std::env::var("PATH").unwrap()
    );
    let played = Command::new("unshare")
        .args([
            "--net",
            "sh",
            "-c",
            "ip link set lo up && exec \"$@\"",
            "sh",
        ])
        .arg(root.join(".venv/bin/python"))
        .arg(root.join("tests/python/first_hour.py"))
        .arg(root.join("README.md"))
        .arg(directory.path())
        .env("PATH", path)
        .env("HOME", directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&played.stdout);
    let errors = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success(), "{said}\n{errors}");
    assert!(
        said.contains("6 blocks") && said.contains("seen on the console"),
        "{said}"
    );
}
