//! Where the id files of a log are: in its directory, and in a second place if the directory may
//! vanish.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::copies::Copies;
use super::id_files::{self, IdFile, SegmentIds};
use crate::helper::remove_needless;
use lakehook_base::files::{Files, remove_if_there};

/// The second place of id files, for logs that have one.
pub(crate) type SecondPlace = Option<Arc<dyn Copies>>;

/// Where id files are.
#[derive(Clone)]
pub(crate) struct Place<F> {
    pub(crate) files: F,
    pub(crate) dir: PathBuf,
    pub(crate) copies: SecondPlace,
}

impl<F: Files> Place<F> {
    /// Writes the ids of a closed segment durably, here and in the second place.
    pub(crate) fn write(&self, segment: u64, ids: &mut SegmentIds) -> io::Result<IdFile> {
        let file = id_files::write(&self.files, &self.dir, (segment, segment), ids)?;
        self.copy(segment, ids)?;
        Ok(file)
    }

    /// Writes the ids anew that were read from a segment to which nobody can append any more, here and
    /// in the second place. A file that is here may be of an earlier time.
    pub(crate) fn write_anew(&self, segment: u64, ids: &mut SegmentIds) -> io::Result<IdFile> {
        let path = id_files::ids_path(&self.dir, (segment, segment));
        remove_if_there(&self.files, &path)?;
        self.write(segment, ids)
    }

    /// Puts sorted ids into the second place, which keeps what it has.
    fn copy(&self, segment: u64, ids: &SegmentIds) -> io::Result<()> {
        let Some(copies) = &self.copies else {
            return Ok(());
        };
        copies.keep(&id_files::name_of(segment), &id_files::encode(segment, ids))
    }

    pub(crate) fn path(&self, file: &IdFile) -> PathBuf {
        file.path(&self.dir)
    }

    /// Removes files that another one contains.
    pub(crate) fn remove(&self, needless: &[IdFile]) {
        let paths: Vec<PathBuf> = needless.iter().map(|file| self.path(file)).collect();
        remove_needless(&self.files, &paths);
    }

    /// Removes files that a durable checkpoint has released, here and in the second place.
    pub(crate) fn release(&self, released: &[IdFile]) {
        self.remove(released);
        self.release_copies(released);
    }

    pub(crate) fn release_copies(&self, released: &[IdFile]) {
        let last = released.iter().map(|file| file.last).max();
        let (Some(copies), Some(last)) = (&self.copies, last) else {
            return;
        };
        if let Err(error) = copies.remove_up_to(last) {
            tracing::warn!(%error, "failed to remove released ids; the next release removes them");
        }
    }
}
