//! Looks into objects: asks their filters first, and reads whole what has none.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::known::KnownIds;
use super::sought::Sought;
use crate::clock::Micros;
use crate::encode::{Format, FoundById, Layout, ObjectReader, rows_with_ids};
use crate::ids::NodeId;
use crate::lake::calendar::ListedObject;
use crate::lake::keys::{holder_of, top_folder};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::lake::stamp::Stamp;
use crate::rfc3339;

/// More rows are not told.
const MAX_ROWS: usize = 20;
/// Objects whose filters, or times, are asked at once.
const MAX_ASKED: usize = 16;
/// Objects that are read whole at once, …
const MAX_READ: usize = 4;
/// … and how many bytes they have together at most, unless one alone has more.
const MAX_READ_BYTES: u64 = 32 << 20;
/// The stream of what was refused.
const QUARANTINE: &str = "quarantine";
/// The column of events' ids.
const ID_COLUMN: &str = "event_id";

/// How much is read whole.
#[derive(Clone, Copy, Debug)]
pub struct SearchLimits {
    /// At most so many objects, …
    pub objects: usize,
    /// … of at most so many bytes together.
    pub bytes: u64,
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRow {
    /// The key of its object.
    pub key: String,
    /// Its LSN in the log of its node; 0 if it has none.
    pub lsn: u64,
    /// Its place in the object, from 1.
    pub place: u64,
    /// The seal of its batch, if the object says so.
    pub batch: Option<u64>,
    /// The row, as JSON.
    pub row: String,
}

impl FoundRow {
    /// Whether it was refused.
    pub fn is_refused(&self) -> bool {
        top_folder(&self.key) == Some(QUARANTINE)
    }
}

/// What could not be read of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadPart {
    /// Its filters. It is read whole instead, like one without filters.
    Filters,
    /// Some or all of its rows.
    Rows,
}

/// An object of which something could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadObject {
    /// Its key.
    pub key: String,
    /// What could not be read.
    pub part: UnreadPart,
    /// Why.
    pub why: String,
}

/// What was found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The rows, in the order of their objects.
    pub rows: Vec<FoundRow>,
    /// How many objects cannot have it, as their filters or id files say, …
    pub ruled_out: usize,
    /// … how many were looked into, …
    pub objects: usize,
    /// … of how many.
    pub of: usize,
    /// Whether older objects were left out.
    pub is_cut: bool,
    /// What could not be read.
    pub unread: Vec<UnreadObject>,
}

impl Search {
    /// Whether a row was found that is stored, and not refused.
    pub fn has_stored(&self) -> bool {
        self.rows.iter().any(|row| !row.is_refused())
    }

    /// Whether rows may be where nobody has looked: in objects that were left out, or that could not be read.
    pub fn has_gaps(&self) -> bool {
        self.is_cut || self.unread_rows().next().is_some()
    }

    /// The objects whose rows could not be read, or not all of them.
    pub fn unread_rows(&self) -> impl Iterator<Item = &UnreadObject> {
        let unread = self.unread.iter();
        unread.filter(|unread| unread.part == UnreadPart::Rows)
    }

    fn has_enough(&self) -> bool {
        self.has_stored() || self.rows.len() >= MAX_ROWS
    }

    fn add(&mut self, mut rows: Vec<FoundRow>) {
        self.objects += 1;
        rows.truncate(MAX_ROWS - self.rows.len());
        self.rows.append(&mut rows);
    }

    fn note_unread(&mut self, key: &str, part: UnreadPart, why: &io::Error) {
        self.unread.push(UnreadObject {
            key: key.to_owned(),
            part,
            why: why.to_string(),
        });
    }
}

/// Told what is known after each step.
pub(super) type Publish<'p> = &'p (dyn Fn(&Search) + Send + Sync);

/// Looks into these objects, in their order, until a stored row is found.
pub async fn search(
    place: &LakeReader,
    objects: Vec<ListedObject>,
    sought: &Sought,
    (known, limits): (Option<&KnownIds>, SearchLimits),
    publish: Publish<'_>,
) -> Result<Search, LakeReadError> {
    let mut search = Search {
        of: objects.len(),
        ..Search::default()
    };
    let sought = Arc::new(sought.clone());
    let left = ask_filters(place, objects, &sought, &mut search, publish).await;
    if !search.has_enough() {
        let left = match known {
            Some(known) => ask_ids(place, left, known, &mut search).await,
            None => left,
        };
        read_whole(place, left, (&sought, limits), &mut search, publish).await?;
    }
    for row in &mut search.rows {
        let looked = place.look(&row.key).await?;
        let stamp = looked.and_then(|looked| Stamp::from_metadata(&looked.metadata).ok());
        row.batch = stamp
            .filter(|stamp| stamp.parcel_of.is_none())
            .map(|stamp| stamp.seal);
    }
    publish(&search);
    Ok(search)
}

