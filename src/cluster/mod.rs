//! The wire between the nodes of a cluster: a node that does not own a log checks requests, and forwards their rows to
//! the node that does.
//!
//! It promises that a forwarded request is acknowledged only by an owner that has the cluster's secret, and only once its
//! rows are durable; that a request is carried out at most once, however often its bytes arrive; and that the forwarder
//! learns whether nothing was stored for certain, or whether nobody knows. Rows that were forwarded are never forwarded
//! again.
//!
//! It does not encrypt: rows pass as they are, so the network between the nodes must be private. It does not find out who
//! owns a log, and it repeats nothing of which the outcome is unknown.
//!
//! In the order of reading: `secret` and `head` (who may ask, and who answers), `nonces` (nothing is carried out twice),
//! `message` (the rows of a request as bytes), `refusal`, `outcome` and `answer` (what the owner says), `reading` (a body
//! as it arrives), `handling` and `server` (the owner's side), `error`, `line`, `waiting`, `gathering` and `peer` (the
//! forwarder's side).

mod secret;
mod target;
mod limits;
mod owner;
mod malformed;
mod head;
mod nonces;
mod message;
mod refusal;
mod outcome;
mod answer;
mod reserved;
mod reading;
mod handling;
mod server;
mod error;
mod line;
mod lending;
mod waiting;
mod gathering;
mod peer;

pub use error::ForwardError;
pub use limits::{MAX_AHEAD, MAX_APART, Timing, WireLimits};
pub use owner::Owner;
pub use peer::Peer;
pub use refusal::Refusal;
pub use secret::{ClusterSecret, WeakSecret};
pub use server::serve;
pub use target::{LastFrame, Standing, Target};
pub use waiting::Waiter;

#[cfg(test)]
mod tests;
