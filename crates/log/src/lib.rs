//! The write-ahead log: what makes an acknowledgement durable, and the only buffer.
//!
//! It promises that an answer leaves only after the sync of the frame that holds its rows; that a
//! frame counts whole or not at all; that each id counts once within the dedup window; that a
//! batch's boundary is itself in the log; and that nothing is removed before the log says so
//! durably. The log knows no JSON, no HTTP and no lake: rows are bytes, and functions in its
//! settings give their keys and partitions.
//!
//! It has three rooms: [`journal`] makes frames durable, [`ledger`] says what they mean and knows
//! no file, [`dedup`] recognises events that the log has had before. Around them: [`recover`] (from
//! a journal to a writer), [`rows`] (reads a batch back), [`log`] (the writer's thread, and the
//! handle to it), `appending` (for those who can wait until there is room), [`seat`] (who answers
//! while another process owns it), [`logs`] (several logs that share the rows of requests), `split`
//! and `parts` (which of them is asked for what, and when), [`inspect`] (reads a log from outside),
//! [`moving`] (from a directory into an engine and back), [`rescue`] (what can be read of a log that
//! cannot go on), `helper` (work beside the writer).
//!
//! Other logs recycle files, keep positions in a side file, retry a failed sync, or skip what they
//! cannot read. Each of these has lost somebody's data. The price of doing without them is a copy
//! of the last frame at each start, and at least 4 KiB for each frame.

pub mod journal;
pub mod ledger;
pub mod dedup;
pub mod helper;
mod opening;
pub mod recover;
pub mod rows;
mod gauges;
mod jobs;
mod stand_in;
pub mod lending;
pub mod log;
mod asking;
mod appending;
pub mod seat;
mod split;
mod parts;
pub mod logs;
pub mod inspect;
pub mod moving;
pub mod rescue;

pub use journal::{layout, node, read};
pub use ledger::{
    batch, entry, facts, frame, lateness, packed, request, reservation, runs, state, writer,
};
