//! Several files of a run are read side by side, and count as if they had been read one after the other.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Inbox;

const GUARDS: &str = "id = \"id\"\nguards = { max_refused = \"90 %\" }\n";

/// Files that share ids with each other: repeats, conflicts, one that fails as a whole and brings ids of its own, one
/// that cannot be read, and one whose ids come again behind it.
fn put_all(inbox: &Inbox, files: usize) {
    for number in 0..files {
        let mut body = String::from("id,name\n");
        for row in 0..20 {
            // Half of the ids are those of the file before, every fifth of these with another name.
            let id = number * 10 + row;
            let name = if row < 10 && row % 5 == 0 { number } else { 0 };
            writeln!(body, "{id},n{id}-{name}").unwrap();
        }
        body.push_str("x,bad\n");
        inbox.put(&format!("{number:03}.csv"), body);
        if number % 10 == 4 {
            let wrong = format!("id,name\n{},mine\n1,\"open\n", number * 10 + 35);
            inbox.put(&format!("{number:03}-wrong.csv"), wrong);
        }
    }
}

/// All that can be seen of the rows, the refused records and the markers, in order.
fn seen(inbox: &Inbox) -> [Value; 2] {
    [
        inbox.query("SELECT file, line, id, name FROM claims ORDER BY file, line"),
        inbox.query("SELECT file, line, reason, raw FROM quarantine ORDER BY file, line, reason"),
    ]
}

#[test]
fn files_that_are_read_side_by_side_count_in_their_order() {
    for format in ["ndjson", "parquet"] {
        let all = ["workers = 1", "workers = 2", "workers = 8"].map(|workers| {
            let inbox = Inbox::in_format(format, &format!("{GUARDS}{workers}"));
            put_all(&inbox, 120);
            let (said, code) = inbox.take();
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("-wrong.csv"), "{said}");
            inbox.audit();
            let again = inbox.take_well();
            assert!(again.contains("0 files in"), "{again}");
            seen(&inbox)
        });
        assert_eq!(all[0], all[1], "{format}");
        assert_eq!(all[0], all[2], "{format}");
        let rows = all[0][0].as_array().unwrap().len();
        assert_eq!(rows, 120 * 10 + 10, "{format}");
    }
}

#[test]
fn equal_files_that_are_read_side_by_side_are_one_if_that_is_wanted() {
    let inbox = Inbox::new("workers = 8\nsame_content = \"skip\"");
    for number in 0..60 {
        let body = format!("id,name\n{},A\n", number / 3);
        inbox.put(&format!("{number:02}.csv"), body);
    }
    let said = inbox.take_well();
    assert!(said.contains("20 files in"), "{said}");
    let files = inbox.query(
        "SELECT count(*), count(DISTINCT id), string_agg(file, ' ' ORDER BY file) FROM claims",
    );
    let firsts: Vec<String> = (0..20)
        .map(|number| format!("{:02}.csv", number * 3))
        .collect();
    assert_eq!(files, json!([[20, 20, firsts.join(" ")]]));
}

#[test]
fn files_that_unpack_to_more_than_a_round_may_hold_are_taken_all_the_same() {
    let inbox = Inbox::in_format("parquet", "id = \"id\"\nworkers = 12");
    let (files, rows, name) = (12, 15_000, "long ".repeat(40));
    for number in 0..files {
        let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
        writeln!(packed, "id,name").unwrap();
        for row in 0..rows {
            writeln!(packed, "{},{name}", number * rows + row).unwrap();
        }
        inbox.put(&format!("{number:02}.csv"), packed.finish().unwrap());
    }
    let program = inbox.setup.start();
    inbox.take_well();
    let peak = program.peak_rss_bytes();
    assert!(peak <= 256 << 20, "{} MiB of memory", peak >> 20);
    assert!(program.stop(Duration::from_secs(60)).success());
    let all = files * rows;
    let found =
        inbox.query("SELECT count(*), count(DISTINCT id), count(DISTINCT file) FROM claims");
    assert_eq!(found, json!([[all, all, files]]));
    inbox.audit();
}
