//! Counts what the demo has stored, by reading the objects back.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::encode::{Format, ObjectReader};
use crate::lake::keys;

/// The contents of a stream's objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamCount {
    /// How many objects there are.
    pub objects: u64,
    /// The size of the objects in bytes.
    pub bytes: u64,
    /// How many rows they hold.
    pub rows: u64,
    /// Rows whose `event_id` an earlier row has already.
    pub repeated: u64,
    /// The rows of a quarantine, by reason.
    pub reasons: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct CountedRow {
    event_id: Option<String>,
    reason: Option<String>,
}

/// Counts every object of a stream in a directory lake, or a single object.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn count(stream: &Path) -> io::Result<StreamCount> {
    let mut counted = StreamCount::default();
    let mut ids = HashSet::new();
    for (path, format) in objects(stream)? {
        let bytes = fs::read(&path)?;
        counted.objects += 1;
        counted.bytes += bytes.len() as u64;
        ObjectReader::new(format).each(bytes, &mut |row: CountedRow| {
            counted.rows += 1;
            if let Some(id) = row.event_id
                && !ids.insert(id)
            {
                counted.repeated += 1;
            }
            if let Some(reason) = row.reason {
                *counted.reasons.entry(reason).or_default() += 1;
            }
            Ok(true)
        })?;
    }
    Ok(counted)
}

/// The part of a marker that is needed here.
#[derive(Deserialize)]
struct Marker {
    same_as: Option<String>,
    objects: Vec<MarkedObject>,
}

#[derive(Deserialize)]
struct MarkedObject {
    key: String,
    records: u64,
}

/// Reads the last visible run of a snapshot's stream in a directory lake: the objects that its marker names,
/// directly or through the marker of an earlier run. `None` if there is no run.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn last_snapshot(lake: &Path, stream: &str) -> io::Result<Option<StreamCount>> {
    let markers = lake.join(keys::INTERNAL).join("runs").join(stream);
    let read = |name: &Path| -> io::Result<Marker> {
        let text = fs::read(markers.join(name))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    };
    let names = match fs::read_dir(&markers) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?.map(|entry| Ok(entry?.path())),
    };
    let names: Vec<PathBuf> = names.collect::<io::Result<_>>()?;
    let Some(last) = names.into_iter().max() else {
        return Ok(None);
    };
    let mut marker = read(&last)?;
    if let Some(run) = &marker.same_as {
        marker = read(Path::new(&format!("{run}.json")))?;
    }
    let mut counted = StreamCount::default();
    for object in marker.objects {
        let own = count(&lake.join(&object.key))?;
        if own.rows != object.records {
            let key = object.key;
            let message = format!(
                "{key} has {} rows, its marker says {}",
                own.rows, object.records
            );
            return Err(io::Error::other(message));
        }
        counted.objects += own.objects;
        counted.bytes += own.bytes;
        counted.rows += own.rows;
    }
    Ok(Some(counted))
}

/// The objects below a directory, or the single object that is named, with their formats, sorted.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn objects(dir: &Path) -> io::Result<Vec<(PathBuf, Format)>> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    if let Some(format) = format_of(dir).filter(|_| dir.is_file()) {
        return Ok(vec![(dir.to_owned(), format)]);
    }
    while let Some(dir) = left.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            match format_of(&path) {
                Some(format) => found.push((path, format)),
                None if path.is_dir() => left.push(path),
                None => {}
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn format_of(path: &Path) -> Option<Format> {
    Format::of_key(&path.to_string_lossy())
}
