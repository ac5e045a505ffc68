//! Lists a lake: which objects there are, and what their stamps claim.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::expired::{changed_since, judge_retentions};
use super::markers::Marker;
use super::object::AuditedObject;
use super::report::Discrepancy;
use crate::erase::notes::Erasures;
use crate::lake::keys::{holder_of, in_internal, top_folder};
use crate::lake::reader::{LakeReadError, LakeReader, is_parcel_file, look_at_file};
use crate::lake::s3::S3;
use crate::lake::stamp::Stamp;
use crate::rescue::Lost;
use crate::retain::notes::{RetentionError, Retentions, keys_of, read};

/// How many requests are under way at a time.
const AT_ONCE: usize = 32;

/// Everything in a lake that the audit judges.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Objects in the folders of streams, including those that are not ours.
    pub objects: Vec<AuditedObject>,
    /// Markers of runs.
    pub markers: Vec<Marker>,
    /// Notes of erasures.
    pub erasures: Erasures,
    /// What notes of retentions list.
    pub retentions: Retentions,
    /// Problems that the listing itself shows.
    pub problems: Vec<Discrepancy>,
}

/// The streams that every lake has, whatever its configuration.
const STREAMS: [&str; 2] = ["events", "quarantine"];

/// Looks at every object of a lake. `step` is called for each, with the number of objects looked at so far
/// and of all.
pub async fn gather(
    lake: &LakeReader,
    step: &mut dyn FnMut(usize, usize),
) -> Result<Gathered, LakeReadError> {
    let all = lake.keys("").await?;
    let mut gathered = Gathered::default();
    let objects = objects_among(&all);
    match lake {
        LakeReader::Directory(root) => gathered.objects = of_directory(root, &objects, step)?,
        LakeReader::Bucket(store) => gathered.objects = of_bucket(store, &objects, step).await?,
    }
    // After the objects: a note is there before anything that it lists is removed.
    gathered.take_retentions(lake).await?;
    judge_retentions(
        &mut gathered.objects,
        &gathered.retentions,
        &mut gathered.problems,
    );
    if let LakeReader::Directory(root) = lake {
        gathered.find_lone_sidecars(root, &all);
    }
    for key in &all {
        let take = match in_internal(key) {
            Some(rest) if rest.starts_with("runs/") => Gathered::take_marker,
            Some(rest) if rest.starts_with("lost/") => Gathered::take_lost,
            Some(rest) if rest.starts_with("erasures/") => Gathered::take_erasure,
            _ => continue,
        };
        if let Some(text) = lake.read(key).await? {
            take(&mut gathered, key, &text);
        }
    }
    Ok(gathered)
}

/// The keys below the folders of our streams: the streams that every lake has, those with a marker, and those
/// in which at least one object has a name of ours. A lake may be the root of a bucket, and other folders
/// there belong to somebody else.
fn objects_among(all: &[String]) -> Vec<&String> {
    let folders = all.iter().filter_map(|key| match in_internal(key) {
        Some(rest) => top_folder(rest.strip_prefix("runs/")?),
        None => holder_of(key).and_then(|_| top_folder(key)),
    });
    let folders: BTreeSet<&str> = STREAMS.into_iter().chain(folders).collect();
    let is_ours = |key: &&String| top_folder(key).is_some_and(|top| folders.contains(top));
    all.iter().filter(is_ours).collect()
}

fn of_directory(
    root: &Path,
    keys: &[&String],
    step: &mut dyn FnMut(usize, usize),
) -> io::Result<Vec<AuditedObject>> {
    let mut objects = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        step(index + 1, keys.len());
        let Some(looked) = look_at_file(root, key)? else {
            continue;
        };
        objects.push(AuditedObject {
            key: (*key).clone(),
            bytes: looked.bytes,
            declared: looked.declared,
            stamp: Stamp::from_metadata(&looked.metadata),
            expired: false,
        });
    }
    Ok(objects)
}

