//! Journals: what makes a frame durable, and gives it back.
//!
//! [`seam`] says what the ledger needs of any journal: append a frame behind the last one, read frames
//! in order, forget the oldest. A journal may keep its frames in files, in memory, as one object each in
//! an object store, or as messages of a stream; the ledger cannot tell. One suite of tests
//! (`tests/simulation/journal_suite.rs`) holds for every journal.
//!
//! The journal of this program keeps frames in files of one directory: [`local`] is its way through the
//! seam, [`layout`] the bytes, [`segment`] a file that is filled, [`spares`] the files made ahead,
//! [`read`] which frames count, [`inventory`] which files there are, [`torn`] what lay behind the last
//! frame, [`node`] whose directory it is, [`exchange`] how one log takes another's place.

pub mod layout;
pub mod frames;
pub mod errors;
pub mod seam;
pub mod segment;
pub mod read;
pub mod inventory;
pub mod torn;
pub mod node;
pub mod exchange;
pub mod spares;
pub mod local;
