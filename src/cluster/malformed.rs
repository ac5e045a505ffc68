//! Bytes that are not what they should be.

/// The bytes are not of this form; names the part at which that shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed bytes between nodes: {0}")]
pub(super) struct Malformed(pub(super) &'static str);
