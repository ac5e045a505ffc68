//! What is in the lake when `lakehook retain` begins: keys, markers, and what earlier runs have listed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::lake::keys::{retention_prefix, sidecar_key};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::store::{ObjectStore as _, StoreError};
use crate::retain::notes::{ListedObject, RetentionError, read};
use crate::retain::plan::{RunId, RunMarker, Stocktaking};

/// How many markers are read at a time.
const AT_ONCE: usize = 32;

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
        let markers = keys.iter().filter_map(|key| RunId::of_marker(key));
        Ok(Stocktaking {
            markers: read_markers(place, markers).await?,
            keys,
            noted_runs: self.noted_runs.clone(),
        })
    }
}

/// Reads markers, many at a time from a bucket.
async fn read_markers(
    place: &LakeReader,
    mut left: impl Iterator<Item = RunId>,
) -> Result<BTreeMap<RunId, Option<RunMarker>>, LakeReadError> {
    let mut markers = BTreeMap::new();
    let mut take = |id: RunId, text: Option<Vec<u8>>| {
        if let Some(text) = text {
            let marker = serde_json::from_slice::<RunMarker>(&text).ok();
            let marker = marker.filter(|marker| marker.run == id.name);
            markers.insert(id, marker);
        }
    };
    let LakeReader::Bucket(store) = place else {
        for id in left {
            let text = place.read(&id.marker()).await?;
            take(id, text);
        }
        return Ok(markers);
    };
    let mut reading = JoinSet::new();
    loop {
        while reading.len() < AT_ONCE
            && let Some(id) = left.next()
        {
            let store = Arc::clone(store);
            reading.spawn_blocking(move || {
                let mut text = Vec::new();
                let is_there = store.get(&id.marker(), &mut text)?;
                Ok::<_, StoreError>((id, is_there.then_some(text)))
            });
        }
        let Some(read) = reading.join_next().await else {
            return Ok(markers);
        };
        let (id, text) = read.map_err(|error| LakeReadError::Io(io::Error::other(error)))??;
        take(id, text);
    }
}
