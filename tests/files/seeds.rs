//! Worlds of files by seeds: files with repeats, conflicts and mistakes come and change, while looks end at any call of
//! the system. A model says what must be there; bugs are planted between two lives, and the model must find them.
//!
//! `LAKEHOOK_SEEDS` raises the number of worlds, to a hundredth of it; `LAKEHOOK_SEED=n` runs one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Inbox;
use crate::support::random::{Random, seeds};
use crate::support::strace::{can_trace, killed_at};

/// Calls of the system at which a look may end.
const CALLS: [&str; 6] = [
    "rename,renameat,renameat2",
    "fsync,fdatasync",
    "link,linkat,unlink,unlinkat",
    "openat",
    "pwrite64",
    "write",
];
/// A file with more bytes has a run of its own.
const LARGE: usize = 4 << 20;

/// What a line of a file is.
#[derive(Clone, Copy)]
enum Line {
    /// A row with an id and a content.
    Row(u64, u64),
    Bad,
    Blank,
}

/// A file of the model.
#[derive(Clone, Default)]
struct Body {
    lines: Vec<Line>,
    /// Whether its last quote is never closed.
    is_open: bool,
    is_large: bool,
}

/// File, line, and the id of a row or the rule that was broken.
type Place = (String, u64, String);

/// What is seen, or must be: how often each row and each refused record is there.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
struct Seen {
    rows: BTreeMap<Place, u64>,
    refused: BTreeMap<Place, u64>,
}

fn count(all: &mut BTreeMap<Place, u64>, places: impl IntoIterator<Item = Place>) {
    for place in places {
        *all.entry(place).or_default() += 1;
    }
}

/// A place that is in the first more often than in the second.
fn beyond<'a>(all: &'a BTreeMap<Place, u64>, other: &BTreeMap<Place, u64>) -> Option<&'a Place> {
    let mut more = all
        .iter()
        .filter(|(place, count)| other.get(*place).unwrap_or(&0) < *count);
    more.next().map(|(place, _)| place)
}

/// How many rows each file has.
fn by_file(seen: &Seen) -> BTreeMap<&str, u64> {
    let mut files = BTreeMap::new();
    for ((file, ..), count) in &seen.rows {
        *files.entry(file.as_str()).or_default() += count;
    }
    files
}

/// How a world differs from others.
struct Shape {
    format: &'static str,
    workers: u64,
    after: &'static str,
    changed: &'static str,
    has_ids: bool,
}

struct World {
    inbox: Inbox,
    random: Random,
    shape: Shape,
    /// Files that no look has dealt with for certain, by name.
    waiting: BTreeMap<String, Body>,
    /// The names of files that were taken, and are still there.
    taken: Vec<String>,
    was_taken: BTreeSet<String>,
    ids: HashMap<u64, u64>,
    next_id: u64,
    next_file: u64,
    must: Seen,
    lives: u64,
}

impl Body {
    fn text(&self) -> String {
        let pad = if self.is_large {
            "x".repeat(2000)
        } else {
            "x".to_owned()
        };
        let mut text = String::from("id,name\n");
        for line in &self.lines {
            match line {
                Line::Row(id, content) => writeln!(text, "{id},{content}-{pad}").unwrap(),
                Line::Bad => text.push_str("none,bad\n"),
                Line::Blank => text.push('\n'),
            }
        }
        if self.is_open {
            text.push_str("1,\"open\n");
        }
        text
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let of = |words: &[&'static str]| {
            words[usize::try_from(random.below(words.len() as u64)).unwrap()]
        };
        let shape = Shape {
            format: of(&["ndjson", "parquet"]),
            workers: 1 + random.below(4),
            after: of(&["keep", "keep", "move", "delete"]),
            changed: of(&["refuse", "take"]),
            has_ids: random.chance(0.8),
        };
        Self::of(random, shape)
    }

