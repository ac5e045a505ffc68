//! What the real DuckDB sees in a lake, asked through `tests/python/lake.py`.
//!
//! Each call is a process of its own that reads and parses everything. Calls panic with DuckDB's
//! message when it cannot read the lake; only [`parse`] returns it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;

use super::python;

/// How DuckDB is asked to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// With a type for every column.
    Typed,
    /// With the columns that it detects itself.
    Auto,
}

/// Totals over a lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LakeCount {
    /// Rows of `events`.
    pub(crate) rows: u64,
    /// Different event ids among them; if there are fewer than rows, something is there twice.
    pub(crate) distinct_event_ids: u64,
    /// Different LSNs among them.
    pub(crate) distinct_lsns: u64,
    /// Rows whose `timestamp` is not of the day in their `dt`.
    pub(crate) misplaced: u64,
    /// `None` without rows.
    pub(crate) min_lsn: Option<u64>,
    /// `None` without rows.
    pub(crate) max_lsn: Option<u64>,
    /// Rows by `dt`, such as `2026-11-20`.
    pub(crate) by_dt: BTreeMap<String, u64>,
    /// Rows by event type.
    pub(crate) by_event_type: BTreeMap<String, u64>,
    /// Rows by `dt`, then by event type.
    pub(crate) by_dt_and_event_type: BTreeMap<String, BTreeMap<String, u64>>,
    /// Objects of `events`.
    pub(crate) objects: u64,
    /// Quarantine rows by reason.
    pub(crate) quarantine: BTreeMap<String, u64>,
}

/// The result of reading one file in one way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// The number of rows.
    Rows(u64),
    /// DuckDB's message.
    Error(String),
}

/// The result of reading one file in both ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Parsed {
    /// With [`Reading::Typed`].
    pub(crate) typed: Outcome,
    /// With [`Reading::Auto`].
    pub(crate) auto: Outcome,
}

/// What the markers of a stream say, and which objects are there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runs {
    /// By marker, oldest first.
    pub(crate) runs: Vec<Run>,
    /// Objects of the stream that no marker names.
    pub(crate) unmarked: Vec<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    /// Its name.
    #[serde(rename = "run")]
    pub(crate) name: String,
    /// The earlier run that holds the records.
    pub(crate) same_as: Option<String>,
    /// Its records, according to the marker.
    pub(crate) records: u64,
    /// Its records in the quarantine, according to the marker.
    pub(crate) quarantined: u64,
    /// Both together, according to the objects in the marker.
    pub(crate) in_objects: u64,
    /// Rows that DuckDB reads.
    pub(crate) rows: u64,
    /// Different ids among them.
    pub(crate) ids: u64,
    /// Rows of the quarantine that DuckDB reads.
    pub(crate) refused: u64,
}

impl Runs {
    /// Checks that each run is complete, none has a record twice, and nothing else is there.
    pub(crate) fn check(&self) {
        assert_eq!(self.unmarked, Vec::<String>::new());
        for run in &self.runs {
            assert_eq!((run.rows, run.ids), (run.records, run.records), "{run:?}");
            assert_eq!(run.refused, run.quarantined, "{run:?}");
            assert_eq!(run.in_objects, run.records + run.quarantined, "{run:?}");
            if let Some(earlier) = &run.same_as {
                let known = self.runs.iter().find(|other| other.name == *earlier);
                assert!(
                    known.is_some_and(|known| known.same_as.is_none()),
                    "{run:?}"
                );
                assert_eq!(run.in_objects, 0);
            }
        }
    }
}

/// Totals over a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamTotals {
    /// Rows.
    pub(crate) rows: u64,
    /// Different ids.
    pub(crate) ids: u64,
    /// Different LSNs.
    pub(crate) lsns: u64,
}

/// A lake as analysts see it.
#[derive(Clone, Debug)]
pub(crate) struct Lake {
    url: String,
    endpoint: Option<String>,
}

impl Lake {
    /// The lake in a directory.
    pub(crate) fn directory(path: &Path) -> Self {
        Self {
            url: path.to_str().unwrap().to_owned(),
            endpoint: None,
        }
    }

    /// The lake at `s3://bucket/prefix`, on the S3 server at this endpoint.
    pub(crate) fn s3(url: &str, endpoint: &str) -> Self {
        Self {
            url: url.to_owned(),
            endpoint: Some(endpoint.to_owned()),
        }
    }

    /// Totals over everything in it.
    pub(crate) fn count(&self, reading: Reading) -> LakeCount {
        let flag = match reading {
            Reading::Typed => "--typed",
            Reading::Auto => "--auto",
        };
        let output = finish(self.command("count").arg(flag));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// All event ids, sorted; one that is there twice is listed twice.
    pub(crate) fn ids(&self) -> Vec<String> {
        let output = finish(&mut self.command("ids"));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// All events in the order of their LSN, with `object` and `dt` beside their own fields.
    pub(crate) fn rows(&self) -> Vec<serde_json::Value> {
        let output = finish(&mut self.command("rows"));
        let rows = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// The runs of a snapshot poll, oldest first, by their markers; `id` is the key of records.
    pub(crate) fn runs(&self, stream: &str, id: &str) -> Runs {
        let mut command = self.command("runs");
        let output = finish(command.args(["--stream", stream, "--id", id]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Totals over all objects of a stream; `id` is the key of records.
    pub(crate) fn stream(&self, stream: &str, id: &str) -> StreamTotals {
        let mut command = self.command("stream");
        let output = finish(command.args(["--stream", stream, "--id", id]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The rows of a query, once the statements of a file have been run.
    pub(crate) fn query(&self, statements: &Path, query: &str) -> serde_json::Value {
        let mut command = self.command("query");
        command.arg("--sql").arg(statements);
        let output = finish(command.args(["--query", query]));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How long each query takes at least, in seconds, once the statements of a file have been run.
    pub(crate) fn seconds(&self, statements: &Path, queries: &[&str]) -> Vec<f64> {
        let mut command = self.command("seconds");
        command.arg("--sql").arg(statements);
        for query in queries {
            command.args(["--query", query]);
        }
        let output = finish(&mut command);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = python::script("lake.py");
        command.args([name, "--lake", &self.url]);
        if let Some(endpoint) = &self.endpoint {
            command.args(["--endpoint", endpoint]);
        }
        command
    }
}

/// Reads one NDJSON file both ways.
pub(crate) fn parse(file: &Path) -> Parsed {
    let output = python::script("lake.py")
        .arg("parse")
        .arg(file)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn finish(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "DuckDB can't read the lake: {said}"
    );
    output
}
