//! Takes a log over that is kept in a replica.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::errors::ServeError;
use super::fenced;
use super::insistence::Insistence;
use crate::clock::Clock;
use crate::files::Disk;
use crate::ids::Ids;
use crate::replica::LogEngine;
use crate::ship::Shipper;
use crate::wal::journal::replica::owner::ReplicaJournal;
use crate::wal::journal::replica::sides::EngineSides;
use crate::wal::journal::seam::Frames;
use crate::wal::log::Log;
use crate::wal::node::Node;
use crate::wal::recover::{self, OpenError, Recovered, ReplicaStart};
use crate::wal::request::Settings;
use crate::wal::writer::Writer;

const PAUSE: Duration = Duration::from_millis(300);

/// A log in a replica, before and after it is taken over.
pub(super) struct Replica {
    pub(super) engine: LogEngine,
    pub(super) node: Node,
    pub(super) sides: Arc<EngineSides<LogEngine>>,
    pub(super) start: ReplicaStart,
    pub(super) insistence: Arc<Insistence>,
    /// How often a takeover is tried, if the log is in use.
    pub(super) tries: u32,
}

type Opened = (Writer<ReplicaJournal<LogEngine, Disk>, Disk>, Recovered);

impl Replica {
    /// Reads the log, and becomes its owner; returns the epoch, too. Blocks.
    pub(super) fn take_over(
        &self,
        dir: &Path,
        settings: &Settings,
        (clock, ids): (&Clock, &Ids),
    ) -> Result<(Opened, u64), ServeError> {
        let mut tried = 1;
        loop {
            match self.attempt(dir, settings, (clock, ids)) {
                Err(OpenError::Contended { journal, detail }) if tried < self.tries => {
                    tracing::info!(journal, detail, "the log is in use; reading it again");
                    tried += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
                Ok((opened, epoch)) => {
                    // Somebody may have written a file beside the log after we had read it.
                    self.sides.own(epoch)?;
                    fenced::forget(dir)?;
                    return Ok((opened, epoch));
                }
            }
        }
    }

    fn attempt(
        &self,
        dir: &Path,
        settings: &Settings,
        (clock, ids): (&Clock, &Ids),
    ) -> Result<(Opened, u64), OpenError> {
        let (engine, log) = (self.engine.clone(), self.node.id);
        let found = recover::find_replica(
            engine,
            (&Disk, dir),
            log,
            (settings, ids),
            self.start.clone(),
        )?;
        let epoch = found.epoch();
        let opened = recover::open_journal(
            found,
            Disk,
            dir,
            self.node,
            settings.clone(),
            (clock.clone(), ids.clone()),
            self.start.background,
        )?;
        Ok((opened, epoch))
    }

    /// Lets a shipper, and whatever depends on files beside the log, ask the log whether it is still ours.
    pub(super) fn of_log<R: Frames>(
        &self,
        shipper: Shipper<Disk, R>,
        log: &Log,
        clock: &Clock,
    ) -> Shipper<Disk, R> {
        let proving = log.clone();
        self.sides.confirm_by(Box::new(move || {
            let proved = proving.prove();
            proved.map_err(|error| {
                io::Error::other(format!(
                    "this process may not own the log any more: {error}"
                ))
            })
        }));
        let (log, clock, term) = (log.clone(), clock.clone(), log.term());
        // What this process owns of the log later is nothing that this shipper may rely on.
        shipper.with_leave(Arc::new(move || log.term() == term && log.may_put(&clock)))
    }
}
