//! A second place for the id files of closed segments, for logs whose directory may vanish.

use std::io;

/// Keeps copies of id files under the names that the files have in the log's directory.
///
/// A copy has the ids of one segment. What is in it follows from the segment's frames, so it makes
/// no difference who puts it, and one that is there is kept. Only what a durable checkpoint has
/// released is removed.
pub trait Copies: Send + Sync {
    /// Keeps a copy; durable when it returns.
    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes the copies all of whose segments are at most this one.
    fn remove_up_to(&self, segment: u64) -> io::Result<()>;
}
