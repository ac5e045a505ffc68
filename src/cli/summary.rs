//! What the demo counts at its end, by reading the objects back.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::encode::{Format, ndjson::decoder};

/// What a stream's objects hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamCount {
    /// Objects.
    pub objects: u64,
    /// Bytes of the objects.
    pub bytes: u64,
    /// Lines.
    pub rows: u64,
    /// Lines whose `event_id` was there before.
    pub repeated: u64,
    /// Lines by reason, in a quarantine.
    pub reasons: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Line {
    event_id: Option<String>,
    reason: Option<String>,
}

/// Reads every object of a stream in a directory lake.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn count(stream: &Path) -> io::Result<StreamCount> {
    let mut counted = StreamCount::default();
    let mut ids = HashSet::new();
    for (path, format) in objects(stream)? {
        let file = fs::File::open(&path)?;
        counted.objects += 1;
        counted.bytes += file.metadata()?.len();
        for line in BufReader::new(decoder(format, file)?).lines() {
            let line: Line = serde_json::from_str(&line?).map_err(io::Error::other)?;
            counted.rows += 1;
            if let Some(id) = line.event_id
                && !ids.insert(id)
            {
                counted.repeated += 1;
            }
            if let Some(reason) = line.reason {
                *counted.reasons.entry(reason).or_default() += 1;
            }
        }
    }
    Ok(counted)
}

/// The objects below a directory, with their formats, sorted.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a lake as any other program would"
)]
pub fn objects(dir: &Path) -> io::Result<Vec<(PathBuf, Format)>> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.to_string_lossy().into_owned();
            let format = Format::ALL
                .into_iter()
                .find(|f| name.ends_with(&format!(".{}", f.as_str())));
            match format {
                Some(format) => found.push((path, format)),
                None if path.is_dir() => left.push(path),
                None => {}
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
