//! Everything about a stream of files that does not change between two looks into its inbox.

use std::io;
use std::path::Path;
use std::sync::Arc;

use encoding_rs::Encoding;
use xxhash_rust::xxh3::xxh3_64;

use super::bucket::Bucket;
use super::cells::TableColumns;
use super::definition::{
    After, Changed, FileForm, FileFormat, FileLimits, FilesDefinition, FilesMode, Picking,
};
use super::folder::Folder;
use super::pattern::PathPattern;
use super::source::FileSource;
use lakehook_base::columns::{Kinds, Property, kept_as_text, of_entities};
use lakehook_base::record::Fingerprint;
use lakehook_base::tables::{GrowingTable, StreamTable, Table};
use lakehook_contract::column_rules::ColumnRules;
use lakehook_contract::entity::{ColumnSettings, Entities, FieldPath};
use lakehook_feeds::feed::SetupError;
use lakehook_feeds::guards::Guards;
use lakehook_feeds::poll::schedule::{Schedule, parse_cron, parse_zone};
use lakehook_lake::s3::Location;

/// Section of files in the configuration.
pub const SECTION: &str = "files";
/// Columns that every row of a file has.
pub const RESERVED: &[&str] = &["file", "line"];

/// The plan of one stream.
#[derive(Debug)]
pub struct FilesPlan {
    /// The name of the stream.
    pub name: String,
    /// When the inbox is looked into.
    pub schedule: Schedule,
    /// What a file is to the stream.
    pub mode: FilesMode,
    /// The table of its rows.
    pub table: StreamTable,
    /// How long a look may take, and other bounds.
    pub limits: FileLimits,
    pub(crate) inbox: FileSource,
    pub(crate) picking: Picking,
    pub(crate) form: FileForm,
    /// The keys that lead to the records of a document.
    pub(crate) records: Option<Vec<String>>,
    pub(crate) encoding: Option<&'static Encoding>,
    pub(crate) columns: TableColumns,
    pub(crate) entities: Entities,
    id: Vec<String>,
    pub(crate) guards: Guards,
    /// Hash of all that decides whether a file is refused.
    pub(crate) hash: u64,
}

impl FilesPlan {
    /// Reads the schema and makes the plan.
    pub fn new(
        name: &str,
        files: &FilesDefinition,
        fingerprint: Fingerprint,
    ) -> Result<Self, SetupError> {
        let bad = |key: &str, what: String| SetupError(format!("{SECTION}.{name}.{key}: {what}"));
        let pattern = PathPattern::new(&files.path);
        let pattern = pattern.map_err(|error| bad("path", error.to_string()))?;
        let schema = schema_text(files.schema.as_deref());
        let schema = schema.map_err(|error| bad("schema", error.to_string()))?;
        let text = schema.as_ref().map(|(_, text)| text.as_str());
        let rules = ColumnRules::new(&files.rules).map_err(|errors| {
            let first = errors.first().map_or_else(String::new, ToString::to_string);
            bad("columns", first)
        })?;
        let given = given_kinds(files, text, &rules);
        let wrong_schema = |error: serde_json::Error| bad("schema", error.to_string());
        let live = files.live.as_ref().filter(|_| text.is_none());
        let table = match live {
            Some(live) => {
                let growing = GrowingTable::new(Arc::clone(live), &files.id, given.clone());
                StreamTable::Growing(growing.of_files())
            }
            None => Table::files(text, &files.id, &given)
                .map_err(wrong_schema)?
                .into(),
        };
        let declared = of_entities(text, &given).map_err(wrong_schema)?;
        let columns = table_columns(files, declared, &rules);
        let named = schema
            .as_ref()
            .map(|(file, text)| (file.as_str(), text.as_str()));
        let id = files.id.iter().map(|key| FieldPath::new(key)).collect();
        let settings = ColumnSettings {
            rules,
            given,
            live: live.cloned(),
            reserved: RESERVED,
        };
        let entities = Entities::new(name, named, id, None, fingerprint, settings);
        let entities = entities.map_err(|error| bad("schema", error.to_string()))?;
        let hash = hash_of(files, entities.schema_hash());
        let mut form = files.form.clone();
        if form.format == FileFormat::Tsv {
            form.table.delimiter = b'\t';
        }
        Ok(Self {
            name: name.to_owned(),
            schedule: schedule(files).ok_or_else(|| bad("cron", "cannot be used".to_owned()))?,
            mode: files.mode,
            table,
            limits: files.limits,
            inbox: inbox_of(files, pattern),
            picking: files.picking.clone(),
            records: form.records.as_deref().map(keys_of),
            encoding: encoding_of(&form.table.encoding)
                .ok_or_else(|| bad("csv.encoding", "is not known".to_owned()))?,
            form,
            columns,
            entities,
            id: files.id.clone(),
            guards: files.guards,
            hash,
        })
    }

