//! Lists the files of a journal's directory: segments by number, and files under construction.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::layout::number_of;
use lakehook_base::files::{Files, remove_if_there};

/// Suffix of the names of files under construction.
const TEMPORARY: &str = ".tmp";

/// The files of a journal's directory.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    /// Sizes of segments, by number.
    pub(crate) segments: BTreeMap<u64, u64>,
    temporary: Vec<String>,
}

impl Inventory {
    /// Lists the files; changes nothing.
    pub(crate) fn list<F: Files>(files: &F, dir: &Path) -> io::Result<Self> {
        let mut inventory = Self::default();
        for entry in files.list(dir)? {
            if let Some(number) = number_of(&entry.name, ".wal") {
                inventory.segments.insert(number, entry.bytes);
            } else if entry.name.ends_with(TEMPORARY) {
                inventory.temporary.push(entry.name);
            }
        }
        Ok(inventory)
    }

    /// Lists the files, and removes those that were under construction.
    pub(crate) fn take<F: Files>(files: &F, dir: &Path) -> io::Result<Self> {
        let inventory = Self::list(files, dir)?;
        for name in &inventory.temporary {
            remove_if_there(files, &dir.join(name))?;
        }
        Ok(inventory)
    }
}
