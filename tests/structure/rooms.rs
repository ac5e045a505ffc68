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
    room("base", "crates/base/src/lib.rs", &[]),
    room("cli", "src/cli", &[
        "torture", "upstream", "serve", "config", "receive", "inbox", "call", "poll", "feeds", "replay", "audit", "find", "rescue", "sql",
        "ship", "retain", "erase", "control", "telemetry", "traces", "out", "contract", "quarantine", "wal", "lake", "encode", "tables", "columns", "secret", "ids",
        "side_files", "files", "rfc3339", "clock",
    ]),
    room("torture", "src/torture", &[
        "upstream", "serve", "config", "replay", "audit", "replica", "quarantine", "wal", "lake", "encode", "ids", "files",
        "clock",
    ]),
    room("upstream", "src/upstream", &["ids", "clock"]),
    room("serve", "src/serve", &[
        "config", "console", "cluster", "receive", "inbox", "call", "poll", "feeds", "replay", "sql", "erase", "ship", "replica", "status",
        "metrics",
        "control",
        "contract", "quarantine", "wal", "lake", "encode", "tables", "columns", "record",
        "secret", "ids", "side_files", "files", "clock",
    ]),
    room("config", "src/config", &[
        "receive", "inbox", "call", "poll", "feeds", "telemetry", "contract", "wal", "lake", "encode", "tables", "columns",
        "secret", "signature", "clock",
    ]),
    room("console", "src/console", &[
        "receive", "feeds", "replay", "audit", "find", "metrics", "contract", "quarantine", "wal", "lake", "encode",
        "json", "record", "secret", "ids", "files", "clock",
    ]),
    room("receive", "src/receive", &[
        "status", "metrics", "traces", "contract", "quarantine", "wal", "json", "record", "signature", "secret", "ids", "instant", "rfc3339",
        "clock",
    ]),
    room("inbox", "crates/inbox/src", &[
        "poll", "feeds", "control", "contract", "quarantine", "wal", "lake", "encode", "tables", "columns", "json",
        "record", "ids", "files", "rfc3339", "clock",
    ]),
    room("call", "crates/feeds/src/call", &[
        "poll", "feeds", "control", "contract", "quarantine", "wal", "lake", "tables", "columns", "json", "record", "ids",
        "side_files", "files", "rfc3339", "clock",
    ]),
    room("poll", "crates/feeds/src/poll", &[
        "feeds", "control", "contract", "quarantine", "wal", "lake", "encode", "tables", "columns", "json", "record",
        "signature", "secret", "ids", "side_files", "rfc3339", "clock",
    ]),
    room("feeds", "crates/feeds/src", &[
        "contract", "quarantine", "wal", "lake", "encode", "tables", "json", "record", "ids", "side_files", "files",
        "rfc3339", "clock",
    ]),
    room("replay", "src/replay", &[
        "status", "metrics", "control", "contract", "quarantine", "wal", "lake", "encode", "record",
        "ids", "files", "rfc3339", "clock",
    ]),
    room("audit", "src/audit", &[
        "rescue", "retain", "erase", "wal", "lake", "encode", "record", "ids", "files", "checksum",
    ]),
    room("find", "src/find", &["contract", "wal", "lake", "encode", "record", "ids", "files", "rfc3339", "clock"]),
    room("rescue", "src/rescue", &["erase", "wal", "lake", "encode", "ids", "files"]),
    room("sql", "src/sql", &["lake", "encode", "tables", "columns"]),
    room("retain", "src/retain", &["erase", "lake", "ids", "files", "clock", "checksum"]),
    room("erase", "src/erase", &[
        "wal", "lake", "encode", "json", "record", "ids", "files", "rfc3339", "clock", "checksum",
    ]),
    room("ship", "src/ship", &[
        "status", "metrics", "traces", "wal", "lake", "encode", "tables", "json", "record", "ids",
        "side_files", "files", "clock", "checksum", "codec",
    ]),
    room("replica", "src/replica", &["wal", "lake", "clock"]),
    room("cluster", "src/cluster", &["wal", "record", "signature", "ids", "clock", "checksum", "codec"]),
    room("status", "src/status", &["version", "clock"]),
    room("metrics", "src/metrics", &["quarantine", "wal", "lake", "clock"]),
    room("control", "crates/feeds/src/control", &["files"]),
    room("telemetry", "src/telemetry", &[]),
    room("traces", "src/traces", &[]),
    room("out", "src/out", &[]),
    room("contract", "crates/contract/src", &[
        "quarantine", "tables", "columns", "json", "record", "secret", "instant", "rfc3339", "clock",
    ]),
    room("quarantine", "crates/contract/src/quarantine", &["json", "record", "clock"]),
    room("wal", "crates/log/src", &["record", "ids", "side_files", "files", "clock", "checksum", "codec"]),
    room("lake", "crates/lake/src", &["encode", "record", "ids", "files", "clock", "checksum"]),
    room("encode", "crates/lake/src/encode", &["tables", "columns", "json", "record", "files", "clock", "codec"]),
    room("tables", "crates/base/src/tables", &["columns", "json"]),
    room("columns", "crates/base/src/columns", &["json", "rfc3339", "clock"]),
    room("json", "crates/base/src/json", &[]),
    room("record", "crates/base/src/record", &["ids", "clock"]),
    room("secret", "crates/base/src/secret", &[]),
    room("signature", "crates/base/src/signature", &["rfc3339", "clock"]),
    room("ids", "crates/base/src/ids", &[]),
    room("side_files", "crates/base/src/side_files", &["files"]),
    room("files", "crates/base/src/files", &[]),
    room("version", "src/version", &["clock"]),
    room("instant", "crates/base/src/instant", &["rfc3339", "clock"]),
    room("rfc3339", "crates/base/src/rfc3339", &["clock"]),
    room("clock", "crates/base/src/clock", &[]),
    room("checksum", "crates/base/src/checksum", &[]),
    room("codec", "crates/base/src/codec", &[]),
];

/// What breaks a rule and is known to: each entry must still be found, so that this list only gets shorter.
#[rustfmt::skip]
const STILL_OPEN: &[&str] = &[
];

#[test]
fn the_sources_keep_to_the_rules() {
    let sources = Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let report = report(&violations(&sources, ROOMS), STILL_OPEN);
    assert!(report.is_empty(), "\n{report}\n");
}

/// A newcomer reads these pages as a whole.
#[test]
fn the_first_pages_stay_short() {
    for (page, most) in [("ARCHITECTURE.md", 300), ("README.md", 150)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= most, "{page} has {lines} lines, at most {most}");
    }
}