    /// The keys that identify a record.
    pub(crate) fn id_keys(&self) -> impl Iterator<Item = &str> {
        self.id.iter().map(|key| key.trim_start_matches('/'))
    }

    /// Whether ids are known from file to file. Where a file takes the place of another one, they are those of the
    /// file alone.
    pub(crate) fn keeps_ids(&self) -> bool {
        self.mode == FilesMode::Append && self.picking.changed != Changed::Replace
    }

    /// Whether a file is one record.
    pub(crate) fn is_one_record(&self) -> bool {
        self.form.format == FileFormat::Json && self.records.is_none()
    }
}

fn inbox_of(files: &FilesDefinition, pattern: PathPattern) -> FileSource {
    let ignore = files.picking.ignore.clone();
    let moves = files.picking.after == After::Move;
    let Some(location) = &files.bucket else {
        return FileSource::Folder(Folder {
            pattern,
            ignore,
            moves,
        });
    };
    let root = pattern.root.to_string_lossy();
    let location = Location {
        prefix: root.trim_start_matches('.').trim_matches('/').to_owned(),
        ..location.clone()
    };
    FileSource::Bucket(Box::new(Bucket::new(location, pattern, ignore, moves)))
}

/// The charset with a name, if it is another one than UTF-8; `None` if there is no such charset.
pub fn encoding_of(name: &str) -> Option<Option<&'static Encoding>> {
    let encoding = Encoding::for_label(name.as_bytes())?;
    Some((encoding != encoding_rs::UTF_8).then_some(encoding))
}

fn table_columns(
    files: &FilesDefinition,
    declared: Vec<Property>,
    rules: &ColumnRules,
) -> TableColumns {
    let nulls = files.form.table.nulls.iter();
    TableColumns {
        kinds: declared
            .into_iter()
            .map(|own| (own.name, own.kind))
            .collect(),
        sources: rules.sources().map(str::to_owned).collect(),
        nulls: nulls.map(|null| null.clone().into_bytes()).collect(),
    }
}

/// Hash of all that decides whether a file is refused.
fn hash_of(files: &FilesDefinition, schema: u64) -> u64 {
    let judged_by = (
        (&files.form, &files.id, files.limits, files.guards),
        (files.picking.changed, schema),
    );
    xxh3_64(format!("{judged_by:?}").as_bytes())
}

/// The keys of a pointer; none for the whole file.
fn keys_of(pointer: &str) -> Vec<String> {
    if pointer.is_empty() {
        return Vec::new();
    }
    FieldPath::new(pointer).keys().to_vec()
}

fn given_kinds(files: &FilesDefinition, schema: Option<&str>, rules: &ColumnRules) -> Kinds {
    let kept = schema.map(|schema| kept_as_text(schema, &files.kept_as_text));
    // What is no schema is told where it is compiled.
    let mut given = kept.and_then(Result::ok).unwrap_or_default();
    let of_rules = rules.kinds();
    given.extend(of_rules.map(|(column, kind)| (column.to_owned(), kind)));
    given
}

/// The schema's file and its text.
#[allow(
    clippy::disallowed_methods,
    reason = "schemas are read before anything durable"
)]
fn schema_text(path: Option<&Path>) -> io::Result<Option<(String, String)>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((name, text))),
        Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}

fn schedule(files: &FilesDefinition) -> Option<Schedule> {
    let timing = &files.timing;
    match (timing.every, &timing.cron) {
        (Some(every), _) => Some(Schedule::Every(every)),
        (None, Some(cron)) => {
            let cron = Box::new(parse_cron(cron).ok()?);
            Some(Schedule::Cron(cron, parse_zone(&timing.time_zone)?))
        }
        (None, None) => Some(Schedule::OnDemand),
    }
}
