//! `cargo bench --bench polls`: five million records of 200 bytes appended, and five million in a snapshot, on
//! this machine.
//!
//! Promises: the program is a child process with its default limits, asked by `lakehook poll`; the API
//! runs in this process; processor time covers everything from the first request until the last row is in
//! the lake, which is then read by DuckDB. Every record must be there once, in at most 256 MiB of memory.
//! Next to it, in the same run: serde_json skipping over the same bytes, so that a ratio means something on
//! any machine; and the program of another commit, if there is one to compare with.
//!
//! | variable | effect |
//! |---|---|
//! | `LAKEHOOK_RECORDS` | how many records |
//! | `LAKEHOOK_BASE` | the program to compare with |
//! | `LAKEHOOK_BASE_COMMIT` | or the commit to build it from, below `target/polls-base` |
//! | `LAKEHOOK_ROUNDS` | how often both run in turn; the least time of each counts |

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use support::api::{RawApi, write_head};
use support::duckdb::Lake;
use support::process::{Setup, cpu_time};

const RECORD_BYTES: usize = 200;
/// Bytes of a page that are made at once.
const PIECE_BYTES: usize = 1 << 20;
const MAX_PEAK: u64 = 256 << 20;
/// So many records are skipped to know the time of all, …
const SKIPPED: usize = 200_000;
/// … and so often.
const SKIPS: u32 = 20;

/// The way through the records.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    mode: &'static str,
    records_per_page: usize,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "append, pages of 1 000",
        mode: "append",
        records_per_page: 1000,
    },
    Shape {
        name: "snapshot, pages of 1 000",
        mode: "snapshot",
        records_per_page: 1000,
    },
    Shape {
        name: "append, one page",
        mode: "append",
        records_per_page: usize::MAX,
    },
];

/// What one run of one program took.
#[derive(Clone, Copy)]
struct Run {
    cpu: Duration,
    took: Duration,
    peak: u64,
}

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let records = variable("LAKEHOOK_RECORDS", 5_000_000);
    let rounds = variable("LAKEHOOK_ROUNDS", 1);
    let base = base();
    println!("{records} records of {RECORD_BYTES} bytes, into a directory\n");
    println!(
        "| shape | CPU µs per record | of skipping alone | seconds | peak resident | base: CPU µs | ratio |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for shape in SHAPES {
        println!("{}", measure(shape, records, rounds, base.as_deref()));
    }
}

