//! Publications: once all objects of a group are committed, they become visible together.
//!
//! The log decides on a publication durably before its last object is put, and calls it due once all of its
//! members are committed. That decision determines byte for byte what makes them visible, so a publication
//! can be repeated after a crash or a lost answer.
//!
//! A new kind of publication is a variant of [`PublicationKind`], which `Shipper::read_publication` reads
//! from an entry in the log and `Shipper::publish` carries out.

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
    /// The publication's id in the log: an LSN that no other publication has.
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
    /// The LSN of its first row, which no other object of the node shares.
    pub first_lsn: Lsn,
    /// How many rows it has.
    pub rows: u64,
}

/// What makes the members of a publication visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicationKind {
    /// A marker in the lake that names the members, which are a run of a poll.
    RunMarker(RunMarker),
}

/// The marker of a run, without its list of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunMarker {
    /// The marker's key, relative to the lake.
    pub key: String,
    /// A random number that the end of the run fixed.
    pub nonce: u128,
    /// The part of the marker that describes the run: a JSON object without its last brace.
    pub about: Vec<u8>,
}

/// The part of a marker that describes one object.
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
    /// Makes one attempt to carry out a publication that is due; `at` is the place in the log of the
    /// decision. After `Ok`, readers see its members.
    pub fn publish(&self, id: Lsn, at: SealAt) -> Result<(), ShipError> {
        self.probe()?;
        let publication = self.read_publication(id, at)?;
        match &publication.kind {
            PublicationKind::RunMarker(marker) => {
                let object = self.marker_object(&publication, marker)?;
                self.ask_leave()?;
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

    /// The views of every lake read markers, so their bytes must not change.
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
