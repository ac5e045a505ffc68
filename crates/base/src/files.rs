//! Files, as a seam: the log and the directory lake reach the disk only through [`Files`].
//!
//! The program uses [`Disk`]. Simulations use a disk that loses what was not synced, tears writes,
//! forgets directory entries and fails on demand. The operations promise what the operating system
//! promises: a write is durable after [`File::sync`], a name after [`Files::sync_dir`] of its
//! directory.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that is open for positioned reads and writes.
#[allow(
    clippy::len_without_is_empty,
    reason = "nobody asks whether a file is empty"
)]
pub trait File: Send + Sync + 'static {
    /// Writes all bytes at an offset; durable only after [`File::sync`].
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills the buffer from an offset, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Makes everything written so far durable. After an error the state of the bytes is unknown,
    /// and calling it again proves nothing: the kernel may have marked the pages clean.
    fn sync(&self) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Asks the kernel to drop cached pages, so that reads see what the device holds. A hint.
    fn forget_cache(&self);
}

impl<T: File> File for Arc<T> {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        (**self).write_all_at(bytes, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        (**self).read_exact_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        (**self).sync()
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }

    fn forget_cache(&self) {
        (**self).forget_cache();
    }
}

/// A file in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name, without its directory.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// A file system.
pub trait Files: Clone + Send + Sync + 'static {
    /// Type of an open file.
    type File: File;
    /// Creates a file (mode 0600) that must not exist yet.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Renames without replacing: `AlreadyExists` if the new name is taken.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Renames and replaces: under the new name there is always the old file or the new one.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name without replacing: `AlreadyExists` if that name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates one directory (mode 0700 if `private`); `AlreadyExists` if it is there.
    fn create_dir(&self, path: &Path, private: bool) -> io::Result<()>;
    /// Removes a directory that is empty.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The regular files of a directory, sorted by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Whether the path names a file or a directory.
    fn exists(&self, path: &Path) -> bool;
    /// Bytes that an ordinary user may still write to the file system of `dir`.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl File for fs::File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn forget_cache(&self) {
        // Only a hint: if the kernel ignores it, recovery reads cached pages.
        let _ignored = rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the seam through which files come in"
)]
impl Files for Disk {
    type File = fs::File;

    fn create_new(&self, path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    fn open(&self, path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().read(true).write(true).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?;
        Ok(())
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path, private: bool) -> io::Result<()> {
        fs::DirBuilder::new()
            .mode(if private { 0o700 } else { 0o777 })
            .create(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                entries.push(Entry {
                    name,
                    bytes: metadata.len(),
                });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// Creates a directory with all its ancestors, and makes every new name durable.
///
/// A directory that exists is left as it is, but its name is synced too: the process that created
/// it may have crashed before doing so.
pub fn create_dir_durably<F: Files>(files: &F, dir: &Path, private: bool) -> io::Result<()> {
    if dir.as_os_str().is_empty() {
        return Ok(());
    }
    let parent = parent_of(dir);
    if !files.exists(dir) {
        create_dir_durably(files, parent, false)?;
        match files.create_dir(dir, private) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    match files.sync_dir(parent) {
        // A parent that may be entered but not read is not ours, so its names are not ours to sync.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// The directory that holds `path`; `.` for a bare name, `/` for itself.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Writes a whole new file durably: temporary name, sync, rename without replacing, sync of the
/// directory. A reader sees all of it or nothing.
pub fn write_durably<F: Files>(files: &F, path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_durably_by(files, &temporary_name(path), path, bytes)
}

/// The same, with another temporary name, where several processes may write at once.
pub fn write_durably_by<F: Files>(
    files: &F,
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    write_temporary(files, temporary, bytes)?;
    files.rename(temporary, path)?;
    files.sync_dir(parent_of(path))
}

/// Writes a whole file durably in place of another, if there is one: a reader sees the old file or the
/// new one.
pub fn replace_durably<F: Files>(files: &F, path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_durably_by(files, &temporary_name(path), path, bytes)
}

/// The same, with another temporary name, where several processes may write at once.
pub fn replace_durably_by<F: Files>(
    files: &F,
    temporary: &Path,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    write_temporary(files, temporary, bytes)?;
    files.replace(temporary, path)?;
    files.sync_dir(parent_of(path))
}

fn write_temporary<F: Files>(files: &F, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    remove_if_there(files, temporary)?;
    let file = files.create_new(temporary)?;
    file.write_all_at(bytes, 0)?;
    file.sync()
}

/// `path` with `.tmp` appended; start-up removes such files from a log's directory.
pub fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Removes a file; it is no error if there is none.
pub fn remove_if_there<F: Files>(files: &F, path: &Path) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a whole file, of at most `max_bytes`.
pub fn read_whole<F: Files>(files: &F, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = files.open(path)?;
    let length = file.len()?;
    if length > max_bytes {
        let message = format!(
            "{} has {length} bytes, at most {max_bytes} expected",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Writes a file from its beginning to its end, through [`io::Write`].
#[derive(Debug)]
pub struct Appender<F> {
    file: Arc<F>,
    offset: u64,
}

impl<F: File> Appender<F> {
    /// Appends to an empty file.
    pub fn new(file: Arc<F>) -> Self {
        Self { file, offset: 0 }
    }

    /// The file.
    pub fn file(&self) -> &F {
        &self.file
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.offset
    }
}

impl<F: File> io::Write for Appender<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file from its beginning to its end, through [`io::Read`].
#[derive(Debug)]
pub struct Reader<F> {
    file: F,
    offset: u64,
    length: u64,
}

impl<F: File> Reader<F> {
    /// A reader of a file that does not change its length meanwhile.
    pub fn new(file: F) -> io::Result<Self> {
        Self::from(file, 0)
    }

    /// A reader from `offset` on.
    pub fn from(file: F, offset: u64) -> io::Result<Self> {
        let length = file.len()?.max(offset);
        Ok(Self {
            file,
            offset,
            length,
        })
    }
}

impl<F: File> io::Read for Reader<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.offset).unwrap_or(usize::MAX);
        let bytes = left.min(buffer.len());
        self.file.read_exact_at(&mut buffer[..bytes], self.offset)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_write_never_replaces() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a/b/node");
        create_dir_durably(&Disk, parent_of(&path), true)?;
        write_durably(&Disk, &path, b"first")?;
        let second = write_durably(&Disk, &path, b"second");
        assert_eq!(
            second.map_err(|e| e.kind()),
            Err(io::ErrorKind::AlreadyExists)
        );
        assert_eq!(read_whole(&Disk, &path, 10)?, b"first");
        assert!(read_whole(&Disk, &path, 3).is_err());
        Ok(())
    }
}
