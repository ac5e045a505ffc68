//! Which files a stream knows, and what became of each.
//!
//! A file is known by its name. What is said of it comes from the run that took or refused it, and counts once the
//! end of that run is durable. A file that is gone is forgotten after a while, so that the ledger does not grow
//! with all files that ever were.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::parts::{Cover, Parts};
use lakehook_base::clock::Micros;
use lakehook_base::files::{Appender, Disk, File as _, Files as _, Reader, remove_if_there};

const KIND: &str = "files";
/// With more parts than this, they are merged.
const MAX_PARTS: usize = 24;
const BUFFER: usize = 64 << 10;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Its rows are part of a run.
    Taken,
    /// It was refused: nothing of it is visible.
    Failed,
    /// It has other bytes than the file of its name that was taken, whose hash stays.
    Changed,
    /// It was passed over, because its content is known or it was not the newest.
    Passed,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownFile {
    /// What a listing says of it.
    pub(crate) version: u128,
    /// Hash of its bytes; 0 if it was not read.
    pub(crate) hash: u128,
    pub(crate) outcome: Outcome,
    /// Hash of the settings that it was judged by.
    pub(crate) plan: u64,
    /// When it was seen last.
    pub(crate) seen: Micros,
    /// The run that has the rows of the last file of this name that was taken.
    pub(crate) taken_in: Option<TakenIn>,
}

/// A run, as far as its name depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TakenIn {
    /// When it began, in microseconds.
    pub(crate) started: i64,
    pub(crate) run: u64,
}

/// What a run notes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotedFile {
    pub(crate) name: String,
    pub(crate) known: KnownFile,
}

/// One line of a part.
#[derive(Debug, Serialize, Deserialize)]
struct LedgerLine {
    name: String,
    version: String,
    hash: String,
    outcome: Outcome,
    plan: String,
    seen: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_in: Option<TakenIn>,
}

/// The files that a stream knows.
#[derive(Debug)]
pub(crate) struct Ledger {
    parts: Parts,
    known: HashMap<u128, KnownFile>,
    /// Hashes of files that were taken.
    contents: HashSet<u128>,
}

/// A file that was refused leaves the rows of the one before where they are.
fn insert(known: &mut HashMap<u128, KnownFile>, noted: &NotedFile) {
    let key = key_of(&noted.name);
    let before = known.get(&key).and_then(|known| known.taken_in);
    let taken_in = noted.known.taken_in.or(before);
    known.insert(
        key,
        KnownFile {
            taken_in,
            ..noted.known
        },
    );
}

fn key_of(name: &str) -> u128 {
    xxh3_128(name.as_bytes())
}

impl LedgerLine {
    fn of(noted: &NotedFile) -> Self {
        let known = &noted.known;
        Self {
            name: noted.name.clone(),
            version: format!("{:032x}", known.version),
            hash: format!("{:032x}", known.hash),
            outcome: known.outcome,
            plan: format!("{:016x}", known.plan),
            seen: known.seen.0,
            taken_in: known.taken_in,
        }
    }

    fn noted(self) -> Option<NotedFile> {
        Some(NotedFile {
            known: KnownFile {
                version: u128::from_str_radix(&self.version, 16).ok()?,
                hash: u128::from_str_radix(&self.hash, 16).ok()?,
                outcome: self.outcome,
                plan: u64::from_str_radix(&self.plan, 16).ok()?,
                seen: Micros(self.seen),
                taken_in: self.taken_in,
            },
            name: self.name,
        })
    }
}

impl Ledger {
    /// Opens the ledger of a stream; `last_run` is its last run that has ended.
    pub(crate) fn open(dir: &Path, last_run: u64) -> io::Result<Self> {
        let parts = Parts::open(dir, KIND, last_run)?;
        let mut known = HashMap::new();
        for cover in parts.covers() {
            each_line(&parts.path(*cover), &mut |noted| {
                insert(&mut known, &noted);
            })?;
        }
        let mut own = Self {
            parts,
            known,
            contents: HashSet::new(),
        };
        own.contents = own.taken_contents();
        Ok(own)
    }

    fn taken_contents(&self) -> HashSet<u128> {
        let taken = self.known.values();
        let taken = taken.filter(|known| known.outcome == Outcome::Taken);
        taken.map(|known| known.hash).collect()
    }