/// What an object's filters say.
enum Asked {
    /// It has these rows, and no others.
    Rows(Vec<FoundRow>),
    /// Nothing that is certain.
    Unsure,
}

/// Asks the filters of objects in columns; returns the objects that must be read.
async fn ask_filters(
    place: &LakeReader,
    objects: Vec<ListedObject>,
    sought: &Arc<Sought>,
    search: &mut Search,
    publish: Publish<'_>,
) -> Vec<ListedObject> {
    let mut left = Vec::new();
    let mut objects = objects.into_iter().peekable();
    while objects.peek().is_some() && !search.has_enough() {
        let mut asking = JoinSet::new();
        let mut asked: Vec<(ListedObject, Asked)> = Vec::new();
        for (at, object) in objects.by_ref().take(MAX_ASKED).enumerate() {
            if has_filters(&object.key) {
                let (place, sought, object) = (place.clone(), Arc::clone(sought), object.clone());
                asking.spawn_blocking(move || (at, ask(&place, &object, &sought)));
            }
            asked.push((object, Asked::Unsure));
        }
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((at, Ok(answer))) => asked[at].1 = answer,
                Ok((at, Err(error))) => {
                    search.note_unread(&asked[at].0.key, UnreadPart::Filters, &error);
                }
                // The runtime is stopping.
                Err(_) => {}
            }
        }
        for (object, answer) in asked {
            match answer {
                Asked::Rows(rows) if rows.is_empty() => search.ruled_out += 1,
                Asked::Rows(rows) => search.add(rows),
                Asked::Unsure => left.push(object),
            }
        }
        publish(search);
    }
    left
}

fn has_filters(key: &str) -> bool {
    let is_columns = |format: Format| matches!(format.layout(), Layout::Columns);
    top_folder(key) != Some(QUARANTINE) && Format::of_key(key).is_some_and(is_columns)
}

fn ask(place: &LakeReader, object: &ListedObject, sought: &Sought) -> io::Result<Asked> {
    let bytes = place.object(&object.key, object.bytes)?;
    let FoundById { rows, has_extra } =
        rows_with_ids(bytes, ID_COLUMN, sought.event_ids(), MAX_ROWS)?;
    if rows.is_empty() && sought.may_be_elsewhere(has_extra) {
        return Ok(Asked::Unsure);
    }
    let found = rows
        .into_iter()
        .map(|(place, row)| found(&object.key, place, row));
    Ok(Asked::Rows(found.collect()))
}

fn found(key: &str, place: u64, row: Map<String, Value>) -> FoundRow {
    FoundRow {
        key: key.to_owned(),
        lsn: row.get("lsn").and_then(Value::as_u64).unwrap_or(0),
        place,
        batch: None,
        row: Value::Object(row).to_string(),
    }
}

/// Leaves out the objects that cannot have it as the id files of their node say, and puts first those that may.
async fn ask_ids(
    place: &LakeReader,
    objects: Vec<ListedObject>,
    known: &KnownIds,
    search: &mut Search,
) -> Vec<ListedObject> {
    let before = objects_before(&objects, known.node);
    let (mut probable, mut left) = (Vec::new(), Vec::new());
    for object in objects {
        let is_own = holder_of(&object.key).is_some_and(|(node, _)| node == known.node);
        if is_own && top_folder(&object.key) != Some(QUARANTINE) {
            let (from, until) = times_of(place, &object.key, before.get(&object.key)).await;
            if !known.may_have(from, until) {
                search.ruled_out += 1;
                continue;
            }
            if known.probably_has(from, until) {
                probable.push((until, object));
                continue;
            }
        }
        left.push(object);
    }
    // A row is in an object soon after it was received.
    probable.sort_by_key(|(until, _)| *until);
    let probable = probable.into_iter().map(|(_, object)| object);
    probable.chain(left).collect()
}

/// For each object of a node, the one before it in its partition.
fn objects_before(objects: &[ListedObject], node: NodeId) -> HashMap<String, String> {
    let mut own: Vec<&String> = objects
        .iter()
        .map(|object| &object.key)
        .filter(|key| holder_of(key).is_some_and(|(of, _)| of == node))
        .collect();
    own.sort();
    let folder = |key: &str| key.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let pairs = own.array_windows::<2>();
    pairs
        .filter(|[before, after]| folder(before) == folder(after))
        .map(|[before, after]| ((*after).clone(), (*before).clone()))
        .collect()
}

