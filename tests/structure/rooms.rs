//! The table of rooms, and the test that holds the sources to it.

use std::path::Path;

use super::rules::{Room, report, violations};
use super::sources::Sources;

const fn room(name: &'static str, at: &'static str, uses: &'static [&'static str]) -> Room {
    Room { name, at, uses }
}

/// The rooms, each above those that it uses; `lib.rs` lists its modules in the same order.
#[rustfmt::skip]
const ROOMS: &[Room] = &[
    room("main", "src/main.rs", &["cli"]),
    room("lib", "src/lib.rs", &[]),
    room("cli", "src/cli", &[
        "torture", "upstream", "serve", "config", "poll", "feeds", "replay", "audit", "rescue", "sql", "ship",
        "telemetry", "out", "contract", "wal", "lake", "encode", "tables", "ids", "files",
        "clock",
    ]),
    room("torture", "src/torture", &[
        "upstream", "replay", "audit", "quarantine", "wal", "lake", "encode", "ids", "files",
        "clock",
    ]),
    room("upstream", "src/upstream", &["ids", "clock"]),
    room("serve", "src/serve", &[
        "config", "receive", "poll", "feeds", "replay", "ship", "status", "metrics", "control",
        "contract", "quarantine", "wal", "lake", "encode", "tables", "columns", "record",
        "secret", "ids", "files", "clock",
    ]),
    room("config", "src/config", &[
        "receive", "poll", "feeds", "telemetry", "contract", "wal", "lake", "encode", "tables", "secret",
    ]),
    room("receive", "src/receive", &[
        "status", "metrics", "contract", "quarantine", "wal", "json", "record", "ids", "rfc3339",
        "clock",
    ]),
    room("poll", "src/poll", &[
        "feeds", "control", "contract", "wal", "lake", "tables", "json", "record", "secret", "ids",
        "clock",
    ]),
    room("feeds", "src/feeds", &[
        "status", "metrics", "contract", "quarantine", "wal", "tables", "record", "ids", "clock",
    ]),
    room("replay", "src/replay", &[
        "status", "metrics", "control", "contract", "quarantine", "wal", "lake", "encode", "record",
        "ids", "files", "rfc3339", "clock",
    ]),
    room("audit", "src/audit", &[
        "rescue", "wal", "lake", "encode", "record", "ids", "files", "checksum",
    ]),
    room("rescue", "src/rescue", &["wal", "lake", "encode", "ids", "files"]),
    room("sql", "src/sql", &["lake", "tables", "columns"]),
    room("ship", "src/ship", &[
        "status", "metrics", "wal", "lake", "encode", "tables", "json", "record", "ids",
        "files", "clock", "checksum",
    ]),
    room("status", "src/status", &["version", "clock"]),
    room("metrics", "src/metrics", &["quarantine", "wal", "lake"]),
    room("control", "src/control", &["files"]),
    room("telemetry", "src/telemetry", &[]),
    room("out", "src/out", &[]),
    room("contract", "src/contract", &[
        "quarantine", "tables", "columns", "json", "record", "rfc3339", "clock",
    ]),
    room("quarantine", "src/quarantine", &["json", "record", "clock"]),
    room("wal", "src/wal", &["record", "ids", "files", "clock", "checksum"]),
    room("lake", "src/lake", &["encode", "record", "ids", "files", "clock", "checksum"]),
    room("encode", "src/encode", &["tables", "columns", "json", "record", "files", "clock"]),
    room("tables", "src/tables", &["columns"]),
    room("columns", "src/columns", &["rfc3339", "clock"]),
    room("json", "src/json", &[]),
    room("record", "src/record", &["ids", "clock"]),
    room("secret", "src/secret", &[]),
    room("ids", "src/ids", &[]),
    room("files", "src/files", &[]),
    room("version", "src/version", &["clock"]),
    room("rfc3339", "src/rfc3339", &["clock"]),
    room("clock", "src/clock", &[]),
    room("checksum", "src/checksum", &[]),
];

/// What breaks a rule and is known to: each entry must still be found, so that this list only gets shorter.
#[rustfmt::skip]
const STILL_OPEN: &[&str] = &[
    "circle of files in sql: src/sql/athena.rs, src/sql/dictionary.rs, src/sql/duckdb.rs, src/sql/mod.rs, src/sql/trino.rs",
    "logic: src/sql/mod.rs",
];

#[test]
fn the_sources_keep_to_the_rules() {
    let sources = Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let report = report(&violations(&sources, ROOMS), STILL_OPEN);
    assert!(report.is_empty(), "\n{report}\n");
}
