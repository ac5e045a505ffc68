//! At a start: is the configured lake the one that the log knows? ([`LakeCheck`])

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::files::Disk;
use crate::ids::{Ids, NodeId};
use crate::lake::{Lake, LakeError};
use crate::ship::{KnownObjects, LakeCheck};
use crate::side_files::SideFiles;
use crate::wal::journal::seam::Frames;
use crate::wal::rows::{BatchReader, RowsError};
use crate::wal::state::{SealAt, State};

/// A start waits no longer for a lake; then the check is made before the first put.
const START_LIMIT: Duration = Duration::from_secs(5);
/// Neither does a node that takes a log over: until it has it, nobody stores anything.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(1);

/// The check of a log with that state.
pub fn lake_check(
    beside: SideFiles,
    node: NodeId,
    state: &State,
    accepts_new: bool,
    ids: &Ids,
) -> LakeCheck<Disk> {
    let objects = KnownObjects {
        has_objects: state.last_seal > state.sealed.len() as u64,
        accepts_new,
    };
    LakeCheck::new(Disk, beside, node, ids.clone(), objects)
}

/// Seals without commit.
pub(super) fn unshipped(state: &State) -> Vec<(u64, SealAt)> {
    state
        .sealed
        .iter()
        .map(|(number, sealed)| (*number, sealed.at))
        .collect()
}

/// The other lake for which a batch was sealed, or a run has ended. They go to the lake that they were made for, or
/// nowhere.
pub fn waits_for_another<R: Frames>(
    reader: &BatchReader<R>,
    state: &State,
    configured: &str,
) -> Result<Option<String>, RowsError> {
    let mut others = Vec::new();
    for (number, at) in unshipped(state) {
        others.push(reader.seal(number, at)?.lake);
    }
    for (run, ended) in state.runs.ended() {
        others.push(reader.run_end(run, ended.at)?.lake);
    }
    Ok(others.into_iter().find(|other| other != configured))
}

/// Makes the check, if the lake answers in time, of which a node of a cluster has less. A lake that is away is no reason
/// not to accept events.
pub(super) fn check_label(
    check: &Arc<LakeCheck<Disk>>,
    lake: &Arc<Lake<Disk>>,
    is_of_node: bool,
) -> Result<(), LakeError> {
    let (sender, outcome) = channel();
    let (checking, in_lake) = (Arc::clone(check), Arc::clone(lake));
    // It ends by itself: each request has a limit.
    std::thread::Builder::new()
        .name("lake-check".to_owned())
        .spawn(move || sender.send(checking.run(&in_lake)))
        .map_err(|error| LakeError::Unusable(format!("no thread to check it: {error}")))?;
    let limit = if is_of_node {
        TAKEOVER_LIMIT
    } else {
        START_LIMIT
    };
    match outcome.recv_timeout(limit) {
        Ok(Err(error @ LakeError::Unusable(_))) => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the lake cannot be checked yet; it is checked before the first put");
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
        Err(_too_long) => {
            tracing::warn!("the lake does not answer; it is checked before the first put");
            Ok(())
        }
    }
}
