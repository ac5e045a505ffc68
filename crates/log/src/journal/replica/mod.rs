//! The journal in an engine that several machines can reach, such as a bucket: one object for each
//! frame, under the frame's number, put on the condition that there is none yet.
//!
//! [`engine`] says what is needed of the engine, [`envelope`] what stands before each frame, `walk`
//! reads the frames, [`found`] takes the log over, [`owner`] appends, [`cache`] keeps copies
//! on the local disk, [`identity`] is the log's id and key, [`copies`] keeps id files in the engine, [`sides`] the files
//! that stand beside the log, and [`lookout`] sees from outside who owns it. The protocol, and why it can be believed, is in `docs/adr/0020-replicated-log.md`.

pub mod engine;
pub mod envelope;
pub mod cache;
pub mod identity;
pub mod copies;
pub mod owner;
pub mod sides;
pub(crate) mod walk;
pub mod found;
pub mod lookout;
