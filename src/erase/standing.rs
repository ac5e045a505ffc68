//! Whether the commit of an object is confirmed, by what logs and the lake say. Only then may it be rewritten.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Micros;
use crate::ids::NodeId;
use crate::lake::stamp::Stamp;
use crate::record::Lsn;

/// An object of a node whose log is elsewhere counts as committed after this long, even if it is the node's last.
const OLD_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What a log on this machine says of its seals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSeals {
    /// The last one.
    pub last: u64,
    /// Those without a commit.
    pub waiting: BTreeSet<u64>,
}

/// What is known of commits.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Logs on this machine.
    pub logs: BTreeMap<NodeId, LogSeals>,
    /// By node: the first LSN of its newest object in the lake.
    pub newest: BTreeMap<NodeId, Lsn>,
    /// The time.
    pub now: Micros,
}

impl Standing {
    /// Why the commit of an object is not confirmed; `None` if it is.
    pub fn doubt(&self, stamp: &Stamp) -> Option<String> {
        if let Some(log) = self.logs.get(&stamp.node) {
            let is_committed = stamp.seal <= log.last && !log.waiting.contains(&stamp.seal);
            let doubt = "the log here has not confirmed it yet; run the command again";
            return (!is_committed).then(|| doubt.to_owned());
        }
        // Rows that came after this seal are in the lake.
        let newest = self.newest.get(&stamp.node);
        let is_followed = newest.is_some_and(|newest| *newest > stamp.as_of.lsn);
        let is_old = crate::rfc3339::parse(&stamp.as_of.watermark)
            .is_some_and(|time| time.0.saturating_add(OLD_MICROS) < self.now.0);
        (!is_followed && !is_old).then(|| {
            format!(
                "it is among the newest objects of node {}, whose log is not here; run the command where that log is",
                stamp.node
            )
        })
    }
}
