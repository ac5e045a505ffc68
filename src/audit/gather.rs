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
    match place {
        Place::Directory(root) => Ok(of_directory(root, step)?),
        Place::Bucket(store) => of_bucket(store, step).await,
    }
}

fn is_internal(key: &str) -> bool {
    key.starts_with(INTERNAL)
}

fn is_marker(key: &str) -> bool {
    key.strip_prefix(INTERNAL)
        .is_some_and(|rest| rest.starts_with("/runs/"))
}

fn is_lost(key: &str) -> bool {
    key.strip_prefix(INTERNAL)
        .is_some_and(|rest| rest.starts_with("/lost/"))
}

fn of_directory(root: &Path, step: &mut dyn FnMut(usize, usize)) -> io::Result<Gathered> {
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
    // What has a sidecar and is gone can be named.
    for key in all.iter().filter_map(|key| key.strip_prefix(&meta)) {
        let object = key.strip_suffix(".json").unwrap_or(key);
        if !root.join(object).exists() {
            gathered.problems.push(Problem {
                node: None,
                key: Some(object.to_owned()),
                what: "it is missing: only its sidecar is there".to_owned(),
            });
        }
    }
    for key in all.iter().filter(|key| is_marker(key)) {
        let text = read_file(&root.join(key))?;
        gathered.take_marker(key, &text);
    }
    for key in all.iter().filter(|key| is_lost(key)) {
        let text = read_file(&root.join(key))?;
        gathered.take_lost(key, &text);
    }
    Ok(gathered)
}

async fn of_bucket(
    store: &Arc<S3>,
    step: &mut dyn FnMut(usize, usize),
) -> Result<Gathered, PlaceError> {
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
    for key in all.iter().filter(|key| is_marker(key)) {
        let mut text = Vec::new();
        if store.get_async(key, &mut text).await? {
            gathered.take_marker(key, &text);
        }
    }
    for key in all.iter().filter(|key| is_lost(key)) {
        let mut text = Vec::new();
        if store.get_async(key, &mut text).await? {
            gathered.take_lost(key, &text);
        }
    }
    Ok(gathered)
}

/// What `lakehook wal repair` leaves in the lake where a log had lost something.
#[derive(Deserialize)]
struct Lost {
    node: String,
    at: String,
    before: Option<u64>,
    lsns: Vec<[u64; 2]>,
}

impl Gathered {
    /// What was lost doesn't add up; it does again when somebody who knows has removed the note.
    fn take_lost(&mut self, key: &str, text: &[u8]) {
        let what = match serde_json::from_slice::<Lost>(text) {
            Err(error) => format!("the note of a repair cannot be read: {error}"),
            Ok(lost) => {
                let before = lost.before.map(|lsn| format!("unknown ones before {lsn}"));
                let ranges = lost
                    .lsns
                    .iter()
                    .map(|[first, last]| format!("{first} to {last}"));
                let lsns: Vec<String> = before.into_iter().chain(ranges).collect();
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
