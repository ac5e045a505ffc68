//! The table of events, and the types that columns have had so far.
//!
//! A column never changes its type once an object has it. The types are kept in files beside the log,
//! `columns-<n>.json`, of which the newest is valid. A configuration that would change a type is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::shapes;
use crate::columns::ColumnType;
use crate::config::Config;
use crate::contract::{SchemaError, Schemas};
use crate::encode::Format;
use crate::files::{Disk, Entry, Files as _, read_whole};
use crate::side_files::SideFiles;
use crate::tables::{FoundColumn, LiveShape, Settled, Shape, Table, Tables};

const MAX_BYTES: u64 = 16 << 20;
const PREFIX: &str = "columns-";
const SUFFIX: &str = ".json";

/// The types of columns, by stream and name.
type Known = BTreeMap<String, BTreeMap<String, String>>;

/// A column whose type would change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{stream}.{column} is {before} in objects that are in the lake, and the schemas now make it {now}; a \
     column never changes its type: give the property another name, or its type back"
)]
pub struct Changed {
    stream: String,
    column: String,
    before: String,
    now: ColumnType,
}

/// Why the types of columns cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum ColumnsError {
    /// Some columns would change their type.
    #[error("{} columns would change", .0.len())]
    Changed(Vec<Changed>),
    /// The files that hold the types cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The table of events.
pub fn events(config: &Config, schemas: &Schemas) -> Result<Table, SchemaError> {
    let texts: Vec<String> = schemas.texts(&config.events.types).collect();
    Ok(Table::events(texts.iter().map(String::as_str))?)
}

/// The columns whose type would change, according to the files in the log's directory.
pub fn changed(dir: &Path, tables: &Tables) -> io::Result<Vec<Changed>> {
    let (known, _) = read_all(dir)?;
    let mut changed = Vec::new();
    for (stream, kinds) in tables.fixed_kinds() {
        for (column, now) in kinds {
            let columns = known.get(stream).into_iter().flatten();
            // Engines compare names without case.
            let same =
                |(name, _): &(&String, &String)| name.to_lowercase() == column.to_lowercase();
            let before = columns.filter(same).map(|(_, kind)| kind).next();
            if let Some(before) = before.filter(|before| **before != now.to_string()) {
                changed.push(Changed {
                    stream: stream.to_owned(),
                    column,
                    before: before.clone(),
                    now,
                });
            }
        }
    }
    Ok(changed)
}

/// The columns that are text in objects which are in the lake, by stream, according to the files in the log's
/// directory.
pub fn text_columns(dir: &Path) -> io::Result<BTreeMap<String, Vec<String>>> {
    let (known, _) = read_all(dir)?;
    let text = |columns: BTreeMap<String, String>| {
        let text = columns.into_iter().filter(|(_, kind)| kind == "text");
        text.map(|(name, _)| name).collect()
    };
    let streams = known.into_iter();
    Ok(streams
        .map(|(stream, columns)| (stream, text(columns)))
        .collect())
}

/// Refuses columns whose type would change. Says nothing until a typed object has been written from this log.
pub(super) fn refuse_changed(
    dir: &Path,
    tables: &Tables,
    format: Format,
) -> Result<(), ColumnsError> {
    // A shape that cannot be read is told here, before anything is logged that it is needed for.
    let (all, _) = read_all(dir)?;
    if !format.layout().is_typed() && all.is_empty() {
        return Ok(());
    }
    let changed = changed(dir, tables)?;
    if changed.is_empty() {
        Ok(())
    } else {
        Err(ColumnsError::Changed(changed))
    }
}

/// Refuses columns whose type would change, and stores the types durably. Does nothing until a typed object
/// has been written from this log.
pub(super) fn remember(
    beside: &SideFiles,
    tables: &Tables,
    format: Format,
) -> Result<(), ColumnsError> {
    let dir = beside.dir();
    refuse_changed(dir, tables, format)?;
    let (all, last) = read_all(dir)?;
    if !format.layout().is_typed() && all.is_empty() {
        return Ok(());
    }
    let (mut known, _) = read(dir)?;
    let before = known.clone();
    for (stream, kinds) in tables.fixed_kinds() {
        let columns = known.entry(stream.to_owned()).or_default();
        let kinds = kinds.into_iter();
        columns.extend(kinds.map(|(name, kind)| (name, kind.to_string())));
    }
    if known == before {
        return Ok(());
    }
    let text = serde_json::to_vec_pretty(&known).map_err(io::Error::other)?;
    beside.replace(&name_of(last + 1), &text)?;
    if last > 0 {
        beside.remove(&name_of(last))?;
    }
    Ok(())
}

