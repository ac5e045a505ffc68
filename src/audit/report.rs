//! The results of an audit: what is proved of each node, and what does not add up.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ids::NodeId;

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Discrepancy {
    /// The node, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The object, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Discrepancy {
    /// Reports what is wrong with the object that has this key.
    pub(super) fn of_object(node: Option<NodeId>, key: &str, what: String) -> Self {
        Self {
            node: node.map(|node| node.to_string()),
            key: Some(key.to_owned()),
            what,
        }
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an audit proves of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeProof {
    /// The node's id.
    pub node: String,
    /// How many of its objects are in the lake.
    pub objects: u64,
    /// How many rows they were put with.
    pub rows: u64,
    /// How many of these were erased since, by requests.
    #[serde(skip_serializing_if = "is_zero")]
    pub erased: u64,
    /// How many more objects were removed by retention, which notes list.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired: u64,
    /// How many rows these were put with.
    #[serde(skip_serializing_if = "is_zero")]
    pub expired_rows: u64,
    /// The last seal that is in the lake.
    pub last_seal: u64,
    /// The highest LSN as of that seal.
    pub up_to_lsn: u64,
    /// Rows up to that LSN that no seal covers: their objects came later, or are on their way.
    pub open: u64,
    /// LSNs up to that one which are void.
    pub void: u64,
    /// The totals as of that seal: what was received, and what happened to it.
    pub totals: BTreeMap<String, u64>,
    /// As of that seal: everything received before this time is in the lake.
    pub watermark: String,
    /// What the log adds, if it was given.
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
