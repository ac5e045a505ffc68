//! Publishing: a run all of whose objects are in the lake gets its marker, and is visible from then on.
//!
//! The end of the run in the log fixes every byte of the marker, so it can be put again after a crash or
//! a lost answer, and is then recognised as ours, like any object.

use std::io::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::commit::{ShipError, Shipper};
use crate::encode::Format;
use crate::files::{Appender, File as _, Files, create_dir_durably, remove_if_there};
use crate::lake::{CRC, Metadata, NONCE, Object, ROW_HASH, keys};
use crate::quarantine::push_json;
use crate::record::Lsn;
use crate::wal::layout::crc32c;
use crate::wal::rows::RowsError;
use crate::wal::runs::RunEnd;
use crate::wal::state::SealAt;

/// What a marker says of one object.
#[derive(Serialize)]
struct MarkedObject<'a> {
    key: &'a str,
    records: u64,
}

impl<F: Files> Shipper<F> {
    /// One attempt to put the marker of a run. Done means that readers see the run.
    pub fn publish(&self, run: Lsn, at: SealAt) -> Result<(), ShipError> {
        self.lake.probe()?;
        let end = self.reader.run_end(run, at);
        let end = end.map_err(|error| match error {
            RowsError::Unreadable { .. } => ShipError::Held(error.to_string()),
            error => io::Error::other(error).into(),
        })?;
        let object = self.marker(&end)?;
        self.lake.put(&object)?;
        Ok(())
    }

    fn marker(&self, end: &RunEnd) -> Result<Object, ShipError> {
        let text = marker_text(end);
        let spool = self
            .lake
            .spool_dir()
            .join(keys::run_part_name(self.node, end.run, end.nonce));
        create_dir_durably(&self.files, self.lake.spool_dir(), true)?;
        remove_if_there(&self.files, &spool)?;
        let file = Arc::new(self.files.create_new(&spool)?);
        Appender::new(Arc::clone(&file)).write_all(&text)?;
        file.sync()?;
        let crc = crc32c(&text);
        let pairs = [
            ("lakehook-node", self.node.to_string()),
            ("lakehook-run", end.run.to_string()),
            (NONCE, format!("{:032x}", end.nonce)),
            (ROW_HASH, format!("{:032x}", xxh3_128(&text))),
            (CRC, format!("{crc:08x}")),
        ];
        let pairs = pairs.into_iter();
        let metadata: Metadata = pairs
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(Object {
            key: end.marker.clone(),
            bytes: text.len() as u64,
            spool,
            crc,
            format: Format::Ndjson,
            content_type: "application/json",
            metadata,
        })
    }
}

/// The marker: what is said of the run, and its objects.
fn marker_text(end: &RunEnd) -> Vec<u8> {
    let mut text = end.about.clone();
    text.extend_from_slice(b",\"objects\":");
    let objects: Vec<MarkedObject<'_>> = end
        .pieces
        .iter()
        .map(|piece| MarkedObject {
            key: &piece.key,
            records: piece.count,
        })
        .collect();
    push_json(&mut text, &objects);
    text.extend_from_slice(b"}\n");
    text
}
