//! Notes of columns in the lake, and what a process knows of them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::tables::{FoundColumn, Shape};

/// A note.
#[derive(Debug, Serialize, Deserialize)]
pub struct ColumnsNote {
    pub(super) version: u32,
    pub(super) stream: String,
    pub(super) node: String,
    /// All columns of the stream that this node knew.
    pub columns: Vec<FoundColumn>,
}

/// What this process knows of the notes, by stream.
pub(super) type Noted = Mutex<BTreeMap<String, LastNote>>;

/// The last note of a stream.
#[derive(Debug, Default)]
pub(super) struct LastNote {
    pub(super) number: u64,
    /// The columns of all notes.
    pub(super) known: Shape,
}
