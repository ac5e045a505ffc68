//! Moves a log from a disk into the replica, or back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::errors::ServeError;
use super::home::{Home, Looking, place_of, process_name};
use super::insistence::Insistence;
use super::lakes::lake_of;
use super::settings::{LogRole, log_settings};
use crate::clock::Clock;
use crate::config::Config;
use crate::files::{Disk, Entry, Files as _};
use crate::ids::Ids;
use crate::replica::ReplicaAccess;
use crate::status::Status;
use crate::wal::helper::Background;
use crate::wal::journal::replica::identity::Meant;
use crate::wal::moving::{MoveError, Moved, Moving};
use crate::wal::node;
use crate::wal::recover::{self, ReplicaStart};
use crate::wal::request::Settings;

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Into what `wal.replica` names.
    Replica,
    /// Onto the disk of this machine.
    Disk,
}

/// Why a log was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MovingError {
    /// No replica is configured.
    #[error("`wal.replica` is not set; it names the replica on either side of a move")]
    NoReplica,
    /// Several logs would become one, or one several.
    #[error(
        "a log on a disk is one, and `cluster.logs` is more: only one log moves. docs/cluster.md says how their number \
         is changed"
    )]
    Many,
    /// The directory has what a replica does not keep.
    #[error(
        "{} has notes of files that were read, which a replica does not keep. If no service is to read these files \
         again, delete that directory, and move the log then", .0.display()
    )]
    Files(PathBuf),
    /// One of both sides cannot be opened.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The log stays where it is.
    #[error(transparent)]
    Move(#[from] MoveError),
}

/// Files beside a log that are written once and never replaced.
const ONCE: [&str; 1] = ["erasure.key"];
/// Folders of files beside a log.
const FOLDERS: [&str; 3] = ["shapes", "apis", "calls"];
/// Folder of what is known of files that were read.
const FILES: &str = "files";

/// Moves one of the logs; its service must not run. Says where it is now.
pub async fn move_log(
    config: &Config,
    role: LogRole,
    direction: Direction,
) -> Result<(Moved, String), MovingError> {
    let replica = place_of(config, role).ok_or(MovingError::NoReplica)?;
    if role.ordinal(config).of > 1 {
        return Err(MovingError::Many);
    }
    let lock = Home::lock(config, role)?;
    let dir = role.section(config).dir;
    let name = replica.name();
    let access = replica.reach(Handle::current()).await;
    let lake = lake_of(config, &dir, Handle::current()).await;
    let settings = log_settings(config, role, lake.identity());
    let looking = Looking {
        lake,
        anchor: format!("{}/{}", config.wal.replica_name, role.folder(config)),
        meant: Meant::ONLY,
        insistence: Insistence::new(Arc::new(Status::default()), Clock::system(), &name),
        interval: std::time::Duration::ZERO,
        name: name.clone(),
        dir: dir.clone(),
        ids: Ids::System,
        owner: process_name(),
        known: (0, 0),
        tries: 1,
        may_follow: false,
    };
    let moving = move || {
        let moved = move_on(&looking, &access, settings, direction);
        drop(lock);
        moved
    };
    let moved = tokio::task::spawn_blocking(moving).await;
    let moved = moved.map_err(ServeError::from)??;
    let place = match direction {
        Direction::Replica => name,
        Direction::Disk => dir.display().to_string(),
    };
    Ok((moved, place))
}

fn move_on(
    looking: &Looking,
    access: &ReplicaAccess,
    settings: Settings,
    direction: Direction,
) -> Result<Moved, MovingError> {
    let engine = looking.engine(access)?;
    let keep_trying = looking.insistence.keep_trying();
    let dir = looking.dir.as_path();
    let moving = Moving {
        engine: engine.clone(),
        files: Disk,
        dir,
        settings,
        clock: Clock::system(),
        ids: Ids::System,
        start: ReplicaStart {
            keep_trying: keep_trying.clone(),
            background: Background::Threads,
            owner: process_name(),
            interval: std::time::Duration::ZERO,
            known: (0, 0),
            over: None,
        },
        beside: side_names(dir).map_err(MoveError::from)?,
        once: ONCE.map(str::to_owned).to_vec(),
    };
    let open = |error| MovingError::Move(MoveError::Open(error));
    if direction == Direction::Replica {
        let files = dir.join(FILES);
        if Disk.exists(&files) {
            return Err(MovingError::Files(files));
        }
        let node = node::read(&Disk, dir).map_err(MoveError::from)?;
        if let Some(node) = node {
            looking.judge(Some(&node)).map_err(open)?;
        }
        return Ok(moving.into_engine()?);
    }
    let has_node = node::read(&Disk, dir).map_err(MoveError::from)?.is_some();
    if !has_node {
        // On a machine that has never seen the log.
        let mut judge = |node: Option<&node::Node>| looking.judge(node);
        let place = (&Disk, dir);
        recover::identify(&engine, place, &Ids::System, &keep_trying, &mut judge).map_err(open)?;
    }
    let moved = moving.out_of_engine()?;
    looking.forget().map_err(ServeError::from)?;
    Ok(moved)
}

/// The names of the files beside the log of a directory.
fn side_names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for Entry { name, .. } in Disk.list(dir)? {
        let is_columns = name.starts_with("columns-") && name.strip_suffix(".json").is_some();
        if name == "lake" || is_columns {
            names.push(name);
        }
    }
    for folder in FOLDERS {
        let path = dir.join(folder);
        if !Disk.exists(&path) {
            continue;
        }
        let entries = Disk.list(&path)?.into_iter();
        let kept = entries.filter(|entry| entry.name.strip_suffix(".tmp").is_none());
        names.extend(kept.map(|entry| format!("{folder}/{}", entry.name)));
    }
    Ok(names)
}
