//! What lies around the program for those who install and watch it: packages, units, the release, alerts, the dashboard,
//! the chart, and the compose files of NATS and of a cluster. Each is held against the tool that reads it, where that can
//! be had.

mod alerts;
mod chart;
mod cluster;
mod nats;
mod release;
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::python::script;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(repository().join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The documents of a YAML file as a list, or a TOML file.
fn parsed(file: &Path) -> Value {
    let output = script("to_json.py").arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A script that runs this program, and is as small as a test wants to pack it.
fn stand_in(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("lakehook");
    let program = env!("CARGO_BIN_EXE_lakehook");
    std::fs::write(&path, format!("#!/bin/sh\nexec '{program}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn sh(arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(arguments)
        .current_dir(repository())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}
