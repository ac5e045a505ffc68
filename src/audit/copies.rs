//! Events that are in the lake more than once, also where no node's sums can show it: each node
//! recognises duplicates among what it receives itself, so a retry that reaches another node is stored twice.
//!
//! An event is its id within a scope: each hook is a scope, and the webhook is one. The ids of all
//! objects are sorted in bounded memory; what does not fit is spilled to files in a directory for temporary
//! files, and merged at the end.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::encode::ObjectReader;
use crate::files::{Appender, Disk, Files as _, Reader, remove_if_there};
use crate::ids::{Ids, NodeId};

/// Ids in memory: 32 MiB.
const MAX_IDS: usize = 1 << 20;
/// Files that are merged at once.
const MAX_RUNS: usize = 64;
/// Events that are listed; the others are counted.
const MAX_LISTED: usize = 100;
/// The stream of events.
const STREAM: &str = "events/";
/// The scope of the events that no hook has taken.
const WEBHOOK: &str = "webhook";
/// Scope, id and node of an event in a file.
const ENTRY_BYTES: usize = 28;

/// An event that is in the lake more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CopiedEvent {
    /// The hook that took it, or `webhook`.
    pub scope: String,
    /// Its id.
    pub event_id: String,
    /// How many rows have it.
    pub copies: u64,
    /// The nodes that have put it.
    pub nodes: Vec<String>,
}

/// Events that are in the lake more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// Events that several nodes have put.
    pub across_nodes: u64,
    /// Events that one node has put several times, because its dedup window had ended.
    pub within_nodes: u64,
    /// The first of them.
    pub events: Vec<CopiedEvent>,
}

/// One row of one event. The order of the fields is the order of the sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    scope: u32,
    id: u128,
    node: NodeId,
}

/// What is read of a row.
#[derive(Deserialize)]
struct Identified {
    event_id: String,
    source: String,
}

/// Collects the ids of events.
pub struct CopyCounter {
    hooks: BTreeSet<String>,
    /// Names of scopes; the first is the webhook.
    scopes: Vec<String>,
    rows: Vec<Row>,
    max_rows: usize,
    spill: Spill,
}

impl CopyCounter {
    /// A counter that knows these hooks, and spills into a new directory below `temporary`.
    pub fn new(hooks: BTreeSet<String>, temporary: &Path, ids: &Ids) -> io::Result<Self> {
        let name = format!("lakehook-audit-{:016x}", ids.next()?);
        Ok(Self {
            hooks,
            scopes: vec![WEBHOOK.to_owned()],
            rows: Vec::new(),
            max_rows: MAX_IDS,
            spill: Spill {
                directory: temporary.join(name),
                made: 0,
                runs: Vec::new(),
            },
        })
    }

    /// Takes the ids of an object, if it holds events; of a damaged one, those that can be read. The audit names it.
    pub(super) fn take(&mut self, key: &str, node: NodeId, bytes: &[u8]) -> io::Result<()> {
        if !key.starts_with(STREAM) {
            return Ok(());
        }
        let Ok(reader) = ObjectReader::of_key(key) else {
            return Ok(());
        };
        let mut taken = Ok(());
        let _named_elsewhere = reader.each(bytes.to_vec(), &mut |row: Identified| {
            let scope = self.scope(row.source);
            let id = Uuid::try_parse(&row.event_id).map_err(io::Error::other)?;
            let id = id.as_u128();
            taken = self.push(Row { scope, id, node });
            Ok(taken.is_ok())
        });
        taken
    }

    fn scope(&mut self, source: String) -> u32 {
        if !self.hooks.contains(&source) {
            return 0;
        }
        let known = self.scopes.iter().position(|scope| *scope == source);
        let index = known.unwrap_or_else(|| {
            self.scopes.push(source);
            self.scopes.len() - 1
        });
        index as u32
    }

    fn push(&mut self, row: Row) -> io::Result<()> {
        if self.rows.len() >= self.max_rows {
            self.rows.sort_unstable();
            self.spill.write(self.rows.drain(..).map(Ok))?;
        }
        self.rows.push(row);
        Ok(())
    }

    /// Counts the events that were taken more than once.
    pub fn finish(mut self) -> io::Result<Copies> {
        self.rows.sort_unstable();
        let mut copies = Copies::default();
        let mut same: Vec<Row> = Vec::new();
        let mut see = |row: Row| {
            if same
                .first()
                .is_none_or(|first| (first.scope, first.id) != (row.scope, row.id))
            {
                copies.add(&same, &self.scopes);
                same.clear();
            }
            same.push(row);
        };
        if self.spill.runs.is_empty() {
            self.rows.into_iter().for_each(&mut see);
        } else {
            self.spill.write(self.rows.into_iter().map(Ok))?;
            for row in self.spill.merge_all()? {
                see(row?);
            }
        }
        copies.add(&same, &self.scopes);
        Ok(copies)
    }
}

impl Copies {
    /// Counts the rows of one event.
    fn add(&mut self, same: &[Row], scopes: &[String]) {
        let [first, _second, ..] = same else { return };
        let nodes: BTreeSet<NodeId> = same.iter().map(|row| row.node).collect();
        if nodes.len() > 1 {
            self.across_nodes += 1;
        } else {
            self.within_nodes += 1;
        }
        if self.events.len() < MAX_LISTED {
            self.events.push(CopiedEvent {
                scope: scopes[first.scope as usize].clone(),
                event_id: Uuid::from_u128(first.id).to_string(),
                copies: same.len() as u64,
                nodes: nodes.iter().map(ToString::to_string).collect(),
            });
        }
    }
}

/// Sorted files in a directory of their own, which goes with them.
struct Spill {
    directory: PathBuf,
    /// How many files were made.
    made: u64,
    runs: Vec<PathBuf>,
}

