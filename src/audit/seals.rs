//! The chain of a node's seals: from one to the next, every LSN must be accounted for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::object::AuditedObject;
use super::report::{Discrepancy, NodeProof};
use crate::erase::notes::Erasures;
use crate::ids::NodeId;
use crate::lake::stamp::{CountedLsns, LogState, RunningTotals, Stamp, TOTALS};
use crate::record::Lsn;

/// Seals in logs whose objects are not in the lake yet, by node.
pub type Waiting = BTreeMap<NodeId, BTreeSet<u64>>;

/// The stamp of an object, with the object's key, and whether retention has removed the object.
#[derive(Clone, Copy)]
struct Claim<'a> {
    key: &'a str,
    stamp: &'a Stamp,
    expired: bool,
}

/// Judges all objects of a lake. Returns a proof for each node, and what does not add up.
pub fn judge(objects: &[AuditedObject], waiting: &Waiting) -> (Vec<NodeProof>, Vec<Discrepancy>) {
    let mut found = Vec::new();
    let mut nodes: BTreeMap<NodeId, Vec<Claim<'_>>> = BTreeMap::new();
    for object in objects {
        let bytes = object.bytes;
        if let Some(declared) = object.declared.filter(|declared| *declared != bytes) {
            let what = format!("it has {bytes} bytes; {declared} were put");
            found.push(Discrepancy::of_object(None, &object.key, what));
        }
        match object.stamp_in_place() {
            // A parcel did not pass the log: markers account for it.
            Ok(stamp) if stamp.parcel_of.is_some() => {}
            Ok(stamp) => nodes.entry(stamp.node).or_default().push(Claim {
                key: &object.key,
                stamp,
                expired: object.expired,
            }),
            Err(what) => found.push(Discrepancy::of_object(None, &object.key, what)),
        }
    }
    let nothing = BTreeSet::new();
    let proofs = nodes.into_iter().map(|(node, mut claims)| {
        claims.sort_by_key(|claim| claim.stamp.seal);
        let waiting = waiting.get(&node).unwrap_or(&nothing);
        judge_node(node, &claims, waiting, &mut found)
    });
    let proofs = proofs.collect();
    (proofs, found)
}

