//! An object as the audit sees it: key, size and stamp.

use crate::encode::Format;
use crate::lake::keys::object_key;
use crate::lake::stamp::{Stamp, StampError};

/// An object as the lake has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedObject {
    /// The object's key, relative to the lake.
    pub key: String,
    /// The object's size.
    pub bytes: u64,
    /// The size according to the sidecar of a directory lake, if there is one.
    pub declared: Option<u64>,
    /// The object's stamp, or why it has none that can be read.
    pub stamp: Result<Stamp, StampError>,
    /// Whether a retention has removed the object: the stamp is that of its note.
    pub expired: bool,
}

impl AuditedObject {
    /// The object's stamp. Fails if the object is not ours, or if its key is not the one that the stamp
    /// implies.
    pub(super) fn stamp_in_place(&self) -> Result<&Stamp, String> {
        let stamp = self.stamp.as_ref().map_err(ToString::to_string)?;
        let key_in =
            |format: &str| object_key(&stamp.partition, stamp.node, stamp.first_lsn, format);
        if Format::ALL
            .iter()
            .any(|format| key_in(format.as_str()) == self.key)
        {
            return Ok(stamp);
        }
        let place = key_in("");
        let place = place.trim_end_matches('.');
        Err(format!("it is another object, whose place is {place}"))
    }
}
