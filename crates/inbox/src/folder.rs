//! A directory as an inbox: which files are there, and how they are opened and moved.
//!
//! Nothing below the root is ever reached over a link: every part of a name is opened by itself, without
//! following one. What is no regular file is passed over, and opening never waits, whatever it is.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};

use super::pattern::{PathPattern, fits};
use lakehook_base::clock::{MICROS_PER_SECOND, Micros};
use xxhash_rust::xxh3::xxh3_128;

/// Most files of an inbox.
pub(crate) const MAX_FILES: usize = 1_000_000;
/// Directories below the root are entered this deep.
const MAX_DEPTH: usize = 32;
/// Where files go whose rows are visible, and those that failed.
pub(crate) const DONE: &str = "done";
/// Where files go that failed.
pub(crate) const FAILED: &str = "failed";
/// Names that are tried for a file whose name is taken where it goes.
pub(crate) const MAX_NAMES: u32 = 100;

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundFile {
    /// Its path below the root, with slashes.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// When it was changed last.
    pub(crate) modified: Micros,
    /// Hash of all that changes when the file is another, or is changed.
    pub(crate) version: u128,
    /// The ETag of an object; empty for a file.
    pub(crate) tag: String,
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) found: FoundFile,
    /// Whether it is a copy of our own, which nobody changes.
    pub(crate) is_copy: bool,
}

impl OpenFile {
    /// Whether the file is as it was when it was opened.
    pub(crate) fn is_still(&self) -> bool {
        self.is_copy || found_of(&self.found.name, &self.file).is_ok_and(|now| now == self.found)
    }
}

/// A directory with its patterns.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) pattern: PathPattern,
    /// Patterns of names that are passed over.
    pub(crate) ignore: Vec<String>,
    /// Whether `done/` and `failed/` are passed over.
    pub(crate) moves: bool,
}

/// What a listing has found.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files that fit, sorted by name.
    pub(crate) files: Vec<FoundFile>,
    /// How many names fit and are passed over, because they are links or no regular files, or not UTF-8.
    pub(crate) odd: u64,
}

const HOW: OFlags = OFlags::CLOEXEC
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

