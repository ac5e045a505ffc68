//! `[files.NAME]`: files that are read from an inbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::{ByteSize, Span};
use super::poll::children::IdKeys;
use super::poll_columns::{self, Column};
use super::poll_guards::Guards;
use super::rules;
use super::words::{self, Word};
use crate::inbox::definition::{
    After, Changed, FileForm, FileFormat, FileLimits, FilesDefinition, FilesMode, FilesTiming,
    Picking, SameContent, TableForm,
};
use crate::lake::s3::Location;

/// How a path in a bucket begins.
const BUCKETS: &str = "s3://";

/// `[files.NAME]`: one inbox. Its name is also that of its stream in the lake.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Inbox {
    /// The files: a directory and a pattern of names, or `s3://bucket/prefix/*.csv`.
    #[schemars(length(min = 1))]
    pub path: PathBuf,
    /// The format of a file.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<FileFormat>")]
    pub format: FileFormat,
    /// JSON Pointer to the records of a JSON file; without it, the file is one record.
    pub records: Option<String>,
    /// The form of a table.
    pub csv: CsvTable,
    /// The file of the JSON Schema that records must fulfil.
    #[schemars(length(min = 1))]
    pub schema: Option<PathBuf>,
    /// Name of the key that identifies a record, or a list of them.
    pub id: Option<IdKeys>,
    /// Whether files add rows, or the newest one is the table.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<FilesMode>")]
    pub mode: FilesMode,
    /// The time between two looks into the inbox.
    #[validate(custom(function = rules::interval))]
    pub every: Option<Span>,
    /// When the inbox is looked into, as a cron expression.
    #[validate(custom(function = rules::cron))]
    pub cron: Option<String>,
    /// The time zone of the cron expression.
    #[validate(custom(function = rules::time_zone))]
    pub time_zone: String,
    /// How long size and time of a file must stand still before it is read.
    pub settle: Span,
    /// The name of the file that says that one is complete, with {name} in it.
    pub ready: Option<String>,
    /// Patterns of names that are passed over.
    pub ignore: Vec<String>,
    /// What becomes of another name with the same bytes.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<SameContent>")]
    pub same_content: SameContent,
    /// What becomes of a known name with other bytes.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Changed>")]
    pub changed: Changed,
    /// What becomes of a file once its rows are visible.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<After>")]
    pub after: After,
    /// How long a file is remembered once it is gone.
    pub remember: Span,
    /// How long a look into the inbox may take.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub budget: Span,
    /// The most bytes of one record.
    #[validate(custom(function = rules::record_size))]
    pub max_record: ByteSize,
    /// The most bytes of a file once it is unpacked.
    pub max_bytes: ByteSize,
    /// How many times larger a file may become when it is unpacked.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_ratio: u64,
    /// How many small files are read at the same time.
    #[schemars(range(min = 1, max = 64))]
    pub workers: u32,
    /// What must hold before the rows of a file become visible.
    #[validate(nested)]
    pub guards: Guards,
    /// How columns are made of what a file holds.
    pub columns: BTreeMap<String, Column>,
}

/// `[files.NAME.csv]`: the form of a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CsvTable {
    /// What separates values: one ASCII character.
    pub delimiter: String,
    /// Whether the first row names the columns.
    pub header: bool,
    /// The charset.
    pub encoding: String,
    /// Values that stand for null.
    pub nulls: Vec<String>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            format: FileFormat::Csv,
            records: None,
            csv: CsvTable::default(),
            schema: None,
            id: None,
            mode: FilesMode::Append,
            every: None,
            cron: None,
            time_zone: "UTC".to_owned(),
            settle: Span::seconds(5),
            ready: None,
            ignore: [".*", "*.tmp", "*.part"].map(str::to_owned).to_vec(),
            same_content: SameContent::Take,
            changed: Changed::Refuse,
            after: After::Keep,
            remember: Span::days(30),
            budget: Span::seconds(4 * 3600),
            max_record: ByteSize::mib(1),
            max_bytes: ByteSize::mib(1 << 20),
            max_ratio: 1000,
            workers: 2,
            guards: Guards::default(),
            columns: BTreeMap::new(),
        }
    }
}

