//! Recovery: makes a writer that goes on where a journal ended, wherever the journal is.

use std::path::Path;
use std::time::Duration;

use super::dedup::archive::{Archive, ArchiveLimits};
use super::dedup::place::SecondPlace;
use super::helper::Background;
pub use super::journal::errors::OpenError;
use super::journal::exchange;
use super::journal::local::{FoundFiles, LocalJournal, LocalSettings};
use super::journal::mark;
use super::journal::node::{Node, read_or_create};
use super::journal::replica::engine::{Engine, KeepTrying};
use super::journal::replica::found::FoundReplica;
use super::journal::replica::identity::{self, Judge, Meant};
use super::journal::replica::owner::ReplicaSettings;
use super::journal::seam::{Found, Frames as _};
use super::ledger::request::Settings;
use super::ledger::writer::Writer;
pub use super::opening::Recovered;
use super::opening::{Opening, io_error};
use lakehook_base::clock::Clock;
use lakehook_base::files::{Files, create_dir_durably};
use lakehook_base::ids::{Ids, NodeId};

/// Id files take at most the log's space divided by this number, because most of it is for rows.
/// After a restart the dedup window is what these files hold.
const SHARE_OF_IDS: u64 = 4;

/// Writer of a log in files of one directory.
pub type LocalWriter<F> = Writer<LocalJournal<F>, F>;

/// Opens the log of a directory that the caller has locked, creating it if it is new.
pub fn open<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    clock: Clock,
    ids: Ids,
    background: Background,
) -> Result<(LocalWriter<F>, Recovered), OpenError> {
    let (found, node) = find(&files, dir, &settings, &ids, background)?;
    open_journal(found, files, dir, node, settings, (clock, ids), background)
}

/// Begins a log in a directory that already has the id files of another log; its segments are
/// numbered after theirs.
pub(crate) fn begin_behind_ids<F: Files>(
    files: F,
    dir: &Path,
    settings: Settings,
    (clock, ids): (Clock, Ids),
) -> Result<LocalWriter<F>, OpenError> {
    let (found, node) = find(&files, dir, &settings, &ids, Background::Inline)?;
    let archive = archive((files, dir), &settings, None, Background::Inline)?;
    let mut opening = Opening::new(archive, settings, node, (clock, ids));
    let after = opening.archive_numbers();
    let writer = opening.go_on(found, after, None)?;
    Ok(writer.0)
}

/// Opens any journal. Its id files are in `dir`, which exists and is locked by the caller.
pub fn open_journal<J: Found, F: Files>(
    mut found: J,
    files: F,
    dir: &Path,
    node: Node,
    settings: Settings,
    (clock, ids): (Clock, Ids),
    background: Background,
) -> Result<(Writer<J::Journal, F>, Recovered), OpenError> {
    let archive = archive((files, dir), &settings, found.copies(), background)?;
    let mut opening = Opening::new(archive, settings, node, (clock, ids));
    let Some(newest) = found.newest() else {
        let after = opening.archive_numbers();
        if after > 0 {
            // There are id files but no segment: the segments have been lost.
            return Err(OpenError::Missing {
                path: found.frames().name_of_segment(after + 1).into(),
            });
        }
        return opening.go_on(found, after, None);
    };
    let last = opening.read(&mut found, newest)?;
    opening.go_on(found, newest, last)
}

/// Finds the journal in files of a directory, creating the directory if it is new.
pub fn find<F: Files>(
    files: &F,
    dir: &Path,
    settings: &Settings,
    ids: &Ids,
    background: Background,
) -> Result<(FoundFiles<F>, Node), OpenError> {
    let io = |error| io_error(dir, error);
    create_dir_durably(files, dir, true).map_err(io)?;
    if exchange::is_unfinished(files, dir) {
        return Err(OpenError::Unfinished {
            dir: dir.to_owned(),
        });
    }
    mark::check(files, dir, None)?;
    let node = read_or_create(files, dir, ids).map_err(io)?;
    let found = find_here(files, dir, settings, (ids, &node), background)?;
    Ok((found, node))
}

