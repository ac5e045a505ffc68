//! `cargo bench --bench files`: twenty million order items in one CSV file, with a schema, ids and the quarantine, to
//! Parquet, on this machine.
//!
//! Promises: the program is a service with its default limits, asked by `lakehook files`; processor time covers
//! everything until the file is visible. Every row must be there once, in at most 256 MiB of memory. Next to it, in
//! the same run: DuckDB and polars, which convert the same file without a schema's rules, ids or a quarantine.
//! `examples/ecommerce/bench.py` does the same with the whole shop, and loads it into PostgreSQL.
//!
//! | variable | effect |
//! |---|---|
//! | `LAKEHOOK_ROWS` | how many rows |

#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench lives in real time, and fails loudly"
)]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::duckdb::Lake;
use support::process::Setup;
use support::python::{python, repository};

const MAX_PEAK: u64 = 256 << 20;
const SCHEMA: &str = r#"{"type": "object", "required": ["order_item_id", "order_id", "product_id"], "properties": {
    "order_item_id": {"type": "integer"}, "order_id": {"type": "integer"}, "product_id": {"type": "integer"},
    "quantity": {"type": "integer"}, "unit_price": {"type": "number", "x-lakehook-type": "decimal(12,2)"},
    "discount": {"type": "number", "x-lakehook-type": "decimal(12,2)"}}}"#;
/// What others do, …
const DUCKDB: &str = "import duckdb, resource, sys
duckdb.sql(f\"COPY (FROM read_csv('{sys.argv[1]}')) TO '{sys.argv[2]}' (FORMAT parquet, COMPRESSION zstd)\")";
const POLARS: &str = "import polars, resource, sys
polars.scan_csv(sys.argv[1]).sink_parquet(sys.argv[2], compression='zstd')";
/// … and what they print then: seconds of the processor and the peak of memory in KiB.
const USED: &str = "
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)";

fn main() {
    // `cargo test` builds and runs benches too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rows = std::env::var("LAKEHOOK_ROWS").ok();
    let rows: u64 = rows.map_or(20_000_000, |rows| rows.parse().unwrap());
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[batch]\nformat = \"parquet\"\n[files.items]\npath = \"inbox/*.csv\"\n\
         schema = \"item.json\"\nid = \"order_item_id\"\nsettle = \"0s\"\n",
    );
    let inbox = setup.directory().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    std::fs::write(setup.directory().join("item.json"), SCHEMA).unwrap();
    let file = inbox.join("items.csv");
    let bytes = write_items(&file, rows);
    println!("{rows} rows, {} MB of CSV, to Parquet\n", bytes / 1_000_000);
    println!("| program | CPU seconds | seconds | peak resident |");
    println!("|---|---:|---:|---:|");
    let others = beside("DuckDB", &python(), DUCKDB, &setup, &file);
    let readers = repository().join(".venv-readers/bin/python");
    beside("polars", &readers, POLARS, &setup, &file);
    let service = setup.start();
    let (before, start) = (service.cpu_time(), Instant::now());
    let output = setup.run(&["files"]);
    let took = start.elapsed();
    let cpu = service.cpu_time().saturating_sub(before).as_secs_f64();
    assert!(output.status.success(), "{output:?}");
    let peak = service.peak_rss_bytes();
    assert!(service.stop(Duration::from_secs(60)).success());
    println!(
        "| lakehook | {cpu:.1} | {:.1} | {} MiB |",
        took.as_secs_f64(),
        peak >> 20
    );
    println!("\n{:.2} of DuckDB's processor time", cpu / others);
    let found = Lake::directory(&setup.directory().join("lake")).stream("items", "order_item_id");
    assert_eq!((found.rows, found.ids), (rows, rows));
    assert!(peak <= MAX_PEAK, "{} MiB of memory", peak >> 20);
}

/// Writes order items, and returns the size of the file.
fn write_items(path: &Path, rows: u64) -> u64 {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    writeln!(
        out,
        "order_item_id,order_id,product_id,quantity,unit_price,discount"
    )
    .unwrap();
    for row in 1..=rows {
        let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        writeln!(
            out,
            "{row},{},{},{},{}.{:02},{}.{:02}",
            row / 4 + 1,
            mixed % 100_000 + 1,
            mixed % 5 + 1,
            mixed % 500,
            mixed % 100,
            mixed % 7,
            mixed % 97,
        )
        .unwrap();
    }
    out.flush().unwrap();
    std::fs::metadata(path).unwrap().len()
}

/// Has another program do it, and tells what it took; seconds of the processor.
fn beside(name: &str, python: &Path, script: &str, setup: &Setup, file: &Path) -> f64 {
    let start = Instant::now();
    let mut command = Command::new(python);
    command.args(["-c", &format!("{script}{USED}")]).arg(file);
    let output = command
        .arg(setup.directory().join("other.parquet"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // DuckDB shows its progress before.
    let last = text.trim().rsplit(['\n', '\r']).next().unwrap();
    let (cpu, peak) = last.split_once(' ').unwrap();
    let (cpu, peak): (f64, u64) = (cpu.parse().unwrap(), peak.parse().unwrap());
    println!(
        "| {name} | {cpu:.1} | {:.1} | {} MiB |",
        start.elapsed().as_secs_f64(),
        peak >> 10
    );
    cpu
}
