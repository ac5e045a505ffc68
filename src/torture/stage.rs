//! The stage of a service by itself: its place, and a lake in a directory that can be taken away.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::errors::TortureError;
use super::plan::Instead;
use super::server::{self, Place, Settings};
use crate::encode::Format;

/// The place of the server, and its lake.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The place of the server.
    pub place: Place,
}

impl Stage {
    /// Prepares a new or empty directory; refuses any other.
    #[allow(
        clippy::disallowed_methods,
        reason = "sets the stage, before anything durable happens"
    )]
    pub fn set(dir: &Path) -> Result<Self, TortureError> {
        server::refuse_used(dir)?;
        let stage = Self {
            place: Place::make(dir.to_owned())?,
        };
        fs::create_dir_all(dir.join("lake-itself"))?;
        symlink("lake-itself", stage.lake())?;
        fs::write(dir.join("a-file"), "no directory\n")?;
        Ok(stage)
    }

    /// Writes the configuration of the next lives.
    pub fn configure(&self, grace: Duration, format: Format) -> Result<(), TortureError> {
        self.place.configure(Settings {
            grace,
            format,
            lake: "url = \"lake\"\n",
            wal: "",
            more: "",
        })
    }

    /// The path of the lake in the configuration.
    pub fn lake(&self) -> PathBuf {
        self.place.dir.join("lake")
    }

    /// The directory of the log.
    pub fn wal(&self) -> PathBuf {
        self.place.dir.join("wal")
    }

    /// Replaces the lake by something else.
    pub fn take_lake_away(&self, instead: Instead) -> Result<(), TortureError> {
        self.point_lake_at(match instead {
            Instead::File => "a-file",
            Instead::Nothing => "not-there",
        })
    }

    /// Whether something else is in the place of the lake.
    pub fn lake_is_away(&self) -> bool {
        !fs::read_link(self.lake()).is_ok_and(|target| target == Path::new("lake-itself"))
    }

    /// Restores the lake.
    pub fn heal(&self) -> Result<(), TortureError> {
        self.point_lake_at("lake-itself")
    }

    /// Atomic: the name exists at every moment.
    #[allow(
        clippy::disallowed_methods,
        reason = "is the fault, and no part of the service"
    )]
    fn point_lake_at(&self, target: &str) -> Result<(), TortureError> {
        let new = self.place.dir.join("lake-new");
        symlink(target, &new)?;
        fs::rename(&new, self.lake())?;
        Ok(())
    }
}
