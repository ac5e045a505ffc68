//! Receiving: HTTP requests in; rows in the log, or problems (RFC 9457), out.
//!
//! A request passes these steps: a TLS handshake, if there is a certificate ([`tls`]) → hyper's HTTP/1 on a
//! stream with [`deadlines`], or `http2` where the client speaks that → [`gate`] (framing, request id, metrics) → [`router`] → `intake`, which takes
//! every body to its durable answer. Within `intake`: rate and token of the client ([`client`]) → media type
//! and encoding → [`body`], read and inflated under limits of size, time and memory → [`admission`] → the
//! contract → the log → [`replies`], the one map from results to status and body. [`webhook`] defines where
//! webhooks differ.
//!
//! Knows nothing of batches, objects, the lake or polls.

pub mod answering;
pub mod server;
pub mod tls;
mod certificate;
pub mod deadlines;
mod multiplexed;
mod http2;
pub mod gate;
pub mod router;
pub mod app;
pub mod client;
pub mod budget;
pub mod processors;
mod media;
pub mod body;
pub mod fields;
pub mod packs;
pub mod signature;
pub mod jwt;
pub mod admission;
mod forms;
mod delivery;
mod networks;
mod proxies;
mod challenges;
mod sns;
mod sns_client;
mod cloud_events;
mod elements;
mod kept_headers;
mod repeated;
mod again;
mod alarm;
mod unread;
mod unreadable;
pub mod recent;
pub mod watch;
pub mod recall;
mod browsers;
mod oversized;
mod intake;
pub mod webhook;
pub mod sample;
pub mod hooks;
pub mod refused;
pub mod replies;
pub mod figures;
mod health;
pub mod pages;
pub mod openapi;

pub use again::KeptDelivery;
pub use alarm::Alarm;
pub use app::{App, ClusterView, Core, Credentials, PollFigures, ReceiveSettings};
pub use browsers::names_this_machine;
pub use figures::{ClusterHealth, ClusterRole, LogHealth};
pub use kept_headers::KeptHeaders;
pub use networks::Networks;
pub use proxies::Proxies;
pub use repeated::Repeated;
pub use router::Front;
pub use server::Server;
pub use sns::Topics;
