//! systemd takes the unit of this repository, and the one that the Debian package gets.

use std::path::Path;
use std::process::Command;

use super::{repository, said, sh, stand_in};
use crate::support::needs::Need;

/// What systemd has to say about a unit whose program is this one.
fn verified(unit: &str, dir: &Path) -> String {
    let program = stand_in(dir);
    let path = dir.join("lakehook.service");
    let mut runs = 0;
    let lines = unit
        .lines()
        .map(|line| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                runs += 1;
                let (_program, arguments) = command.split_once(' ').unwrap();
                format!("ExecStart={} {arguments}\n", program.display())
            }
            None => format!("{line}\n"),
        });
    let text: String = lines.collect();
    assert_eq!(runs, 1, "{unit}");
    std::fs::write(&path, text).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&path)
        .output()
        .unwrap();
    // A key that it does not know is a warning, with exit code 0.
    format!("{}exit code {:?}", said(&output), output.status.code())
}

#[test]
fn systemd_takes_the_units() {
    let is_there = Command::new("systemd-analyze").arg("--version").output();
    if is_there.is_err() {
        return Need::Systemd.skip("systemd-analyze is not installed");
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(repository().join("deploy/lakehook.service")).unwrap();
    assert_eq!(verified(&unit, dir.path()), "exit code Some(0)");
    let misspelt = unit.replace("ProtectClock", "ProtectClok");
    assert!(verified(&misspelt, dir.path()).contains("ProtectClok"));

    let program = stand_in(dir.path());
    let prepared = dir.path().join("prepared");
    let arguments = [
        "deploy/release/prepare.sh",
        program.to_str().unwrap(),
        prepared.to_str().unwrap(),
    ];
    let output = sh(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    let packaged = std::fs::read_to_string(prepared.join("systemd/lakehook.service")).unwrap();
    assert!(packaged.starts_with("[Unit]\n"), "{packaged}");
    assert!(
        packaged.contains("ExecStart=/usr/bin/lakehook serve"),
        "{packaged}"
    );
    assert!(!packaged.contains("/usr/local"), "{packaged}");
    assert_eq!(verified(&packaged, dir.path()), "exit code Some(0)");
}
