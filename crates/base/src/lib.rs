//! The ground that every layer stands on: values, and seams to the outside. No network, no threads, no
//! waiting.
//!
//! Time, randomness and files are reached only through [`clock`], [`ids`] and [`files`], so that a
//! simulation can decide what they do.

pub mod tables;
pub mod columns;
pub mod json;
pub mod record;
pub mod secret;
pub mod ids;
pub mod files;
pub mod rfc3339;
pub mod clock;
pub mod checksum;
