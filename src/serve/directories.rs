//! The directories of the configuration: made at a start, and tried by `lakehook check`.

use std::path::Path;

use super::errors::{ServeError, way_out};
use crate::config::Config;
use crate::files::{Disk, Files as _, create_dir_durably, parent_of};
use crate::wal::inspect::inspect;

/// Makes the directory that a key names, with its ancestors.
pub(super) fn make(key: &'static str, dir: &Path) -> Result<(), ServeError> {
    create_dir_durably(&Disk, dir, true).map_err(|error| ServeError::Directory {
        key,
        path: dir.to_owned(),
        error,
    })
}

/// Tries whether a directory can be made, or written to if it is there, and leaves nothing behind. Returns the
/// reason why not.
pub fn try_out(dir: &Path) -> Option<String> {
    let there = nearest(dir);
    let probe = there.join(format!(".lakehook-check-{}", std::process::id()));
    let tried = Disk
        .create_dir(&probe, true)
        .and_then(|()| Disk.remove_dir(&probe));
    let error = tried.err()?;
    let (shown, hint) = (there.display(), way_out(&error));
    Some(if there == dir {
        format!("{shown} cannot be written to: {error}{hint}")
    } else {
        let wanted = dir.display();
        format!("{wanted} cannot be made: {shown} cannot be written to: {error}{hint}")
    })
}

/// Names where logs of this container have been before; the image sets it.
const VOLUME_VARIABLE: &str = "LAKEHOOK_VOLUME";

/// Refuses a start that would leave rows behind: they are in a log in the volume, and the configuration names
/// another directory for that log.
pub fn check_volume(config: &Config) -> Result<(), ServeError> {
    let Some(volume) = std::env::var_os(VOLUME_VARIABLE) else {
        return Ok(());
    };
    left_behind(Path::new(&volume), config)
}

fn left_behind(volume: &Path, config: &Config) -> Result<(), ServeError> {
    for (key, name, configured) in [
        ("wal.dir", "wal", &config.wal.dir),
        ("polls.dir", "polls", &config.polls.dir),
    ] {
        let former = volume.join(name);
        if former == *configured || !Disk.exists(&former) {
            continue;
        }
        let rows = inspect(&Disk, &former).map_or(0, |found| found.state.uncommitted_rows());
        if rows > 0 {
            return Err(ServeError::LeftBehind {
                key,
                former,
                configured: configured.clone(),
                rows,
            });
        }
    }
    Ok(())
}

/// The directory itself, or the nearest ancestor that exists.
fn nearest(dir: &Path) -> &Path {
    let mut at = dir;
    while !Disk.exists(at) && parent_of(at) != at {
        at = parent_of(at);
    }
    at
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests look at real files")]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_directory_below_a_file_is_named_with_a_way_out() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("file");
        std::fs::write(&file, b"")?;
        let below = file.join("wal");
        let said = make("wal.dir", &below).err().map(|error| error.to_string());
        let said = said.unwrap_or_default();
        let expected = format!("wal.dir cannot be used: {} cannot be made", below.display());
        assert!(said.starts_with(&expected), "{said}");
        assert!(
            said.ends_with("; a part of the path is a file, choose another"),
            "{said}"
        );
        let tried = try_out(&below).unwrap_or_default();
        assert!(tried.contains("cannot be made"), "{tried}");
        Ok(())
    }

    #[test]
    fn trying_leaves_nothing_behind() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        assert_eq!(try_out(&dir.path().join("a/b")), None);
        assert_eq!(try_out(dir.path()), None);
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 0);
        Ok(())
    }
}
