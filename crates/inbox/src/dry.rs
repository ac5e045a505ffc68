//! A look that writes nothing: every file that is there is read and judged, known or not.

use std::path::{Path, PathBuf};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::looking::open_remembered;
use super::pass::{Pass, Remembered};
use super::plan::FilesPlan;
use super::replay::{RefusedRecord, ReplayedRecord, judge};
use super::report::PassReport;
use super::run::{FilesCursor, RunJob, remembering};
use super::taker::RunOrigin;
use lakehook_base::clock::Clock;
use lakehook_base::files::{Disk, Files as _, remove_if_there};
use lakehook_base::ids::Ids;
use lakehook_base::record::Rows;
use lakehook_feeds::errors::RunError;
use lakehook_feeds::wait::Waiter;

/// What would become of refused records if none of them were known.
pub fn dry_replay(
    plan: &FilesPlan,
    records: &[RefusedRecord],
) -> std::io::Result<Vec<ReplayedRecord>> {
    let dir = scratch(&Ids::System)?;
    let known = open_remembered(plan, &dir, FilesCursor::default())?;
    let outcomes = judge_all(plan, known, records);
    remove(&dir);
    outcomes
}

fn judge_all(
    plan: &FilesPlan,
    mut known: Remembered,
    records: &[RefusedRecord],
) -> std::io::Result<Vec<ReplayedRecord>> {
    let of = RunOrigin::nowhere(&plan.name);
    let outcomes = records.iter().map(|record| {
        let outcome = judge(plan, &of, &mut known.ids, record, &mut Rows::default());
        outcome.map_err(|stop| std::io::Error::other(format!("{stop:?}")))
    });
    outcomes.collect()
}

/// A directory for what is only needed meanwhile.
fn scratch(ids: &Ids) -> std::io::Result<PathBuf> {
    let number = ids.next_u128()?;
    Ok(std::env::temp_dir().join(format!("lakehook-{number:032x}")))
}

fn remove(dir: &Path) {
    for entry in Disk.list(dir).unwrap_or_default() {
        let _left_for_the_system = remove_if_there(&Disk, &dir.join(entry.name));
    }
    let _left_for_the_system = Disk.remove_dir(dir);
}

/// Looks into the inbox of a stream. Ids of a large file need room in the directory for temporary files. Blocks.
pub fn dry_look(
    plan: &FilesPlan,
    accept: bool,
    runtime: Handle,
    cancel: CancellationToken,
    clock: Clock,
    ids: &Ids,
) -> Result<PassReport, RunError> {
    let dir = scratch(ids).map_err(|error| remembering(&error))?;
    let waiter = Waiter::new(runtime, cancel, clock, plan.limits.budget);
    let opened = open_remembered(plan, &dir, FilesCursor::default());
    let mut known = opened.map_err(|error| remembering(&error))?;
    let pass = Pass {
        job: RunJob {
            plan,
            waiter: &waiter,
            context: None,
        },
        accept,
        progress: &|_| {},
    };
    let looked = pass.look(&mut known);
    drop(known);
    remove(&dir);
    looked.map(|looked| looked.report)
}
