//! Chunks: the groups of one request, its body and its key. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3Default;

use super::definition::ChunkLimits;
use super::group::Group;
use lakehook_base::clock::Micros;

/// The rows that list the groups of a chunk are part of the entry with its answer, and leave room for it.
const MAX_TOLD: usize = 8 << 20;

/// Groups that are sent together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// What tells it apart from every other chunk: 32 hexadecimal digits.
    pub key: String,
    /// Its groups, of which there is at least one.
    pub groups: Vec<Group>,
    /// When it was decided on, in microseconds since 1970; 0 if an earlier version did.
    #[serde(default)]
    pub decided: i64,
}

impl Chunk {
    /// A chunk of these groups that is decided on now; `scope` is what else its answer depends on.
    pub(super) fn new(groups: Vec<Group>, scope: &str, now: Micros) -> Self {
        let mut hash = Xxh3Default::new();
        hash.update(scope.as_bytes());
        for group in &groups {
            for row in &group.rows {
                hash.update(b"\n");
                hash.update(row.as_bytes());
            }
            hash.update(b"\n\n");
        }
        Self {
            key: format!("{:032x}", hash.digest128()),
            groups,
            decided: now.0,
        }
    }

    /// All rows, in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &str> {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        rows.map(String::as_str)
    }

    /// The body, with the rows as a list at a place.
    pub(super) fn body(&self, pointer: &str) -> String {
        let (head, tail) = envelope(pointer);
        let rows: Vec<&str> = self.rows().collect();
        format!("{head}[{}]{tail}", rows.join(","))
    }

    /// Two chunks of its groups; `None` if it has only one.
    pub(super) fn halves(&self, scope: &str) -> Option<(Self, Self)> {
        let middle = self.groups.len() / 2;
        if middle == 0 {
            return None;
        }
        let (left, right) = self.groups.split_at(middle);
        let decided = Micros(self.decided);
        Some((
            Self::new(left.to_vec(), scope, decided),
            Self::new(right.to_vec(), scope, decided),
        ))
    }
}

/// What stands before and behind the list of rows in a body.
fn envelope(pointer: &str) -> (String, String) {
    let (mut head, mut tail) = (String::new(), String::new());
    for step in pointer.split('/').skip(1) {
        let key = step.replace("~1", "/").replace("~0", "~");
        head.push('{');
        head.push_str(&serde_json::Value::from(key).to_string());
        head.push(':');
        tail.push('}');
    }
    (head, tail)
}

/// Gathers groups until a request is full.
#[derive(Debug)]
pub(super) struct Gathering {
    limits: ChunkLimits,
    /// Bytes of the body without rows.
    envelope: usize,
    groups: Vec<Group>,
    rows: usize,
    bytes: usize,
    /// Bytes of the rows that will list the groups.
    told: usize,
}

/// What became of a group.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    /// It is in the chunk.
    Added,
    /// It begins the next chunk; these groups are complete.
    Full(Vec<Group>),
    /// No request can hold it, and why.
    TooLarge(Box<Group>, String),
}

impl Gathering {
    pub(super) fn new(limits: ChunkLimits, pointer: Option<&str>) -> Self {
        let (head, tail) = envelope(pointer.unwrap_or_default());
        Self {
            limits,
            envelope: head.len() + tail.len() + 1,
            groups: Vec::new(),
            rows: 0,
            bytes: 0,
            told: 0,
        }
    }

    /// Adds a group.
    pub(super) fn add(&mut self, group: Group) -> Gathered {
        let (rows, bytes) = (group.rows.len(), group.bytes());
        let most = self.limits;
        if rows > most.rows || bytes + self.envelope > most.bytes {
            let why = format!(
                "a group of at most {} rows and {} bytes (chunk); it has {rows} rows and {bytes} bytes",
                most.rows, most.bytes
            );
            return Gathered::TooLarge(Box::new(group), why);
        }
        let is_full = self.groups.len() >= most.groups
            || self.rows + rows > most.rows
            || self.bytes + bytes + self.envelope > most.bytes
            || self.told > 0 && self.told + group.told_bytes() > MAX_TOLD;
        let full = is_full.then(|| self.take());
        self.rows += rows;
        self.bytes += bytes;
        self.told += group.told_bytes();
        self.groups.push(group);
        full.map_or(Gathered::Added, Gathered::Full)
    }

