//! The whole audit of a lake: what is there, what it says, and, if wished, what is in it.

use super::gather::{Gathered, gather};
use super::{NodeProof, Problem, deep, judge, judge_log, judge_markers};
use crate::lake::place::{Place, PlaceError};
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
    pub problems: Vec<Problem>,
}

/// What an audit is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It looks at what objects say.
    Looking,
    /// It reads objects.
    Reading,
}

/// Audits a lake, with the logs of nodes as they were before. `step` is told of each object, and of how many.
pub async fn audit(
    place: &Place,
    logs: &[Inspection],
    deeply: bool,
    step: &mut dyn FnMut(Stage, usize, usize),
) -> Result<Whole, PlaceError> {
    let Gathered {
        objects,
        markers,
        mut problems,
    } = gather(place, &mut |done, total| step(Stage::Looking, done, total)).await?;
    let waiting = logs.iter().filter_map(|log| {
        let seals = log.state.sealed.keys().copied();
        Some((log.node?, seals.collect()))
    });
    let (mut nodes, found) = judge(&objects, &waiting.collect());
    problems.extend(found);
    for log in logs {
        judge_log(&mut nodes, &objects, log, &mut problems);
    }
    let runs = judge_markers(&markers, &objects, &mut problems);
    if deeply {
        for (index, object) in objects.iter().enumerate() {
            step(Stage::Reading, index + 1, objects.len());
            if object.metadata.is_empty() {
                continue;
            }
            let wrong = match place.read(&object.key).await? {
                Some(bytes) => deep::look(object, bytes),
                None => vec!["it went away while it was looked at".to_owned()],
            };
            problems.extend(wrong.into_iter().map(|what| Problem {
                node: object.metadata.get("lakehook-node").cloned(),
                key: Some(object.key.clone()),
                what,
            }));
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
