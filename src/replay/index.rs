//! What the quarantine of a lake holds, for those who look often: each object is read once, and of each row a short line
//! is kept in memory.
//!
//! Bounded: by days, by objects, by bytes that are read, and by lines. What is left out is counted as such. Objects never
//! change except by an erasure, after which an object has another size.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::kept::{Kept, rows};
use super::kinds::{Kind, KindCount, Kinds};
use super::marks::{Marks, MarksError, Replayed};
use super::node_of;
use crate::encode::Format;
use crate::lake::keys::replays_prefix;
use crate::lake::reader::{LakeReadError, LakeReader};

/// At most this many objects are read, the newest ones.
const MAX_OBJECTS: usize = 2_000;
/// Objects of at most so many bytes together.
const MAX_BYTES: u64 = 256 << 20;
/// A line for each of at most so many rows, the newest ones; the others are counted.
const MAX_LINES: usize = 20_000;
/// Texts that senders choose are cut to so many characters.
const MAX_TEXT: usize = 200;

/// A row of the quarantine in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowLine {
    /// When it was received: RFC 3339, in UTC.
    pub received_at: String,
    /// The row's LSN in the log of its node.
    pub lsn: u64,
    /// The key of its object.
    #[serde(serialize_with = "shared")]
    pub key: Arc<str>,
    /// The kind of refusal.
    #[serde(flatten, serialize_with = "shared")]
    pub kind: Arc<Kind>,
    /// What the first broken rule expects.
    pub detail: String,
    /// The path that received it, or the name of the poll.
    pub endpoint: String,
    /// The id of the request, or the name of the run.
    pub request_id: String,
    /// The address of the sender, if it is known.
    pub client: Option<String>,
    /// The length of what was refused.
    pub raw_bytes: u64,
}

/// Serializes what is shared as if it were not.
fn shared<T: Serialize + ?Sized, S: Serializer>(value: &Arc<T>, to: S) -> Result<S::Ok, S::Error> {
    T::serialize(value, to)
}

/// What is known of an object.
#[derive(Debug)]
struct Digest {
    bytes: u64,
    kinds: Vec<KindCount>,
    /// Its rows, in the order of LSNs; empty if there are too many in all.
    lines: Vec<RowLine>,
    /// Why it cannot be read, if that is so.
    error: Option<String>,
}

/// The quarantine as of the last reading.
#[derive(Clone, Debug, Default)]
pub struct QuarantineIndex {
    objects: BTreeMap<Arc<str>, Arc<Digest>>,
    marks: Arc<Marks>,
    mark_keys: Vec<String>,
    /// Objects that were not read because there are too many.
    pub left_out: usize,
    /// Objects that are still to be read.
    pub unread: usize,
}

/// Why the quarantine cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The lake cannot be listed or read.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
    /// Marks of replays cannot be read.
    #[error(transparent)]
    Marks(#[from] MarksError),
}

impl QuarantineIndex {
    /// Reads what is new in the quarantine of these streams and days (`2026-11-29`). `publish` gets what is known so
    /// far, after each object.
    pub async fn refresh(
        mut self,
        place: &LakeReader,
        streams: &[String],
        days: &[String],
        publish: &(dyn Fn(&Self) + Send + Sync),
    ) -> Result<Self, IndexError> {
        let mark_keys = place.keys(&replays_prefix()).await?;
        if mark_keys != self.mark_keys {
            self.marks = Arc::new(Marks::read(place).await?);
            self.mark_keys = mark_keys;
        }
        let mut there = Vec::new();
        for stream in streams {
            for day in days {
                let prefix = format!("quarantine/{stream}/dt={day}/");
                let listed = place.sizes(&prefix, MAX_OBJECTS).await?;
                there.extend(
                    listed
                        .into_iter()
                        .filter(|(key, _)| Format::of_key(key).is_some()),
                );
            }
        }
        there.sort_by(|a, b| newest_first(&a.0).cmp(&newest_first(&b.0)));
        let mut bytes = 0_u64;
        let within = there.iter().take(MAX_OBJECTS).take_while(|(_, size)| {
            bytes += size;
            bytes <= MAX_BYTES
        });
        let within = within.count();
        self.left_out = there.len() - within;
        there.truncate(within);
        self.forget_all_but(&there);
        let new: Vec<(String, u64)> = there
            .into_iter()
            .filter(|(key, _)| !self.objects.contains_key(key.as_str()))
            .collect();
        self.unread = new.len();
        for (key, size) in new {
            let digest = digest(place, &key, size, self.lines_left()).await?;
            self.unread -= 1;
            if let Some(digest) = digest {
                self.objects.insert(key.into(), Arc::new(digest));
            }
            publish(&self);
        }
        Ok(self)
    }

