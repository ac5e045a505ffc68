//! Makes paths absolute and removes `.` and `..`, without looking at the disk.

use std::io;
use std::path::{Component, Path, PathBuf};

/// Resolves `path` against the absolute directory `base`, and removes `.` and `..`. Symbolic links are not
/// followed: `a/..` is the parent of `a`.
pub(super) fn absolute(base: &Path, path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(base.join(path))?;
    let mut plain = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::CurDir => {}
            // The parent of the root is the root itself.
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn paths_become_plain() {
        for (path, expected) in [
            ("data/wal", "/etc/lakehook/data/wal"),
            ("./a/../b/", "/etc/lakehook/b"),
            ("../../../..", "/"),
            ("/var//lib/./x", "/var/lib/x"),
        ] {
            let plain = absolute(Path::new("/etc/lakehook"), Path::new(path)).unwrap();
            assert_eq!(plain, Path::new(expected), "{path}");
        }
    }
}
