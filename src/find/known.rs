//! What the id files of a log say about an id: when it was received, if it was.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::Micros;
use crate::contract::EventIds;
use crate::files::Disk;
use crate::ids::NodeId;
use crate::record::Fingerprint;
use crate::wal::dedup::id_files;
use crate::wal::logs::log_of;
use crate::wal::node;

/// The lake's clock, which says when an object was made, may differ from the node's.
const SLACK: Duration = Duration::from_secs(600);

/// What the id files of one node say about an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownIds {
    /// The node.
    pub node: NodeId,
    /// The spans of time that files cover without a gap, the oldest first.
    spans: Vec<Span>,
    is_known: bool,
    unread: Vec<UnreadIdFile>,
}

/// An id file that cannot be read. It may have the id, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadIdFile {
    /// Where it is.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub why: String,
}

/// What was received between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    after: Micros,
    until: Micros,
    has_id: bool,
}

/// The number of the log that knows these ids, of so many that share them; `None` if each may be known by another one, or
/// the directory of the first has none yet.
pub fn log_of_ids(dir: &Path, ids: &EventIds, logs: usize) -> io::Result<Option<usize>> {
    let Some(node) = node::read(&Disk, dir)? else {
        return Ok(None);
    };
    let tags = ids.tags(&Fingerprint::new(node.key)).into_iter();
    let mut numbers = tags.map(|tag| log_of(tag, logs));
    let first = numbers.next();
    Ok(first.filter(|first| numbers.all(|number| number == *first)))
}

impl KnownIds {
    /// Reads the id files of the log in `dir`; `None` if there are none. A file that cannot be read is in
    /// [`Self::unread`], and rules nothing out.
    pub fn read(dir: &Path, ids: &EventIds) -> io::Result<Option<Self>> {
        let Some(node) = node::read(&Disk, dir)? else {
            return Ok(None);
        };
        let tags = ids.tags(&Fingerprint::new(node.key));
        let (files, _) = id_files::list(&Disk, dir)?;
        let (mut spans, mut unread, mut is_known) = (Vec::new(), Vec::new(), false);
        // Before the first segment nothing was received.
        let mut before = Some((0, Micros(i64::MIN)));
        for file in files.values() {
            let ids = match id_files::read(&Disk, dir, file) {
                Ok(ids) => ids,
                Err(error) => {
                    unread.push(UnreadIdFile {
                        path: file.path(dir),
                        why: error.to_string(),
                    });
                    before = None;
                    continue;
                }
            };
            let until = ids.newest_received;
            let has = |tag: &u64| {
                let found = ids
                    .identities
                    .binary_search_by_key(tag, |identity| identity.tag);
                found.is_ok()
            };
            let has_id = tags.iter().any(has);
            is_known |= has_id;
            if let Some((last, after)) = before
                && last + 1 == file.first
            {
                spans.push(Span {
                    after,
                    until,
                    has_id,
                });
            }
            before = Some((file.last, until));
        }
        let is_nothing = spans.is_empty() && unread.is_empty();
        Ok((!is_nothing).then_some(Self {
            node: node.id,
            spans,
            is_known,
            unread,
        }))
    }

    /// Whether the node has received it, as far back as its files reach; `None` if none of those that can be read has
    /// it and others cannot be read.
    pub fn has_it(&self) -> Option<bool> {
        (self.is_known || self.unread.is_empty()).then_some(self.is_known)
    }

    /// The files that cannot be read.
    pub fn unread(&self) -> &[UnreadIdFile] {
        &self.unread
    }

    /// Whether it may have been received between these times: a file says so, or none covers all of the time. The first
    /// is a promise of the node, by its own clock; the second one is by the lake's.
    pub(super) fn may_have(&self, from: Micros, until: Micros) -> bool {
        let until = until.0.saturating_add(slack());
        let mut covered = from;
        for span in &self.spans {
            if span.until < from || span.after.0 >= until {
                continue;
            }
            if span.has_id || span.after > covered {
                return true;
            }
            covered = covered.max(span.until);
        }
        covered.0 < until
    }

    /// Whether a file says that it was received between these times, if all clocks agree.
    pub(super) fn probably_has(&self, from: Micros, until: Micros) -> bool {
        let mut spans = self.spans.iter().filter(|span| span.has_id);
        spans.any(|span| span.until >= from && span.after < until)
    }
}

