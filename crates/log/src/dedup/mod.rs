//! Dedup: which events the log has had before.
//!
//! [`recent`] holds the newest identities in memory. An identity is in a file ([`id_files`]) before
//! memory forgets it; [`archive`] writes, merges and removes these files, and [`lookup`] finds an
//! identity in them. [`tiers`] combines memory and files for the ledger.

pub mod recent;
pub mod id_files;
pub mod lookup;
pub mod archive;
pub mod tiers;