impl Folder {
    /// Lists the inbox.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        let root = self.root()?;
        self.walk(&root, &mut Vec::new(), &mut listing)?;
        listing.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listing)
    }

    fn root(&self) -> io::Result<OwnedFd> {
        let how = OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::RDONLY;
        fs::open(&self.pattern.root, how, Mode::empty()).map_err(|error| {
            let error = io::Error::from(error);
            let message = format!("{}: {error}", self.pattern.root.display());
            io::Error::new(error.kind(), message)
        })
    }

    fn walk(
        &self,
        dir: &OwnedFd,
        parts: &mut Vec<String>,
        listing: &mut Listing,
    ) -> io::Result<()> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else {
                listing.odd += 1;
                continue;
            };
            let is_ignored = self.ignore.iter().any(|pattern| fits(pattern, name));
            if name == "." || name == ".." || is_ignored {
                continue;
            }
            parts.push(name.to_owned());
            self.look_at(dir, parts, listing)?;
            parts.pop();
        }
        Ok(())
    }

    /// Looks at an entry of a directory: its last part, in `dir`.
    fn look_at(
        &self,
        dir: &OwnedFd,
        parts: &mut Vec<String>,
        listing: &mut Listing,
    ) -> io::Result<()> {
        let all: Vec<&str> = parts.iter().map(String::as_str).collect();
        let name = all.last().copied().unwrap_or_default();
        let (fits, enters) = (self.pattern.fits(&all), self.pattern.enters(&all));
        if !fits && !enters {
            return Ok(());
        }
        let stat = match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            // It has gone meanwhile.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if fits => {
                if listing.files.len() == MAX_FILES {
                    return Err(io::Error::other(format!(
                        "there are more than {MAX_FILES} files; set after = \"move\", or use several inboxes"
                    )));
                }
                listing.files.push(found(all.join("/"), &stat));
            }
            FileType::Directory if enters && parts.len() <= MAX_DEPTH => {
                let is_own = [DONE, FAILED].contains(&name);
                if !(is_own && self.moves)
                    && let Ok(below) = open_dir(dir, name)
                {
                    self.walk(&below, parts, listing)?;
                }
            }
            FileType::Directory if fits && self.pattern.is_name() => {
                let path = self.pattern.root.join(name);
                let path = path.display();
                let message =
                    format!("{path} is a directory; name the files in it, such as {path}/*.csv");
                return Err(io::Error::other(message));
            }
            FileType::Directory => {}
            _ if fits => listing.odd += 1,
            _ => {}
        }
        Ok(())
    }

    /// Opens a file that was listed; `None` if it is gone or is no regular file any more.
    pub(crate) fn open(&self, name: &str) -> io::Result<Option<OpenFile>> {
        let Some((dir, last)) = self.dir_of(name)? else {
            return Ok(None);
        };
        let opened = fs::openat(&dir, last, HOW | OFlags::RDONLY, Mode::empty());
        let file = match opened {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
                return Ok(None);
            }
            file => file?,
        };
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some(OpenFile {
            file: File::from(file),
            found: found(name.to_owned(), &stat),
            is_copy: false,
        }))
    }

    /// Whether there is a file of this name, whatever it is.
    pub(crate) fn has(&self, name: &str) -> io::Result<bool> {
        let Some((dir, last)) = self.dir_of(name)? else {
            return Ok(false);
        };
        match fs::statat(&dir, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The directory of a file, opened part by part, and the last part of its name.
    fn dir_of<'n>(&self, name: &'n str) -> io::Result<Option<(OwnedFd, &'n str)>> {
        let mut dir = self.root()?;
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() || part == "." || part == ".." {
                return Ok(None);
            }
            if parts.peek().is_none() {
                return Ok(Some((dir, part)));
            }
            dir = match open_dir(&dir, part) {
                Ok(below) => below,
                Err(_gone) => return Ok(None),
            };
        }
        Ok(None)
    }

    /// Moves a file into a directory beside it, unless it has become another one. Nothing is replaced: if its name
    /// is taken there, it gets a number. Returns whether it was moved.
    pub(crate) fn move_into(&self, wanted: &FoundFile, into: &str) -> io::Result<bool> {
        let Some((dir, last)) = self.dir_of(&wanted.name)? else {
            return Ok(false);
        };
        if !is_still(&dir, last, wanted)? {
            return Ok(false);
        }
        match fs::mkdirat(&dir, into, Mode::from_raw_mode(0o777)) {
            Err(rustix::io::Errno::EXIST) => {}
            made => made?,
        }
        let target = open_dir(&dir, into)?;
        for number in 0..MAX_NAMES {
            let name = match number {
                0 => last.to_owned(),
                number => format!("{last}.{number}"),
            };
            match fs::renameat_with(&dir, last, &target, name.as_str(), RenameFlags::NOREPLACE) {
                Ok(()) => {
                    fs::fsync(&target)?;
                    fs::fsync(&dir)?;
                    return Ok(true);
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(rustix::io::Errno::NOENT) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other(format!(
            "{into}/ has {MAX_NAMES} files of the name {last:?} already"
        )))
    }

    /// Removes a file, unless it has become another one.
    pub(crate) fn remove(&self, wanted: &FoundFile) -> io::Result<bool> {
        let Some((dir, last)) = self.dir_of(&wanted.name)? else {
            return Ok(false);
        };
        if !is_still(&dir, last, wanted)? {
            return Ok(false);
        }
        fs::unlinkat(&dir, last, AtFlags::empty())?;
        Ok(true)
    }
}

/// Whether a name still belongs to the file that was listed.
fn is_still(dir: &OwnedFd, name: &str, wanted: &FoundFile) -> io::Result<bool> {
    match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(found(wanted.name.clone(), &stat).version == wanted.version),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open_dir(dir: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    fs::openat(
        dir,
        name,
        HOW | OFlags::DIRECTORY | OFlags::RDONLY,
        Mode::empty(),
    )
}

/// What a file is now, by its open descriptor.
fn found_of(name: &str, file: &File) -> io::Result<FoundFile> {
    Ok(found(name.to_owned(), &fs::fstat(file)?))
}

fn found(name: String, stat: &fs::Stat) -> FoundFile {
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let modified = stat.st_mtime.saturating_mul(MICROS_PER_SECOND);
    let mut known_by = Vec::with_capacity(40);
    for number in [bytes, stat.st_ino, stat.st_dev] {
        known_by.extend_from_slice(&number.to_le_bytes());
    }
    known_by.extend_from_slice(&stat.st_mtime.to_le_bytes());
    known_by.extend_from_slice(&nanos.to_le_bytes());
    FoundFile {
        name,
        bytes,
        modified: Micros(modified.saturating_add(nanos / 1000)),
        version: xxh3_128(&known_by),
        tag: String::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use std::fs::{create_dir, write};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn folder(root: &Path, pattern: &str) -> Folder {
        Folder {
            pattern: PathPattern::new(&root.join(pattern)).unwrap(),
            ignore: vec![".*".to_owned(), "*.tmp".to_owned()],
            moves: true,
        }
    }

    #[test]
    fn only_regular_files_within_the_inbox_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("in");
        create_dir(&root).unwrap();
        create_dir(root.join("sub")).unwrap();
        write(dir.path().join("secret.csv"), "x").unwrap();
        for name in ["a.csv", ".h.csv", "b.csv.tmp", "sub/c.csv", "new\nline.csv"] {
            write(root.join(name), "x").unwrap();
        }
        symlink(dir.path().join("secret.csv"), root.join("link.csv")).unwrap();
        symlink(dir.path(), root.join("out")).unwrap();
        let fifo = root.join("fifo.csv");
        fs::mknodat(
            fs::CWD,
            &fifo,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let listing = folder(&root, "*.csv").list().unwrap();
        let names = |listing: &Listing| -> Vec<String> {
            listing.files.iter().map(|file| file.name.clone()).collect()
        };
        assert_eq!(names(&listing), ["a.csv", "new\nline.csv"]);
        assert_eq!(listing.odd, 2);
        let deep = folder(&root, "**/*.csv");
        assert_eq!(
            names(&deep.list().unwrap()),
            ["a.csv", "new\nline.csv", "sub/c.csv"]
        );
        for name in [
            "link.csv",
            "fifo.csv",
            "out/secret.csv",
            "../secret.csv",
            "gone.csv",
            "sub",
        ] {
            assert!(deep.open(name).unwrap().is_none(), "{name}");
        }
        assert!(deep.open("sub/c.csv").unwrap().is_some());
        let whole = folder(&root, "sub").list().unwrap_err();
        assert!(
            whole
                .to_string()
                .contains("sub is a directory; name the files in it"),
            "{whole}"
        );
        let missing = folder(&dir.path().join("nowhere"), "*.csv")
            .list()
            .unwrap_err();
        assert!(missing.to_string().contains("nowhere"), "{missing}");
    }

    #[test]
    fn a_move_never_replaces_and_takes_only_the_file_that_was_meant() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path(), "*.csv");
        for round in ["one", "two"] {
            write(dir.path().join("a.csv"), round).unwrap();
            let listed = folder.list().unwrap().files.remove(0);
            assert!(folder.move_into(&listed, DONE).unwrap());
        }
        let read =
            |name: &str| std::fs::read_to_string(dir.path().join("done").join(name)).unwrap();
        assert_eq!(
            (read("a.csv"), read("a.csv.1")),
            ("one".to_owned(), "two".to_owned())
        );
        write(dir.path().join("a.csv"), "three").unwrap();
        let listed = folder.list().unwrap().files.remove(0);
        write(dir.path().join("a.csv"), "another").unwrap();
        assert!(!folder.move_into(&listed, DONE).unwrap());
        assert!(!folder.remove(&listed).unwrap());
        assert!(dir.path().join("a.csv").exists());
    }
}
