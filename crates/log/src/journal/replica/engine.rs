//! What a replicated journal needs of the engine that keeps its frames, and no more.
//!
//! An engine keeps items by name and never changes them. Its promises: of all puts of one name, at
//! most one is stored while the item is there; a read that follows a stored put finds it, unless it
//! was deleted; and so does a list. Each start, and `lakehook check`, probes them.

use std::io;
use std::sync::Arc;

/// The name of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The frame of that number.
    Frame(u64),
    /// A file beside the frames: the log's identity, or ids of a segment.
    File(&'a str),
}

/// The verdict on a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutVerdict {
    /// The item was not there, and is now.
    Stored,
    /// There is an item of that name already: perhaps this one, whose answer was lost.
    Taken,
}

/// Why there is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The engine has no space. The item was not stored, and will not be.
    #[error("{0}")]
    Full(String),
    /// Nobody knows: the request may have been carried out, or may be carried out later.
    #[error("{0}")]
    Unknown(String),
}

impl From<EngineError> for io::Error {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Full(message) => Self::new(io::ErrorKind::StorageFull, message),
            EngineError::Unknown(message) => Self::other(message),
        }
    }
}

/// The engine that keeps a log.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Puts an item, unless there is one of that name.
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError>;

    /// The bytes of an item; `None` if there is none.
    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError>;

    /// Numbers of all frames from `first` on, in ascending order. What was stored before the call
    /// is in the answer, unless it was deleted.
    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError>;

    /// Names of all files.
    fn files(&self) -> Result<Vec<String>, EngineError>;

    /// Deletes an item; `Ok` too if there is none.
    fn delete(&self, item: Item<'_>) -> Result<(), EngineError>;

    /// Deletes what the engine keeps in reserve, so that something small fits into it although it is full.
    fn make_room(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Whether an engine that was full has room again. What is kept in reserve is put back first.
    fn has_room(&self) -> Result<bool, EngineError> {
        Ok(true)
    }

    /// Name of the log in the engine, for messages.
    fn name(&self) -> String;

    /// Bytes that each item takes beside its own, where there is a bound for all of them.
    fn beside(&self) -> u64 {
        0
    }
}

/// Decides after that many failed attempts, and the last one's error, whether there is another one,
/// and waits before it.
pub type KeepTrying = Arc<dyn Fn(u32, &EngineError) -> bool + Send + Sync>;

/// Repeats a request that changes nothing, or that may be repeated, until there is an answer.
pub fn insist<T>(
    keep_trying: &KeepTrying,
    mut request: impl FnMut() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let mut failed = 0;
    loop {
        match request() {
            Err(error) => {
                failed += 1;
                if !keep_trying(failed, &error) {
                    return Err(error);
                }
            }
            answer => return answer,
        }
    }
}
