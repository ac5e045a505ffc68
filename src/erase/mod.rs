//! Erasing rows from a lake: which rows a request means, the notes that say what was asked and done, and the
//! exchange of one object for a copy without these rows.
//!
//! Decision 14 has the protocol with every crash point. [`condition`], [`request`] and [`standing`] are pure;
//! [`eraser`] has the effects, through the seams of the lake and of files.

pub mod condition;
pub mod request;
pub mod key;
pub mod standing;
pub mod landing;
pub mod notes;
pub mod eraser;
