//! The write-ahead log: what makes an acknowledgement durable, and the only buffer.
//!
//! Promises: an answer leaves only after the sync of the frame that holds its rows; a frame counts
//! whole or not at all; each id counts once within the dedup window; a batch's boundary is itself in
//! the log; nothing is removed before the log says so durably. Knows no JSON, no HTTP and no lake: rows
//! are bytes, keys and partitions are given to it.
//!
//! Three rooms: [`journal`] makes frames durable, [`ledger`] says what they mean and knows no file, [`dedup`]
//! knows which events were there before. Around them: [`recover`] (from a journal to a writer), [`rows`]
//! (reading a batch back), [`log`] (the thread, and the handle that everybody else holds), [`inspect`]
//! (looking in from outside), [`rescue`] (what can be read of a log that cannot go on), `helper` (work
//! beside the writer).
//!
//! What came before: other logs recycle files, keep positions in a side file, retry a failed sync, or
//! skip what they cannot read. Each of these has lost somebody's data. The price paid here is a copy of
//! the last frame at each start, and 4 KiB at least for each frame.

pub mod journal;
pub mod ledger;
pub mod dedup;
pub mod helper;
pub mod recover;
pub mod rows;
pub mod log;
pub mod inspect;
pub mod rescue;

pub use journal::{layout, node, read};
pub use ledger::{batch, entry, facts, frame, lateness, request, runs, state, writer};
