//! Tells that something may be new in a directory. A hint: the schedule finds it without one.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};

/// What the system tells of a directory.
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// Watches a directory, without those below it. `None` if that cannot be done.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
        let what = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        inotify::add_watch(&told, dir, what).ok()?;
        Some(Self(told))
    }

    /// Whether a file of the directory was written, or was moved there, since this was asked last. Never waits.
    pub(crate) fn has_changed(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = Reader::new(&self.0, &mut buffer);
        let mut has_changed = false;
        // What is told is of no interest, since the directory is listed anyway.
        while events.next().is_ok() {
            has_changed = true;
        }
        has_changed
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use super::*;

    #[test]
    fn a_directory_tells_of_files_that_are_written_or_come() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Watch::of(&dir.path().join("nowhere")).is_none());
        let watch = Watch::of(dir.path()).unwrap();
        assert!(!watch.has_changed());
        std::fs::write(dir.path().join("a"), "x").unwrap();
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        std::fs::rename(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert!(watch.has_changed());
        std::fs::remove_file(dir.path().join("b")).unwrap();
        assert!(!watch.has_changed());
    }
}
