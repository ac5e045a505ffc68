//! Which log a request is for, and how a log stands with the node that was asked.

use super::malformed::Malformed;
use crate::clock::Micros;
use crate::ids::NodeId;
use crate::wal::ledger::coding::{put_varint, take_array, take_varint};

const IS_OWNER: u8 = 1;
const IS_ALIVE: u8 = 2;
const HAS_LAST: u8 = 4;

/// The log that a request is for, and what its sender believes of it. If any of this is wrong, the request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Which of the cluster's logs.
    pub index: u16,
    /// The log's id.
    pub log: NodeId,
    /// The epoch of its owner. Each start of a process begins a new one, so no request outlives its owner.
    pub epoch: u64,
    /// A fingerprint of everything in the configuration that decides identities and rows: nodes that differ in it would
    /// take a retry for something new.
    pub configuration: u128,
}

/// The newest durable frame of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFrame {
    /// Its number.
    pub number: u64,
    /// Its checksum.
    pub checksum: u32,
}

/// How a log stands with the node that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which of the cluster's logs.
    pub index: u16,
    /// The log's id.
    pub log: NodeId,
    /// The newest epoch that the node knows of; its own if it is the owner.
    pub epoch: u64,
    /// Whether the node owns the log.
    pub is_owner: bool,
    /// Whether it can append: no append has been without a verdict for long.
    pub is_alive: bool,
    /// The newest frame that the node knows to be durable, if it knows one.
    pub last: Option<LastFrame>,
    /// Rows that were received before this time are refused.
    pub floor: Micros,
    /// The time by the node's clock.
    pub now: Micros,
    /// The fingerprint of the node's configuration.
    pub configuration: u128,
}

impl Standing {
    /// Whether a request for this target may be carried out by the node.
    pub fn is_that_of(&self, target: &Target) -> bool {
        self.is_owner
            && self.index == target.index
            && self.log == target.log
            && self.epoch == target.epoch
            && self.configuration == target.configuration
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        out.push(
            flag(self.is_owner, IS_OWNER)
                | flag(self.is_alive, IS_ALIVE)
                | flag(self.last.is_some(), HAS_LAST),
        );
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.log.0.to_le_bytes());
        put_varint(out, self.epoch);
        out.extend_from_slice(&self.floor.0.to_le_bytes());
        out.extend_from_slice(&self.now.0.to_le_bytes());
        out.extend_from_slice(&self.configuration.to_le_bytes());
        if let Some(last) = self.last {
            put_varint(out, last.number);
            out.extend_from_slice(&last.checksum.to_le_bytes());
        }
    }

    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        Self::take_fields(rest).ok_or(Malformed("the standing of a log"))
    }

    fn take_fields(rest: &mut &[u8]) -> Option<Self> {
        let [flags] = take_array(rest)?;
        let index = u16::from_le_bytes(take_array(rest)?);
        let log = NodeId(u64::from_le_bytes(take_array(rest)?));
        let epoch = take_varint(rest)?;
        let floor = Micros(i64::from_le_bytes(take_array(rest)?));
        let now = Micros(i64::from_le_bytes(take_array(rest)?));
        let configuration = u128::from_le_bytes(take_array(rest)?);
        let last = if flags & HAS_LAST == 0 {
            None
        } else {
            Some(LastFrame {
                number: take_varint(rest)?,
                checksum: u32::from_le_bytes(take_array(rest)?),
            })
        };
        Some(Self {
            index,
            log,
            epoch,
            is_owner: flags & IS_OWNER != 0,
            is_alive: flags & IS_ALIVE != 0,
            last,
            floor,
            now,
            configuration,
        })
    }
}
