//! Files: from an inbox into the lake, each whole or not at all.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and write files"
)]

mod bucket;
mod columnar;
mod following;
mod found;
mod kills;
mod large;
mod picking;
mod reading;
mod replays;
mod seeds;
mod stages;
mod workers;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::support::duckdb::Lake;
use crate::support::process::Setup;

const SCHEMA: &str = r#"{"type": "object", "required": ["id"], "properties": {
    "id": {"type": "integer"}, "name": {"type": ["string", "null"]}, "price": {"type": ["number", "null"]}}}"#;

/// An inbox of a stream `claims`, with these settings of it.
struct Inbox {
    setup: Setup,
}

impl Inbox {
    fn new(settings: &str) -> Self {
        Self::in_format("ndjson", settings)
    }

    fn in_format(format: &str, settings: &str) -> Self {
        Self::of("*.csv", format, settings)
    }

    fn of(pattern: &str, format: &str, settings: &str) -> Self {
        let settle = if settings.contains("settle") {
            ""
        } else {
            "settle = \"0s\"\n"
        };
        Self::with(
            pattern,
            format,
            &format!("schema = \"claim.json\"\n{settle}{settings}"),
        )
    }

    /// The same, with these settings alone.
    fn with(pattern: &str, format: &str, settings: &str) -> Self {
        let config = format!(
            "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"{format}\"\n\
             [files.claims]\npath = \"inbox/{pattern}\"\n{settings}\n"
        );
        let setup = Setup::new(&config);
        std::fs::create_dir(setup.directory().join("inbox")).unwrap();
        std::fs::write(setup.directory().join("claim.json"), SCHEMA).unwrap();
        Self { setup }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.setup.directory().join("inbox").join(name)
    }

    fn put(&self, name: &str, body: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), body).unwrap();
    }

    /// Looks once: what was said, and the exit code.
    fn take(&self) -> (String, Option<i32>) {
        said(&self.setup.run(&["files"]))
    }

    /// Looks once, which must go well; what was said.
    fn take_well(&self) -> String {
        let (said, code) = self.take();
        assert_eq!(code, Some(0), "{said}");
        said
    }

    /// Looks once, which must fail with these words; what was said.
    fn fails(&self, words: &[&str]) -> String {
        let (said, code) = self.take();
        assert_eq!(code, Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in: {said}");
        }
        said
    }

    /// What DuckDB answers, over the views that the program prints.
    fn query(&self, query: &str) -> Value {
        let output = self.setup.run(&["sql", "duckdb", "--no-secret"]);
        let views = String::from_utf8(output.stdout).unwrap();
        let path = self.setup.directory().join("views.sql");
        std::fs::write(&path, views).unwrap();
        Lake::directory(&self.setup.directory().join("lake")).query(&path, query)
    }

    /// The rows that are visible: file, line and id, in this order.
    fn rows(&self) -> Value {
        self.query("SELECT file, line, id FROM claims ORDER BY ALL")
    }

    /// The rows of the quarantine: file, line, rule and what was refused.
    fn refused(&self) -> Value {
        self.query("SELECT file, line, errors->>'$[0].code', raw FROM quarantine ORDER BY ALL")
    }

    /// The audit, which must add up; what it said.
    fn audit(&self) -> String {
        let dir = self.setup.directory().join("data/polls");
        let arguments = ["audit", "--deep", "--wal", dir.to_str().unwrap()];
        let (said, code) = said(&self.setup.run(&arguments));
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

fn said(output: &Output) -> (String, Option<i32>) {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    (String::from_utf8(both).unwrap(), output.status.code())
}
