//! The shapes of streams without schemas, in files beside the feeds' log: `shapes/<stream>.json`.
//!
//! A file is replaced as a whole, and durable before rows are logged that need its columns.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{Disk, Entry, Files as _, read_whole};
use crate::side_files::SideFiles;
use crate::tables::{FoundColumn, Keep};

const MAX_BYTES: u64 = 1 << 20;
const FOLDER: &str = "shapes";
const SUFFIX: &str = ".json";

/// A file.
#[derive(Serialize, Deserialize)]
struct Kept {
    columns: Vec<FoundColumn>,
}

/// The columns that were found in the records of a stream; none if there is no file.
pub(super) fn read(dir: &Path, stream: &str) -> io::Result<Vec<FoundColumn>> {
    let path = path_of(dir, stream);
    let bytes = match read_whole(&Disk, &path, MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes?,
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::other(format!(
            "{} cannot be read: {error}; it holds the columns that were found in the records of {stream}. Restore \
             it; without it, they are found anew from what is read next",
            path.display()
        ))
    })?;
    Ok(kept.columns)
}

/// The columns of all streams.
pub(super) fn all(dir: &Path) -> io::Result<BTreeMap<String, Vec<FoundColumn>>> {
    let folder = dir.join(FOLDER);
    if !Disk.exists(&folder) {
        return Ok(BTreeMap::new());
    }
    let mut all = BTreeMap::new();
    for Entry { name, .. } in Disk.list(&folder)? {
        if let Some(stream) = name.strip_suffix(SUFFIX) {
            all.insert(stream.to_owned(), read(dir, stream)?);
        }
    }
    Ok(all)
}

/// Writes the columns of a stream.
pub(super) fn keeper(beside: &SideFiles, stream: &str) -> Keep {
    let (beside, name) = (beside.clone(), name_of(stream));
    Box::new(move |columns| {
        let kept = Kept {
            columns: columns.to_vec(),
        };
        let text = serde_json::to_vec_pretty(&kept).map_err(io::Error::other)?;
        beside.replace(&name, &text)
    })
}

fn name_of(stream: &str) -> String {
    format!("{FOLDER}/{stream}{SUFFIX}")
}

fn path_of(dir: &Path, stream: &str) -> PathBuf {
    dir.join(name_of(stream))
}
