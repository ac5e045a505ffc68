//! Dedup: which events the log has had before.
//!
//! [`recent`] holds the newest identities in memory. An identity is in a file ([`id_files`]) before
//! memory forgets it; [`archive`] writes, merges and removes these files, and [`lookup`] finds an
//! identity in them. Logs whose directory may vanish keep [`copies`] in a second `place`. [`tiers`]
//! combines memory and files for the ledger.

pub mod recent;
pub mod copies;
pub mod id_files;
pub(crate) mod place;
pub mod lookup;
pub mod archive;
pub mod tiers;
