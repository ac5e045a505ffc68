//! The settings of one stream of files, in plain values, and the names of their words.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakehook_base::tables::LiveShape;
use lakehook_contract::column_rules::ColumnRule;
use lakehook_feeds::guards::Guards;
use lakehook_lake::s3::Location;

/// Everything that is configured of a stream of files.
#[derive(Clone, Debug, Default)]
pub struct FilesDefinition {
    /// Where files are: a path whose last parts may hold `*`, `?`, `[…]` and `**`.
    pub path: PathBuf,
    /// The bucket that `path` is in, if it is in one.
    pub bucket: Option<Location>,
    /// What a file looks like.
    pub form: FileForm,
    /// The JSON Schema of records.
    pub schema: Option<PathBuf>,
    /// The keys that identify a record.
    pub id: Vec<String>,
    /// What a file is to the stream.
    pub mode: FilesMode,
    /// When the inbox is looked into.
    pub timing: FilesTiming,
    /// Which files are taken, and what becomes of them.
    pub picking: Picking,
    /// Bounds of what is read.
    pub limits: FileLimits,
    /// What must hold before the rows of a file become visible.
    pub guards: Guards,
    /// Rules of columns.
    pub rules: BTreeMap<String, ColumnRule>,
    /// Columns that are text in objects already, whatever the schema's formats say.
    pub kept_as_text: Vec<String>,
    /// The columns that are found in records, if there is no schema.
    pub live: Option<Arc<LiveShape>>,
}

/// What a file looks like, once it is unpacked.
#[derive(Clone, Debug, Default)]
pub struct FileForm {
    /// Its format.
    pub format: FileFormat,
    /// JSON Pointer to the records of a JSON file; without it, the file is one record.
    pub records: Option<String>,
    /// The form of a table.
    pub table: TableForm,
}

/// The format of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// A table whose values are separated by a character.
    #[default]
    Csv,
    /// A table whose values are separated by tabs.
    Tsv,
    /// One JSON value in each line.
    Ndjson,
    /// One JSON value.
    Json,
    /// Columns, as other programs write them.
    Parquet,
}

/// The form of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableForm {
    /// What separates values.
    pub delimiter: u8,
    /// Whether the first row names the columns.
    pub header: bool,
    /// The name of the charset.
    pub encoding: String,
    /// Values that stand for null.
    pub nulls: Vec<String>,
}

impl Default for TableForm {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
            encoding: "utf-8".to_owned(),
            nulls: vec![String::new()],
        }
    }
}

/// What a file is to the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilesMode {
    /// Each file adds its rows.
    #[default]
    Append,
    /// The newest file is the table.
    Snapshot,
}

/// When the inbox is looked into.
#[derive(Clone, Debug, Default)]
pub struct FilesTiming {
    /// The time between two looks.
    pub every: Option<Duration>,
    /// A cron expression.
    pub cron: Option<String>,
    /// Its time zone.
    pub time_zone: String,
}

/// Which files are taken, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Picking {
    /// How long size and time of a file must stand still.
    pub settle: Duration,
    /// The name of the file that says that one is complete, with `{name}` in it.
    pub ready: Option<String>,
    /// Patterns of names that are passed over.
    pub ignore: Vec<String>,
    /// What becomes of another name with the same bytes.
    pub same_content: SameContent,
    /// What becomes of a known name with other bytes.
    pub changed: Changed,
    /// What becomes of a file whose rows are visible.
    pub after: After,
    /// How long a file is remembered once it is gone.
    pub remember: Duration,
    /// How many small files are read at the same time.
    pub workers: usize,
}

/// What becomes of another name with the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameContent {
    /// It is another file.
    #[default]
    Take,
    /// It is passed over.
    Skip,
}

/// What becomes of a known name with other bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Changed {
    /// The file is refused.
    #[default]
    Refuse,
    /// It is another file.
    Take,
    /// Its rows take the place of those of the file before.
    Replace,
}

/// What becomes of a file whose rows are visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// It stays where it is.
    #[default]
    Keep,
    /// It is moved to `done/`, or to `failed/`, beside it.
    Move,
    /// It is deleted if its rows are visible, and stays if it failed.
    Delete,
}

impl Default for Picking {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(5),
            ready: None,
            ignore: [".*", "*.tmp", "*.part"].map(str::to_owned).to_vec(),
            same_content: SameContent::Take,
            changed: Changed::Refuse,
            after: After::Keep,
            remember: Duration::from_secs(30 * 86_400),
            workers: 2,
        }
    }
}

/// Bounds of what is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Most bytes of a record.
    pub max_record: u64,
    /// Most bytes of a file once it is unpacked.
    pub max_bytes: u64,
    /// How many times larger than itself a file may be once it is unpacked.
    pub max_ratio: u64,
    /// How long a look into the inbox may take.
    pub budget: Duration,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            max_record: 1 << 20,
            max_bytes: 1 << 40,
            max_ratio: 1000,
            budget: Duration::from_secs(4 * 3600),
        }
    }
}
