//! Notes of columns in the lake, and what a process knows of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::columns::ColumnType;
use crate::json::push_json;
use crate::tables::{FieldIds, FoundColumn, Settled, Shape};

/// A note.
#[derive(Debug, Serialize, Deserialize)]
pub struct ColumnsNote {
    version: u32,
    pub(super) stream: String,
    node: String,
    /// All columns of the stream that this node knew.
    pub columns: Vec<FoundColumn>,
    /// Hash of the columns; notes of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl ColumnsNote {
    /// The note of a node.
    pub(super) fn new(stream: &str, node: &str, columns: &[FoundColumn]) -> Self {
        Self {
            version: 1,
            stream: stream.to_owned(),
            node: node.to_owned(),
            columns: columns.to_vec(),
            hash: Some(hash_of(columns)),
        }
    }

    /// Whether it says what was written.
    pub fn is_whole(&self) -> bool {
        let hash = self.hash.as_ref();
        hash.is_none_or(|hash| *hash == hash_of(&self.columns))
    }
}

fn hash_of(columns: &[FoundColumn]) -> String {
    let mut text = Vec::new();
    push_json(&mut text, &columns);
    format!("{:016x}", xxh3_64(&text))
}

/// What this process knows of the notes, by stream.
pub(super) type Noted = Mutex<BTreeMap<String, LastNote>>;

/// What the notes of a stream say that were read.
#[derive(Debug, Default)]
pub(super) struct LastNote {
    /// How many they are.
    pub(super) number: u64,
    /// Whether all were read that were there when this process began.
    pub(super) is_read: bool,
    /// The columns of all notes. There may be more than a shape holds, of nodes that found others.
    columns: BTreeMap<String, (ColumnType, Settled)>,
    /// Columns whose difference was told.
    told: BTreeSet<String>,
}

impl LastNote {
    /// Takes over the columns of a note. What is settled further counts, and then what was noted first.
    pub(super) fn take_over(&mut self, columns: &[FoundColumn]) {
        for column in columns {
            let noted = (column.kind, column.settled);
            let known = self.columns.entry(column.name.clone()).or_insert(noted);
            if column.settled > known.1 {
                *known = noted;
            }
        }
    }

    /// Whether all columns of a shape are noted, settled as far as they are there.
    pub(super) fn covers(&self, shape: &Shape) -> bool {
        shape.columns().iter().all(|column| {
            let known = self.columns.get(&column.name);
            known.is_some_and(|(_, settled)| *settled >= column.settled)
        })
    }

    /// The columns that have another type than the notes say, which is also returned; each once.
    pub(super) fn differences(&mut self, shape: &Shape) -> Vec<(FoundColumn, ColumnType)> {
        let mut differences = Vec::new();
        for column in shape.columns() {
            if let Some((kind, _)) = self.columns.get(&column.name)
                && *kind != column.kind
                && self.told.insert(column.name.clone())
            {
                differences.push((column.clone(), *kind));
            }
        }
        differences
    }
}

/// The field ids of typed objects that this process knows, by stream.
pub(super) type Numbered = Mutex<BTreeMap<String, NumberedColumns>>;

/// What the notes of field ids say that were read of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberedColumns {
    pub(super) notes: u64,
    pub(super) ids: FieldIds,
}