/// Finds the journal in files of a directory whose node is known, whatever its mark says.
pub(crate) fn find_here<F: Files>(
    files: &F,
    dir: &Path,
    settings: &Settings,
    (ids, node): (&Ids, &Node),
    background: Background,
) -> Result<FoundFiles<F>, OpenError> {
    let local = LocalSettings {
        segment_bytes: settings.segment_bytes,
        first_segment_bytes: settings.first_segment_bytes,
        max_bytes: settings.max_bytes,
        node: node.id,
        ids: ids.clone(),
        background,
    };
    let found = FoundFiles::open(files.clone(), dir, local);
    found.map_err(|error| io_error(dir, error))
}

/// How a start in an engine goes about it.
#[derive(Clone)]
pub struct ReplicaStart {
    /// How long requests are repeated that have no answer.
    pub keep_trying: KeepTrying,
    /// Where helpers run.
    pub background: Background,
    /// Who this is, for the messages of others.
    pub owner: String,
    /// The shortest time between two appends.
    pub interval: Duration,
    /// Number and checksum of a frame that was durable, as this process has heard; (0, 0) if it has heard of none.
    pub known: (u64, u32),
    /// The epoch that is to end, 0 if there is none yet: an owner that came after it is left alone. `None`: whoever
    /// owns the log.
    pub over: Option<u64>,
}

/// The identity of the log in an engine, which is founded if the engine has none. A directory that does
/// not know it yet gets it once `judge` has nothing against it. The caller has locked the directory.
pub fn identify<E: Engine, F: Files>(
    engine: &E,
    (files, dir): (&F, &Path),
    ids: &Ids,
    keep_trying: &KeepTrying,
    judge: &mut Judge<'_>,
) -> Result<Node, OpenError> {
    identify_among(
        engine,
        (files, dir),
        (ids, &Meant::ONLY),
        keep_trying,
        judge,
    )
}

/// The same for one of several logs; it is an error if another one is there.
pub fn identify_among<E: Engine, F: Files>(
    engine: &E,
    (files, dir): (&F, &Path),
    (ids, meant): (&Ids, &Meant),
    keep_trying: &KeepTrying,
    judge: &mut Judge<'_>,
) -> Result<Node, OpenError> {
    create_dir_durably(files, dir, true).map_err(|error| io_error(dir, error))?;
    identity::read_or_found(engine, (files, dir), (ids, meant), keep_trying, judge)
}

/// Finds the journal of a log in an engine, with the id files that a directory lacks. The caller has
/// locked the directory.
pub fn find_replica<E: Engine, F: Files>(
    engine: E,
    (files, dir): (&F, &Path),
    log: NodeId,
    (settings, ids): (&Settings, &Ids),
    start: ReplicaStart,
) -> Result<FoundReplica<E, F>, OpenError> {
    let ReplicaStart {
        keep_trying,
        background,
        owner,
        interval,
        known,
        over,
    } = start;
    let replica = ReplicaSettings {
        segment_bytes: settings.segment_bytes,
        max_bytes: settings.max_bytes,
        log,
        ids: ids.clone(),
        background,
        keep_trying,
        owner,
        interval,
        known,
        over,
    };
    FoundReplica::open(engine, files.clone(), dir, replica)
}

pub(crate) fn archive<F: Files>(
    (files, dir): (F, &Path),
    settings: &Settings,
    copies: SecondPlace,
    background: Background,
) -> Result<Archive<F>, OpenError> {
    let limits = ArchiveLimits {
        max_ids: settings.max_ids,
        max_bytes: settings.max_bytes / SHARE_OF_IDS,
        filter_bytes: settings.filter_bytes,
        ids_per_file: settings.ids_per_file,
    };
    Archive::open(files, dir, limits, copies, background).map_err(|error| io_error(dir, error))
}
