//! What is kept of APIs between runs and starts, beside the log of polls: until when an API asked
//! to wait, and the refresh tokens that it issued.
//!
//! Each fact is one small file, which is replaced as a whole and durably. The directory is private.

use std::io;
use std::path::PathBuf;

use lakehook_base::side_files::SideFiles;

/// Name of the directory within that of the log.
const DIRECTORY: &str = "apis";
const MAX_BYTES: u64 = 64 << 10;

/// These files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kept(SideFiles);

impl Kept {
    /// Beside the log of polls, whose lock is held.
    pub fn beside(log: &SideFiles) -> Self {
        Self(log.clone())
    }

    fn name(name: &str) -> String {
        format!("{DIRECTORY}/{name}")
    }

    /// What was kept under a name; `None` if nothing was.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(&Self::name(name), MAX_BYTES)
    }

    /// Keeps something durably, in place of what was kept under this name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.replace(&Self::name(name), bytes)
    }

    /// The file of a name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path(&Self::name(name))
    }
}
