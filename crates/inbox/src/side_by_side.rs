//! Reads several small files of a run at the same time.
//!
//! Nothing of them counts yet. They are judged by what was known before the first of them, and taken in their order
//! afterwards, as if they had been read one after the other: a file that has an id which another one of them has
//! brought is read again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;

use super::definition::FilesMode;
use super::folder::FoundFile;
use super::harvest::Harvest;
use super::judging::{Ended, Judging};
use super::known_ids::KnownIds;
use super::ledger::Ledger;
use super::picking::{Decision, decide};
use super::plan::FilesPlan;
use super::record::ReadStop;
use super::taker::{IdsOf, RunOrigin, Taker};
use lakehook_base::tables::Table;
use lakehook_feeds::errors::RunError;
use lakehook_lake::encode::TypedRows;

/// A larger file is not read beside others.
pub(crate) const MAX_SMALL: u64 = 4 << 20;
/// Files of one round for each worker.
const FILES_PER_WORKER: usize = 16;
/// Bytes of the files of one round.
const MAX_ROUND_BYTES: u64 = 16 << 20;
/// Bytes of the rows of one round. A file that would exceed them is read alone, later.
pub(crate) const MAX_ROUND_ROWS: usize = 32 << 20;

/// What became of a file of a round.
pub(crate) struct ReadFile {
    /// What is to be done about it, as far as its name and its bytes decide that.
    pub(crate) decided: std::io::Result<Decision>,
    /// What became of reading it; `None` if it was not read.
    pub(crate) ended: Option<Ended>,
    pub(crate) got: Harvest,
}

/// What the files of a round are read and judged by.
pub(crate) struct Round<'a> {
    pub(crate) judging: Judging<'a>,
    pub(crate) of: &'a RunOrigin,
    /// The columns of objects, if rows go by column.
    pub(crate) table: Option<Arc<Table>>,
    pub(crate) ids: &'a KnownIds,
    pub(crate) ledger: &'a Ledger,
    /// Most bytes of the rows that it holds.
    pub(crate) max_rows: usize,
}

/// How many of the next files are read side by side; `room` is how many more the run takes.
pub(crate) fn length(plan: &FilesPlan, next: &[&FoundFile], room: usize) -> usize {
    // Of a snapshot only the newest file counts, and the order of files decides which columns are found first.
    let in_order = plan.mode == FilesMode::Snapshot || plan.entities.live().is_some();
    if plan.picking.workers < 2 || in_order {
        return 1;
    }
    let mut bytes = 0;
    let most = room.min(plan.picking.workers * FILES_PER_WORKER);
    let fitting = next.iter().take(most).take_while(|file| {
        bytes += file.bytes;
        file.bytes <= MAX_SMALL && bytes <= MAX_ROUND_BYTES
    });
    fitting.count().max(1)
}

impl Round<'_> {
    /// Reads files. Those at the end may be left out, if the rows of the others need all the memory that there is.
    pub(crate) fn read(&self, files: &[&FoundFile]) -> Result<Vec<Option<ReadFile>>, RunError> {
        let (next, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read: Vec<_> = files.iter().map(|_| Mutex::new(None)).collect();
        // Objects of a bucket are fetched by the runtime that this thread belongs to.
        let runtime = Handle::try_current().ok();
        let work = || {
            let _inside = runtime.as_ref().map(Handle::enter);
            while held.load(Ordering::Relaxed) < self.max_rows {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((file, place)) = files.get(at).zip(read.get(at)) else {
                    return;
                };
                let one = self.read_one(file, &held);
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(one);
            }
        };
        let workers = self.judging.plan.picking.workers.min(files.len());
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        let read = read.into_iter();
        let read = read.map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner));
        read.map(Option::transpose).collect()
    }

    fn read_one(&self, file: &FoundFile, held: &AtomicUsize) -> Result<ReadFile, RunError> {
        let Judging { plan, accept, .. } = self.judging;
        let decided = decide(plan, accept, file, self.ledger, None);
        if !matches!(decided, Ok(Decision::Read)) {
            return Ok(ReadFile {
                decided,
                ended: None,
                got: Harvest::default(),
            });
        }
        let typed = self.table.as_ref().map(TypedRows::new);
        let ids = IdsOf::Aside(self.ids);
        let mut taker = Taker::new(plan, self.of, ids, &file.name, typed);
        let mut own = 0;
        let ended = self.judging.read(file, &mut taker, &mut |taker| {
            let bytes = taker.got.bytes();
            let more = bytes.saturating_sub(own);
            own = bytes;
            if held.fetch_add(more, Ordering::Relaxed) + more > self.max_rows {
                return Err(ReadStop::Large);
            }
            Ok(())
        })?;
        Ok(ReadFile {
            decided,
            ended: Some(ended),
            got: taker.got,
        })
    }
}

#[cfg(test)]
#[path = "side_by_side_tests.rs"]
mod tests;
