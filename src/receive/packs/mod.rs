//! Packs: what is known about each provider, as data. A pack says how the provider proves who it is, where its
//! requests have an event's id, type and time, and how it verifies a URL.
//!
//! A new provider is an entry of a table here, and an example with its address in the tests.

mod builds;
mod clients;
mod pack;
mod platforms;
mod sales;
mod services;
mod table;

pub use pack::{Authenticity, Challenge, Pack, Route, Shape, Signed};
pub use table::{GENERIC, PACKS, STANDARD, find};

#[cfg(test)]
mod examples;
#[cfg(test)]
mod further_examples;
#[cfg(test)]
mod tests;