async fn of_bucket(
    store: &Arc<S3>,
    keys: &[&String],
    step: &mut dyn FnMut(usize, usize),
) -> Result<Vec<AuditedObject>, LakeReadError> {
    let mut objects = Vec::new();
    let mut left = keys.iter().map(|key| (*key).clone());
    let mut asking = JoinSet::new();
    let mut done = 0;
    loop {
        while asking.len() < AT_ONCE
            && let Some(key) = left.next()
        {
            let store = Arc::clone(store);
            asking.spawn(async move { (store.head_async(&key).await, key) });
        }
        let Some(answer) = asking.join_next().await else {
            break;
        };
        let Ok((head, key)) = answer else { continue };
        done += 1;
        step(done, keys.len());
        if let Some(head) = head? {
            objects.push(AuditedObject {
                key,
                bytes: head.bytes,
                declared: None,
                stamp: Stamp::from_metadata(&head.metadata),
                expired: false,
            });
        }
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(objects)
}

impl Gathered {
    /// Reports objects of a directory lake that are missing although their sidecars exist. A sidecar that is
    /// still being written has another name, and does not count.
    ///
    /// Sidecars of notes do not count either. A killed command may leave the sidecar of a note of an erasure or a
    /// retention that was never written. If somebody removed such a note, other checks report it: the stamps of
    /// erased objects name their erasure, and the objects that a retention lists are missing without its note. A note
    /// of columns may be missing, because the objects hold all that it says. Nor does the sidecar of a parcel: its run
    /// may have broken off, and if one has not, its marker names the parcel.
    fn find_lone_sidecars(&mut self, root: &Path, all: &[String]) {
        let is_note = |object: &str| {
            let rest = in_internal(object).unwrap_or_default();
            let notes = ["erasures/", "retention/", "columns/"];
            notes.iter().any(|folder| rest.starts_with(folder))
        };
        let sidecars = all
            .iter()
            .filter_map(|key| in_internal(key)?.strip_prefix("meta/"));
        for object in sidecars.filter_map(|key| key.strip_suffix(".json")) {
            let is_expired = self.retentions.objects.contains_key(object);
            let is_lone = !is_expired && !is_note(object) && !root.join(object).exists();
            if is_lone && !is_parcel_file(root, object) {
                let what = "it is missing: only its sidecar is there".to_owned();
                self.problems
                    .push(Discrepancy::of_object(None, object, what));
            }
        }
    }

    /// A note of lost LSNs is a problem until somebody who has looked into it removes the note.
    fn take_lost(&mut self, key: &str, text: &[u8]) {
        let what = match serde_json::from_slice::<Lost>(text) {
            Err(error) => format!("the note of a repair cannot be read: {error}"),
            Ok(lost) => {
                let before = lost.before.map(|lsn| format!("unknown ones before {lsn}"));
                let from = lost.from.map(|lsn| format!("unknown ones from {lsn} on"));
                let ranges = lost
                    .lsns
                    .iter()
                    .map(|[first, last]| format!("{first} to {last}"));
                let lsns: Vec<String> = before.into_iter().chain(ranges).chain(from).collect();
                let lsns = lsns.join(", ");
                format!(
                    "the log of node {} was damaged and repaired at {}; lost are LSNs {lsns}",
                    lost.node, lost.at
                )
            }
        };
        self.problems.push(Discrepancy::of_object(None, key, what));
    }

    fn take_erasure(&mut self, key: &str, text: &[u8]) {
        if let Err(error) = self.erasures.take(key, text) {
            let what = format!("the note of an erasure cannot be read: {error}");
            self.problems.push(Discrepancy::of_object(None, key, what));
        }
    }

    async fn take_retentions(&mut self, lake: &LakeReader) -> Result<(), LakeReadError> {
        for key in keys_of(lake).await? {
            match read(lake, &key).await {
                Ok(note) => note.into_iter().for_each(|note| self.retentions.take(note)),
                Err(RetentionError::Lake(error)) => return Err(error),
                Err(RetentionError::Note { error, .. }) => {
                    let what = format!("the note of a retention cannot be read: {error}");
                    self.problems.push(Discrepancy::of_object(None, &key, what));
                }
            }
        }
        Ok(())
    }

    fn take_marker(&mut self, key: &str, text: &[u8]) {
        if let Some(listed) = self.retentions.objects.get(key) {
            // It goes with the next retention. Nothing that it names needs to be there any more.
            if !listed.is_still_marker(text) {
                self.problems.push(changed_since(listed));
            }
            return;
        }
        match serde_json::from_slice::<Marker>(text) {
            Ok(marker) => self.markers.push(Marker {
                key: key.to_owned(),
                ..marker
            }),
            Err(error) => {
                let what = format!("the marker cannot be read: {error}");
                self.problems.push(Discrepancy::of_object(None, key, what));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_our_streams_are_looked_at() {
        let name = "00000000000000ab-00000000000000000001.ndjson";
        let ours = [
            format!("events/dt=2026-11-25/{name}"),
            "events/dt=2026-11-25/copy.ndjson".to_owned(),
            format!("old_poll/dt=2026-11-25/{name}"),
            "quarantine/stray".to_owned(),
            "users/stray".to_owned(),
        ];
        let others = [
            "README.md".to_owned(),
            "_lakehook/probe".to_owned(),
            "_lakehook/runs/users/r.json".to_owned(),
            "backup/dump.parquet".to_owned(),
            "eventsx/1.json".to_owned(),
            format!("logs/x/{name}.bak"),
            name.to_owned(),
        ];
        let mut all = [ours.as_slice(), others.as_slice()].concat();
        all.sort();
        let found: Vec<String> = objects_among(&all).into_iter().cloned().collect();
        assert_eq!(found, ours);
    }
}