impl Spill {
    /// Writes sorted rows into a file; merges the files first if there are many.
    fn write(&mut self, rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<()> {
        if self.runs.len() >= MAX_RUNS {
            let merged = self.merge_all()?;
            let before = std::mem::take(&mut self.runs);
            let written = self.write_run(merged);
            self.runs
                .extend(before.iter().filter(|_| written.is_err()).cloned());
            written?;
            for run in before {
                remove_if_there(&Disk, &run)?;
            }
        }
        self.write_run(rows)
    }

    fn write_run(&mut self, rows: impl Iterator<Item = io::Result<Row>>) -> io::Result<()> {
        if self.made == 0 {
            Disk.create_dir(&self.directory, true)?;
        }
        let path = self.directory.join(self.made.to_string());
        self.made += 1;
        let file = Arc::new(Disk.create_new(&path)?);
        self.runs.push(path);
        let mut out = BufWriter::with_capacity(256 << 10, Appender::new(file));
        for row in rows {
            let Row { scope, id, node } = row?;
            out.write_all(&scope.to_le_bytes())?;
            out.write_all(&id.to_le_bytes())?;
            out.write_all(&node.0.to_le_bytes())?;
        }
        out.flush()
    }

    /// All rows of all files, in order.
    fn merge_all(&self) -> io::Result<Merge> {
        let mut merge = Merge {
            runs: Vec::new(),
            next: BinaryHeap::new(),
        };
        for path in &self.runs {
            let file = Reader::new(Disk.open(path)?)?;
            merge.runs.push(BufReader::with_capacity(64 << 10, file));
            merge.advance(merge.runs.len() - 1)?;
        }
        Ok(merge)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        for run in &self.runs {
            let _left_behind = remove_if_there(&Disk, run);
        }
        if self.made > 0 {
            let _left_behind = Disk.remove_dir(&self.directory);
        }
    }
}

/// Rows of several sorted files, in order.
struct Merge {
    runs: Vec<BufReader<Reader<std::fs::File>>>,
    next: BinaryHeap<Reverse<(Row, usize)>>,
}

impl Merge {
    fn advance(&mut self, run: usize) -> io::Result<()> {
        let mut bytes = [0; ENTRY_BYTES];
        match self.runs[run].read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let (mut scope, mut id, mut node) = ([0; 4], [0; 16], [0; 8]);
        scope.copy_from_slice(&bytes[..4]);
        id.copy_from_slice(&bytes[4..20]);
        node.copy_from_slice(&bytes[20..]);
        let row = Row {
            scope: u32::from_le_bytes(scope),
            id: u128::from_le_bytes(id),
            node: NodeId(u64::from_le_bytes(node)),
        };
        self.next.push(Reverse((row, run)));
        Ok(())
    }
}

impl Iterator for Merge {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<io::Result<Row>> {
        let Reverse((row, run)) = self.next.pop()?;
        Some(self.advance(run).map(|()| row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn counter(directory: &Path, max_rows: usize) -> CopyCounter {
        let hooks = BTreeSet::from(["github".to_owned()]);
        let mut counter = CopyCounter::new(hooks, directory, &Ids::System).unwrap();
        counter.max_rows = max_rows;
        counter
    }

    fn take(counter: &mut CopyCounter, node: u64, rows: &[(u128, &str)]) {
        let mut lines = String::new();
        for (id, source) in rows {
            let id = Uuid::from_u128(*id);
            writeln!(lines, "{{\"event_id\":\"{id}\",\"source\":\"{source}\"}}").unwrap();
        }
        let (key, node) = ("events/dt=2026-11-25/x.ndjson", NodeId(node));
        counter.take(key, node, lines.as_bytes()).unwrap();
    }

    #[test]
    fn ids_are_counted_by_scope_across_nodes() {
        let dir = tempfile::tempdir().unwrap();
        let mut counter = counter(dir.path(), 3);
        take(
            &mut counter,
            1,
            &[(1, "web"), (2, "web"), (3, "github"), (4, "web")],
        );
        take(
            &mut counter,
            2,
            &[
                (1, "apple"),
                (3, "web"),
                (2, "github"),
                (5, "web"),
                (5, "web"),
            ],
        );
        let other = counter.take("users/dt=2026-11-25/x.ndjson", NodeId(3), b"no events");
        assert!(other.is_ok());
        let copies = counter.finish().unwrap();
        let event = |id: u128, copies, nodes: &[u64]| CopiedEvent {
            scope: "webhook".to_owned(),
            event_id: Uuid::from_u128(id).to_string(),
            copies,
            nodes: nodes.iter().map(|node| NodeId(*node).to_string()).collect(),
        };
        assert_eq!((copies.across_nodes, copies.within_nodes), (1, 1));
        assert_eq!(copies.events, [event(1, 2, &[1, 2]), event(5, 2, &[2])]);
        assert_eq!(Disk.list(dir.path()).unwrap(), [], "files are left");
    }

    #[test]
    fn memory_is_bounded_however_many_rows_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let mut counter = counter(dir.path(), 10);
        for node in 1..=2 {
            let rows: Vec<(u128, &str)> = (0..2000)
                .map(|n| (n * 7919 % 2000 + n % 2 * 4000 * node, "web"))
                .collect();
            take(&mut counter, u64::try_from(node).unwrap(), &rows);
        }
        assert!(counter.spill.runs.len() <= MAX_RUNS && counter.rows.len() <= 10);
        let copies = counter.finish().unwrap();
        assert_eq!((copies.across_nodes, copies.within_nodes), (1000, 0));
        assert_eq!(copies.events.len(), MAX_LISTED);
    }
}
