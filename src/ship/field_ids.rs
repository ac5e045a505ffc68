//! Field ids of the columns of typed objects.
//!
//! Tables over Parquet know a column by its number, not by its name. The numbers belong to a stream: every node
//! that writes to it gives a column the same one, and none is ever used for another column. They are in the
//! lake, in notes that are numbered from 1 and never changed: a node that brings new columns puts the next note,
//! with the ids of these columns, before the first object that has them. If another node was faster, its note is
//! read, and the columns that it lacks are in the next one.

use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};

use super::commit::Shipper;
use super::noted::KnownFields;
use crate::files::Files;
use crate::json::push_json;
use crate::lake::notes::leave;
use crate::lake::{LakeError, Trouble, keys};
use crate::tables::{FieldIds, Table};
use crate::wal::journal::seam::Frames;

/// The only version of their form so far.
const FORM: u32 = 1;
/// Names in a note have at most so many bytes together, because notes are read whole.
const NAMES_OF_NOTE: usize = 16 << 10;
/// Rounds before the object has to wait. Each reads notes, or puts one.
const ROUNDS: u32 = 100;

/// A note.
#[derive(Debug, Serialize, Deserialize)]
struct FieldsNote {
    version: u32,
    stream: String,
    node: String,
    /// The columns that no note before has.
    fields: FieldIds,
}

impl<F: Files, R: Frames> Shipper<F, R> {
    /// The table of a typed object, with the field ids of its columns, which are in the lake when this returns. In
    /// a store that ignores conditions, two nodes could give one number to two columns, so columns have none.
    pub(super) fn with_field_ids(
        &self,
        partition: &str,
        table: &Table,
    ) -> Result<Arc<Table>, LakeError> {
        if self.lake.honours_conditions() == Some(false) {
            return Ok(Arc::new(table.clone()));
        }
        let stream = keys::stream_of(partition);
        let mut all = self.numbered.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(stream.to_owned()).or_default();
        for _ in 0..ROUNDS {
            let names = table.columns.iter().map(|column| column.name.as_str());
            let missing = known.ids.missing(names, NAMES_OF_NOTE);
            if missing.is_empty() {
                return Ok(Arc::new(table.with_field_ids(&known.ids)));
            }
            // Only what was read can be gone on from.
            if !self.read_next(stream, known)? {
                self.put_next(stream, known.notes + 1, missing)?;
            }
        }
        Err(again(format!(
            "other nodes name columns of {stream} all the time"
        )))
    }

    /// Reads the next note; `false` if there is none.
    fn read_next(&self, stream: &str, known: &mut KnownFields) -> Result<bool, LakeError> {
        let key = keys::field_ids_key(stream, known.notes + 1);
        let Some(text) = self.lake.read_small(&key)? else {
            return Ok(false);
        };
        let note = serde_json::from_slice::<FieldsNote>(&text).ok();
        let note = note.filter(|note| note.version == FORM && note.stream == stream);
        if !note.is_some_and(|note| known.ids.add(&note.fields)) {
            // Tried again, because the answer may have come from a proxy and not from the lake.
            return Err(again(format!(
                "{key} in the lake does not say which numbers the columns of {stream} have; typed objects wait until \
                 it can be read"
            )));
        }
        known.notes += 1;
        Ok(true)
    }

    /// Puts the note with this number. If another node has put one under it, the caller reads that one next.
    fn put_next(&self, stream: &str, number: u64, fields: FieldIds) -> Result<(), LakeError> {
        let note = FieldsNote {
            version: FORM,
            stream: stream.to_owned(),
            node: self.node.to_string(),
            fields,
        };
        let mut text = Vec::new();
        push_json(&mut text, &note);
        let key = keys::field_ids_key(stream, number);
        match leave(&self.files, &self.lake, key, self.node, &text) {
            Ok(()) | Err(LakeError::Foreign { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn again(message: String) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message,
    }
}

#[cfg(test)]
#[path = "field_ids_tests.rs"]
mod tests;