    fn of(random: Random, shape: Shape) -> Self {
        let id = if shape.has_ids { "id = \"id\"\n" } else { "" };
        let inbox = Inbox::in_format(
            shape.format,
            &format!(
                "{id}workers = {}\nafter = \"{}\"\nchanged = \"{}\"\nguards = {{ max_refused = \"95 %\" }}",
                shape.workers, shape.after, shape.changed
            ),
        );
        Self {
            inbox,
            random,
            shape,
            waiting: BTreeMap::new(),
            taken: Vec::new(),
            was_taken: BTreeSet::new(),
            ids: HashMap::new(),
            next_id: 1,
            next_file: 0,
            must: Seen::default(),
            lives: 0,
        }
    }

    fn body(&mut self) -> Body {
        let is_large = self.random.chance(0.1);
        let count = if is_large {
            LARGE as u64 / 2000 + 50
        } else {
            3 + self.random.below(20)
        };
        let mut lines = Vec::new();
        for _ in 0..count {
            let draw = self.random.below(20);
            let known = 1 + self.random.below(self.next_id);
            lines.push(match draw {
                0 => Line::Bad,
                1 => Line::Blank,
                2..=4 if known < self.next_id => Line::Row(known, known % 7),
                5 if known < self.next_id => Line::Row(known, 100 + self.random.below(3)),
                _ => {
                    let id = self.next_id;
                    self.next_id += 1;
                    Line::Row(id, id % 7)
                }
            });
        }
        Body {
            lines,
            is_open: self.random.chance(0.1),
            is_large,
        }
    }

    /// New files, and other bytes under a name that was taken.
    fn put_some(&mut self) {
        if self.shape.after == "keep"
            && !self.taken.is_empty()
            && self.waiting.is_empty()
            && self.random.chance(0.4)
        {
            let at = usize::try_from(self.random.below(self.taken.len() as u64)).unwrap();
            let name = self.taken.swap_remove(at);
            let body = self.body();
            self.put(name, body);
        }
        for _ in 0..=self.random.below(6) {
            let name = format!("{:05}.csv", self.next_file);
            self.next_file += 1;
            let body = self.body();
            self.put(name, body);
        }
    }

    fn put(&mut self, name: String, body: Body) {
        // The file appears whole, with a time of its own.
        let path = self.inbox.path(&name);
        let hidden = self.inbox.path(&format!(".{name}"));
        std::fs::write(&hidden, body.text()).unwrap();
        std::fs::rename(&hidden, &path).unwrap();
        self.waiting.insert(name, body);
    }

    /// What the model makes of all files that wait, in the order of their names.
    fn settle(&mut self) {
        for (name, body) in std::mem::take(&mut self.waiting) {
            let is_changed = self.was_taken.contains(&name);
            if is_changed && self.shape.changed == "refuse" {
                continue;
            }
            if self.take(&name, &body) && self.shape.after == "keep" {
                self.was_taken.insert(name.clone());
                self.taken.push(name);
            }
        }
    }

    /// Returns whether the file does not fail.
    fn take(&mut self, name: &str, body: &Body) -> bool {
        let (mut ids, mut rows, mut refused) = (HashMap::new(), Vec::new(), Vec::new());
        let mut valid = 0;
        for (number, line) in (2..).zip(&body.lines) {
            match line {
                Line::Blank => {}
                Line::Bad => refused.push((name.to_owned(), number, "schema_type".to_owned())),
                Line::Row(id, content) => {
                    // The texts of a large file are longer, so they say something else.
                    let content = &(content + 1000 * u64::from(body.is_large));
                    let known = self.ids.get(id).or_else(|| ids.get(id)).copied();
                    let known = known.filter(|_| self.shape.has_ids);
                    valid += u64::from(known.is_none_or(|known| known == *content));
                    match known {
                        None => {
                            ids.insert(*id, *content);
                            rows.push((name.to_owned(), number, id.to_string()));
                        }
                        Some(known) if known == *content => {}
                        Some(_) => {
                            refused.push((name.to_owned(), number, "id_conflict".to_owned()));
                        }
                    }
                }
            }
        }
        let records = valid + refused.len() as u64;
        let is_breach = refused.len() as u64 * 100 > records * 95;
        if body.is_open || is_breach {
            // The first refused records show why the file failed.
            count(&mut self.must.refused, refused.into_iter().take(20));
            return false;
        }
        self.ids.extend(ids);
        count(&mut self.must.rows, rows);
        count(&mut self.must.refused, refused);
        true
    }

