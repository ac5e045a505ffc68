//! A lake as an engine reaches it: where it is, and which streams it has.

use super::layout::{Key, There};
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

/// One stream of a lake.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The name of the stream, which is also its prefix in the lake.
    pub name: String,
    /// What it is.
    pub stream: Stream,
    /// Its columns.
    pub table: Table,
    /// Partition keys below its prefix, such as `dt` and `hour`.
    pub partitions: Vec<Key>,
    /// The column whose time makes the partition keys, where a row says it.
    pub partitioned_by: Option<String>,
    /// The first day that objects to come can be of, such as `2025-11-20`.
    pub first_day: String,
    /// The objects that there are.
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
    /// Whether requests name the bucket in the path.
    pub path_style: bool,
    /// Whether new objects are Parquet.
    pub writes_columns: bool,
    /// Whether the statements say where credentials come from.
    pub with_secret: bool,
    /// Whether nothing at all is in the lake, not even what the service itself puts there.
    pub is_bare: bool,
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
    /// Whether it is a bucket.
    pub(super) fn is_bucket(&self) -> bool {
        self.url.starts_with("s3://")
    }

    /// Where something in the lake is.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.url.trim_end_matches('/'))
    }
}

impl Relation {
    /// Name of the table that holds the rows; that of a snapshot has all its runs, whether they have a marker or
    /// not.
    pub(super) fn table_name(&self) -> String {
        match self.stream {
            Stream::Runs => format!("{}_all_runs", self.name),
            Stream::Rows | Stream::Quarantine => self.name.clone(),
        }
    }

    /// Columns of rows, without those that follow from the path.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.table.columns.iter()
    }

    /// Columns that are made from properties.
    pub(super) fn properties(&self) -> impl Iterator<Item = (&str, &str, ColumnType)> {
        self.columns().filter_map(|column| match &column.source {
            Source::Property(key) => Some((column.name.as_str(), key.as_str(), column.kind)),
            Source::Member(_) | Source::Rest => None,
        })
    }
}