impl Default for CsvTable {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            header: true,
            encoding: "utf-8".to_owned(),
            nulls: vec![String::new()],
        }
    }
}

impl CsvTable {
    /// The character that separates values, if it can be one.
    pub(super) fn separator(&self) -> Option<u8> {
        match self.delimiter.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | 0) => Some(*byte),
            _ => None,
        }
    }
}

impl Inbox {
    /// The bucket and the pattern of keys, if `path` is in a bucket.
    pub(super) fn in_bucket(&self) -> Option<(&str, &str)> {
        let rest = self.path.to_str()?.strip_prefix(BUCKETS)?;
        rest.split_once('/')
    }

    /// Whether `path` is in a bucket.
    pub(super) fn is_in_bucket(&self) -> bool {
        self.path
            .to_str()
            .is_some_and(|path| path.starts_with(BUCKETS))
    }

    /// `path`, if it is set and no bucket.
    pub(super) fn local_path(&mut self) -> Option<&mut PathBuf> {
        let is_local = !self.path.as_os_str().is_empty() && !self.is_in_bucket();
        is_local.then_some(&mut self.path)
    }

    /// The directory of `path`, and the pattern in it, unless it is in a bucket.
    pub(super) fn shown_path(&self) -> Option<&Path> {
        (!self.is_in_bucket()).then_some(&self.path)
    }

    /// The name of the bucket that `path` is in.
    pub fn bucket(&self) -> Option<&str> {
        self.in_bucket().map(|(bucket, _)| bucket)
    }

    /// The settings in the form that the feed uses; `bucket` is how that of `path` is reached.
    pub fn definition(&self, bucket: Option<Location>) -> FilesDefinition {
        let in_bucket = self.in_bucket();
        FilesDefinition {
            path: in_bucket.map_or_else(|| self.path.clone(), |(_, key)| PathBuf::from(key)),
            bucket,
            form: FileForm {
                format: self.format,
                records: self.records.clone(),
                table: TableForm {
                    delimiter: self.csv.separator().unwrap_or(b','),
                    header: self.csv.header,
                    encoding: self.csv.encoding.clone(),
                    nulls: self.csv.nulls.clone(),
                },
            },
            schema: self.schema.clone(),
            id: self
                .id
                .as_ref()
                .map(|id| id.keys().to_vec())
                .unwrap_or_default(),
            mode: self.mode,
            timing: FilesTiming {
                every: self.every.map(Span::duration),
                cron: self.cron.clone(),
                time_zone: self.time_zone.clone(),
            },
            picking: Picking {
                settle: self.settle.duration(),
                ready: self.ready.clone(),
                ignore: self.ignore.clone(),
                same_content: self.same_content,
                changed: self.changed,
                after: self.after,
                remember: self.remember.duration(),
                workers: self.workers as usize,
            },
            limits: FileLimits {
                max_record: self.max_record.bytes(),
                max_bytes: self.max_bytes.bytes(),
                max_ratio: self.max_ratio,
                budget: self.budget.duration(),
            },
            guards: self.guards.definition(),
            rules: poll_columns::rules(&self.columns),
            kept_as_text: Vec::new(),
            live: None,
        }
    }
}

impl Word for FileFormat {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("csv", Self::Csv),
            ("tsv", Self::Tsv),
            ("ndjson", Self::Ndjson),
            ("json", Self::Json),
            ("parquet", Self::Parquet),
        ]
    }
}

impl Word for FilesMode {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("append", Self::Append), ("snapshot", Self::Snapshot)]
    }
}

impl Word for SameContent {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("take", Self::Take), ("skip", Self::Skip)]
    }
}

impl Word for Changed {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("refuse", Self::Refuse),
            ("take", Self::Take),
            ("replace", Self::Replace),
        ]
    }
}

impl Word for After {
    fn words() -> Vec<(&'static str, Self)> {
        vec![
            ("keep", Self::Keep),
            ("move", Self::Move),
            ("delete", Self::Delete),
        ]
    }
}
