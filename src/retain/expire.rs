//! Looks at objects that have expired, and removes those that a note lists.
//!
//! | kill after | a reader sees | the next run |
//! |---|---|---|
//! | the note | everything | removes what the note lists |
//! | some of the objects | the others | removes the others |
//! | all of them | none of them | has nothing to do |
//!
//! Each call can be repeated after an error.

use crate::erase::standing::Standing;
use crate::files::Files;
use crate::lake::reader::Looked;
use crate::lake::stamp::Stamp;
use crate::lake::{CRC, Lake, LakeError};

use super::notes::ListedObject;
use super::plan::RunId;

/// Looks at expired objects, and removes them.
pub struct Expirer<'a, F: Files> {
    /// The lake.
    pub lake: &'a Lake<F>,
    /// Which commits are confirmed.
    pub standing: &'a Standing,
}

/// Whether an object can be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It can.
    Yes(ListedObject),
    /// There is no such object any more.
    Gone,
    /// It cannot, and why.
    Left(String),
}

/// What became of an object that a note lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It was there, and is gone.
    Now,
    /// It was not there.
    Before,
    /// It is another one than was listed, and stays.
    Changed,
}

const DAMAGED: &str = "it is not what was put; `lakehook audit --deep` says more";

impl<F: Files> Expirer<'_, F> {
    /// What is to be noted of an object of rows, if its commit is confirmed.
    pub fn claim(&self, key: &str) -> Result<Claimed, LakeError> {
        let Some(looked) = self.lake.look(key)? else {
            return Ok(Claimed::Gone);
        };
        Ok(match Stamp::from_metadata(&looked.metadata) {
            Err(error) => Claimed::Left(error.to_string()),
            Ok(stamp) if !stamp.is_at(key) || !has_its_size(&looked) => {
                Claimed::Left(DAMAGED.to_owned())
            }
            Ok(stamp) => match self.standing.doubt(&stamp) {
                Some(doubt) => Claimed::Left(doubt),
                None => Claimed::Yes(listed(key, looked)),
            },
        })
    }

    /// What is to be noted of a marker.
    pub fn claim_marker(&self, key: &str) -> Result<Claimed, LakeError> {
        let Some(looked) = self.lake.look(key)? else {
            return Ok(Claimed::Gone);
        };
        Ok(
            if has_its_size(&looked) && looked.metadata.contains_key(CRC) {
                Claimed::Yes(listed(key, looked))
            } else {
                Claimed::Left(DAMAGED.to_owned())
            },
        )
    }

    /// Removes an object that a durable note lists.
    pub fn remove(&self, listed: &ListedObject) -> Result<Removed, LakeError> {
        let Some(looked) = self.lake.look(&listed.key)? else {
            // A sidecar may be left. A store is not asked: with versioning it would keep a second delete marker.
            if let Lake::Directory(_) = self.lake {
                self.lake.remove(&listed.key)?;
            }
            return Ok(Removed::Before);
        };
        if !Self::is_listed(listed, &looked) {
            return Ok(Removed::Changed);
        }
        self.lake.remove(&listed.key)?;
        Ok(Removed::Now)
    }

    fn is_listed(listed: &ListedObject, looked: &Looked) -> bool {
        if !has_its_size(looked) {
            return false;
        }
        if RunId::of_marker(&listed.key).is_some() {
            return looked.bytes == listed.bytes && looked.metadata == listed.metadata;
        }
        let stamp = Stamp::from_metadata(&looked.metadata);
        stamp.is_ok_and(|stamp| listed.is_still(looked.bytes, &stamp))
    }
}

fn has_its_size(looked: &Looked) -> bool {
    looked
        .declared
        .is_none_or(|declared| declared == looked.bytes)
}

fn listed(key: &str, looked: Looked) -> ListedObject {
    ListedObject {
        key: key.to_owned(),
        bytes: looked.bytes,
        metadata: looked.metadata,
    }
}
