//! Engines that keep a replicated log, behind the seam of `wal`: a bucket, or a stream of NATS JetStream.
//!
//! Nobody but the owners of the log may write there, and whoever reads there sees every event.

pub mod bucket;
mod credentials;
mod connecting;
pub mod nats;
mod parts;
pub mod stream;
mod stream_checks;
pub mod monitor;
pub mod place;

pub use connecting::NatsAccess;
pub use place::{LogEngine, ReplicaAccess, ReplicaPlace};
