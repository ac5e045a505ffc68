//! Looking into a lake: which objects there are, and what they say of themselves.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokio::task::JoinSet;

use super::{Marker, Problem, Seen};
use crate::lake::Metadata;
use crate::lake::keys::INTERNAL;
use crate::lake::place::{Place, PlaceError, keys_below, read_file};
use crate::lake::s3::S3;
use crate::rescue::Lost;

/// Requests at a time.
const AT_ONCE: usize = 32;

/// What is in a lake.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Objects that hold rows, and whatever else lies among them.
    pub objects: Vec<Seen>,
    /// Markers of runs.
    pub markers: Vec<Marker>,
    /// What is wrong with what was found.
    pub problems: Vec<Problem>,
}

/// The file beside an object in a directory lake.
#[derive(Deserialize)]
struct Sidecar {
    bytes: u64,
    metadata: Metadata,
}

/// Looks at every object of a lake; `step` is told of each.
pub async fn gather(
    place: &Place,
    step: &mut dyn FnMut(usize, usize),
) -> Result<Gathered, PlaceError> {
    let (mut gathered, keys) = match place {
        Place::Directory(root) => of_directory(root, step)?,
        Place::Bucket(store) => of_bucket(store, step).await?,
    };
    for key in keys {
        let take = match key.strip_prefix(INTERNAL) {
            Some(rest) if rest.starts_with("/runs/") => Gathered::take_marker,
            Some(rest) if rest.starts_with("/lost/") => Gathered::take_lost,
            _ => continue,
        };
        if let Some(text) = place.read(&key).await? {
            take(&mut gathered, &key, &text);
        }
    }
    Ok(gathered)
}

fn is_internal(key: &str) -> bool {
    key.starts_with(INTERNAL)
}

fn of_directory(
    root: &Path,
    step: &mut dyn FnMut(usize, usize),
) -> io::Result<(Gathered, Vec<String>)> {
    let mut gathered = Gathered::default();
    let all = keys_below(root, "")?;
    let meta = format!("{INTERNAL}/meta/");
    let data: Vec<&String> = all.iter().filter(|key| !is_internal(key)).collect();
    for (index, key) in data.iter().enumerate() {
        let bytes = std::fs::metadata(root.join(key))?.len();
        let sidecar = read_file(&root.join(format!("{meta}{key}.json")));
        let sidecar = sidecar
            .ok()
            .and_then(|text| serde_json::from_slice::<Sidecar>(&text).ok());
        gathered.objects.push(Seen {
            key: (*key).clone(),
            bytes,
            declared: sidecar.as_ref().map(|sidecar| sidecar.bytes),
            metadata: sidecar.map(|sidecar| sidecar.metadata).unwrap_or_default(),
        });
        step(index + 1, data.len());
    }
    // What has a sidecar and is gone can be named. A sidecar in the making has another name yet, and promises nothing.
    let sidecars = all.iter().filter_map(|key| key.strip_prefix(&meta));
    for object in sidecars.filter_map(|key| key.strip_suffix(".json")) {
        if !root.join(object).exists() {
            gathered.problems.push(Problem {
                node: None,
                key: Some(object.to_owned()),
                what: "it is missing: only its sidecar is there".to_owned(),
            });
        }
    }
    Ok((gathered, all))
}

async fn of_bucket(
    store: &Arc<S3>,
    step: &mut dyn FnMut(usize, usize),
) -> Result<(Gathered, Vec<String>), PlaceError> {
    let mut gathered = Gathered::default();
    let all = store.list("", usize::MAX).await?;
    let data: Vec<String> = all
        .iter()
        .filter(|key| !is_internal(key))
        .cloned()
        .collect();
    let total = data.len();
    let mut left = data.into_iter();
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
        step(done, total);
        if let Some(head) = head? {
            gathered.objects.push(Seen {
                key,
                bytes: head.bytes,
                declared: None,
                metadata: head.metadata,
            });
        }
    }
    gathered.objects.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((gathered, all))
}

impl Gathered {
    /// What was lost doesn't add up; it does again when somebody who knows has removed the note.
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
        self.problems.push(Problem {
            node: None,
            key: Some(key.to_owned()),
            what,
        });
    }

    fn take_marker(&mut self, key: &str, text: &[u8]) {
        match serde_json::from_slice::<Marker>(text) {
            Ok(marker) => self.markers.push(Marker {
                key: key.to_owned(),
                ..marker
            }),
            Err(error) => self.problems.push(Problem {
                node: None,
                key: Some(key.to_owned()),
                what: format!("the marker cannot be read: {error}"),
            }),
        }
    }
}
