//! One look on a thread that may block, with what is remembered of its stream.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use super::definition::After;
use super::folder::{DONE, FAILED};
use super::known_ids::KnownIds;
use super::ledger::{Ledger, Outcome};
use super::pass::{Looked, Pass, Remembered};
use super::plan::FilesPlan;
use super::replay::{RefusedRecord, ReplayedRecord, replay};
use super::run::{FilesCursor, RunJob, remembering};
use super::settling::Settling;
use super::shared::{FilesUpdate, KeeperShared};
use lakehook_feeds::context::Context;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::figures::Progress;
use lakehook_feeds::places::Place;
use lakehook_feeds::wait::Waiter;

/// One look, on a thread that may block.
pub(crate) struct BlockingLook {
    pub(crate) shared: Arc<KeeperShared>,
    pub(crate) plan: Arc<FilesPlan>,
    pub(crate) accept: bool,
    pub(crate) updates: Option<mpsc::Sender<FilesUpdate>>,
}

impl BlockingLook {
    /// Returns what is remembered now too, unless it could not be read.
    pub(crate) fn run(
        &self,
        runtime: Handle,
        place: Place,
        known: Option<Remembered>,
        cursor: Option<FilesCursor>,
    ) -> (Result<Looked, RunError>, Option<Remembered>) {
        let (shared, plan) = (&self.shared, &*self.plan);
        let context = &shared.context;
        let budget = plan.limits.budget;
        let waiter = Waiter::new(
            runtime,
            shared.cancel.clone(),
            context.clock.clone(),
            budget,
        );
        let waiter = waiter.seated(shared.places.clone(), place);
        let progress = |progress: Progress| {
            shared.note(&plan.name, |state| state.running = Some(progress));
            if let Some(updates) = &self.updates {
                // A slow client misses some updates.
                let _missed = updates.try_send(FilesUpdate::Progress(progress));
            }
        };
        let known = known.map_or_else(|| remembered(plan, context, cursor), Ok);
        let mut known = match known {
            Ok(known) => known,
            Err(error) => return (Err(error), None),
        };
        if shared.unshipped() == 0 {
            tidy(plan, &known.ledger);
        }
        let pass = Pass {
            job: RunJob {
                plan,
                waiter: &waiter,
                context: Some(context),
            },
            accept: self.accept,
            progress: &progress,
        };
        let result = pass.look(&mut known);
        (result, Some(known))
    }
}

impl BlockingLook {
    /// Replays records in place of a look.
    pub(crate) fn replay(
        &self,
        runtime: Handle,
        place: Place,
        known: Option<Remembered>,
        cursor: Option<FilesCursor>,
        records: &[RefusedRecord],
    ) -> (Result<Vec<ReplayedRecord>, RunError>, Option<Remembered>) {
        let (shared, plan) = (&self.shared, &*self.plan);
        let context = &shared.context;
        let clock = context.clock.clone();
        let waiter = Waiter::new(runtime, shared.cancel.clone(), clock, plan.limits.budget);
        let waiter = waiter.seated(shared.places.clone(), place);
        let known = known.map_or_else(|| remembered(plan, context, cursor), Ok);
        match known {
            Err(error) => (Err(error), None),
            Ok(mut known) => {
                let job = RunJob {
                    plan,
                    waiter: &waiter,
                    context: Some(context),
                };
                let result = replay(job, &mut known, records);
                (result, Some(known))
            }
        }
    }
}

/// Where a stream remembers what it knows, for one lake.
fn state_dir(dir: &Path, stream: &str, lake: &str) -> PathBuf {
    let lake = format!("{:016x}", xxh3_64(lake.as_bytes()));
    dir.join("files").join(stream).join(lake)
}

/// Reads what is remembered of a stream; without a cursor, by the one that the log had at its start.
fn remembered(
    plan: &FilesPlan,
    context: &Context,
    cursor: Option<FilesCursor>,
) -> Result<Remembered, RunError> {
    let logged = || {
        let logged = context.cursors.get(&plan.name)?;
        serde_json::from_slice::<FilesCursor>(logged).ok()
    };
    let cursor = cursor.or_else(logged);
    let cursor = cursor.filter(|cursor| cursor.lake == context.lake);
    let cursor = cursor.unwrap_or_else(|| FilesCursor {
        lake: context.lake.clone(),
        newest: i64::MIN,
        ..FilesCursor::default()
    });
    let dir = state_dir(context.beside.dir(), &plan.name, &context.lake);
    open_remembered(plan, &dir, cursor).map_err(|error| remembering(&error))
}

/// Opens what is remembered in a directory.
pub(crate) fn open_remembered(
    plan: &FilesPlan,
    dir: &Path,
    cursor: FilesCursor,
) -> std::io::Result<Remembered> {
    Ok(Remembered {
        ledger: Ledger::open(dir, cursor.run)?,
        ids: KnownIds::open(dir, cursor.run, plan.keeps_ids())?,
        settling: Settling::default(),
        cursor,
    })
}

/// Moves or deletes files whose rows are visible, and moves those that failed. Failures wait for the next time.
pub(crate) fn tidy(plan: &FilesPlan, ledger: &Ledger) {
    let after = plan.picking.after;
    if after == After::Keep {
        return;
    }
    let Ok(listing) = plan.inbox.list() else {
        return;
    };
    for file in &listing.files {
        let known = ledger.get(&file.name);
        let Some(known) = known.filter(|known| known.version == file.version) else {
            continue;
        };
        let done = match (after, known.outcome) {
            (After::Delete, Outcome::Taken | Outcome::Passed) => plan.inbox.remove(file),
            (After::Move, Outcome::Taken | Outcome::Passed) => plan.inbox.move_into(file, DONE),
            (After::Move, Outcome::Failed | Outcome::Changed) => plan.inbox.move_into(file, FAILED),
            _ => continue,
        };
        if let Err(error) = done {
            let stream = &plan.name;
            tracing::warn!(%error, stream, file = file.name, "failed to put a file away");
        }
    }
}
