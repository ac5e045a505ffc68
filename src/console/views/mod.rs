//! The views, one file each.

pub(super) mod cluster;
pub(super) mod contract;
pub(super) mod find;
pub(super) mod lake;
pub(super) mod lake_object;
pub(super) mod live;
pub(super) mod node;
pub(super) mod overview;
pub(super) mod polls;
pub(super) mod quarantine;
mod quarantine_index;
pub(super) mod quarantine_replay;
pub(super) mod quarantine_row;
pub(super) mod query;
pub(super) mod sources;
