//! Instructions of a stage, counted by valgrind: the same on a busy machine and on an idle one.
//!
//! This binary runs itself under valgrind, twice with different numbers of rounds. What both runs have in
//! common (start, preparation, end) is in neither difference.

use std::process::{Command, Stdio};

use super::stages::{EVENTS, Stage};

/// First argument of a process that only runs rounds; a stage and a number follow.
pub(crate) const ROLE: &str = "--rounds";
const FEW: u64 = 1;
const MORE: u64 = 3;

/// Whether valgrind is there.
pub(crate) fn can_count() -> bool {
    let asked = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Runs so many rounds of a stage and nothing else.
pub(crate) fn play(stage: &str, rounds: u64) {
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut stage = Stage::prepare(stage, dir.path());
    for _ in 0..rounds {
        stage.run();
    }
}

/// Instructions that an event costs in that stage.
pub(crate) fn count(stage: &str, before_role: &[&str]) -> u64 {
    let few = total(stage, FEW, before_role);
    let more = total(stage, MORE, before_role);
    more.saturating_sub(few) / (EVENTS * (MORE - FEW))
}

fn total(stage: &str, rounds: u64, before_role: &[&str]) -> u64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(before_role)
        .args([ROLE, stage, &rounds.to_string()])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| line.contains("Collected :"));
    let counted = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    counted.unwrap_or_else(|| panic!("valgrind counted nothing: {told}"))
}
