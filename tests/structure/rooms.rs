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
        "torture", "upstream", "serve", "telemetry", "config", "poll", "replay", "audit", "rescue",
        "sql", "erase", "metrics", "out", "contract", "wal", "lake", "encode", "tables", "ids", "files",
        "clock",
    ]),
    room("torture", "src/torture", &[
        "upstream", "replay", "audit", "quarantine", "wal", "lake", "encode", "ids", "files",
        "clock",
    ]),
    room("upstream", "src/upstream", &["ids", "clock"]),
    room("serve", "src/serve", &[
        "config", "receive", "poll", "replay", "ship", "commit", "status", "metrics", "control",
        "contract", "quarantine", "wal", "batch", "lake", "encode", "tables", "columns", "record",
        "ids", "files", "clock",
    ]),
    room("telemetry", "src/telemetry", &["config"]),
    room("config", "src/config", &["receive", "poll", "contract", "wal", "lake", "encode"]),
    room("receive", "src/receive", &[
        "status", "metrics", "contract", "quarantine", "wal", "json", "record", "ids", "rfc3339",
        "clock",
    ]),
    room("poll", "src/poll", &[
        "status", "metrics", "control", "contract", "quarantine", "wal", "lake", "json", "record",
        "ids", "clock",
    ]),
    room("replay", "src/replay", &[
        "status", "metrics", "control", "contract", "quarantine", "wal", "lake", "encode", "record",
        "ids", "files", "rfc3339", "clock",
    ]),
    room("audit", "src/audit", &[
        "rescue", "erase", "wal", "lake", "encode", "record", "ids", "checksum",
    ]),
    room("rescue", "src/rescue", &["erase", "wal", "lake", "encode", "ids", "files"]),
    room("sql", "src/sql", &["lake", "tables", "columns"]),
    room("erase", "src/erase", &[
        "wal", "lake", "encode", "json", "record", "ids", "files", "rfc3339", "clock", "checksum",
    ]),
    room("ship", "src/ship", &[
        "commit", "status", "metrics", "wal", "lake", "record", "ids", "files", "clock",
    ]),
    room("publish", "src/publish", &["commit", "wal", "lake", "json", "record", "files"]),
    room("commit", "src/commit", &[
        "wal", "batch", "lake", "encode", "tables", "record", "ids", "files",
    ]),
    room("status", "src/status", &["version", "clock"]),
    room("metrics", "src/metrics", &["quarantine", "batch", "lake"]),
    room("control", "src/control", &["files"]),
    room("out", "src/out", &[]),
    room("contract", "src/contract", &[
        "quarantine", "tables", "columns", "json", "record", "rfc3339", "clock",
    ]),
    room("quarantine", "src/quarantine", &["json", "record", "clock"]),
    room("wal", "src/wal", &["batch", "record", "ids", "files", "clock", "checksum"]),
    room("batch", "src/batch", &["record", "clock"]),
    room("lake", "src/lake", &["encode", "record", "ids", "files", "clock", "checksum"]),
    room("encode", "src/encode", &["tables", "columns", "json", "record", "files", "clock"]),
    room("tables", "src/tables", &["columns"]),
    room("columns", "src/columns", &["rfc3339", "clock"]),
    room("json", "src/json", &[]),
    room("record", "src/record", &["ids", "clock"]),
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
    "circle of files in cli: src/cli/audit.rs, src/cli/check.rs, src/cli/demo.rs, src/cli/erase.rs, src/cli/erase/turn.rs, src/cli/health.rs, src/cli/kept.rs, src/cli/mod.rs, src/cli/poll.rs, src/cli/quarantine.rs, src/cli/replay.rs, src/cli/replay/report.rs, src/cli/rescue.rs, src/cli/serve.rs, src/cli/sql.rs, src/cli/torture.rs, src/cli/upstream.rs, src/cli/wal.rs",
    "circle of files in config: src/config/checks.rs, src/config/findings.rs, src/config/hooks.rs, src/config/polls.rs, src/config/sections.rs, src/config/shape.rs, src/config/sources.rs, src/config/words.rs",
    "circle of files in encode: src/encode/mod.rs, src/encode/ndjson.rs",
    "circle of files in lake: src/lake/conditional.rs, src/lake/directory.rs, src/lake/mod.rs, src/lake/store.rs",
    "circle of files in poll: src/poll/append.rs, src/poll/run.rs, src/poll/snapshot.rs",
    "circle of files in poll: src/poll/auth.rs, src/poll/client.rs",
    "circle of files in receive: src/receive/gate.rs, src/receive/health.rs, src/receive/hooks.rs, src/receive/router.rs, src/receive/webhook.rs",
    "circle of files in serve: src/serve/events.rs, src/serve/mod.rs, src/serve/pipeline.rs, src/serve/polls.rs, src/serve/tables.rs",
    "circle of files in sql: src/sql/athena.rs, src/sql/dictionary.rs, src/sql/duckdb.rs, src/sql/mod.rs, src/sql/trino.rs",
    "circle of files in torture: src/torture/faults.rs, src/torture/mod.rs, src/torture/server.rs",
    "circle of files in upstream: src/upstream/api.rs, src/upstream/service.rs",
    "circle of files in wal: src/wal/entry.rs, src/wal/runs.rs, src/wal/state.rs",
    "circle of files in wal: src/wal/space.rs, src/wal/writer.rs",
    "circle of rooms: config, receive, poll, metrics, wal, lake",
    "logic: src/audit/mod.rs",
    "logic: src/cli/mod.rs",
    "logic: src/encode/mod.rs",
    "logic: src/lake/mod.rs",
    "logic: src/serve/mod.rs",
    "logic: src/sql/mod.rs",
    "logic: src/torture/mod.rs",
    "logic: src/wal/rescue/mod.rs",
    "long file: src/batch.rs",
    "long function: src/receive/openapi/answers.rs: parts",
    "long function: src/receive/signature.rs: admit",
    "long function: src/serve/mod.rs: start",
    "long function: src/torture/report.rs: figures",
    "long function: src/wal/rescue/scan.rs: scan_segment",
    "use: lake -> config",
    "use: poll -> config",
    "use: receive -> poll",
    "use: wal -> metrics",
    "wide struct: src/poll/collect.rs: Collector",
    "wide struct: src/wal/writer.rs: Writer",
];

#[test]
fn the_sources_keep_to_the_rules() {
    let sources = Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let report = report(&violations(&sources, ROOMS), STILL_OPEN);
    assert!(report.is_empty(), "\n{report}\n");
}
