//! The files of a log's directory: segments and id files by number; what was under construction.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::files::{Files, remove_if_there};
use crate::wal::dedup::id_files::{self as ids, IdFile, IdFiles};
use crate::wal::journal::layout::{ids_range_of, number_of};

/// Names end so while their files are under construction.
const TEMPORARY: &str = ".tmp";

/// The files of a log's directory.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Sizes of segments, by number.
    pub(crate) segments: BTreeMap<u64, u64>,
    /// Id files in force, as far as files tell.
    pub(crate) id_files: IdFiles,
    /// Id files that others have whole: a merge was cut short.
    needless: Vec<IdFile>,
    temporary: Vec<String>,
}

impl Inventory {
    /// Lists the files; changes nothing.
    pub(crate) fn list<F: Files>(files: &F, dir: &Path) -> io::Result<Self> {
        let mut inventory = Self::default();
        for entry in files.list(dir)? {
            if let Some(number) = number_of(&entry.name, ".wal") {
                inventory.segments.insert(number, entry.bytes);
            } else if let Some((first, last)) = ids_range_of(&entry.name) {
                let bytes = entry.bytes;
                let file = IdFile { first, last, bytes };
                let mut needless = ids::take(&mut inventory.id_files, file);
                inventory.needless.append(&mut needless);
            } else if entry.name.ends_with(TEMPORARY) {
                inventory.temporary.push(entry.name);
            }
        }
        Ok(inventory)
    }

    /// Lists the files, and removes what nobody needs.
    pub(crate) fn take<F: Files>(files: &F, dir: &Path) -> io::Result<Self> {
        let inventory = Self::list(files, dir)?;
        for file in &inventory.needless {
            remove_if_there(files, &file.path(dir))?;
        }
        for name in &inventory.temporary {
            remove_if_there(files, &dir.join(name))?;
        }
        Ok(inventory)
    }
}
