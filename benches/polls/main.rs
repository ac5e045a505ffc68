//! `cargo bench --bench polls`: a million records of 200 bytes through an appending poll, on this
//! machine.
//!
//! Promises: the program is a child process with its default limits, asked by `lakehook poll`; the API
//! runs in this process, and its pages are made before the clock starts; processor time covers
//! everything from the first request until the last row is in the lake, which is then read by DuckDB.
//! Next to it, in the same run: serde_json skipping over the same bytes, so that a ratio means something
//! on any machine.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use serde::de::IgnoredAny;

use support::api::{RawApi, write_head};
use support::duckdb::Lake;
use support::process::Setup;

const RECORD_BYTES: usize = 200;

/// The way through the records.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    records_per_page: usize,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "pages of 1 000",
        records_per_page: 1000,
    },
    Shape {
        name: "one page",
        records_per_page: usize::MAX,
    },
];

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let records = std::env::var("LAKEHOOK_RECORDS").ok();
    let records = records.and_then(|text| text.parse().ok());
    let records: usize = records.unwrap_or(1_000_000);
    println!("{records} records of {RECORD_BYTES} bytes, mode = \"append\", into a directory\n");
    println!(
        "| shape | records per CPU-second | of skipping alone | CPU µs per record | seconds | peak resident |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for shape in SHAPES {
        println!("{}", measure(shape, records));
    }
}

/// One record of exactly that many bytes.
fn record(id: usize) -> String {
    let head = format!(
        "{{\"id\":{id},\"updated_at\":\"2026-11-20T00:00:00Z\",\"country\":\"BR\",\"age\":{},\"text\":\"",
        id % 100
    );
    let filler = "x".repeat(RECORD_BYTES - head.len() - 2);
    format!("{head}{filler}\"}}")
}

fn pages(shape: Shape, records: usize) -> Vec<Vec<u8>> {
    let per_page = shape.records_per_page.min(records);
    let count = records.div_ceil(per_page);
    let page = |number: usize| {
        let ids = number * per_page..((number + 1) * per_page).min(records);
        let list: Vec<String> = ids.map(record).collect();
        let next = if number + 1 < count {
            format!("\"{}\"", number + 1)
        } else {
            "null".to_owned()
        };
        format!("{{\"things\":[{}],\"next\":{next}}}", list.join(",")).into_bytes()
    };
    (0..count).map(page).collect()
}

fn measure(shape: Shape, records: usize) -> String {
    let pages = Arc::new(pages(shape, records));
    let own = support::process::cpu_time(std::process::id());
    for page in &*pages {
        let _skipped: IgnoredAny = serde_json::from_slice(page).unwrap();
    }
    let skipping = support::process::cpu_time(std::process::id()).saturating_sub(own);

    let served = Arc::clone(&pages);
    let api = RawApi::start(move |first, _, stream| {
        let cursor = first.split_once("cursor=").map(|(_, rest)| rest);
        let digits = |rest: &str| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()
                .map(str::parse)
        };
        let number = cursor
            .and_then(digits)
            .map_or(0, |number: Result<usize, _>| number.unwrap());
        let page = &served[number];
        write_head(stream, &format!("content-length: {}", page.len()));
        let _gone = stream.write_all(page);
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[poll.things]\nurl = \"{}/things\"\nrecords = \"/things\"\nid = \"id\"\n\
         mode = \"append\"\npagination = {{ type = \"cursor\", next = \"/next\" }}\n\
         watermark = {{ field = \"updated_at\", param = \"since\" }}\nmax_records = 100_000_000\n",
        api.url()
    ));
    let program = setup.start();
    let (before, start) = (program.cpu_time(), Instant::now());
    let output = setup.run(&["poll"]);
    let took = start.elapsed();
    let cpu = program.cpu_time().saturating_sub(before).as_secs_f64();
    assert!(output.status.success(), "{output:?}");
    let peak = program.peak_rss_bytes() >> 20;
    assert!(program.stop(std::time::Duration::from_secs(60)).success());
    let found = Lake::directory(&setup.directory().join("lake")).stream("things", "id");
    assert_eq!((found.rows, found.ids), (records as u64, records as u64));
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let count = records as f64;
    format!(
        "| {} | {:.0} | {:.2} | {:.2} | {:.1} | {peak} MiB |",
        shape.name,
        count / cpu,
        skipping.as_secs_f64() / cpu,
        cpu * 1e6 / count,
        took.as_secs_f64()
    )
}
