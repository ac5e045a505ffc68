//! Publications: when all of these objects are committed, make them visible.
//!
//! The log decides on a publication durably before its last object is put, and calls it due once all of its
//! members are committed. What makes them visible follows from that decision byte for byte, so it can be done
//! again after a crash or a lost answer.
//!
//! A publication of another kind is a variant of [`PublicationKind`], which is read from its entry in the log
//! (`Shipper::read_publication`) and carried out (`Shipper::publish`).

use std::io;

use serde::Serialize;

use super::commit::{ShipError, Shipper};
use crate::files::Files;
use crate::json::push_json;
use crate::lake::notes::text_object;
use crate::lake::stamp::TextStamp;
use crate::lake::{Object, keys};
use crate::record::Lsn;
use crate::wal::journal::seam::Frames;
use crate::wal::rows::RowsError;
use crate::wal::runs::RunEnd;
use crate::wal::state::SealAt;

/// Objects that readers see all at once, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Its id in the log: an LSN that no other publication has.
    pub id: Lsn,
    /// The objects. All of them are committed before anything makes them visible.
    pub members: Vec<Member>,
    /// What makes them visible.
    pub kind: PublicationKind,
}

/// One object of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The object's key, relative to the lake.
    pub key: String,
    /// LSN of its first row, which tells its seal from all others.
    pub first_lsn: Lsn,
    /// How many rows it has.
    pub rows: u64,
}

/// What makes the members of a publication visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicationKind {
    /// A marker in the lake that names them: they are a run of a poll.
    RunMarker(RunMarker),
}

/// The marker of a run, without what it says of the objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMarker {
    /// The marker's key, relative to the lake.
    pub key: String,
    /// A random number that the end of the run fixed.
    pub nonce: u128,
    /// What it says of the run: a JSON object without its last brace.
    pub about: Vec<u8>,
}

/// What a marker says of one object.
#[derive(Serialize)]
struct MarkedObject<'a> {
    key: &'a str,
    records: u64,
}

impl From<RunEnd> for Publication {
    fn from(end: RunEnd) -> Self {
        let members = end.pieces.into_iter().map(|piece| Member {
            key: piece.key,
            first_lsn: piece.first_lsn,
            rows: piece.count,
        });
        Self {
            id: end.run,
            members: members.collect(),
            kind: PublicationKind::RunMarker(RunMarker {
                key: end.marker,
                nonce: end.nonce,
                about: end.about,
            }),
        }
    }
}

impl Publication {
    /// The text of a run's marker.
    fn marker_text(&self, marker: &RunMarker) -> Vec<u8> {
        let mut text = marker.about.clone();
        text.extend_from_slice(b",\"objects\":");
        let objects = self.members.iter().map(|member| MarkedObject {
            key: &member.key,
            records: member.rows,
        });
        push_json(&mut text, &objects.collect::<Vec<_>>());
        text.extend_from_slice(b"}\n");
        text
    }
}

impl<F: Files, R: Frames> Shipper<F, R> {
    /// One attempt to carry out a publication that is due; `at` is where the log decided on it. `Ok` means
    /// that readers see its members.
    pub fn publish(&self, id: Lsn, at: SealAt) -> Result<(), ShipError> {
        self.probe()?;
        let publication = self.read_publication(id, at)?;
        match &publication.kind {
            PublicationKind::RunMarker(marker) => {
                let object = self.marker_object(&publication, marker)?;
                self.lake.put(&object)?;
            }
        }
        Ok(())
    }

    /// Reads a publication back from the log.
    fn read_publication(&self, id: Lsn, at: SealAt) -> Result<Publication, ShipError> {
        let end = self.reader.run_end(id, at);
        let end = end.map_err(|error| match error {
            RowsError::Unreadable { .. } => ShipError::Held(error.to_string()),
            error => io::Error::other(error).into(),
        })?;
        Ok(end.into())
    }

    fn marker_object(&self, publication: &Publication, marker: &RunMarker) -> io::Result<Object> {
        let text = publication.marker_text(marker);
        let name = keys::run_part_name(self.node, publication.id, marker.nonce);
        let spool = self.lake.spool_dir().join(name);
        let stamp = TextStamp::of_marker(self.node, publication.id, marker.nonce, &text);
        text_object(&self.files, spool, marker.key.clone(), &text, &stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::runs::RunObject;

    /// The bytes of markers are read by everybody's views.
    #[test]
    fn a_marker_names_its_run_and_its_objects() {
        let end = RunEnd {
            run: Lsn(7),
            marker: "_lakehook/runs/users/r.json".to_owned(),
            about: b"{\"stream\":\"users\",\"run\":\"r\"".to_vec(),
            pieces: vec![RunObject {
                key: "users/dt=2026-11-20/run=r/x.ndjson".to_owned(),
                first_lsn: Lsn(8),
                count: 3,
            }],
            ..RunEnd::default()
        };
        let publication = Publication::from(end);
        assert_eq!((publication.id, publication.members[0].rows), (Lsn(7), 3));
        let PublicationKind::RunMarker(marker) = &publication.kind;
        let text = publication.marker_text(marker);
        insta::assert_snapshot!(String::from_utf8_lossy(&text), @r#"{"stream":"users","run":"r","objects":[{"key":"users/dt=2026-11-20/run=r/x.ndjson","records":3}]}"#);
    }
}