fn slack() -> i64 {
    i64::try_from(SLACK.as_micros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::ids::Ids;
    use crate::record::Identity;
    use crate::wal::dedup::id_files::SegmentIds;

    const HOUR: i64 = 3_600_000_000;

    fn ids(text: &str) -> EventIds {
        EventIds::of(text, "events", std::iter::empty())
    }

    /// A log whose segments, one an hour, hold these ids.
    fn log(segments: &[(u64, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let node = node::read_or_create(&Disk, dir.path(), &Ids::System).unwrap();
        let fingerprint = Fingerprint::new(node.key);
        for (segment, text) in segments {
            let tags = ids(text).tags(&fingerprint).into_iter();
            let mut ids = SegmentIds {
                newest_received: Micros(i64::try_from(*segment).unwrap() * HOUR),
                identities: tags.map(|tag| Identity { tag, content: 1 }).collect(),
            };
            id_files::write(&Disk, dir.path(), (*segment, *segment), &mut ids).unwrap();
        }
        dir
    }

    /// Between two times in tenths of an hour.
    fn between(known: &KnownIds, from: i64, until: i64) -> bool {
        known.may_have(Micros(from * HOUR / 10), Micros(until * HOUR / 10))
    }

    #[test]
    fn files_say_when_an_id_was_received() {
        let dir = log(&[(1, "a"), (2, "b"), (3, "c")]);
        let known = KnownIds::read(dir.path(), &ids("b")).unwrap().unwrap();
        assert_eq!(known.has_it(), Some(true));
        assert!(between(&known, 14, 16));
        assert!(!between(&known, 1, 8) && !between(&known, 24, 28));
        let probably = |from: i64, until: i64| {
            known.probably_has(Micros(from * HOUR / 10), Micros(until * HOUR / 10))
        };
        assert!(probably(5, 11) && probably(19, 40) && !probably(5, 10) && !probably(21, 40));
        // The node's own clock says that nothing of that time is in the second segment.
        assert!(between(&known, 20, 21) && !between(&known, 21, 22));
        // What is newer than the newest file is not covered.
        assert!(between(&known, 24, 29) && between(&known, 70, 80));
        let unknown = KnownIds::read(dir.path(), &ids("x")).unwrap().unwrap();
        assert_eq!(unknown.has_it(), Some(false));
        assert!(!between(&unknown, 1, 28) && between(&unknown, 1, 31));
    }

    #[test]
    fn of_several_logs_one_knows_an_id() {
        let dir = log(&[(1, "a")]);
        let of = |text| log_of_ids(dir.path(), &ids(text), 3).unwrap();
        let numbers: std::collections::BTreeSet<_> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]
                .map(of)
                .into();
        assert!(
            numbers.len() > 1 && numbers.iter().all(|of| of.is_some_and(|number| number < 3)),
            "{numbers:?}"
        );
        assert_eq!(log_of_ids(dir.path(), &ids("a"), 1).unwrap(), Some(0));
        assert_eq!(
            log_of_ids(&dir.path().join("none"), &ids("a"), 3).unwrap(),
            None
        );
    }

    #[test]
    fn a_gap_says_nothing() {
        let dir = log(&[(2, "b"), (3, "c"), (5, "e")]);
        let known = KnownIds::read(dir.path(), &ids("x")).unwrap().unwrap();
        // Nobody knows what was in the first segment, nor in the fourth.
        assert!(between(&known, 5, 6) && between(&known, 15, 16));
        assert!(!between(&known, 23, 27));
        assert!(between(&known, 35, 36) && between(&known, 44, 46));
        assert_eq!(
            KnownIds::read(&dir.path().join("none"), &ids("x")).ok(),
            Some(None)
        );
    }

    #[test]
    fn a_damaged_file_rules_nothing_out_and_is_named() {
        let dir = log(&[(1, "a"), (2, "b"), (3, "c")]);
        let damage = |segment| {
            let path = id_files::ids_path(dir.path(), (segment, segment));
            #[allow(clippy::disallowed_methods, reason = "damages a file")]
            std::fs::write(&path, b"damaged").unwrap();
            path
        };
        let damaged = damage(2);
        let known = KnownIds::read(dir.path(), &ids("x")).unwrap().unwrap();
        assert!(!between(&known, 1, 7) && between(&known, 14, 16));
        let [unread] = known.unread() else {
            panic!("{known:?}");
        };
        assert_eq!(unread.path, damaged);
        assert!(unread.why.ends_with("is damaged"), "{}", unread.why);
        // Whether the damaged one has it, nobody knows; what another one has is known all the same.
        assert_eq!(known.has_it(), None);
        let known = KnownIds::read(dir.path(), &ids("c")).unwrap().unwrap();
        assert_eq!(known.has_it(), Some(true));
        // If none can be read, that is said too.
        for segment in [1, 3] {
            damage(segment);
        }
        let known = KnownIds::read(dir.path(), &ids("c")).unwrap().unwrap();
        assert_eq!((known.has_it(), known.unread().len()), (None, 3));
        assert!(between(&known, 1, 7) && between(&known, 24, 28));
    }
}
