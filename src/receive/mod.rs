//! Receiving: HTTP in, problems out.
//!
//! The order of what happens to a request: a TLS handshake where there is a certificate ([`tls`]) →
//! hyper's HTTP/1 on a stream with limits of time ([`slow`]) →
//! [`gate`] (Host,
//! framing, request id, metrics, panics) → limits per client and credentials ([`client`]) → media type
//! and encodings → [`body`] (read, and inflated, under limits of size, time and memory) → the contract →
//! the log → [`replies`], the one map from outcome to status.
//!
//! Knows nothing of batches, objects or the lake.

pub mod server;
pub mod tls;
mod validity;
pub mod slow;
pub mod gate;
pub mod router;
pub mod client;
pub mod budget;
pub mod turns;
pub mod body;
pub mod signature;
pub mod webhook;
pub mod hooks;
pub mod refused;
pub mod replies;
pub mod health;
pub mod openapi;

pub use router::{App, Core, Front, PollsView, Settings};
pub use server::Server;
