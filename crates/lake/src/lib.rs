//! The lake: puts one object, atomically and idempotently.
//!
//! It promises that an object is there whole or not at all, is never replaced, and is reported as
//! put only when it is durable and proven to be ours. It knows bytes and metadata, but no events.
//!
//! There are two kinds of lake: a [`directory`], and [`conditional`] puts into an
//! [`store::ObjectStore`], which is [`s3`] in the program.

mod errors;
mod object;
pub mod keys;
pub mod stamp;
mod sidecar;
mod original;
pub mod directory;
pub mod store;
pub mod proof;
mod abilities;
pub mod conditional;
pub mod items;
pub mod rewrite;
pub mod remove;
pub mod lease;
pub mod versions;
mod configured;
pub mod s3;
pub mod destination;
pub mod parts;
pub mod reader;
pub mod calendar;
pub mod notes;
pub mod label;
pub mod anchor;
pub mod encode;

pub use configured::Lake;
pub use errors::{LakeError, Trouble};
pub use object::{Assembled, Found, Metadata, Object};
pub use stamp::{CRC, NONCE, ROW_HASH};