    /// The groups that are left.
    pub(super) fn take(&mut self) -> Vec<Group> {
        (self.rows, self.bytes, self.told) = (0, 0, 0);
        std::mem::take(&mut self.groups)
    }
}

/// A member of a row, as JSON, without white space around it.
pub(super) fn member(row: &str, name: &str) -> Option<String> {
    let members: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(row).ok()?;
    members.get(name).map(|value| value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(key: &str, rows: usize) -> Group {
        Group {
            key: key.to_owned(),
            rows: vec!["{\"a\":1}".to_owned(); rows],
            ..Group::default()
        }
    }

    #[test]
    fn bodies_have_the_rows_where_they_belong() {
        let chunk = Chunk::new(vec![group("1", 2)], "", Micros(5));
        assert_eq!(chunk.body(""), r#"[{"a":1},{"a":1}]"#);
        assert_eq!(chunk.body("/a/b~1c"), r#"{"a":{"b/c":[{"a":1},{"a":1}]}}"#);
    }

    #[test]
    fn chunks_are_full_by_groups_rows_or_bytes_and_never_split_a_group() {
        for (limits, sizes, chunks) in [
            ((2, 100, 9999), vec![1, 1, 1], vec![2, 1]),
            ((9, 3, 9999), vec![2, 2, 1], vec![1, 2]),
            ((9, 99, 34), vec![2, 2, 1, 1], vec![2, 2]),
        ] {
            let limits = ChunkLimits {
                groups: limits.0,
                rows: limits.1,
                bytes: limits.2,
            };
            let mut gathering = Gathering::new(limits, Some(""));
            let mut found = Vec::new();
            for size in sizes {
                match gathering.add(group("1", size)) {
                    Gathered::Added => {}
                    Gathered::Full(groups) => found.push(groups.len()),
                    Gathered::TooLarge(..) => panic!("{limits:?}"),
                }
            }
            found.push(gathering.take().len());
            assert_eq!(found, chunks, "{limits:?}");
            let body = Chunk::new(vec![group("1", 2), group("2", 2)], "", Micros(5)).body("");
            assert!(limits.bytes != 34 || body.len() <= 34, "{}", body.len());
            let large = gathering.add(group("1", 101));
            assert!(matches!(large, Gathered::TooLarge(..)), "{large:?}");
        }
    }

    #[test]
    fn a_chunk_has_no_more_groups_than_the_entry_with_its_answer_can_list() {
        let limits = ChunkLimits {
            groups: 100_000,
            rows: 100_000,
            bytes: 8 << 20,
        };
        let mut gathering = Gathering::new(limits, Some(""));
        let added = (0..100_000).take_while(|_| gathering.add(group("1", 1)) == Gathered::Added);
        let added = added.count();
        assert!(added > 10_000 && added * 512 < MAX_TOLD, "{added}");
    }

    #[test]
    fn halves_have_keys_of_their_own() {
        let chunk = Chunk::new(
            vec![group("1", 1), group("2", 1), group("3", 2)],
            "x",
            Micros(5),
        );
        let (left, right) = chunk.halves("x").unwrap();
        assert_eq!((left.groups.len(), right.groups.len()), (1, 2));
        assert!(left.key != chunk.key && left.key != right.key);
        assert_eq!((left.decided, right.decided), (5, 5));
        assert!(left.halves("x").is_none());
        assert_eq!(
            Chunk::new(chunk.groups.clone(), "x", Micros(5)).key,
            chunk.key
        );
        assert_ne!(
            Chunk::new(chunk.groups.clone(), "y", Micros(5)).key,
            chunk.key
        );
    }
}
