//! A journal makes frames durable, and reads them back.
//!
//! [`seam`] says what the ledger needs of any journal: append a frame after the last one, read
//! frames in order, forget the oldest. A journal may keep its frames in files, in memory, as one
//! object each in an object store, or as messages of a stream; the ledger cannot tell. One suite of
//! tests (`tests/simulation/journal_suite.rs`) runs against every journal.
//!
//! The usual journal keeps frames in files of one directory: [`local`] implements the seam,
//! [`layout`] defines the bytes, [`segment`] fills a file, [`spares`] makes files in advance, `sizes` says how large,
//! [`read`] decides which frames count, [`inventory`] lists the files, [`torn`] copies what follows
//! the last frame, [`node`] says whose directory it is, [`exchange`] puts one log in another's
//! place. [`replica`] keeps frames where other machines can reach them.

pub mod layout;
pub mod frames;
pub mod errors;
pub mod seam;
pub mod segment;
pub mod read;
pub mod inventory;
pub mod torn;
pub mod node;
pub mod mark;
pub mod exchange;
pub(crate) mod sizes;
pub mod spares;
pub mod local;
pub mod replica;
