//! A node of a cluster: it follows the owner of the log, or owns it. `docs/adr/0024-cluster.md` has the protocol.
//!
//! [`claim`] says who a fence's owner is, [`liveness`] when it is time to take over, [`state`] what everybody may know
//! of this node, [`forwarding`] answers in the owner's place, [`following`] asks who owns the log, [`feeds`] keeps the
//! feeds of an owner running, [`node`] goes from one state to the next. [`probe`] looks at a cluster from outside.

mod claim;
mod liveness;
mod state;
mod forwarding;
mod following;
mod feeds;
mod node;
mod probe;
mod start;

pub use claim::cluster_of;
pub(super) use node::RunningNode;
pub use probe::{ClusterFinding, probe_cluster};
pub(super) use start::{StartedNode, owner_text, start};
