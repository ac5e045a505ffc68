//! A file that is larger than memory may become. `LAKEHOOK_FILE_MIB` raises its size, to a gigabyte in `make proof`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Duration;

use serde_json::json;

use super::Inbox;

const MAX_PEAK: u64 = 256 << 20;

#[test]
fn a_large_file_is_taken_whole_in_bounded_memory() {
    let mebibytes = std::env::var("LAKEHOOK_FILE_MIB").ok();
    let mebibytes: u64 = mebibytes.map_or(2, |mebibytes| mebibytes.parse().unwrap());
    let inbox = Inbox::in_format("parquet", "id = \"id\"");
    let mut out = BufWriter::new(File::create(inbox.path("large.csv")).unwrap());
    writeln!(out, "id,name,price").unwrap();
    let (mut rows, mut bytes) = (0, 0);
    while bytes < mebibytes << 20 {
        rows += 1;
        let line = format!(
            "{rows},name of number {rows},{}.{:02}\n",
            rows % 900,
            rows % 100
        );
        out.write_all(line.as_bytes()).unwrap();
        bytes += line.len() as u64;
    }
    out.flush().unwrap();
    let program = inbox.setup.start();
    let said = inbox.take_well();
    assert!(said.contains(&format!("{rows} rows")), "{said}");
    let peak = program.peak_rss_bytes();
    assert!(peak <= MAX_PEAK, "{} MiB of memory", peak >> 20);
    // The same rows in a file of another name are repeats.
    std::fs::copy(inbox.path("large.csv"), inbox.path("again.csv")).unwrap();
    let said = inbox.take_well();
    assert!(said.contains(&format!("{rows} repeats")), "{said}");
    assert!(program.stop(Duration::from_secs(60)).success());
    let found = inbox.query("SELECT count(*), count(DISTINCT id), max(line) FROM claims");
    assert_eq!(found, json!([[rows, rows, rows + 1]]));
    inbox.audit();
}
