//! Completes the proof with a log: rows that are not in the lake yet are in the log, and nothing else is
//! missing.

use std::collections::BTreeSet;

use super::object::AuditedObject;
use super::report::{Discrepancy, LogProof, NodeProof};
use crate::wal::inspect::Inspection;

/// Compares a node's objects with its log.
pub fn judge_log(
    proofs: &mut Vec<NodeProof>,
    objects: &[AuditedObject],
    log: &Inspection,
    found: &mut Vec<Discrepancy>,
) {
    let Some(id) = log.node else {
        return;
    };
    let node = id.to_string();
    let mut wrong = |what: String| {
        found.push(Discrepancy {
            node: Some(node.clone()),
            key: None,
            what,
        });
    };
    for damage in &log.problems {
        wrong(format!("the log: {damage}"));
    }
    let state = &log.state;
    let stamps = objects
        .iter()
        .filter_map(|object| object.stamp.as_ref().ok());
    let there: BTreeSet<u64> = stamps
        .filter(|stamp| stamp.node == id)
        .map(|stamp| stamp.seal)
        .collect();
    let gone: Vec<u64> = (1..=state.last_seal)
        .filter(|seal| !there.contains(seal) && !state.sealed.contains_key(seal))
        .collect();
    if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
        let count = gone.len();
        wrong(format!(
            "seals that the log knows to be in the lake are not there: {count}, from {first} to {last}"
        ));
    }
    let known = proofs.iter().position(|proof| proof.node == node);
    let index = known.unwrap_or_else(|| {
        proofs.push(NodeProof {
            node: node.clone(),
            ..NodeProof::default()
        });
        proofs.len() - 1
    });
    let proof = &mut proofs[index];
    let behind = |seal: u64| seal > proof.last_seal && !there.contains(&seal);
    let waiting = state.sealed.iter().filter(|(seal, _)| behind(**seal));
    let waiting_rows: u64 = waiting.map(|(_, sealed)| sealed.rows).sum();
    let open_rows: u64 = state.batches.open().map(|batch| batch.sums.count).sum();
    let up_to_lsn = state.next_lsn.0 - 1;
    let newer = i128::from(up_to_lsn) - i128::from(proof.up_to_lsn);
    let became_void = i128::from(state.void.count) - i128::from(proof.void);
    let left = i128::from(proof.open) + newer - became_void;
    let held = i128::from(waiting_rows) + i128::from(open_rows);
    if log.problems.is_empty() && gone.is_empty() && left != held {
        wrong(format!(
            "{left} rows must be on their way to the lake, and the log holds {held}"
        ));
    }
    proof.log = Some(LogProof {
        waiting_rows,
        open_rows,
        up_to_lsn,
    });
}
