//! What the listener needs of the node that it listens for.

use super::target::Standing;
use crate::clock::Micros;
use crate::wal::log::Log;

/// A node that may own logs.
pub trait Owner: Send + Sync + 'static {
    /// The log of this number and its epoch, if this node owns it.
    fn log(&self, index: u16) -> Option<(Log, u64)>;

    /// How the log of this number stands with this node; `None` if the cluster has no such log. Asked with every request, so
    /// it must be cheap.
    fn standing(&self, index: u16) -> Option<Standing>;

    /// Another node, which owns fewer logs, would like to own this one. Returns whether it is handed over soon.
    fn hand_over(&self, _index: u16) -> bool {
        false
    }

    /// The time by this node's clock.
    fn now(&self) -> Micros;
}
