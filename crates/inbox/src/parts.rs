//! Files beside the log in which a stream remembers something, one part for each run.
//!
//! A part is written and synced under a pending name before the end of its run is logged, and gets its name
//! afterwards. After a crash the log decides: a pending part counts if its run is the last one of the stream that
//! has ended, and is removed otherwise. Parts are merged into larger ones, which are named by the runs that they
//! cover.

use std::io;
use std::path::{Path, PathBuf};

use lakehook_base::files::{Disk, Entry, Files as _, create_dir_durably, remove_if_there};

/// Ending of the name of a part whose run has not ended for certain.
const PENDING: &str = ".pending";
/// Ending of the names of files that nobody needs after a crash.
const SCRATCH: &str = ".scratch";

/// The runs that a part covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cover {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// The parts of one kind.
#[derive(Debug)]
pub(crate) struct Parts {
    dir: PathBuf,
    kind: &'static str,
    covers: Vec<Cover>,
}

impl Parts {
    /// Opens the parts of a kind; `last_run` is the last run of the stream that has ended.
    pub(crate) fn open(dir: &Path, kind: &'static str, last_run: u64) -> io::Result<Self> {
        create_dir_durably(&Disk, dir, true)?;
        let mut own = Self {
            dir: dir.to_owned(),
            kind,
            covers: Vec::new(),
        };
        for Entry { name, .. } in Disk.list(dir)? {
            let Some((stem, ending)) = name.split_once(&format!(".{kind}")) else {
                continue;
            };
            match (cover_of(stem), ending) {
                (Some(cover), "") => own.covers.push(cover),
                (Some(cover), PENDING) if cover.last == last_run => {
                    // If its name is taken, it was given before the crash.
                    match Disk.rename(&dir.join(&name), &own.path(cover)) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(error);
                        }
                        Err(_) => remove_if_there(&Disk, &dir.join(&name))?,
                        Ok(()) => own.covers.push(cover),
                    }
                }
                _ => remove_if_there(&Disk, &dir.join(&name))?,
            }
        }
        Disk.sync_dir(dir)?;
        own.covers.sort_unstable();
        own.covers.dedup();
        own.drop_merged()?;
        Ok(own)
    }

    /// Removes parts that a merged one covers: the crash came before their removal.
    fn drop_merged(&mut self) -> io::Result<()> {
        let all = self.covers.clone();
        let is_within = |own: &Cover, other: &Cover| {
            own != other && other.first <= own.first && own.last <= other.last
        };
        for cover in &all {
            if all.iter().any(|other| is_within(cover, other)) {
                self.remove(*cover)?;
            }
        }
        Ok(())
    }

    /// What the parts cover, in order.
    pub(crate) fn covers(&self) -> &[Cover] {
        &self.covers
    }

    /// Path of a part.
    pub(crate) fn path(&self, cover: Cover) -> PathBuf {
        let Cover { first, last } = cover;
        self.dir
            .join(format!("{first:020}-{last:020}.{}", self.kind))
    }

    /// Path of the part of a run that has not ended yet.
    pub(crate) fn pending(&self, run: u64) -> PathBuf {
        self.dir
            .join(format!("{run:020}-{run:020}.{}{PENDING}", self.kind))
    }

    /// Path of a file that is only needed during a run.
    pub(crate) fn scratch(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number}.{}{SCRATCH}", self.kind))
    }

    /// Makes the names of pending parts durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Disk.sync_dir(&self.dir)
    }

    /// Gives the part of a run its name, once the run's end is durable.
    pub(crate) fn publish(&mut self, run: u64) -> io::Result<Cover> {
        let cover = Cover {
            first: run,
            last: run,
        };
        Disk.rename(&self.pending(run), &self.path(cover))?;
        Disk.sync_dir(&self.dir)?;
        self.covers.push(cover);
        Ok(cover)
    }

    /// Makes the file at a path the part that covers all of these, and removes them.
    pub(crate) fn merge(&mut self, covers: &[Cover], file: &Path) -> io::Result<Cover> {
        let (Some(first), Some(last)) = (covers.first(), covers.last()) else {
            return Err(io::Error::other("there is nothing to merge"));
        };
        let merged = Cover {
            first: first.first,
            last: last.last,
        };
        Disk.rename(file, &self.path(merged))?;
        Disk.sync_dir(&self.dir)?;
        for cover in covers {
            self.remove(*cover)?;
        }
        self.covers.push(merged);
        self.covers.sort_unstable();
        Ok(merged)
    }

    fn remove(&mut self, cover: Cover) -> io::Result<()> {
        self.covers.retain(|own| *own != cover);
        remove_if_there(&Disk, &self.path(cover))
    }
}

fn cover_of(stem: &str) -> Option<Cover> {
    let (first, last) = stem.split_once('-')?;
    Some(Cover {
        first: first.parse().ok()?,
        last: last.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use super::*;

    fn write(path: &Path) {
        std::fs::write(path, "x").unwrap();
    }

    #[test]
    fn the_log_decides_which_parts_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut parts = Parts::open(dir.path(), "ids", 0).unwrap();
        write(&parts.pending(3));
        parts.publish(3).unwrap();
        write(&parts.pending(5));
        write(&parts.pending(7));
        write(&parts.scratch(1));
        // Run 7 has ended and run 5 was abandoned.
        let parts = Parts::open(dir.path(), "ids", 7).unwrap();
        let one = |run| Cover {
            first: run,
            last: run,
        };
        assert_eq!(parts.covers(), [one(3), one(7)]);
        assert_eq!(Disk.list(dir.path()).unwrap().len(), 2);
        let mut parts = Parts::open(dir.path(), "ids", 7).unwrap();
        let scratch = parts.scratch(1);
        write(&scratch);
        let merged = parts.merge(&[one(3), one(7)], &scratch).unwrap();
        // The crash came before the removal of what was merged.
        write(&parts.path(one(3)));
        let parts = Parts::open(dir.path(), "ids", 7).unwrap();
        assert_eq!(parts.covers(), [merged]);
        assert_eq!(Disk.list(dir.path()).unwrap().len(), 1);
    }
}
