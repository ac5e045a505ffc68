//! Instructions of a stage, counted by valgrind: the same on a busy machine and on an idle one.
//!
//! This binary runs itself twice under valgrind, with different numbers of rounds. The difference does not
//! contain what both runs have in common (start, preparation, end).

use std::process::{Command, Stdio};

use super::stages::{EVENTS, Stage};

/// Tells a child process which stage to run, and for how many rounds.
const ROUNDS: &str = "LAKEHOOK_ROUNDS";
const FEW: u64 = 1;
const MORE: u64 = 2;

/// Whether valgrind is installed.
pub(crate) fn can_count() -> bool {
    let asked = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Runs the rounds for which this process was started; `false` if it was not started for any.
pub(crate) fn play() -> bool {
    let Ok(rounds) = std::env::var(ROUNDS) else {
        return false;
    };
    let (stage, rounds) = rounds.split_once(' ').unwrap();
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut stage = Stage::prepare(stage, dir.path());
    for _ in 0..rounds.parse().unwrap() {
        stage.run();
    }
    true
}

/// Instructions per event of a stage. This binary, started with these arguments, must call [`play`].
pub(crate) fn count(stage: &str, arguments: &[&str]) -> u64 {
    let few = total(stage, FEW, arguments);
    let more = total(stage, MORE, arguments);
    more.saturating_sub(few) / (EVENTS * (MORE - FEW))
}

fn total(stage: &str, rounds: u64, arguments: &[&str]) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(arguments)
        .env(ROUNDS, format!("{stage} {rounds}"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let line = told.lines().find(|line| line.contains("Collected :"));
    let counted = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    counted.unwrap_or_else(|| panic!("valgrind counted nothing: {told}"))
}