    fn forget_all_but(&mut self, there: &[(String, u64)]) {
        let sizes: BTreeMap<&str, u64> = there
            .iter()
            .map(|(key, size)| (key.as_str(), *size))
            .collect();
        self.objects
            .retain(|key, digest| sizes.get(&**key) == Some(&digest.bytes));
    }

    fn lines_left(&self) -> usize {
        let lines: usize = self.objects.values().map(|object| object.lines.len()).sum();
        MAX_LINES.saturating_sub(lines)
    }

    /// All kinds with their numbers; those with most rows first.
    pub fn kinds(&self) -> Vec<KindCount> {
        let mut kinds = Kinds::default();
        for object in self.objects.values() {
            object.kinds.iter().for_each(|kind| kinds.merge(kind));
        }
        kinds.sorted()
    }

    /// The rows of a kind, or all of them; those that were received last first.
    pub fn lines(&self, wanted: impl Fn(&Kind) -> bool) -> Vec<&RowLine> {
        let lines = self.objects.values().flat_map(|object| &object.lines);
        let mut lines: Vec<&RowLine> = lines.filter(|line| wanted(&line.kind)).collect();
        lines.sort_by(|a, b| (&b.received_at, b.lsn).cmp(&(&a.received_at, a.lsn)));
        lines
    }

    /// How a row was replayed, if it was.
    pub fn replayed(&self, line: &RowLine) -> Option<Replayed> {
        self.replayed_row(&line.key, line.lsn)
    }

    /// The same for the row of an object.
    pub fn replayed_row(&self, key: &str, lsn: u64) -> Option<Replayed> {
        self.marks.of(node_of(key), lsn)
    }

    /// The rows that are counted, whether there is a line for them or not.
    pub fn rows(&self) -> u64 {
        let kinds = self.objects.values().flat_map(|object| &object.kinds);
        kinds.map(|kind| kind.rows).sum()
    }

    /// Objects that cannot be read, with the reason.
    pub fn unreadable(&self) -> impl Iterator<Item = (&str, &str)> {
        self.objects
            .iter()
            .filter_map(|(key, object)| Some((&**key, object.error.as_deref()?)))
    }
}

/// Newer days come first, then higher names, which begin with the node and its LSN.
fn newest_first(key: &str) -> std::cmp::Reverse<(&str, &str)> {
    let day = key.split('/').find_map(|part| part.strip_prefix("dt="));
    std::cmp::Reverse((day.unwrap_or_default(), key))
}

/// Reads an object; `None` if it has gone.
async fn digest(
    place: &LakeReader,
    key: &str,
    size: u64,
    lines_left: usize,
) -> Result<Option<Digest>, IndexError> {
    let Some(bytes) = place.read(key).await? else {
        return Ok(None);
    };
    let key: Arc<str> = key.into();
    // Parsing takes time, and others wait for this thread.
    let digested =
        tokio::task::spawn_blocking(move || digest_of(&key, bytes, size, lines_left)).await;
    Ok(digested.ok())
}

fn digest_of(key: &Arc<str>, bytes: Vec<u8>, size: u64, lines_left: usize) -> Digest {
    let mut kinds = Kinds::default();
    let mut lines = Vec::new();
    let mut known: BTreeMap<Kind, Arc<Kind>> = BTreeMap::new();
    let read = rows(key, bytes, &mut |row| {
        kinds.add(key, &row);
        if lines.len() <= lines_left {
            let kind = Kind::of(&row);
            let kind = known
                .entry(kind)
                .or_insert_with_key(|kind| Arc::new(kind.clone()));
            lines.push(line_of(key, Arc::clone(kind), row));
        }
        true
    });
    if lines.len() > lines_left {
        lines.clear();
    }
    Digest {
        bytes: size,
        kinds: kinds.sorted(),
        lines,
        error: read.err().map(|error| error.to_string()),
    }
}

fn line_of(key: &Arc<str>, kind: Arc<Kind>, row: Kept) -> RowLine {
    let detail = row.errors.into_iter().next().map(|error| error.detail);
    RowLine {
        received_at: row.received_at,
        lsn: row.lsn,
        key: Arc::clone(key),
        kind,
        detail: cut(detail.unwrap_or_default()),
        endpoint: cut(row.endpoint),
        request_id: cut(row.request_id),
        client: row.client,
        raw_bytes: row.raw_bytes,
    }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// The row of an object with an LSN; `None` if there is none.
pub async fn row_of(
    place: &LakeReader,
    key: &str,
    lsn: u64,
) -> Result<Option<Kept>, LakeReadError> {
    let Some(bytes) = place.read(key).await? else {
        return Ok(None);
    };
    let key = key.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let mut found = None;
        let read = rows(&key, bytes, &mut |row| {
            if row.lsn == lsn {
                found = Some(row);
            }
            found.is_none()
        });
        read.map(|()| found)
    });
    Ok(found.await.map_err(std::io::Error::other)??)
}
