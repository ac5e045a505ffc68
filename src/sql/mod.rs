//! Statements that make the lake queryable: views and tables for DuckDB, Athena and Trino. Pure: from the
//! configuration, the schemas, and what is in the lake by now, to text.

mod athena;
mod dictionary;
pub mod distinct;
mod duckdb;
mod trino;

use std::collections::BTreeSet;

use crate::columns::ColumnType;
use crate::tables::{Column, Source, Table};

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Events, or an appending poll: every row counts.
    Rows,
    /// A snapshot poll: rows count by run.
    Runs,
    /// What was refused, of all streams.
    Quarantine,
}

/// Which objects a stream has by now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// Patterns of the directories that have NDJSON objects, however compressed, such as `events/dt=*`.
    pub lines: BTreeSet<String>,
    /// Patterns of those that have Parquet objects.
    pub columns: BTreeSet<String>,
    /// Markers of runs.
    pub markers: bool,
}

impl There {
    /// Notes an object.
    pub fn add(&mut self, key: &str) {
        let Some((dir, name)) = key.rsplit_once('/') else {
            return;
        };
        let mut parts = dir.split('/');
        let stream = parts.next().unwrap_or_default();
        let pattern = parts.fold(stream.to_owned(), |pattern, part| {
            match part.split_once('=') {
                Some((key, _)) => format!("{pattern}/{key}=*"),
                None => pattern + "/*",
            }
        });
        if name.contains(".ndjson") {
            self.lines.insert(pattern);
        } else if name.ends_with(".parquet") {
            self.columns.insert(pattern);
        }
    }

    /// Whether there are objects of both kinds.
    fn is_mixed(&self) -> bool {
        !self.lines.is_empty() && !self.columns.is_empty()
    }
}

/// A partition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// The pattern of its values, such as `%Y-%m-%d`; empty for a name that is not a time.
    pub pattern: String,
}

impl Key {
    /// The keys of a pattern such as `dt=%Y-%m-%d/hour=%H`.
    pub fn all(pattern: &str) -> Vec<Self> {
        let keys = pattern.split('/').filter_map(|part| part.split_once('='));
        keys.map(|(name, pattern)| Self {
            name: name.to_owned(),
            pattern: pattern.to_owned(),
        })
        .collect()
    }

    /// The run of a snapshot.
    pub fn run() -> Self {
        Self {
            name: "run".to_owned(),
            pattern: String::new(),
        }
    }
}

/// One stream of a lake.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its name, which is also its prefix in the lake.
    pub name: String,
    /// What it is.
    pub stream: Stream,
    /// Its columns.
    pub table: Table,
    /// Partition keys below its prefix, such as `dt` and `hour`.
    pub partitions: Vec<Key>,
    /// What is there.
    pub there: There,
}

/// A lake, as an engine reaches it.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// A directory's absolute path, or `s3://bucket/prefix`.
    pub url: String,
    /// The address of a compatible store.
    pub endpoint: Option<String>,
    /// The store's region, if it is configured.
    pub region: Option<String>,
    /// Bucket in the path.
    pub path_style: bool,
    /// Whether new objects are Parquet.
    pub writes_columns: bool,
    /// Whether the statements say where credentials come from.
    pub with_secret: bool,
    /// The streams.
    pub relations: Vec<Relation>,
}

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// DuckDB 1.3 or later.
    Duckdb,
    /// Amazon Athena, engine version 3.
    Athena,
    /// Trino with the Hive connector.
    Trino,
    /// No engine: the columns and what they mean, as a Markdown page.
    Dictionary,
}

impl Catalogue {
    /// The statements for an engine.
    pub fn statements(&self, engine: Engine) -> String {
        match engine {
            Engine::Duckdb => duckdb::statements(self),
            Engine::Athena => athena::statements(self),
            Engine::Trino => trino::statements(self),
            Engine::Dictionary => dictionary::page(self),
        }
    }

    /// Whether it is a bucket.
    fn is_bucket(&self) -> bool {
        self.url.starts_with("s3://")
    }

    /// Where something in the lake is.
    fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.url.trim_end_matches('/'))
    }
}

impl Relation {
    /// Name of the table that holds the rows; that of a snapshot has all its runs, whether they have a marker or
    /// not.
    fn table_name(&self) -> String {
        match self.stream {
            Stream::Runs => format!("{}_all_runs", self.name),
            Stream::Rows | Stream::Quarantine => self.name.clone(),
        }
    }

    /// Columns of rows, without those that follow from the path.
    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.table.columns.iter()
    }

    /// Columns that are made from properties.
    fn properties(&self) -> impl Iterator<Item = (&str, &str, ColumnType)> {
        self.columns().filter_map(|column| match &column.source {
            Source::Property(key) => Some((column.name.as_str(), key.as_str(), column.kind)),
            Source::Member(_) | Source::Rest => None,
        })
    }
}

/// Text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as an SQL identifier.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Lines, indented and joined.
fn lines(items: impl Iterator<Item = String>, indent: usize) -> String {
    let separator = format!(",\n{}", " ".repeat(indent));
    items.collect::<Vec<_>>().join(&separator)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
