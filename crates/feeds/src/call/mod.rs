//! Calls: rows out to an API, and its answers back as a stream.
//!
//! ```text
//!  outbox ─▶ groups ─▶ known? ─▶ chunk ─▶ pending (durable) ─▶ API ─▶ answer ─▶ one entry of the log
//!                        ▲                   ▲                    │                      │
//!                        └───────────────────┼── lost: the same chunk, the same key ◀────┤
//!                                            └── refused (400, 413): two halves ◀────────┘
//! ```
//!
//! SQL writes rows to an outbox; a call sends what was not sent before. To the API at least once, in the
//! lake exactly once: which rows make a chunk is durable before it is sent, and a chunk is sent again under
//! the same key until its answer is known. The answer is one entry of the log, together with a row
//! for each group of the chunk, whose identity says from then on that the group was sent. So nothing but the
//! log remembers what was sent, however large the outbox is.
//!
//! Decision 19 has the protocol and its crash points.

pub mod definition;
pub mod plan;
mod group;
mod outbox;
mod chunk;
mod pending;
mod answer;
mod store;
mod sending;
mod times;
pub mod report;
pub mod run;
pub mod control;
pub mod feed;
