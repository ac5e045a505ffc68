//! The audit: proves from the metadata of a lake's objects that each LSN of each node is accounted for.
//!
//! Every object carries the state of its node's log as of its seal. From one seal to the next, the rows of
//! the seal, what became open and what became void must make up all LSNs in between, in number and in the
//! sum of their hashes. So a missing object shows, even where nothing else knows of it, and what is missing
//! does not spoil the proof of the rest. Pure; [`gather`] looks into lakes, [`deep`] into objects.

pub mod deep;
pub mod gather;
mod log;
mod markers;
pub mod whole;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use crate::encode::Format;
use crate::ids::NodeId;
use crate::lake::{Metadata, keys};
use crate::record::Lsn;
use crate::wal::facts::LsnSet;

pub use log::judge_log;
pub use markers::{Marker, judge_markers};

/// An object as the lake has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// The size that is declared beside it, where there is such a place.
    pub declared: Option<u64>,
    /// What it says of itself; empty for what is not ours.
    pub metadata: Metadata,
}

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The node, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The object, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// What is proved of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeProof {
    /// The node.
    pub node: String,
    /// Its objects.
    pub objects: u64,
    /// Their rows.
    pub rows: u64,
    /// The last seal that is in the lake.
    pub last_seal: u64,
    /// The highest LSN as of that seal.
    pub up_to_lsn: u64,
    /// Rows up to there that no seal covered: their objects came later, or are on their way.
    pub open: u64,
    /// LSNs up to there that no row will ever have.
    pub void: u64,
    /// As of that seal: what was received, and what became of it.
    pub totals: BTreeMap<String, u64>,
    /// Everything received before it is in the lake, as of that seal.
    pub watermark: String,
    /// What the log says, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogProof>,
}

/// What the log adds to the proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogProof {
    /// Rows in seals that wait to be put.
    pub waiting_rows: u64,
    /// Rows in no seal yet.
    pub open_rows: u64,
    /// The highest LSN.
    pub up_to_lsn: u64,
}

/// What an object says, read.
#[derive(Clone, Debug)]
struct Claims {
    key: String,
    seal: u64,
    partition: String,
    first: Lsn,
    last: Lsn,
    count: u64,
    lsn_hash: u128,
    as_of: Lsn,
    as_of_hash: u128,
    open: LsnSet,
    void: LsnSet,
    totals: BTreeMap<String, u64>,
    watermark: String,
}

const TOTALS: [&str; 6] = [
    "received",
    "stored",
    "dropped",
    "duplicate",
    "quarantined",
    "refused",
];

/// Seals that logs hold and whose objects are on their way, by node.
pub type Waiting = BTreeMap<NodeId, BTreeSet<u64>>;

/// Judges all objects of a lake: a proof for each node, and what does not add up.
pub fn judge(objects: &[Seen], waiting: &Waiting) -> (Vec<NodeProof>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut nodes: BTreeMap<NodeId, Vec<Claims>> = BTreeMap::new();
    for object in objects {
        if object
            .declared
            .is_some_and(|declared| declared != object.bytes)
        {
            let declared = object.declared.unwrap_or(0);
            let what = format!("it has {} bytes; {declared} were put", object.bytes);
            problems.push(problem(None, &object.key, what));
        }
        match claims_of(object) {
            Ok((node, claims)) => nodes.entry(node).or_default().push(claims),
            Err(what) => problems.push(problem(None, &object.key, what)),
        }
    }
    let proofs = nodes.into_iter().map(|(node, mut claims)| {
        claims.sort_by_key(|claims| claims.seal);
        let none = BTreeSet::new();
        judge_node(
            node,
            &claims,
            waiting.get(&node).unwrap_or(&none),
            &mut problems,
        )
    });
    let proofs = proofs.collect();
    (proofs, problems)
}

fn problem(node: Option<NodeId>, key: &str, what: String) -> Problem {
    Problem {
        node: node.map(|node| node.to_string()),
        key: Some(key.to_owned()),
        what,
    }
}