    /// What is known of a file of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&KnownFile> {
        self.known.get(&key_of(name))
    }

    /// Whether a file with these bytes was taken.
    pub(crate) fn has_content(&self, hash: u128) -> bool {
        self.contents.contains(&hash)
    }

    /// Notes that a known file is as it was, although a listing says something else of it.
    pub(crate) fn is_as_it_was(&mut self, name: &str, version: u128) {
        if let Some(known) = self.known.get_mut(&key_of(name)) {
            known.version = version;
            known.outcome = Outcome::Taken;
        }
    }

    /// Notes which files are there, and forgets those that have been gone since before `horizon`; with `keeps`, not
    /// those whose rows another file of their name will replace.
    pub(crate) fn see<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        now: Micros,
        horizon: Micros,
        keeps: bool,
    ) {
        for name in names {
            if let Some(known) = self.known.get_mut(&key_of(name)) {
                known.seen = now;
            }
        }
        let before = self.known.len();
        self.known
            .retain(|_, known| known.seen >= horizon || (keeps && known.taken_in.is_some()));
        if self.known.len() < before {
            self.contents = self.taken_contents();
        }
    }

    /// Writes what a run notes, durably, under a name that does not count yet. So are afterwards the names of all
    /// that the run has left pending beside it.
    pub(crate) fn write(&self, run: u64, notes: &[NotedFile]) -> io::Result<()> {
        write_lines(&self.parts.pending(run), notes.iter())?;
        self.parts.sync()
    }

    /// The run has ended: what it noted counts from now on.
    pub(crate) fn publish(&mut self, run: u64, notes: Vec<NotedFile>) -> io::Result<()> {
        self.parts.publish(run)?;
        for noted in notes {
            if noted.known.outcome == Outcome::Taken {
                self.contents.insert(noted.known.hash);
            }
            insert(&mut self.known, &noted);
        }
        if self.parts.covers().len() > MAX_PARTS {
            self.merge()?;
        }
        Ok(())
    }

    /// The run has no result.
    pub(crate) fn discard(&self, run: u64) -> io::Result<()> {
        remove_if_there(&Disk, &self.parts.pending(run))
    }

    /// Writes all that is still known into one part.
    fn merge(&mut self) -> io::Result<()> {
        let covers: Vec<Cover> = self.parts.covers().to_vec();
        let scratch = self.parts.scratch(0);
        let mut names = HashMap::new();
        for cover in &covers {
            each_line(&self.parts.path(*cover), &mut |noted| {
                let key = key_of(&noted.name);
                if let Some(known) = self.known.get(&key) {
                    let known = *known;
                    names.insert(
                        key,
                        NotedFile {
                            known,
                            name: noted.name,
                        },
                    );
                }
            })?;
        }
        write_lines(&scratch, names.values())?;
        self.parts.merge(&covers, &scratch).map(drop)
    }
}

fn write_lines<'n>(path: &Path, notes: impl Iterator<Item = &'n NotedFile>) -> io::Result<()> {
    remove_if_there(&Disk, path)?;
    let file = Arc::new(Disk.create_new(path)?);
    let mut out = BufWriter::with_capacity(BUFFER, Appender::new(Arc::clone(&file)));
    for noted in notes {
        serde_json::to_writer(&mut out, &LedgerLine::of(noted))?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    file.sync()
}

fn each_line(path: &Path, see: &mut dyn FnMut(NotedFile)) -> io::Result<()> {
    let reader = BufReader::with_capacity(BUFFER, Reader::new(Disk.open(path)?)?);
    for line in reader.split(b'\n') {
        let line: LedgerLine = serde_json::from_slice(&line?)?;
        let noted = line.noted();
        let damaged = || io::Error::other(format!("{} is damaged", path.display()));
        see(noted.ok_or_else(damaged)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn noted(name: &str, hash: u128, seen: i64) -> NotedFile {
        NotedFile {
            name: name.to_owned(),
            known: KnownFile {
                version: hash + 1,
                hash,
                outcome: Outcome::Taken,
                plan: 7,
                seen: Micros(seen),
                taken_in: None,
            },
        }
    }

    #[test]
    fn a_refused_file_leaves_the_rows_of_the_one_before_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), 0).unwrap();
        let first = TakenIn { started: 7, run: 1 };
        let mut taken = noted("a.csv", 1, 5);
        taken.known.taken_in = Some(first);
        let mut failed = noted("a.csv", 0, 6);
        failed.known.outcome = Outcome::Failed;
        for (run, note) in [(1, taken), (2, failed)] {
            ledger.write(run, std::slice::from_ref(&note)).unwrap();
            ledger.publish(run, vec![note]).unwrap();
        }
        let mut again = Ledger::open(dir.path(), 2).unwrap();
        for known in [ledger.get("a.csv"), again.get("a.csv")] {
            let known = known.unwrap();
            assert_eq!(
                (known.outcome, known.taken_in),
                (Outcome::Failed, Some(first))
            );
        }
        again.see(std::iter::empty(), Micros(100), Micros(50), true);
        assert!(again.get("a.csv").is_some());
        again.see(std::iter::empty(), Micros(100), Micros(50), false);
        assert!(again.get("a.csv").is_none());
    }

    #[test]
    fn what_a_run_notes_counts_with_its_end_and_is_merged() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), 0).unwrap();
        for run in 1..=60 {
            let notes = vec![noted(&format!("{run}\n.csv"), u128::from(run), 5)];
            ledger.write(run, &notes).unwrap();
            ledger.publish(run, notes).unwrap();
        }
        ledger.write(61, &[noted("void.csv", 61, 5)]).unwrap();
        assert!(ledger.parts.covers().len() <= MAX_PARTS);
        let mut ledger = Ledger::open(dir.path(), 60).unwrap();
        assert_eq!(ledger.known.len(), 60);
        assert_eq!(ledger.get("7\n.csv"), Some(&noted("", 7, 5).known));
        assert!(ledger.has_content(7) && !ledger.has_content(61));
        assert_eq!(ledger.get("void.csv"), None);
        ledger.see(["7\n.csv"].into_iter(), Micros(100), Micros(50), false);
        assert_eq!(ledger.known.len(), 1);
        assert!(ledger.has_content(7) && !ledger.has_content(8));
    }
}
