//! What is in the lake when `lakehook retain` begins: keys, markers, and what earlier runs have listed.

use std::collections::{BTreeMap, BTreeSet};

use crate::lake::keys::{retention_prefix, sidecar_key};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::retain::notes::{ListedObject, RetentionError, read};
use crate::retain::plan::{RunId, RunMarker, Stocktaking};

/// The keys of a lake, in order, and what notes of retentions say of them.
#[derive(Debug, Default)]
pub(super) struct Stock {
    pub(super) keys: Vec<String>,
    /// Keys that are there although a note lists them.
    listed: BTreeSet<String>,
    noted_runs: BTreeSet<RunId>,
}

impl Stock {
    pub(super) async fn list(place: &LakeReader) -> Result<Self, LakeReadError> {
        let mut keys = place.keys("").await?;
        keys.sort();
        Ok(Self {
            keys,
            ..Self::default()
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        let found = self.keys.binary_search_by(|known| known.as_str().cmp(key));
        found.is_ok()
    }

    /// The keys of the notes.
    pub(super) fn notes(&self) -> Vec<String> {
        let prefix = retention_prefix();
        let notes = self.keys.iter().filter(|key| key.starts_with(&prefix));
        notes.cloned().collect()
    }

    /// Takes a note, and returns those of its objects of which anything is there: a run was killed, or a put that had
    /// been under way for long came after the removal.
    pub(super) async fn take_note(
        &mut self,
        place: &LakeReader,
        key: &str,
    ) -> Result<Vec<ListedObject>, RetentionError> {
        let Some(note) = read(place, key).await? else {
            return Ok(Vec::new());
        };
        self.noted_runs.extend(
            note.objects
                .iter()
                .filter_map(|listed| RunId::of_marker(&listed.key)),
        );
        let mut there = note.objects;
        there.retain(|listed| self.has(&listed.key) || self.has(&sidecar_key(&listed.key)));
        self.listed
            .extend(there.iter().map(|listed| listed.key.clone()));
        Ok(there)
    }

    /// Reads the markers. What notes list is left out of everything.
    pub(super) async fn take(&self, place: &LakeReader) -> Result<Stocktaking<'_>, LakeReadError> {
        let keys = self.keys.iter().filter(|key| !self.listed.contains(*key));
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let mut markers = BTreeMap::new();
        for key in &keys {
            let Some(id) = RunId::of_marker(key) else {
                continue;
            };
            if let Some(text) = place.read(key).await? {
                let marker = serde_json::from_slice::<RunMarker>(&text).ok();
                let marker = marker.filter(|marker| marker.run == id.name);
                markers.insert(id, marker);
            }
        }
        Ok(Stocktaking {
            keys,
            markers,
            noted_runs: self.noted_runs.clone(),
        })
    }
}
