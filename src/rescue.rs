//! Which rows of an old log the lake has already: asked of the lake itself, before they go into a new log.
//!
//! A batch covers everything that its partition has between two LSNs, so the keys alone say which objects
//! may hold a row; those are read. The log is perhaps a copy, and another one went on under the same node
//! id: a row is there only if its LSN, its id and its time of receipt are. Memory is bounded by the rows
//! of the objects that are read: what was on its way when the log was last written, as a rule.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::encode::ObjectReader;
use crate::erase::notes::{Erasures, NotesError};
use crate::erase::request::{ErasureKey, ErasureRequest};
use crate::files::{Disk, Files as _};
use crate::ids::NodeId;
use crate::lake::keys::{INTERNAL, top_folder};
use crate::lake::reader::{LakeReadError, LakeReader, keys_below};
use crate::lake::stamp::Stamp;
use crate::wal::rescue::{Survey, Unshipped};

/// By what a row is recognised in an object, whatever its format.
const NAMES: [&str; 2] = ["received_at", "event_id"];

/// Rows of a node that are in the lake.
#[derive(Debug, Default)]
pub struct InLake {
    rows: HashMap<u64, u64>,
    /// Where objects have rows no more, because requests erased them.
    erased: Vec<ErasedRange>,
    erasures: Erasures,
    key: Option<ErasureKey>,
    /// Objects that were read.
    pub objects: usize,
}

/// The partition and the LSNs of an object from which rows were erased.
#[derive(Debug)]
struct ErasedRange {
    partition: String,
    lsns: RangeInclusive<u64>,
}

impl InLake {
    /// Reads the objects of a node that may hold rows of which the survey does not know. `key` is that of
    /// erasures, if this log has one.
    pub async fn ask(
        place: &LakeReader,
        node: NodeId,
        survey: &Survey,
        key: Option<ErasureKey>,
        step: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, NotesError> {
        let keys = place.keys("").await?;
        let wanted = candidates(keys, node, survey);
        let mut in_lake = Self {
            erasures: Erasures::read(place).await?,
            key,
            ..Self::default()
        };
        let total = wanted.len();
        for key in wanted {
            let looked = place.look(&key).await?.unwrap_or_default();
            let stamp = Stamp::from_metadata(&looked.metadata);
            if stamp.is_ok_and(|stamp| stamp.parcel_of.is_some()) {
                // Its rows were never in a log.
                continue;
            }
            if let Ok(stamp) = Stamp::from_metadata(&looked.metadata)
                && stamp.erased.is_some()
            {
                in_lake.erased.push(ErasedRange {
                    partition: stamp.partition,
                    lsns: stamp.first_lsn.0..=stamp.last_lsn.0,
                });
            }
            if let Some(bytes) = place.read(&key).await? {
                in_lake.add(&key, bytes).map_err(LakeReadError::Io)?;
            }
            in_lake.objects += 1;
            step(in_lake.objects, total);
        }
        Ok(in_lake)
    }

    /// Whether the lake has that row, or had it until it was erased.
    pub fn has(&self, unshipped: &Unshipped<'_>) -> bool {
        let Some(there) = self.rows.get(&unshipped.lsn.0) else {
            return self.had(unshipped);
        };
        let row = serde_json::from_slice(unshipped.row.bytes);
        row.is_ok_and(|row| print_of(&row) == *there)
    }

    /// Whether a row that an object of its partition has no more was erased from it. Of a copy of a log another
    /// row may have that LSN; it is told apart by its value, where the key of the request is here.
    fn had(&self, unshipped: &Unshipped<'_>) -> bool {
        let (lsn, partition) = (unshipped.lsn.0, unshipped.partition);
        let is_in_range =
            |range: &ErasedRange| range.partition == partition && range.lsns.contains(&lsn);
        if !self.erased.iter().any(is_in_range) {
            return false;
        }
        let Some(stream) = top_folder(partition) else {
            return true;
        };
        let quarantined = stream == "quarantine";
        let requests = self.erasures.requests.values();
        let requests: Vec<&ErasureRequest> = requests
            .map(|(request, _)| request)
            .filter(|request| {
                let quarantine = format!("quarantine/{}/", request.stream);
                request.stream == stream || partition.starts_with(&quarantine)
            })
            .collect();
        // Where nobody can tell, what may have been erased must not come back.
        requests.is_empty()
            || requests.into_iter().any(|request| match &self.key {
                Some(key) if key.name() == request.key && !quarantined => {
                    serde_json::from_slice(unshipped.row.bytes)
                        .is_ok_and(|row| request.means(&row, key))
                }
                _ => true,
            })
    }

    /// The LSNs of a range that are not in the lake.
    pub fn missing(&self, range: &RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let mut missing: Vec<RangeInclusive<u64>> = Vec::new();
        for lsn in range.clone().filter(|lsn| !self.rows.contains_key(lsn)) {
            match missing.last_mut() {
                Some(last) if last.end() + 1 == lsn => *last = *last.start()..=lsn,
                _ => missing.push(lsn..=lsn),
            }
        }
        missing
    }

    fn add(&mut self, key: &str, bytes: Vec<u8>) -> io::Result<()> {
        let mut take = |row: Map<String, Value>| {
            if let Some(lsn) = row.get("lsn").and_then(Value::as_u64) {
                self.rows.insert(lsn, print_of(&row));
            }
        };
        ObjectReader::of_key(key)?.each(bytes, &mut |row| {
            take(row);
            Ok(true)
        })
    }
}

/// What `lakehook wal repair` leaves in the lake where a log had lost something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Whose log it was.
    pub node: String,
    /// Whose it is.
    pub replaced_by: String,
    /// When, in RFC 3339.
    pub at: String,
    /// Unknown ones before this LSN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Unknown ones from this LSN on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// First and last, both included.
    pub lsns: Vec<[u64; 2]>,
}

