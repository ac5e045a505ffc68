//! Publishing: a run all of whose objects are in the lake gets its marker, and is visible from then on.
//!
//! The end of the run in the log fixes every byte of the marker, so it can be put again after a crash or
//! a lost answer, and is then recognised as ours, like any object.

use std::io;

use serde::Serialize;

use crate::commit::{ShipError, Shipper};
use crate::files::Files;
use crate::lake::notes::text_object;
use crate::lake::{NONCE, Object, keys};
use crate::quarantine::push_json;
use crate::record::Lsn;
use crate::wal::journal::seam::Frames;
use crate::wal::rows::RowsError;
use crate::wal::runs::RunEnd;
use crate::wal::state::SealAt;

/// What a marker says of one object.
#[derive(Serialize)]
struct MarkedObject<'a> {
    key: &'a str,
    records: u64,
}

impl<F: Files, R: Frames> Shipper<F, R> {
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
        let pairs = [
            ("lakehook-node", self.node.to_string()),
            ("lakehook-run", end.run.to_string()),
            (NONCE, format!("{:032x}", end.nonce)),
        ];
        let key = end.marker.clone();
        Ok(text_object(&self.files, spool, key, &text, &pairs)?)
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