fn variable(name: &str, default: usize) -> usize {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

/// The program to compare with.
fn base() -> Option<PathBuf> {
    if let Ok(program) = std::env::var("LAKEHOOK_BASE") {
        return Some(program.into());
    }
    let commit = std::env::var("LAKEHOOK_BASE_COMMIT").ok()?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = root.join("target/polls-base");
    let source = place.join("source");
    if !source.exists() {
        let mut add = Command::new("git");
        add.args(["worktree", "add", "--detach"])
            .arg(&source)
            .arg(&commit);
        assert!(add.current_dir(root).status().unwrap().success());
    }
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--bin", "lakehook", "--target-dir"]);
    build.arg(place.join("target")).current_dir(&source);
    assert!(build.status().unwrap().success());
    Some(place.join("target/release/lakehook"))
}

/// One record of exactly that many bytes.
fn push_record(id: usize, out: &mut String) {
    let start = out.len();
    write!(
        out,
        "{{\"id\":{id},\"updated_at\":\"2026-11-20T00:00:00Z\",\"country\":\"BR\",\"age\":{},\"text\":\"",
        id % 100
    )
    .unwrap();
    while out.len() - start < RECORD_BYTES - 2 {
        out.push('x');
    }
    out.push_str("\"}");
}

/// The pages of a shape.
#[derive(Clone, Copy)]
struct Pages {
    records: usize,
    per_page: usize,
}

impl Pages {
    /// Writes a page piece by piece.
    fn write(self, number: usize, out: &mut impl Write) -> std::io::Result<()> {
        let first = number * self.per_page;
        let end = (first + self.per_page).min(self.records);
        let mut text = String::with_capacity(PIECE_BYTES + RECORD_BYTES);
        text.push_str("{\"things\":[");
        for id in first..end {
            if id > first {
                text.push(',');
            }
            push_record(id, &mut text);
            if text.len() >= PIECE_BYTES {
                out.write_all(text.as_bytes())?;
                text.clear();
            }
        }
        text.push_str(&self.end(number));
        out.write_all(text.as_bytes())
    }

    fn end(self, number: usize) -> String {
        if (number + 1) * self.per_page < self.records {
            format!("],\"next\":\"{}\"}}", number + 1)
        } else {
            "],\"next\":null}".to_owned()
        }
    }

    fn bytes(self, number: usize) -> usize {
        let first = number * self.per_page;
        let count = (first + self.per_page).min(self.records) - first;
        "{\"things\":[".len() + count * (RECORD_BYTES + 1) - 1 + self.end(number).len()
    }

    /// Answers a request for a page.
    fn answer(self, request: &str, stream: &mut TcpStream) {
        let cursor = request.split_once("cursor=").map(|(_, rest)| rest);
        let number = cursor.map_or(0, |rest| {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap().parse().unwrap()
        });
        write_head(stream, &format!("content-length: {}", self.bytes(number)));
        let _gone = self.write(number, stream);
    }

    /// Processor time of skipping over all pages, by a part of them.
    fn skipping(self) -> Duration {
        let part = Self {
            records: self.records.min(SKIPPED),
            per_page: self.per_page.min(SKIPPED),
        };
        let count = part.records.div_ceil(part.per_page);
        let pages = (0..count).map(|number| {
            let mut page = Vec::with_capacity(part.bytes(number));
            part.write(number, &mut page).unwrap();
            page
        });
        let pages: Vec<Vec<u8>> = pages.collect();
        let before = cpu_time(std::process::id());
        for page in (0..SKIPS).flat_map(|_| &pages) {
            let _skipped: IgnoredAny = serde_json::from_slice(page).unwrap();
        }
        let spent = cpu_time(std::process::id()).saturating_sub(before);
        spent.mul_f64(count_of(self.records) / count_of(part.records) / f64::from(SKIPS))
    }
}

fn measure(shape: Shape, records: usize, rounds: usize, base: Option<&Path>) -> String {
    let pages = Pages {
        records,
        per_page: shape.records_per_page.min(records),
    };
    let ours = Path::new(env!("CARGO_BIN_EXE_lakehook"));
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        own.push(run(shape, pages, ours));
        others.extend(base.map(|base| run(shape, pages, base)));
    }
    let peak = own.iter().map(|run| run.peak).max().unwrap();
    let best = |runs: &[Run]| runs.iter().copied().min_by_key(|run| run.cpu);
    let least = best(&own).unwrap();
    let micros = |run: &Run| run.cpu.as_secs_f64() * 1e6 / count_of(records);
    let (base, ratio) = best(&others).map_or(("–".to_owned(), "–".to_owned()), |base| {
        let ratio = least.cpu.as_secs_f64() / base.cpu.as_secs_f64();
        (format!("{:.2}", micros(&base)), format!("{ratio:.2}"))
    });
    assert!(peak <= MAX_PEAK, "{} MiB of memory", peak >> 20);
    format!(
        "| {} | {:.2} | {:.1} × | {:.1} | {} MiB | {base} | {ratio} |",
        shape.name,
        micros(&least),
        least.cpu.as_secs_f64() / pages.skipping().as_secs_f64(),
        least.took.as_secs_f64(),
        peak >> 20
    )
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn count_of(records: usize) -> f64 {
    records as f64
}

fn run(shape: Shape, pages: Pages, program: &Path) -> Run {
    let api = RawApi::start(move |first, _, stream| pages.answer(first, stream));
    let append = if shape.mode == "append" {
        "watermark = { field = \"updated_at\", param = \"since\" }\n"
    } else {
        ""
    };
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[polls]\nmax_bytes = \"8 GiB\"\n[poll.things]\nurl = \"{}/things\"\n\
         records = \"/things\"\nid = \"id\"\nmode = \"{}\"\n{append}\
         pagination = {{ type = \"cursor\", next = \"/next\" }}\nmax_records = 100_000_000\n",
        api.url(),
        shape.mode
    ))
    .program(program);
    let service = setup.start();
    let (before, start) = (service.cpu_time(), Instant::now());
    let output = setup.run(&["poll"]);
    let took = start.elapsed();
    let cpu = service.cpu_time().saturating_sub(before);
    assert!(output.status.success(), "{output:?}");
    let peak = service.peak_rss_bytes();
    assert!(service.stop(Duration::from_secs(60)).success());
    let found = Lake::directory(&setup.directory().join("lake")).stream("things", "id");
    let records = pages.records as u64;
    assert_eq!((found.rows, found.ids), (records, records));
    Run { cpu, took, peak }
}