/// What an object says; an error if it is not ours or under another key than its own.
fn claims_of(object: &Seen) -> Result<(NodeId, Claims), String> {
    if !object.metadata.contains_key("lakehook-node") {
        return Err("it is foreign: it carries no metadata of lakehook".to_owned());
    }
    let text = |name: &str| {
        let value = object.metadata.get(&format!("lakehook-{name}"));
        value
            .map(String::as_str)
            .ok_or_else(|| format!("its metadata has no lakehook-{name}"))
    };
    let bad = |name: &str| format!("its metadata lakehook-{name} cannot be read");
    let number = |name: &str| text(name)?.parse::<u64>().map_err(|_| bad(name));
    let hash = |name: &str| u128::from_str_radix(text(name)?, 16).map_err(|_| bad(name));
    let set = |name: &str| {
        let (count, hash) = text(name)?.split_once(' ').ok_or_else(|| bad(name))?;
        let count = count.parse().map_err(|_| bad(name))?;
        let hash = u128::from_str_radix(hash, 16).map_err(|_| bad(name))?;
        Ok::<_, String>(LsnSet { count, hash })
    };
    let node = u64::from_str_radix(text("node")?, 16).map_err(|_| bad("node"))?;
    let node = NodeId(node);
    let mut totals = BTreeMap::new();
    for name in TOTALS {
        totals.insert(name.to_owned(), number(&format!("total-{name}"))?);
    }
    let claims = Claims {
        key: object.key.clone(),
        seal: Some(number("seal")?)
            .filter(|seal| *seal > 0)
            .ok_or_else(|| bad("seal"))?,
        partition: text("partition")?.to_owned(),
        first: Lsn(number("first-lsn")?),
        last: Lsn(number("last-lsn")?),
        count: number("count")?,
        lsn_hash: hash("lsn-hash")?,
        as_of: Lsn(number("as-of-lsn")?),
        as_of_hash: hash("as-of-lsn-hash")?,
        open: set("as-of-open")?,
        void: set("as-of-void")?,
        totals,
        watermark: text("as-of-watermark")?.to_owned(),
    };
    let own = Format::ALL
        .map(|format| keys::object_key(&claims.partition, node, claims.first, format.as_str()));
    if !own.contains(&claims.key) {
        let place = own[0].trim_end_matches(".ndjson.zst");
        return Err(format!("it is another object, whose place is {place}"));
    }
    Ok((node, claims))
}

/// The claims of a node, in the order of their seals.
fn judge_node(
    node: NodeId,
    all: &[Claims],
    waiting: &BTreeSet<u64>,
    problems: &mut Vec<Problem>,
) -> NodeProof {
    let mut proof = NodeProof {
        node: node.to_string(),
        ..NodeProof::default()
    };
    let mut before: Option<&Claims> = None;
    let mut ends: HashMap<&str, (Lsn, &str)> = HashMap::new();
    for claims in all {
        let mut wrong = |what: String| problems.push(problem(Some(node), &claims.key, what));
        if let Some(before) = before.filter(|before| before.seal == claims.seal) {
            wrong(format!(
                "it has the seal of {}: {}",
                before.key, claims.seal
            ));
            continue;
        }
        judge_alone(claims, &mut wrong);
        if let Some((end, other)) = ends.insert(&claims.partition, (claims.last, &claims.key))
            && end >= claims.first
        {
            wrong(format!("its LSNs overlap those of {other}"));
        }
        judge_step(before, claims, waiting, &mut wrong);
        proof.objects += 1;
        proof.rows = proof.rows.saturating_add(claims.count);
        before = Some(claims);
    }
    if let Some(last) = before {
        proof.last_seal = last.seal;
        proof.up_to_lsn = last.as_of.0;
        proof.open = last.open.count;
        proof.void = last.void.count;
        proof.totals.clone_from(&last.totals);
        proof.watermark.clone_from(&last.watermark);
    }
    proof
}

/// What one object's claims must fulfil by themselves.
fn judge_alone(claims: &Claims, wrong: &mut dyn FnMut(String)) {
    // What metadata says may be any number.
    let total = |name: &str| u128::from(claims.totals.get(name).copied().unwrap_or(0));
    let classes = total("stored") + total("dropped") + total("duplicate") + total("quarantined");
    if total("received") != classes {
        let received = total("received");
        wrong(format!(
            "as of it, {received} were received and {classes} accounted for"
        ));
    }
    let span = claims
        .last
        .0
        .saturating_add(1)
        .saturating_sub(claims.first.0);
    if claims.count == 0 || claims.count > span || claims.last > claims.as_of {
        wrong("its count and its LSNs contradict each other".to_owned());
    }
}

/// From one seal to the next, all LSNs in between must be accounted for.
fn judge_step(
    before: Option<&Claims>,
    claims: &Claims,
    waiting: &BTreeSet<u64>,
    wrong: &mut dyn FnMut(String),
) {
    let nothing = LsnSet::default();
    let (seal, as_of, as_of_hash, open, void) =
        before.map_or((0, Lsn(0), 0, nothing, nothing), |before| {
            (
                before.seal,
                before.as_of,
                before.as_of_hash,
                before.open,
                before.void,
            )
        });
    if claims.as_of < as_of {
        wrong(format!(
            "as of it, the log goes to LSN {}, and to {as_of} before",
            claims.as_of
        ));
        return;
    }
    // Of the running sum only the difference counts, so this costs the same however many LSNs lie between.
    let fresh = claims.as_of_hash.wrapping_sub(as_of_hash);
    // Rows that left what was open, or came and went since, are in this seal or in one between.
    let signed = |set: LsnSet, earlier: LsnSet| i128::from(set.count) - i128::from(earlier.count);
    let became = i128::from(claims.as_of.0 - as_of.0)
        - signed(claims.open, open)
        - signed(claims.void, void);
    let hash = fresh
        .wrapping_sub(claims.open.hash.wrapping_sub(open.hash))
        .wrapping_sub(claims.void.hash.wrapping_sub(void.hash));
    let missing = became - i128::from(claims.count);
    if claims.seal == seal + 1 {
        if missing != 0 || hash != claims.lsn_hash {
            wrong(format!(
                "its rows are not those that its log had for it: {missing} more are accounted for"
            ));
        }
        return;
    }
    let (from, to) = (seal + 1, claims.seal - 1);
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
        claims.as_of
    ));
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