impl Lost {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.before.is_none() && self.from.is_none() && self.lsns.is_empty()
    }
}

/// Removes what a node that is no more left in the making in a directory lake: sidecars whose objects never
/// came to be or that are not whole themselves, and files under construction.
pub fn sweep(lake: &Path, node: NodeId) -> io::Result<()> {
    let prefix = format!("{node}-");
    let is_its = |key: &str| {
        let name = key.rsplit('/').next();
        name.is_some_and(|name| name.starts_with(&prefix))
    };
    let meta = format!("{INTERNAL}/meta");
    for key in keys_below(lake, &meta)?.iter().filter(|key| is_its(key)) {
        let name = key.strip_prefix(&meta).unwrap_or(key);
        // What ends otherwise is a sidecar under its temporary name.
        let object = name.strip_suffix(".json");
        let object = object.map(|object| lake.join(object.trim_start_matches('/')));
        if object.is_none_or(|object| !Disk.exists(&object)) {
            Disk.remove(&lake.join(key))?;
        }
    }
    let making = keys_below(lake, &format!("{INTERNAL}/tmp"))?;
    for key in making.iter().filter(|key| is_its(key)) {
        Disk.remove(&lake.join(key))?;
    }
    Ok(())
}

fn print_of(row: &Map<String, Value>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for name in NAMES {
        row.get(name).and_then(Value::as_str).hash(&mut hasher);
    }
    hasher.finish()
}

/// Keys of objects that may hold rows of which the survey does not know. In one partition a node's objects
/// lie in the order of their LSNs, and each ends before the next one begins.
fn candidates(keys: Vec<String>, node: NodeId, survey: &Survey) -> Vec<String> {
    let prefix = format!("{node}-");
    let mut partitions: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for key in keys.into_iter().filter(|key| !key.starts_with(INTERNAL)) {
        let Some((partition, name)) = key.rsplit_once('/') else {
            continue;
        };
        let first = name.strip_prefix(&prefix);
        let first = first.and_then(|rest| rest.split('.').next()?.parse().ok());
        if let Some(first) = first {
            let objects = partitions.entry(partition.to_owned()).or_default();
            objects.push((first, key));
        }
    }
    let mut wanted = Vec::new();
    for (partition, mut objects) in partitions {
        objects.sort();
        let ends: Vec<u64> = objects.iter().skip(1).map(|(first, _)| first - 1).collect();
        let ends = ends.into_iter().chain([u64::MAX]);
        for ((first, key), end) in objects.into_iter().zip(ends) {
            let meets =
                |range: &RangeInclusive<u64>| first <= *range.end() && end >= *range.start();
            let open = survey.open.get(partition.as_str());
            if open.is_some_and(meets) || survey.unread.iter().any(meets) {
                wanted.push(key);
            }
        }
    }
    wanted
}
