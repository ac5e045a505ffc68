//! `cargo bench --bench log`: how fast a log that a crash has left is read again, and in how much memory; how long the
//! program takes to be ready with an empty one; what segments cost to make and to remove; and what the
//! ways to make a write durable cost on this disk.
//!
//! A process of its own opens the log, so that its memory is that of the recovery.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints its result, in figures for people"
)]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

mod device;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use support::process::{Setup, peak_rss_bytes};
use support::stages::{fill_log, open_log};

const USAGE: &str = "\
cargo bench --bench log [-- OPTIONS]
  --gib N   size of the log [default: 2]";

const MIB: f64 = 1024.0 * 1024.0;
/// Empty starts that are timed.
const STARTS: usize = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--open", dir] => open(Path::new(dir)),
        ["--bench"] | ["--gib", "2", "--bench"] => measure(2),
        ["--gib", gib, "--bench"] | ["--bench", "--gib", gib] => measure(gib.parse().unwrap()),
        // `cargo test` builds and runs benches too, without `--bench`.
        words if words.contains(&"--bench") => println!("{USAGE}"),
        _ => {}
    }
}

fn measure(gib: u64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let rows = fill_log(dir.path(), gib << 30);
    println!("a log of {gib} GiB with {rows} rows, none of them in the lake");
    let program = std::env::current_exe().unwrap();
    let child = Command::new(program).arg("--open").arg(dir.path()).status();
    assert!(child.unwrap().success());
    let mut starts: Vec<f64> = (0..STARTS).map(|_| empty_start()).collect();
    starts.sort_by(f64::total_cmp);
    println!(
        "with an empty log, from the start of the process to the first 200 of /ready: median {:.0} ms of {STARTS}",
        starts[STARTS / 2]
    );
    device::segments(dir.path());
    device::compare(dir.path());
}

fn open(dir: &Path) {
    let sizes = std::fs::read_dir(dir).unwrap();
    let logs = sizes.map(|entry| entry.unwrap());
    let logs = logs.filter(|entry| entry.path().extension().is_some_and(|end| end == "wal"));
    let bytes: u64 = logs.map(|entry| entry.metadata().unwrap().len()).sum();
    let start = Instant::now();
    let writer = open_log(dir, "ndjson.zst");
    let seconds = start.elapsed().as_secs_f64();
    let rows = writer.state().uncommitted_rows();
    let rate = bytes as f64 / MIB / seconds;
    let peak = peak_rss_bytes(std::process::id()) as f64 / MIB;
    println!(
        "read in {seconds:.2} s: {rate:.0} MiB/s, {:.2} million rows a second, peak {peak:.0} MiB resident",
        rows as f64 / seconds / 1e6
    );
}

fn empty_start() -> f64 {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n");
    let start = Instant::now();
    let program = setup.start();
    let elapsed = start.elapsed().as_secs_f64() * 1000.0;
    program.kill();
    elapsed
}
