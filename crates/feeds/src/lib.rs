//! Feeds: what lakehook pulls itself, and brings into the lake like events.
//!
//! ```text
//!  serve ─ start(context) ─▶ feed ── records ─▶ collect ─▶ wal
//!        ◀─ figures, stop ─┘            cursor ────┘ (durable with the rows)
//! ```
//!
//! A feed knows where records come from, and when. How they get into the log, what is remembered
//! from run to run, and how a run waits are the same for every feed; the modules here implement
//! them. Polls bring records, and calls the answers to rows that were sent; files are a package of
//! their own, `lakehook-inbox`.

pub mod feed;
pub mod host;
pub mod door;
pub mod context;
pub mod figures;
pub mod places;
pub mod guards;
mod evidence;
pub mod added;
pub mod collect;
pub mod cursor;
pub mod watermark;
pub mod mark_format;
pub mod errors;
pub mod wait;
pub mod storing;
pub mod control;
pub mod poll;
pub mod call;
