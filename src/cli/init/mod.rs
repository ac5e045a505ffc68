//! `lakehook init`: writes a configuration, or proposes sections of it, for a person to edit.
//!
//! `init` alone writes a file with comments, and never over another one.
//! `init poll` reads one page of an API and says how it would poll it. What it proposes follows from that page
//! alone; what a page cannot say is said to be unknown, not guessed in silence.

mod fetch;
mod facts;
mod records;
mod paging;
mod fields;
mod section;
mod write;
pub mod file;
pub mod poll;

#[cfg(test)]
mod tests;
