//! The whole audit of a lake: what is there, what it says, and, if wished, what is in it.

use super::deep;
use super::gather::{Gathered, gather};
use super::log::judge_log;
use super::markers::judge_markers;
use super::report::{Discrepancy, NodeProof};
use super::seals::{judge, judge_erasures};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::wal::inspect::Inspection;

/// What an audit found.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Objects that hold rows.
    pub objects: usize,
    /// Runs of polls that are visible.
    pub runs: u64,
    /// A proof for each node.
    pub nodes: Vec<NodeProof>,
    /// What does not add up, each once, in order.
    pub problems: Vec<Discrepancy>,
}

/// What an audit does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It looks at what objects say.
    Looking,
    /// It reads objects.
    Reading,
}

/// Audits a lake, with the logs of nodes as they were before. `step` is called for each object, with how many are
/// done and how many there are.
pub async fn audit(
    lake: &LakeReader,
    logs: &[Inspection],
    deeply: bool,
    step: &mut dyn FnMut(Stage, usize, usize),
) -> Result<Whole, LakeReadError> {
    let Gathered {
        objects,
        markers,
        erasures,
        mut problems,
    } = gather(lake, &mut |done, total| step(Stage::Looking, done, total)).await?;
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
    if deeply {
        for (index, object) in objects.iter().enumerate() {
            step(Stage::Reading, index + 1, objects.len());
            // What cannot be read of a stamp is a problem already.
            let Ok(stamp) = &object.stamp else {
                continue;
            };
            let wrong = match lake.read(&object.key).await? {
                Some(bytes) => deep::look(&object.key, stamp, bytes),
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
        objects: objects.len(),
        runs,
        nodes,
        problems,
    })
}