    /// Looks, and ends the look at some call of the system. Returns whether it was ended.
    fn look_killed(&mut self) -> bool {
        self.lives += 1;
        let calls = CALLS[usize::try_from(self.random.below(CALLS.len() as u64)).unwrap()];
        let most = 1 << self.random.below(8);
        killed_at(
            &self.inbox.setup,
            &["files"],
            calls,
            1 + self.random.below(most),
        )
    }

    fn look(&mut self) -> String {
        self.lives += 1;
        self.inbox.take().0
    }

    fn seen(&self) -> Seen {
        let places = |query: &str| {
            let mut all = BTreeMap::new();
            let found: Vec<Place> = serde_json::from_value(self.inbox.query(query)).unwrap();
            count(&mut all, found);
            all
        };
        Seen {
            rows: places("SELECT file, line, id::VARCHAR FROM claims"),
            refused: places("SELECT file, line, errors->>'$[0].code' FROM quarantine"),
        }
    }

    /// Checks that nothing is there that must not be or more often than it must be, and that no file is partly there.
    fn check_parts(&self, before: &Seen) -> Result<(), String> {
        let seen = self.seen();
        if let Some(extra) = beyond(&seen.rows, &self.must.rows) {
            return Err(format!("{extra:?} must not be there, or not that often"));
        }
        if let Some(lost) = beyond(&before.rows, &seen.rows) {
            return Err(format!("{lost:?} was there"));
        }
        let (old, whole) = (by_file(before), by_file(&self.must));
        for (file, rows) in by_file(&seen) {
            if whole.get(file) != Some(&rows) && old.get(file) != Some(&rows) {
                return Err(format!("{file} is partly there: {rows} rows"));
            }
        }
        Ok(())
    }

    fn check_now(&self, said: &str) -> Result<(), String> {
        let seen = self.seen();
        if seen == self.must {
            return Ok(());
        }
        let (more, less) = (
            beyond(&seen.rows, &self.must.rows),
            beyond(&self.must.rows, &seen.rows),
        );
        let refused = (
            beyond(&seen.refused, &self.must.refused),
            beyond(&self.must.refused, &seen.refused),
        );
        Err(format!(
            "too much: {more:?}, missing: {less:?}; of what was refused: {refused:?}; {said}"
        ))
    }

    /// Checks that all is there as the model has it, and that the audit adds up.
    fn check_all(&mut self) -> Result<(), String> {
        let said = self.look();
        self.check_now(&said)?;
        self.inbox.audit();
        let again = self.look();
        if !again.contains("0 files in") {
            return Err(format!("a second look finds something: {again}"));
        }
        Ok(())
    }

    /// Lives, and is changed by `plant` after each life that was ended.
    fn live(&mut self, rounds: u64, plant: &mut dyn FnMut(&Path)) -> Result<(), String> {
        for _ in 0..rounds {
            let before = self.must.clone();
            self.put_some();
            // What becomes of the files is certain, whenever it happens.
            self.settle();
            let state = self.state();
            let mut kills = self.random.below(4);
            while kills > 0 && self.look_killed() {
                plant(&state);
                kills -= 1;
            }
            if self.random.chance(0.3) {
                self.check_parts(&before)?;
            }
            let said = self.look();
            self.check_now(&said)?;
            plant(&state);
        }
        self.check_all()
    }

    /// Where the program remembers what it knows of files.
    fn state(&self) -> PathBuf {
        self.inbox.setup.directory().join("data/polls/files/claims")
    }
}