/// Judges the objects of a node, in the order of their seals.
fn judge_node(
    node: NodeId,
    claims: &[Claim<'_>],
    waiting: &BTreeSet<u64>,
    found: &mut Vec<Discrepancy>,
) -> NodeProof {
    let mut proof = NodeProof {
        node: node.to_string(),
        ..NodeProof::default()
    };
    let mut before: Option<Claim<'_>> = None;
    let mut ends: HashMap<&str, (Lsn, &str)> = HashMap::new();
    for claim @ Claim {
        key,
        stamp,
        expired,
    } in claims
    {
        let mut wrong = |what: String| {
            found.push(Discrepancy::of_object(Some(node), key, what));
        };
        if let Some(other) = before.filter(|before| before.stamp.seal == stamp.seal) {
            wrong(format!("it has the seal of {}: {}", other.key, stamp.seal));
            continue;
        }
        judge_alone(stamp, &mut wrong);
        if let Some((end, other)) = ends.insert(&stamp.partition, (stamp.last_lsn, key))
            && end >= stamp.first_lsn
        {
            wrong(format!("its LSNs overlap those of {other}"));
        }
        judge_step(before.map(|claim| claim.stamp), stamp, waiting, &mut wrong);
        count(&mut proof, stamp, *expired);
        before = Some(*claim);
    }
    if let Some(Claim { stamp: last, .. }) = before {
        let as_of = &last.as_of;
        proof.last_seal = last.seal;
        proof.up_to_lsn = as_of.lsn.0;
        proof.open = as_of.open.count;
        proof.void = as_of.void.count;
        proof.totals = by_name(&as_of.totals);
        proof.watermark.clone_from(&as_of.watermark);
    }
    proof
}

fn count(proof: &mut NodeProof, stamp: &Stamp, expired: bool) {
    if expired {
        proof.expired += 1;
        proof.expired_rows = proof.expired_rows.saturating_add(stamp.count);
        return;
    }
    proof.objects += 1;
    proof.rows = proof.rows.saturating_add(stamp.count);
    let erased = stamp.erased.map_or(0, |erased| erased.rows);
    proof.erased = proof.erased.saturating_add(erased);
}

/// Objects from which rows were erased by no request that the lake knows.
pub fn judge_erasures(
    objects: &[AuditedObject],
    erasures: &Erasures,
    found: &mut Vec<Discrepancy>,
) {
    for object in objects {
        let Ok(stamp) = &object.stamp else { continue };
        if let Some(erased) = stamp.erased.filter(|erased| !erasures.has(erased.erasure)) {
            let what = format!(
                "{} rows were erased from it by {:032x}, of which there is no note",
                erased.rows, erased.erasure
            );
            found.push(Discrepancy::of_object(Some(stamp.node), &object.key, what));
        }
    }
}

/// The totals by their short names: `received`, `stored` and so on.
fn by_name(totals: &RunningTotals) -> BTreeMap<String, u64> {
    let names = TOTALS.map(|name| name.trim_start_matches("lakehook-total-"));
    let pairs = names.into_iter().zip(totals.values());
    pairs
        .map(|(name, total)| (name.to_owned(), total))
        .collect()
}

/// Checks the claims of one object by themselves.
fn judge_alone(stamp: &Stamp, wrong: &mut dyn FnMut(String)) {
    let totals = &stamp.as_of.totals;
    let received = totals.received;
    // Metadata may hold any number, so the sum needs more bits.
    let classes = [
        totals.stored,
        totals.dropped,
        totals.duplicate,
        totals.quarantined,
    ];
    let classes = classes.into_iter().map(u128::from).sum::<u128>();
    if u128::from(received) != classes {
        wrong(format!(
            "as of it, {received} were received and {classes} accounted for"
        ));
    }
    let (first, last) = (stamp.first_lsn.0, stamp.last_lsn.0);
    let span = last.saturating_add(1).saturating_sub(first);
    if stamp.count == 0 || stamp.count > span || stamp.last_lsn > stamp.as_of.lsn {
        wrong("its count and its LSNs contradict each other".to_owned());
    }
    if let Some(erased) = stamp.erased {
        let all_are_gone = erased.rows == stamp.count;
        if erased.rows > stamp.count || all_are_gone != (erased.lsn_hash == stamp.lsn_hash) {
            wrong("what it says was erased contradicts what it held".to_owned());
        }
    }
}

/// Checks that all LSNs from one seal to the next are accounted for.
fn judge_step(
    before: Option<&Stamp>,
    stamp: &Stamp,
    waiting: &BTreeSet<u64>,
    wrong: &mut dyn FnMut(String),
) {
    let start = LogState::default();
    let (seal, earlier) = before.map_or((0, &start), |before| (before.seal, &before.as_of));
    let now = &stamp.as_of;
    if now.lsn < earlier.lsn {
        wrong(format!(
            "as of it, the log goes to LSN {}, and to {} before",
            now.lsn, earlier.lsn
        ));
        return;
    }
    // Rows that were open and no longer are, and rows that have come and gone since, are in this seal or in
    // one between.
    let growth =
        |now: CountedLsns, earlier: CountedLsns| i128::from(now.count) - i128::from(earlier.count);
    let became = i128::from(now.lsn.0 - earlier.lsn.0)
        - growth(now.open, earlier.open)
        - growth(now.void, earlier.void);
    // Only the difference of the running sums counts, so this costs the same however many LSNs lie between.
    let fresh = now.lsn_hash.wrapping_sub(earlier.lsn_hash);
    let hash = fresh
        .wrapping_sub(now.open.hash.wrapping_sub(earlier.open.hash))
        .wrapping_sub(now.void.hash.wrapping_sub(earlier.void.hash));
    let missing = became - i128::from(stamp.count);
    if stamp.seal == seal + 1 {
        if missing != 0 || hash != stamp.lsn_hash {
            wrong(format!(
                "its rows are not those that its log had for it: {missing} more are accounted for"
            ));
        }
        return;
    }
    let (from, to) = (seal + 1, stamp.seal - 1);
    if (from..=to).all(|seal| waiting.contains(&seal)) {
        return;
    }
    let seals = if from == to {
        format!("seal {from} is")
    } else {
        format!("seals {from} to {to} are")
    };
    wrong(format!(
        "before it, {seals} missing, with {missing} rows of the LSNs up to {}",
        now.lsn
    ));
}
