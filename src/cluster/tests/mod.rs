//! Forwarding over real connections, to an owner with a real log.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and read and write files of their own"
)]

mod node;
mod proxy;
mod forwarding;
mod hostile;
mod cuts;
mod bodies;
mod lending;
