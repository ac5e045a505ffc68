//! The sample upstream: a system that pushes events and serves users and content, with the faults
//! that real ones have. Used by `lakehook upstream`, by `lakehook demo` and by tests.
//!
//! It promises that users and content depend on the seed alone, that events refer to them, and that
//! [`Sent`] adds up once the generator has stopped. It knows nothing of the contract, the log or the
//! lake, keeps nothing on disk, and is no benchmark: one push is under way at a time.

mod activity;
mod api;
pub(crate) mod chance;
mod generator;
mod options;
mod population;
mod push;
mod sent;
mod service;
#[cfg(test)]
mod tests;

pub use options::{Options, OptionsError};
pub use sent::Sent;
pub use service::{ServeError, SetupError, StartError, Upstream, serve};
