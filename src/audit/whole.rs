//! Audits a whole lake: its listing, the stamps of its objects and, if asked to, their rows.

use super::copies::CopyCounter;
use super::deep;
use super::gather::{Gathered, gather};
use super::log::judge_log;
use super::markers::{FileProof, judge_markers, judge_parcels};
use super::object::AuditedObject;
use super::report::{Discrepancy, NodeProof};
use super::seals::{judge, judge_erasures};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::retain::notes::{keys_of, read};
use crate::wal::inspect::Inspection;

/// The result of an audit.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// The number of objects that hold rows.
    pub objects: usize,
    /// The number of visible runs of polls.
    pub runs: u64,
    /// A proof for each node.
    pub nodes: Vec<NodeProof>,
    /// What the runs of files add up to.
    pub files: FileProof,
    /// Objects of runs of files that no marker names: nobody reads them.
    pub void: Vec<String>,
    /// What does not add up, sorted and without repetitions.
    pub problems: Vec<Discrepancy>,
}

/// The stages of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditStage {
    /// It reads the stamp of each object.
    Looking,
    /// It reads the rows of each object.
    Reading,
}

/// Audits a lake together with the logs of nodes, which must have been read before. `step` is called for each
/// object, with the number of objects done so far and of all. In depth, `copies` takes the ids of all events.
pub async fn audit(
    lake: &LakeReader,
    logs: &[Inspection],
    deeply: bool,
    mut copies: Option<&mut CopyCounter>,
    step: &mut dyn FnMut(AuditStage, usize, usize),
) -> Result<Whole, LakeReadError> {
    let Gathered {
        objects,
        markers,
        erasures,
        retentions: _,
        mut problems,
    } = gather(lake, &mut |done, total| {
        step(AuditStage::Looking, done, total);
    })
    .await?;
    let waiting = logs.iter().filter_map(|log| {
        let seals = log.state.sealed.keys().copied();
        Some((log.node?, seals.collect()))
    });
    let (mut nodes, found) = judge(&objects, &waiting.collect());
    problems.extend(found);
    judge_erasures(&objects, &erasures, &mut problems);
    for log in logs {
        judge_log(&mut nodes, &objects, log, &mut problems);
    }
    let runs = judge_markers(&markers, &objects, &mut problems);
    let (files, void) = judge_parcels(&markers, &objects, &mut problems);
    if deeply {
        let there: Vec<&AuditedObject> = objects.iter().filter(|it| !it.expired).collect();
        for (index, object) in there.iter().enumerate() {
            step(AuditStage::Reading, index + 1, there.len());
            // A stamp that cannot be read is among the problems already.
            let Ok(stamp) = &object.stamp else {
                continue;
            };
            let wrong = match lake.read(&object.key).await? {
                Some(bytes) => {
                    if let Some(copies) = &mut copies {
                        copies.take(&object.key, stamp.node, &bytes)?;
                    }
                    deep::look(&object.key, stamp, bytes)
                }
                None if is_listed(lake, &object.key).await? => Vec::new(),
                None => vec!["it went away while it was looked at".to_owned()],
            };
            let node = Some(stamp.node);
            let wrong = wrong.into_iter();
            problems.extend(wrong.map(|what| Discrepancy::of_object(node, &object.key, what)));
        }
        if problems.is_empty() {
            problems.extend(deep::running_sums(&objects));
        }
    }
    problems.sort();
    problems.dedup();
    Ok(Whole {
        objects: objects.iter().filter(|object| !object.expired).count(),
        runs,
        nodes,
        files,
        void,
        problems,
    })
}

/// Whether a retention has listed an object by now.
async fn is_listed(lake: &LakeReader, key: &str) -> Result<bool, LakeReadError> {
    for note in keys_of(lake).await? {
        // A note that cannot be read is among the problems already.
        let note = read(lake, &note).await.ok().flatten();
        if note.is_some_and(|note| note.objects.iter().any(|listed| listed.key == key)) {
            return Ok(true);
        }
    }
    Ok(false)
}
