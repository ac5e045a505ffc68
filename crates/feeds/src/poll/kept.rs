//! What is kept of APIs between runs and starts, beside the log of polls: until when an API asked
//! to wait, and the refresh tokens that it issued.
//!
//! Each fact is one small file, which is replaced as a whole and durably. The directory is private.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakehook_base::files::{Disk, create_dir_durably, read_whole, replace_durably};

/// Name of the directory within that of the log.
const DIRECTORY: &str = "apis";
const MAX_BYTES: u64 = 64 << 10;

/// The directory of these files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kept(Arc<PathBuf>);

impl Kept {
    /// In the directory of the log of polls, whose lock is held.
    pub fn within(dir: &Path) -> Self {
        Self(Arc::new(dir.join(DIRECTORY)))
    }

    /// What was kept under a name; `None` if nothing was.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match read_whole(&Disk, &self.path(name), MAX_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps something durably, in place of what was kept under this name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        create_dir_durably(&Disk, &self.0, true)?;
        replace_durably(&Disk, &self.path(name), bytes)
    }

    /// The file of a name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