#[test]
fn seeds_of_files_keep_every_promise() {
    if !can_trace() {
        return;
    }
    let mut lives = 0;
    for seed in seeds() {
        let mut world = World::new(seed);
        if let Err(violation) = world.live(3, &mut |_| {}) {
            panic!("LAKEHOOK_SEED={seed}: {violation}");
        }
        lives += world.lives;
    }
    println!("{} worlds, {lives} lives", seeds().count());
}

/// The files of a state directory and its parts whose names end like this.
fn parts(state: &Path, ending: &str) -> Vec<PathBuf> {
    let lakes = std::fs::read_dir(state).into_iter().flatten().flatten();
    let files = lakes.flat_map(|lake| {
        std::fs::read_dir(lake.path())
            .into_iter()
            .flatten()
            .flatten()
    });
    let mut paths: Vec<_> = files
        .map(|entry| entry.path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(ending)))
        .collect();
    paths.sort();
    paths
}

/// Ids and notes that count although the end of their run is not in the log.
fn publish_early(state: &Path) {
    for pending in parts(state, ".pending") {
        let path = pending.to_str().unwrap().trim_end_matches(".pending");
        std::fs::rename(&pending, path).unwrap();
    }
}

/// Notes of files that are not kept.
fn forget_files(state: &Path) {
    for part in parts(state, ".files") {
        std::fs::remove_file(part).unwrap();
    }
}

/// Ids that are not kept.
fn forget_ids(state: &Path) {
    for part in parts(state, ".ids") {
        std::fs::remove_file(part).unwrap();
    }
}

/// Ends looks at the same new files at each sync, one after the other, until one comes to its end; and all that with new
/// files each time. So the moment that a bug needs is met wherever it is. Returns the first round after which there is not
/// what the model says.
fn found_in(rounds: u64, has_ids: bool, plant: fn(&Path)) -> Option<u64> {
    let shape = Shape {
        format: "ndjson",
        workers: 2,
        after: "keep",
        changed: "refuse",
        has_ids,
    };
    let mut world = World::of(Random::new(1), shape);
    let state = world.state();
    (1..=rounds).find(|_| {
        world.put_some();
        world.settle();
        for n in 1.. {
            assert!(n < 500, "the look has no end");
            if !killed_at(&world.inbox.setup, &["files"], CALLS[1], n) {
                break;
            }
            plant(&state);
        }
        let said = world.look();
        let found = world.check_now(&said).is_err();
        plant(&state);
        found
    })
}

/// What it does, whether it needs ids, and how it is planted into the state of a run.
type Bug = (&'static str, bool, fn(&Path));

#[test]
fn planted_bugs_are_found_by_worlds_of_files() {
    if !can_trace() {
        return;
    }
    assert_eq!(found_in(3, true, |_| {}), None);
    let bugs: [Bug; 3] = [
        (
            "notes and ids that count before the end of their run",
            true,
            publish_early,
        ),
        ("notes of files that are not kept", false, forget_files),
        ("ids that are not kept", true, forget_ids),
    ];
    for (what, has_ids, plant) in bugs {
        let found = found_in(5, has_ids, plant);
        println!("{what}: found in round {found:?}");
        assert!(found.is_some(), "{what}: no world finds it");
    }
}

#[test]
fn the_model_counts_rows_repeats_and_conflicts() {
    let mut world = World::new(7);
    world.shape.has_ids = true;
    world.ids.insert(1, 1);
    let body = Body {
        lines: vec![
            Line::Row(1, 1),
            Line::Row(1, 2),
            Line::Row(2, 2),
            Line::Bad,
            Line::Blank,
        ],
        ..Body::default()
    };
    assert!(world.take("a.csv", &body));
    let expected = json!([[["a.csv", 4, "2"], 1]]);
    assert_eq!(json!(world.must.rows.iter().collect::<Vec<_>>()), expected);
    let places: Vec<_> = world.must.refused.keys().cloned().collect();
    let refused = json!([["a.csv", 3, "id_conflict"], ["a.csv", 5, "schema_type"]]);
    assert_eq!(json!(places), refused);
}
