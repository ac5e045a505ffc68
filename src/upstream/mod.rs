//! The sample upstream: a system that pushes events and serves users and content, with the faults of real systems. It is
//! used by `lakehook upstream`, by `lakehook demo` and by tests.
//!
//! Users and content depend on the seed alone, events refer to them, and [`Sent`] adds up once the generator has stopped.
//! The upstream knows nothing of the contract, the log or the lake, and keeps nothing on disk. It is not a benchmark: it
//! pushes one request at a time.

mod activity;
mod api;
pub(crate) mod chance;
mod generator;
mod options;
mod population;
mod push;
mod sent;
mod service;
mod state;
#[cfg(test)]
mod tests;

pub use options::{Options, OptionsError};
pub use sent::Sent;
pub use service::{ServeError, serve};
pub use state::{SetupError, StartError, Upstream};
