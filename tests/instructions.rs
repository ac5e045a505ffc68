//! The hot path costs what is written down: instructions an event of each stage, counted under valgrind.
//!
//! Counted in the binary of the tests, which is not optimised but for some dependencies: so a figure says
//! nothing about speed, and everything about whether more is done than before. What the release build
//! does is printed by `make instructions`, which writes this file's figures anew too.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::instructions::{can_count, count, play};
use crate::support::stages::{STAGES, Stage};

/// Between them the whole way: the log has the frame and the dedup in it, shipping has reading back and encoding.
const COUNTED: [&str; 4] = ["contract-w100", "contract-w1", "log", "ship-zst"];
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/instructions.txt"
);
/// Set, the figures are written anew in place of being compared.
const RECORD: &str = "LAKEHOOK_RECORD";
/// Per cent.
const MOST_GROWTH: u64 = 5;

/// Also what the other test runs under valgrind.
#[test]
fn a_round_of_each_stage_works() {
    if play() {
        return;
    }
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for name in STAGES {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        Stage::prepare(name, &dir).run();
    }
}

#[test]
fn the_hot_path_does_no_more_than_is_written_down() {
    if !can_count() {
        return println!("skipped: valgrind, which counts instructions, is not installed");
    }
    let compiler = compiler();
    let recorded = std::fs::read_to_string(RECORDED).unwrap_or_default();
    let records = std::env::var_os(RECORD).is_some();
    if !records && recorded.lines().next() != Some(&*compiler) {
        return println!("skipped: the figures in {RECORDED} are not of {compiler}");
    }
    let mut counted = format!("{compiler}\n");
    let mut grown = Vec::new();
    for stage in COUNTED {
        let arguments = [
            "--exact",
            "instructions::a_round_of_each_stage_works",
            "--test-threads=1",
        ];
        let now = count(stage, &arguments);
        writeln!(counted, "{stage} {now}").unwrap();
        let before = recorded.lines().find_map(|line| {
            let (name, figure) = line.split_once(' ')?;
            (name == stage).then(|| figure.parse::<u64>().unwrap())
        });
        if before.is_none_or(|before| now * 100 > before * (100 + MOST_GROWTH)) {
            grown.push(stage);
        }
    }
    println!("{counted}");
    if records {
        std::fs::write(RECORDED, counted).unwrap();
        return;
    }
    assert!(
        grown.is_empty(),
        "more than {MOST_GROWTH} % more instructions an event than {RECORDED} says: {grown:?}; if that is \
         meant, write them down anew with `make instructions`:\n{counted}\nrecorded:\n{recorded}"
    );
}

/// What figures depend on besides the source.
fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    format!("{} {}", version.trim(), std::env::consts::ARCH)
}
