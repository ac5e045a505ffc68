//! The hot path costs what is recorded: instructions per event of each stage, counted under valgrind.
//!
//! They are counted in the test binary, in which only some dependencies are optimised. So a count says
//! nothing about speed, but it does tell whether more is done than before. `make instructions` prints the
//! counts of the release build, and records those of this test anew.

use std::fmt::Write as _;
use std::process::Command;

use crate::support::instructions::{can_count, count, play};
use crate::support::needs::Need;
use crate::support::stages::{STAGES, Stage};

/// Together they cover the whole way: the log includes frame and dedup, shipping includes reading back and
/// encoding.
const COUNTED: [&str; 6] = [
    "contract-w100",
    "contract-w1",
    "remember-w100",
    "remember-w1",
    "log",
    "ship-zst",
];
const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/instructions.txt"
);
/// If this is set, the counts are recorded instead of compared.
const RECORD: &str = "LAKEHOOK_RECORD";
/// How much a count may grow, in per cent.
const MOST_GROWTH: u64 = 5;

/// Works by itself, and is what the other test runs under valgrind.
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
        return Need::Valgrind.skip("valgrind, which counts instructions, is not installed");
    }
    let compiler = compiler();
    let recorded = std::fs::read_to_string(RECORDED).unwrap_or_default();
    let records = std::env::var_os(RECORD).is_some();
    if !records && recorded.lines().next() != Some(&*compiler) {
        let why = format!("the counts in {RECORDED} were not recorded with {compiler}");
        return Need::RecordedCounts.skip(&why);
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
        "these stages need over {MOST_GROWTH} % more instructions per event than {RECORDED} says: {grown:?}; if \
         that is intended, record them anew with `make instructions`:\n{counted}\nrecorded:\n{recorded}"
    );
}

/// The compiler and the architecture: what counts depend on besides the source.
fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    format!("{} {}", version.trim(), std::env::consts::ARCH)
}
