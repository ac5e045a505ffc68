//! Side files: small facts that stand beside a log and are not in its frames, such as the types of
//! columns or tokens that an API has issued. Each is replaced as a whole, and durably.
//!
//! The directory of a log may be a copy of what is kept elsewhere. Then a side file is there first,
//! and in the directory only afterwards; what the directory has is replaced at every start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{
    Disk, Files, create_dir_durably, parent_of, read_whole, remove_if_there, replace_durably,
};

/// Where side files are kept besides the directory of their log.
pub trait SideCopies: Send + Sync {
    /// Keeps a file in place of the one before, durably; `None` if there is no such file any more.
    fn keep(&self, name: &str, bytes: Option<&[u8]>) -> io::Result<()>;

    /// Makes sure that this process still owns the log, and with it every file that it has kept: the
    /// next owner begins with them.
    fn confirm(&self) -> io::Result<()>;
}

/// The side files of a log, by names relative to its directory. Cheap to clone.
#[derive(Clone)]
pub struct SideFiles<F: Files = Disk> {
    files: F,
    dir: Arc<Path>,
    copies: Option<Arc<dyn SideCopies>>,
}

impl SideFiles {
    /// In a directory that is the only place.
    pub fn within(dir: &Path) -> Self {
        Self::of(Disk, dir)
    }
}

impl<F: Files> SideFiles<F> {
    /// In a directory of that file system.
    pub fn of(files: F, dir: &Path) -> Self {
        Self {
            files,
            dir: dir.into(),
            copies: None,
        }
    }

    /// In a directory that may vanish, and elsewhere.
    #[must_use]
    pub fn with_copies(mut self, copies: Arc<dyn SideCopies>) -> Self {
        self.copies = Some(copies);
        self
    }

    /// The log's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a file in the log's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file; `None` if there is none. A file of more than `max_bytes` is an error.
    pub fn read(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        match read_whole(&self.files, &self.path(name), max_bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file in place of the one before, if there was one.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if let Some(copies) = &self.copies {
            copies.keep(name, Some(bytes))?;
        }
        let path = self.path(name);
        create_dir_durably(&self.files, parent_of(&path), true)?;
        replace_durably(&self.files, &path, bytes)
    }

    /// Removes a file, if there is one; it is gone for good when this returns.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        if !self.files.exists(&path) {
            return Ok(());
        }
        if let Some(copies) = &self.copies {
            copies.keep(name, None)?;
        }
        remove_if_there(&self.files, &path)?;
        self.files.sync_dir(parent_of(&path))
    }

    /// Makes sure that what was written counts, before something depends on it that is not in the
    /// log. Does nothing where the directory is the only place.
    pub fn confirm(&self) -> io::Result<()> {
        self.copies
            .as_ref()
            .map_or(Ok(()), |copies| copies.confirm())
    }
}

impl<F: Files> std::fmt::Debug for SideFiles<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SideFiles").field(&self.dir).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Elsewhere(Mutex<Vec<(String, Option<Vec<u8>>)>>, bool);

    impl SideCopies for Elsewhere {
        fn keep(&self, name: &str, bytes: Option<&[u8]>) -> io::Result<()> {
            if self.1 {
                return Err(io::Error::other("away"));
            }
            let mut kept = self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.push((name.to_owned(), bytes.map(<[u8]>::to_vec)));
            Ok(())
        }

        fn confirm(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_file_is_elsewhere_before_it_is_here() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let away = Arc::new(Elsewhere(Mutex::default(), true));
        let sides = SideFiles::within(dir.path()).with_copies(away);
        assert!(sides.replace("a/b", b"1").is_err());
        assert_eq!(sides.read("a/b", 10)?, None);

        let there = Arc::new(Elsewhere::default());
        let sides = SideFiles::within(dir.path()).with_copies(there.clone());
        sides.replace("a/b", b"1")?;
        sides.replace("a/b", b"2")?;
        assert_eq!(sides.read("a/b", 10)?, Some(b"2".to_vec()));
        assert!(sides.read("a/b", 0).is_err());
        sides.remove("a/b")?;
        sides.remove("a/b")?;
        assert_eq!(sides.read("a/b", 10)?, None);
        let kept = there.0.lock().map(|kept| kept.clone()).unwrap_or_default();
        let kept: Vec<_> = kept.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(kept, [Some(b"1".to_vec()), Some(b"2".to_vec()), None]);
        Ok(())
    }
}
