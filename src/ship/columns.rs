//! Notes of columns: what the columns of a stream without a schema are, for readers and nodes that do not have the
//! log.
//!
//! The notes of a stream are numbered from 1, without gaps, whichever node puts them, and are never replaced. A
//! note is in the lake before a node settles the types that it names, and so before any object with its columns. A
//! node settles only what it has read in the notes: if another one was faster, its note is read, and what it says
//! of a column holds for both.

use std::sync::{Arc, PoisonError};

use super::commit::{ShipError, Shipper};
use super::noted::{ColumnsNote, LastNote};
use crate::files::Files;
use crate::json::push_json;
use crate::lake::notes::leave;
use crate::lake::{LakeError, Trouble, keys};
use crate::tables::{FoundColumn, GrowingTable, Settled, Shape, StreamTable, Table};
use crate::wal::journal::seam::Frames;

/// Notes that are put before the object has to wait. Each but the last one found that another node was faster.
const ROUNDS: u32 = 100;

impl<F: Files, R: Frames> Shipper<F, R> {
    /// The table of an object that is about to be written. If it can grow, its columns are noted in the lake, and
    /// then settled, before this returns.
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
        let last = all.entry(stream.to_owned()).or_default();
        if !last.is_read {
            while self.read_columns(stream, growing, last)? {}
            last.is_read = true;
        }
        for _ in 0..ROUNDS {
            let shape = growing.live.proposed(settled);
            if last.covers(&shape) {
                tell_differences(stream, last, &shape);
                growing.live.settle(&shape)?;
                return Ok(Arc::new(growing.with(&shape)));
            }
            // Only what was read counts, also of what this node has put.
            if !self.read_columns(stream, growing, last)? {
                self.put_columns(stream, last.number + 1, shape.columns())?;
            }
        }
        Err(again(format!("other nodes note columns of {stream} all the time")).into())
    }

    /// Reads the next note, and takes over its columns; `false` if there is none.
    fn read_columns(
        &self,
        stream: &str,
        growing: &GrowingTable,
        last: &mut LastNote,
    ) -> Result<bool, LakeError> {
        let key = keys::columns_key(stream, last.number + 1);
        let Some(text) = self.lake.read_small(&key)? else {
            return Ok(false);
        };
        let note = serde_json::from_slice::<ColumnsNote>(&text).ok();
        let Some(note) = note.filter(|note| note.stream == stream && note.is_whole()) else {
            // Tried again, because the answer may have come from a proxy and not from the lake.
            return Err(again(format!(
                "{key} in the lake does not say which columns {stream} has; its objects wait until it can be read"
            )));
        };
        last.number += 1;
        last.take_over(&note.columns);
        growing.live.adopt(&note.columns);
        Ok(true)
    }

    /// Puts a note, unless another node is first: the next round reads which one is there.
    fn put_columns(
        &self,
        stream: &str,
        number: u64,
        columns: &[FoundColumn],
    ) -> Result<(), LakeError> {
        let note = ColumnsNote::new(stream, &self.node.to_string(), columns);
        let mut text = Vec::new();
        push_json(&mut text, &note);
        let key = keys::columns_key(stream, number);
        match leave(&self.files, &self.lake, key, self.node, &text) {
            Ok(()) | Err(LakeError::Foreign { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Tells once which columns have two types: in objects of this node, and in those that the notes speak of.
fn tell_differences(stream: &str, last: &mut LastNote, shape: &Shape) {
    for (own, noted) in last.differences(shape) {
        tracing::error!(
            stream,
            column = own.name,
            own = %own.kind,
            noted = %noted.kind,
            "a column has another type in objects of this node than in those of others, as notes in the lake say; \
             readers find the values of one of them under `extra`. Give the stream a schema"
        );
    }
}

fn again(message: String) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message,
    }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
