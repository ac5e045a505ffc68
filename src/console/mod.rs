//! The console: pages for people, on an address of their own, that show what a running service does.
//!
//! Each view reads what its room offers (figures of the log, metrics, the lake), in bounded amounts and beside the way
//! of the data: it takes no lock that a request or the log waits for, and copies nothing for which nobody asks. Pages are
//! made on the server, work without scripts but for what is live, and hold no secret.
//!
//! Whatever a sender controls reaches a page as a value of [`maud`]'s templates, which escape every value; there is no
//! other way to make a page, and a test forbids the way around it. A browser is told the same again by a
//! Content-Security-Policy that allows neither inline scripts nor anything of others.
//!
//! `front` lets in who may come in, and leads to the views.

pub mod settings;
mod history;
mod readings;
mod jobs;
mod sessions;
mod state;
mod guard;
mod asked;
mod reply;
mod shown;
mod plot;
mod json_view;
mod standing;
mod layout;
mod stream;
mod views;
mod login;
mod front;

pub use front::ConsoleFront;
pub use settings::{ConsoleSettings, FeedSetting, ShownSetting};
pub use state::{
    Console, ConsoleFeeds, ConsoleParts, MakeStatements, MakingStatements, OpenLake, OpeningLake,
    ReplayRows, ReplayStep, Replaying, Statements, WantedRows,
};
