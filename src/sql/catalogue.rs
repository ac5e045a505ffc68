//! A lake as an engine sees it: its location and its streams.

use super::layout::{Key, There};
use crate::columns::ColumnType;
use crate::tables::{Column, Source, Table};

/// The kind of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Events or an appending poll: a query sees every row.
    Rows,
    /// A snapshot: a query sees the rows of one run.
    Runs,
    /// Files that add rows: a query sees the rows of all runs that have a marker, and those that were replayed.
    Files,
    /// What was refused, from all streams.
    Quarantine,
}

/// One stream of a lake.
#[derive(Clone, Debug)]
pub struct Relation {
    /// The name of the stream, which is also its prefix in the lake.
    pub name: String,
    /// The kind of the stream.
    pub stream: Stream,
    /// The stream as a table: the columns of its rows.
    pub table: Table,
    /// The partition keys below its prefix, such as `dt` and `hour`.
    pub partitions: Vec<Key>,
    /// The column whose time decides about the partition, if rows have that time.
    pub partitioned_by: Option<String>,
    /// The first day that new objects can belong to, such as `2025-11-20`.
    pub first_day: String,
    /// The objects that the stream has already.
    pub there: There,
    /// Whether the objects of a run did not pass the log: its marker names them apart, as parcels.
    pub in_parcels: bool,
    /// How the latest row of each record is found, if the stream is that of an appending poll with an `id`.
    pub current: Option<Current>,
}

/// How the latest row of a record is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// The columns that identify a record together.
    pub ids: Vec<String>,
    /// What says that a record is deleted.
    pub deleted: Option<Deleted>,
}

/// What says that a record is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Name of a member.
    pub field: String,
    /// Its value, as text; by default any but null.
    pub value: Option<String>,
}

/// A lake as an engine sees it.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// The absolute path of a directory, or `s3://bucket/prefix`.
    pub url: String,
    /// The address of an S3-compatible store.
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

/// A query engine that `lakehook sql` prints statements for.
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
    /// Whether the lake is a bucket.
    pub(super) fn is_bucket(&self) -> bool {
        self.url.starts_with("s3://")
    }

    /// The path or URL of a key in the lake.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}/{key}", self.url.trim_end_matches('/'))
    }
}

impl Relation {
    /// The name of the table that holds the rows. For a snapshot it holds those of all runs, including runs
    /// without a marker.
    pub(super) fn table_name(&self) -> String {
        match self.stream {
            Stream::Runs | Stream::Files => format!("{}_all_runs", self.name),
            Stream::Rows | Stream::Quarantine => self.name.clone(),
        }
    }

    /// The columns of rows, without those that come from the path.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.table.columns.iter()
    }

    /// The columns that are made from properties.
    pub(super) fn properties(&self) -> impl Iterator<Item = (&str, &str, ColumnType)> {
        self.columns().filter_map(|column| match &column.source {
            Source::Property(key) => Some((column.name.as_str(), key.as_str(), column.kind)),
            Source::Member(_) | Source::Rest => None,
        })
    }
}