/// The shape of a stream that has no schema: what was found in its records so far, and the columns of typed
/// objects that are in the lake, apart from columns that every row of it has. What it grows by is written down
/// beside the log.
pub(super) fn live_shape(
    beside: &SideFiles,
    stream: &str,
    reserved: &[&str],
) -> io::Result<LiveShape> {
    let dir = beside.dir();
    let (mut known, _) = read(dir)?;
    let typed = known.remove(stream).unwrap_or_default().into_iter();
    let typed = typed.filter_map(|(name, kind)| {
        let kind = ColumnType::parse(&kind)?;
        let settled = Settled::Typed;
        Some(FoundColumn {
            name,
            kind,
            settled,
        })
    });
    // A type of typed objects may be from a schema that came and went, and the file still has the one before.
    let mut shape = Shape::new(typed.filter(|own| !reserved.contains(&own.name.as_str())));
    for name in reserved {
        shape.reserve(name);
    }
    shape.adopt(&shapes::read(dir, stream)?);
    Ok(LiveShape::new(shape, shapes::keeper(beside, stream)))
}

/// The types that columns have in objects which may be in the lake: in the newest file, and of streams without
/// schemas.
fn read_all(dir: &Path) -> io::Result<(Known, u64)> {
    let (mut known, last) = read(dir)?;
    for (stream, columns) in shapes::all(dir)? {
        let typed = columns
            .into_iter()
            .filter(|own| own.settled == Settled::Typed);
        for column in typed {
            let kinds = known.entry(stream.clone()).or_default();
            kinds
                .entry(column.name)
                .or_insert_with(|| column.kind.to_string());
        }
    }
    Ok((known, last))
}

/// The types in the newest file and its number, which is 0 if there is no file.
fn read(dir: &Path) -> io::Result<(Known, u64)> {
    if !Disk.exists(dir) {
        return Ok((Known::new(), 0));
    }
    let entries = Disk.list(dir)?.into_iter();
    let numbers = entries.filter_map(|Entry { name, .. }| {
        let number = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
        number.parse::<u64>().ok()
    });
    let Some(last) = numbers.max() else {
        return Ok((Known::new(), 0));
    };
    let bytes = read_whole(&Disk, &path_of(dir, last), MAX_BYTES)?;
    let known = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    Ok((known, last))
}

fn name_of(number: u64) -> String {
    format!("{PREFIX}{number}{SUFFIX}")
}

fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(name_of(number))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a failed unwrap is a failed test"
    )]
    use super::*;

    fn tables(schema: &str) -> Tables {
        let table = Table::events([schema].into_iter()).unwrap();
        Tables::new([("events".to_owned(), table)].into_iter())
    }

    #[test]
    fn columns_grow_and_never_change() {
        let dir = tempfile::tempdir().unwrap();
        let format = Format::Parquet;
        let first = tables(r#"{"properties":{"a":{"type":"integer"}}}"#);
        remember(&SideFiles::within(dir.path()), &first, format).unwrap();
        let more = tables(r#"{"properties":{"a":{"type":"integer"},"b":{"type":"string"}}}"#);
        remember(&SideFiles::within(dir.path()), &more, format).unwrap();
        let other = tables(r#"{"properties":{"a":{"type":"string"}}}"#);
        let ColumnsError::Changed(changed) =
            remember(&SideFiles::within(dir.path()), &other, format).unwrap_err()
        else {
            panic!("the columns would change")
        };
        let error = changed[0].to_string();
        assert!(
            error.contains("events.p_a is integer in objects"),
            "{error}"
        );
        assert!(error.contains("now make it text"), "{error}");
        let case = tables(r#"{"properties":{"A":{"type":"string"}}}"#);
        assert!(remember(&SideFiles::within(dir.path()), &case, format).is_err());
        // NDJSON has no types, but typed batches may wait to be shipped; and a column that is left out keeps
        // its type.
        assert!(remember(&SideFiles::within(dir.path()), &other, Format::Ndjson).is_err());
        let elsewhere = tempfile::tempdir().unwrap();
        remember(&SideFiles::within(elsewhere.path()), &other, Format::Ndjson).unwrap();
        remember(&SideFiles::within(dir.path()), &first, format).unwrap();
        let (known, last) = read(dir.path()).unwrap();
        assert_eq!((known["events"]["p_b"].as_str(), last), ("text", 2));
    }

    #[test]
    fn the_types_of_typed_objects_outlive_a_schema() {
        let dir = tempfile::tempdir().unwrap();
        let kinds = |live: &LiveShape| -> Vec<String> {
            let shape = live.shape();
            let columns = shape.columns().iter();
            let own = columns.filter(|own| ["id", "price"].contains(&own.name.as_str()));
            own.map(|own| format!("{} {} {:?}", own.name, own.kind, own.settled))
                .collect()
        };
        // Lines without a schema, then columns with one, then no schema again.
        let integer = |name: &str| FoundColumn {
            name: name.to_owned(),
            kind: ColumnType::Integer,
            settled: Settled::Yes,
        };
        let beside = SideFiles::within(dir.path());
        shapes::keeper(&beside, "things")(&[integer("price"), integer("id")]).unwrap();
        let schema = r#"{"properties":{"price":{"type":"string"}}}"#;
        let table = Table::entities(Some(schema), &[], &crate::columns::Kinds::default()).unwrap();
        let with_schema = Tables::new([("things".to_owned(), table)].into_iter());
        remember(&beside, &with_schema, Format::Parquet).unwrap();
        let live = live_shape(&beside, "things", &[]).unwrap();
        assert_eq!(kinds(&live), ["price text Typed", "id integer Yes"]);
    }
}
