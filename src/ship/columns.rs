//! Notes of columns: what the columns of a stream without a schema are, for readers and nodes that do not have the
//! log.
//!
//! The notes of a stream are numbered from 1, without gaps, whichever node puts them, and are never replaced. A
//! note is in the lake before any object with its columns. Before a node settles the types of a stream for the first
//! time, it reads all notes and takes over what they say, so that a column keeps its type also after the loss of a
//! log.

use std::sync::{Arc, PoisonError};

use super::commit::{ShipError, Shipper};
use super::noted::{ColumnsNote, LastNote};
use crate::files::Files;
use crate::json::push_json;
use crate::lake::notes::leave;
use crate::lake::{LakeError, Trouble, keys};
use crate::tables::{FoundColumn, GrowingTable, Settled, StreamTable, Table};
use crate::wal::journal::seam::Frames;

/// More notes of one stream are not read; there is at most one for each column and change of its state.
const MAX_NOTES: u64 = 10_000;

impl<F: Files, R: Frames> Shipper<F, R> {
    /// The table of an object that is about to be written. If it can grow, its columns are settled, and noted in
    /// the lake, before this returns.
    pub(super) fn table_of(
        &self,
        partition: &str,
        settled: Settled,
    ) -> Result<Arc<Table>, ShipError> {
        let growing = match self.tables.of(partition) {
            StreamTable::Fixed(table) => return Ok(Arc::clone(table)),
            StreamTable::Growing(growing) => growing,
        };
        let stream = keys::top_folder(partition).unwrap_or(partition);
        let mut all = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(stream) {
            let last = self.read_notes(stream, growing)?;
            all.insert(stream.to_owned(), last);
        }
        let shape = growing.live.settle(settled)?;
        let last = all.entry(stream.to_owned()).or_default();
        if !last.known.covers(&shape) {
            let number = last.number + 1;
            if let Err(error) = self.put_note(stream, number, shape.columns()) {
                // It may be in the lake, or another node's may be there.
                all.remove(stream);
                return Err(error);
            }
            last.number = number;
            last.known.adopt(shape.columns());
        }
        Ok(Arc::new(growing.with(&shape)))
    }

    /// Reads the notes of a stream, and takes over their columns.
    fn read_notes(&self, stream: &str, growing: &GrowingTable) -> Result<LastNote, ShipError> {
        let mut last = LastNote::default();
        while last.number < MAX_NOTES {
            let key = keys::columns_key(stream, last.number + 1);
            let Some(text) = self.lake.read_small(&key)? else {
                break;
            };
            last.number += 1;
            match serde_json::from_slice::<ColumnsNote>(&text) {
                Ok(note) => {
                    growing.live.adopt(&note.columns);
                    last.known.adopt(&note.columns);
                }
                Err(error) => {
                    tracing::warn!(key, %error, "a note of columns cannot be read, and is passed over");
                }
            }
        }
        Ok(last)
    }

    fn put_note(
        &self,
        stream: &str,
        number: u64,
        columns: &[FoundColumn],
    ) -> Result<(), ShipError> {
        let note = ColumnsNote {
            version: 1,
            stream: stream.to_owned(),
            node: self.node.to_string(),
            columns: columns.to_vec(),
        };
        let mut text = Vec::new();
        push_json(&mut text, &note);
        let key = keys::columns_key(stream, number);
        match leave(&self.files, &self.lake, key, self.node, &text) {
            Err(LakeError::Foreign { key, .. }) => Err(LakeError::Retry {
                kind: Trouble::Other,
                message: format!(
                    "another node has put {key} meanwhile; it is read, and the next number taken"
                ),
            }
            .into()),
            left => Ok(left?),
        }
    }
}
