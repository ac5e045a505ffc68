//! The notes of all erasures of a lake.

use std::collections::BTreeMap;
use std::io;

use super::condition::RowCondition;
use super::request::{ErasureDone, ErasureKey, ErasureRequest};
use crate::files::Files;
use crate::ids::NodeId;
use crate::lake::keys::{erasure_key, erasures_prefix};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::{Lake, LakeError, notes};

/// Why the notes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
    /// A note is not what an erasure writes.
    #[error("{key}: it cannot be read: {error}")]
    Note {
        /// The key of the note.
        key: String,
        /// What the parser says.
        error: serde_json::Error,
    },
}

/// All erasures of a lake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasures {
    /// By id: what was asked, and whether it is done.
    pub requests: BTreeMap<String, (ErasureRequest, bool)>,
}

impl Erasures {
    /// Reads the notes of a lake.
    pub async fn read(place: &LakeReader) -> Result<Self, NotesError> {
        let mut erasures = Self::default();
        for key in place.keys(&erasures_prefix()).await? {
            if let Some(text) = place.read(&key).await? {
                let taken = erasures.take(&key, &text);
                taken.map_err(|error| NotesError::Note { key, error })?;
            }
        }
        Ok(erasures)
    }

    /// Takes the text of a note.
    pub fn take(&mut self, key: &str, text: &[u8]) -> Result<(), serde_json::Error> {
        let is_done = key.ends_with("-done.json");
        let request: ErasureRequest = if is_done {
            serde_json::from_slice::<ErasureDone>(text)?.request
        } else {
            serde_json::from_slice(text)?
        };
        let known = self
            .requests
            .entry(request.id.clone())
            .or_insert((request, false));
        known.1 |= is_done;
        Ok(())
    }

    /// Whether an erasure of that id was asked for.
    pub fn has(&self, erasure: u128) -> bool {
        self.requests.contains_key(&format!("{erasure:032x}"))
    }

    /// The first one that is not done.
    pub fn unfinished(&self) -> Option<&ErasureRequest> {
        let mut requests = self.requests.values();
        requests
            .find(|(_, is_done)| !is_done)
            .map(|(request, _)| request)
    }

    /// The request for the same that is not done, and whether there is one that is.
    pub fn for_the_same(
        &self,
        stream: &str,
        condition: &RowCondition,
        key: &ErasureKey,
    ) -> (Option<&ErasureRequest>, bool) {
        let same = self
            .requests
            .values()
            .filter(|(request, _)| request.is_for(stream, condition, key));
        let mut open = same.clone().filter(|(_, is_done)| !is_done);
        let is_done = same.clone().any(|(_, is_done)| *is_done);
        (open.next().map(|(request, _)| request), is_done)
    }
}

/// The keys of all notes: they change when an erasure begins or is done.
pub async fn keys_of(place: &LakeReader) -> Result<Vec<String>, LakeReadError> {
    place.keys(&erasures_prefix()).await
}

/// The key of the first note of an erasure that is not done.
pub fn unfinished_among(keys: &[String]) -> Option<&str> {
    let begun = keys.iter().filter_map(|key| {
        let id = key.strip_suffix("-begun.json")?;
        Some((key, format!("{id}-done.json")))
    });
    let mut open = begun.filter(|(_, done)| !keys.contains(done));
    open.next().map(|(key, _)| key.as_str())
}

/// Notes that an erasure has begun.
pub fn begin<F: Files>(
    files: &F,
    lake: &Lake<F>,
    id: u128,
    node: NodeId,
    request: &ErasureRequest,
) -> Result<(), LakeError> {
    let text = serde_json::to_vec(request).map_err(io::Error::other);
    leave(files, lake, erasure_key(id, false), node, text)
}

/// Notes that nothing is left of an erasure.
pub fn finish<F: Files>(
    files: &F,
    lake: &Lake<F>,
    id: u128,
    node: NodeId,
    done: &ErasureDone,
) -> Result<(), LakeError> {
    let text = serde_json::to_vec(done).map_err(io::Error::other);
    leave(files, lake, erasure_key(id, true), node, text)
}

fn leave<F: Files>(
    files: &F,
    lake: &Lake<F>,
    key: String,
    node: NodeId,
    text: io::Result<Vec<u8>>,
) -> Result<(), LakeError> {
    let text = text.map_err(|error| LakeError::Unusable(error.to_string()))?;
    notes::leave(files, lake, key, node, &text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn an_erasure_is_open_until_its_second_note() {
        let key = ErasureKey([1; 32]);
        let condition: RowCondition = "user_id=u-1".parse().unwrap();
        let request = ErasureRequest {
            id: format!("{:032x}", 5),
            at: "2026-11-25T00:00:00Z".to_owned(),
            stream: "events".to_owned(),
            field: "user_id".to_owned(),
            value_hmac: key.sign("events", "user_id", "u-1"),
            key: key.name(),
            node: None,
            up_to_lsn: [("ab".to_owned(), 7)].into(),
        };
        let mut erasures = Erasures::default();
        let text = serde_json::to_vec(&request).unwrap();
        erasures.take(&erasure_key(5, false), &text).unwrap();
        assert_eq!(erasures.unfinished(), Some(&request));
        let same = |erasures: &Erasures| {
            let (open, is_done) = erasures.for_the_same("events", &condition, &key);
            (open.is_some(), is_done)
        };
        assert_eq!(same(&erasures), (true, false));
        let done = ErasureDone {
            request,
            done_at: "2026-11-25T00:00:01Z".to_owned(),
            objects: 1,
            rows: 2,
        };
        let text = serde_json::to_vec(&done).unwrap();
        erasures.take(&erasure_key(5, true), &text).unwrap();
        assert_eq!(erasures.unfinished(), None);
        assert_eq!(same(&erasures), (false, true));
        assert!(erasures.has(5) && !erasures.has(6));
        assert!(erasures.take(&erasure_key(6, true), b"{}").is_err());
    }
}
