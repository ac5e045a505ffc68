//! `cargo bench --bench stages`: what each stage of the hot path costs an event, without HTTP and without
//! waiting for a disk.
//!
//! Prints nanoseconds of the best of many rounds: on a shared machine the best is the steadiest. With
//! `--instructions` each stage runs under valgrind, once with one round and once with more, and the
//! difference is what the rounds cost: a figure that another process on the machine doesn't change.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use support::instructions;
use support::stages::{EVENTS, STAGES, Stage};

const USAGE: &str = "\
cargo bench --bench stages [-- OPTIONS]
  --instructions   count instructions under valgrind, in place of time
  --only STAGE     one stage";

/// As long as rounds go on.
const PATIENCE: Duration = Duration::from_secs(2);
/// The log takes no more: its segments are files.
const MAX_ROUNDS: u32 = 400;

fn main() {
    if instructions::play() {
        return;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` builds and runs benches too, without `--bench`.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let (mut counts, mut only) = (false, None);
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--bench" => {}
            "--instructions" => counts = true,
            "--only" => only = words.next(),
            _ => return println!("{USAGE}"),
        }
    }
    if counts && !instructions::can_count() {
        return println!("instructions are counted by valgrind, which is not installed");
    }
    let unit = if counts { "instructions" } else { "ns" };
    println!("| stage | {unit} an event |\n| --- | --- |");
    for stage in STAGES {
        if only.is_some_and(|only| only != stage) {
            continue;
        }
        let cost = if counts {
            instructions::count(stage, &[])
        } else {
            best_nanoseconds(stage)
        };
        println!("| {stage} | {cost} |");
    }
}

fn best_nanoseconds(name: &str) -> u64 {
    let dir = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut stage = Stage::prepare(name, dir.path());
    let start = Instant::now();
    let mut best = Duration::MAX;
    for _ in 0..MAX_ROUNDS {
        let before = Instant::now();
        let waited = stage.run();
        best = best.min(before.elapsed().saturating_sub(waited));
        if start.elapsed() > PATIENCE {
            break;
        }
    }
    u64::try_from(best.as_nanos()).unwrap() / EVENTS
}