/// The time between which the rows of an object were received. What the object before it in its partition promised is
/// a lower bound: nothing older gets into the log after that. No row is newer than the object.
async fn times_of(place: &LakeReader, key: &str, before: Option<&String>) -> (Micros, Micros) {
    let until = place.modified(key).await.ok().flatten();
    let from = match before {
        Some(before) => {
            let looked = place.look(before).await.ok().flatten();
            let stamp = looked.and_then(|looked| Stamp::from_metadata(&looked.metadata).ok());
            stamp.and_then(|stamp| rfc3339::parse(&stamp.as_of.watermark))
        }
        None => None,
    };
    (
        from.unwrap_or(Micros(i64::MIN)),
        until.unwrap_or(Micros(i64::MAX)),
    )
}

/// Reads objects whole.
async fn read_whole(
    place: &LakeReader,
    objects: Vec<ListedObject>,
    (sought, limits): (&Arc<Sought>, SearchLimits),
    search: &mut Search,
    publish: Publish<'_>,
) -> Result<(), LakeReadError> {
    let mut left = limits;
    let mut objects = objects.into_iter().peekable();
    let mut reading = VecDeque::new();
    let (mut in_memory, mut is_cut) = (0, false);
    loop {
        while reading.len() < MAX_READ && !is_cut {
            let fits = |object: &ListedObject| {
                reading.is_empty() || in_memory + object.bytes <= MAX_READ_BYTES
            };
            let Some(ListedObject { key, bytes }) = objects.next_if(fits) else {
                break;
            };
            if bytes > left.bytes || left.objects == 0 {
                is_cut = true;
                break;
            }
            left.bytes -= bytes;
            left.objects -= 1;
            let (place, sought, of) = (place.clone(), Arc::clone(sought), key.clone());
            let task = tokio::spawn(async move { read_one(&place, of, sought).await });
            in_memory += bytes;
            reading.push_back((key, bytes, AbortOnDropHandle::new(task)));
        }
        let Some((key, bytes, task)) = reading.pop_front() else {
            search.is_cut = is_cut;
            return Ok(());
        };
        let (rows, end) = match task.await {
            Ok(read) => read?,
            Err(error) => (Vec::new(), Err(io::Error::other(error))),
        };
        in_memory -= bytes;
        if let Err(error) = end {
            search.note_unread(&key, UnreadPart::Rows, &error);
        }
        search.add(rows);
        publish(search);
        if search.has_enough() {
            return Ok(());
        }
    }
}

/// The rows of an object that are it, and why those after some row cannot be read, if so.
type RowsRead = (Vec<FoundRow>, io::Result<()>);

async fn read_one(
    place: &LakeReader,
    key: String,
    sought: Arc<Sought>,
) -> Result<RowsRead, LakeReadError> {
    // It may have been removed after it was listed.
    let Some(bytes) = place.read(&key).await? else {
        return Ok((Vec::new(), Ok(())));
    };
    let read = tokio::task::spawn_blocking(move || rows_of(&key, bytes, &sought));
    let failed = |error| (Vec::new(), Err(io::Error::other(error)));
    Ok(read.await.unwrap_or_else(failed))
}

fn rows_of(key: &str, bytes: Vec<u8>, sought: &Sought) -> RowsRead {
    let mut rows = Vec::new();
    let end = add_rows_of(key, bytes, sought, &mut rows);
    (rows, end)
}

fn add_rows_of(
    key: &str,
    bytes: Vec<u8>,
    sought: &Sought,
    rows: &mut Vec<FoundRow>,
) -> io::Result<()> {
    let is_refused = top_folder(key) == Some(QUARANTINE);
    let needles = sought.needles();
    let mut place = 0;
    ObjectReader::of_key(key)?.each_text(bytes, &mut |raw| {
        place += 1;
        if !(raw.starts_with(b"{") && raw.ends_with(b"}")) {
            return Err(io::Error::other(format!("row {place} is no JSON object")));
        }
        if needles.may_be_in(raw) {
            let row: Map<String, Value> = serde_json::from_slice(raw)?;
            if sought.is_in(&row, is_refused) {
                let row = FoundRow {
                    row: String::from_utf8_lossy(raw).into_owned(),
                    ..found(key, place, row)
                };
                rows.push(row);
            }
        }
        Ok(rows.len() < MAX_ROWS)
    })
}
