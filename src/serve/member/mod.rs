//! A node of a cluster: of each log it follows the owner, or owns it. `docs/adr/0024-cluster.md` has the protocol, and
//! `docs/adr/0025-several-logs.md` what several logs add.
//!
//! [`claim`] says who a fence's owner is, [`liveness`] when it is time to take over, [`state`] what everybody may know
//! of this node, [`forwarding`] answers in the owner's place, [`following`] asks who owns the log, [`members`] has all logs and
//! says which node takes which, [`feeds`] keeps the feeds of an owner running, [`node`] goes from one state to the next,
//! [`running`] ends it, [`start`] makes all of them. [`probe`] looks at a cluster from outside.

mod claim;
mod liveness;
mod state;
mod forwarding;
mod following;
mod members;
mod feeds;
mod node;
mod probe;
mod running;
mod start;

pub use claim::cluster_of;
pub use probe::{ClusterFinding, probe_cluster};
pub(super) use running::RunningNode;
pub(super) use start::{StartedNode, owner_text, start};
