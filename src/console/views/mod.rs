//! The views, one file each.

pub(super) mod overview;
pub(super) mod quarantine;
pub(super) mod quarantine_row;
pub(super) mod sources;
