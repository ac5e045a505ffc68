//! Journals: what makes a frame durable.

pub mod layout;
pub mod segment;
pub mod read;
pub mod inventory;
pub mod torn;
pub mod node;
pub mod swap;
pub mod errors;
