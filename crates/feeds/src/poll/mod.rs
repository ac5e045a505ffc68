//! Polls: entities that REST APIs hold, pulled on a schedule and landed like events.
//!
//! ```text
//!  schedule ─▶ supervisor ─▶ run ─┬─ snapshot ─┬─▶ pages ─▶ fetch ─▶ client ─▶ body ─▶ parse ─▶ collect ─▶ wal
//!  control ──────┘                └─ append ───┘     ▲                                           │
//!                                                    └───────── next page ◀──────────────────────┘
//! ```
//!
//! The client of a poll makes its requests over the link to its API, which all polls of that API share:
//! connections, credentials, the rate of requests and holds.
//!
//! Polls are declared in the configuration, not programmed. A run blocks on a thread of its own and
//! reads a page as it arrives: memory does not depend on the size of a page. The rows of a run and
//! its cursor become durable together.

pub mod definition;
mod credentials;
pub mod feed;
pub mod schedule;
pub mod plan;
pub mod asked;
pub mod supervisor;
pub mod replay;
pub mod control;
pub mod job;
pub mod run;
mod snapshot;
mod append;
mod passes;
pub mod tokens;
pub mod each;
pub mod parents;
pub mod windows;
pub mod asking;
mod reading;
pub mod pages;
pub mod template;
pub mod request;
pub mod fetch;
pub mod retry;
pub mod client;
pub mod exchange;
pub mod link;
mod connection;
pub mod auth;
mod signing;
mod oauth;
mod refresh;
mod jwt;
mod outgoing;
pub mod kept;
pub mod limits;
pub mod trouble;
pub mod body;
mod charset;
mod complaint;
mod page;
mod table;
mod lines;
pub mod parse;
mod notes;
pub mod record;
pub mod read_error;
pub mod facts;
pub mod wanted;
pub mod place;
pub mod form;
mod extent;
mod window;
pub mod resume;
pub mod state;
