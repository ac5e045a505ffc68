//! The outbox: files of rows that SQL has written, read one after the other, group by group.
//!
//! A file is read once it has stood still, and a group is handed out only if the file still stands as it did
//! when the reading began. Rows of a group stand next to each other. Memory holds one group, and a hash of
//! each group of a file.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use super::chunk::member;
use super::group::Group;
use lakehook_base::clock::Micros;

/// Most groups of a file.
const MAX_GROUPS: usize = 10_000_000;

/// One thing that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A whole group.
    Group(Group),
    /// A line that is no row, as a group of its own; with a word for the rule, and what was expected.
    Bad(Group, &'static str, String),
}

/// How rows are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    /// The member whose value keeps rows together.
    pub group: Option<&'a str>,
    /// Most bytes of a row.
    pub max_row: usize,
}

/// The files of an outbox, by name: a path whose last part may hold `*` and `?`.
#[allow(
    clippy::disallowed_methods,
    reason = "the outbox belongs to others, and nothing durable depends on it"
)]
pub(super) fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let dir = pattern.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let name = pattern.file_name().unwrap_or_default().to_string_lossy();
    let failed = |error: std::io::Error| {
        format!(
            "failed to read the outbox {}: {error}; expected a directory",
            dir.display()
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let own = entry.file_name();
        let own = own.to_string_lossy();
        let is_hidden = own.starts_with('.') && !name.starts_with('.');
        if !is_hidden && fits(&own, &name) && entry.path().is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name matches a pattern. In a pattern, `*` matches any text, and `?` matches any one character.
fn fits(name: &str, pattern: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let ends = name.char_indices().map(|(at, _)| at);
            ends.chain([name.len()]).any(|at| fits(&name[at..], rest))
        }
        Some(first) => {
            let mut own = name.chars();
            let next = own.next();
            let is_it = next.is_some_and(|next| first == '?' || next == first);
            is_it && fits(own.as_str(), &pattern[first.len_utf8()..])
        }
    }
}

/// How long a file must still stand until it may be read; zero if it may be now.
pub(super) fn unsettled(path: &Path, settle: Duration, now: Micros) -> Result<Duration, String> {
    let changed = changed_at(&metadata(path)?);
    // A file from the future has stood still for long enough.
    let age = now.0.saturating_sub(changed).max(0).unsigned_abs();
    let age = Duration::from_micros(age);
    if changed > now.0 {
        return Ok(Duration::ZERO);
    }
    Ok(settle.saturating_sub(age))
}

fn metadata(path: &Path) -> Result<Metadata, String> {
    std::fs::metadata(path).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("failed to read {}: {error}", path.display())
}

/// When a file was changed last, in microseconds since 1970.
fn changed_at(metadata: &Metadata) -> i64 {
    let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// What tells that a file has changed.
fn state(metadata: &Metadata) -> (u64, i64) {
    (metadata.len(), changed_at(metadata))
}

/// Fails if a file has changed since then.
fn check_state(path: &Path, before: (u64, i64)) -> Result<(), String> {
    if state(&metadata(path)?) == before {
        return Ok(());
    }
    Err(format!(
        "{} has changed while it was read; expected a file that is complete. Write it under another name first, and \
         rename it",
        path.display()
    ))
}

/// One file that is being read.
struct Source<'a> {
    path: &'a Path,
    name: String,
    reading: Reading<'a>,
    lines: BufReader<File>,
    line: u64,
    /// Hashes of the keys of groups that are complete.
    closed: HashSet<u64>,
    current: Option<Group>,
}

/// Reads a file and hands out what it holds. `give` returns `false` to stop.
#[allow(
    clippy::disallowed_methods,
    reason = "the outbox belongs to others, and nothing durable depends on it"
)]
pub(super) fn read<E: From<String>>(
    path: &Path,
    reading: Reading<'_>,
    give: &mut dyn FnMut(Found) -> Result<bool, E>,
) -> Result<bool, E> {
    let before = state(&metadata(path)?);
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let name = path.file_name().unwrap_or_default();
    let mut source = Source {
        path,
        name: name.to_string_lossy().into_owned(),
        reading,
        lines: BufReader::with_capacity(1 << 16, file),
        line: 0,
        closed: HashSet::new(),
        current: None,
    };
    let mut text = Vec::new();
    while source.next_line(&mut text)? {
        let found = source.take(&text)?;
        for found in found.into_iter().flatten() {
            // What follows may be sent at once: a file that is written anew has no whole groups.
            check_state(path, before)?;
            if !give(found)? {
                return Ok(false);
            }
        }
    }
    check_state(path, before)?;
    match source.current.take() {
        Some(last) => give(Found::Group(last)),
        None => Ok(true),
    }
}

impl Source<'_> {
    /// Reads the next line that is not blank, of which at most one byte more than a row may have is kept.
    fn next_line(&mut self, text: &mut Vec<u8>) -> Result<bool, String> {
        loop {
            text.clear();
            let most = self.reading.max_row as u64 + 2;
            let mut bounded = (&mut self.lines).take(most);
            let read = bounded.read_until(b'\n', text);
            if read.map_err(|error| failed(self.path, &error))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if !text.ends_with(b"\n") && text.len() as u64 == most {
                self.skip_line()?;
            }
            if !text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn skip_line(&mut self) -> Result<(), String> {
        loop {
            let bytes = self.lines.fill_buf();
            let bytes = bytes.map_err(|error| failed(self.path, &error))?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (count, is_end) = match end {
                Some(at) => (at + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.lines.consume(count);
            if is_end {
                return Ok(());
            }
        }
    }

    /// Takes a line. Returns the group before it, if it is complete by now, and the line itself if it is no row.
    fn take(&mut self, text: &[u8]) -> Result<[Option<Found>; 2], String> {
        let key = match self.key_of(text) {
            Ok(key) => key,
            Err((rule, expected)) => {
                let bad = Group {
                    key: "null".to_owned(),
                    file: self.name.clone(),
                    line: self.line,
                    rows: vec![String::from_utf8_lossy(text.trim_ascii()).into_owned()],
                };
                return Ok([self.end_group(), Some(Found::Bad(bad, rule, expected))]);
            }
        };
        let row = String::from_utf8_lossy(text.trim_ascii()).into_owned();
        if let (Some(key), Some(current)) = (&key, &mut self.current)
            && current.key == *key
        {
            // Beyond a bound nothing more is kept: no request can hold it.
            if current.bytes() <= self.reading.max_row {
                current.rows.push(row);
            }
            return Ok([None, None]);
        }
        let before = self.end_group();
        if let Some(key) = &key {
            self.check_apart(key)?;
        }
        self.current = Some(Group {
            key: key.unwrap_or_else(|| "null".to_owned()),
            file: self.name.clone(),
            line: self.line,
            rows: vec![row],
        });
        if self.reading.group.is_none() {
            return Ok([before, self.end_group()]);
        }
        Ok([before, None])
    }

    /// The value that keeps a row together with others, or the rule that it breaks.
    fn key_of(&self, text: &[u8]) -> Result<Option<String>, (&'static str, String)> {
        let max = self.reading.max_row;
        if text.trim_ascii().len() > max {
            return Err(("too_long", format!("a row of at most {max} bytes")));
        }
        let row = std::str::from_utf8(text.trim_ascii());
        let row = row.map_err(|_| ("utf8", "a row in UTF-8".to_owned()))?;
        let is_object = row.starts_with('{')
            && serde_json::from_str::<&serde_json::value::RawValue>(row).is_ok();
        if !is_object {
            return Err(("json", "a JSON object in each line".to_owned()));
        }
        let Some(name) = self.reading.group else {
            return Ok(None);
        };
        let key = member(row, name)
            .filter(|key| key.starts_with(['"', '-']) || key.as_bytes()[0].is_ascii_digit());
        let expected = || ("group", format!("text or a number in the member {name:?}"));
        key.map(Some).ok_or_else(expected)
    }

    fn end_group(&mut self) -> Option<Found> {
        self.current.take().map(Found::Group)
    }

    /// Fails if a group of this key was there before: its rows would be sent apart.
    fn check_apart(&mut self, key: &str) -> Result<(), String> {
        let path = self.path.display();
        if self.closed.len() >= MAX_GROUPS {
            return Err(format!(
                "{path} has more than {MAX_GROUPS} groups; expected several files"
            ));
        }
        if self.closed.insert(xxh3_64(key.as_bytes())) {
            return Ok(());
        }
        let name = self.reading.group.unwrap_or_default();
        Err(format!(
            "{path}, line {}: the rows of {name} {key} are not next to each other; expected them to be: \
             ORDER BY {name}",
            self.line
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::disallowed_methods,
        reason = "tests write the files that others would write"
    )]
    use std::io;

    use super::*;

    fn read_all(text: &str, group: Option<&str>, max_row: usize) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = dir.path().join("a.ndjson");
        std::fs::write(&path, text).map_err(|error| error.to_string())?;
        let mut found = Vec::new();
        let reading = Reading { group, max_row };
        read::<String>(&path, reading, &mut |one| {
            found.push(match one {
                Found::Group(group) => format!("{}:{}x{}", group.line, group.key, group.rows.len()),
                Found::Bad(group, rule, _) => format!("{}!{rule}", group.line),
            });
            Ok(true)
        })?;
        Ok(found)
    }

    #[test]
    fn rows_are_grouped_and_what_is_none_stands_alone() -> Result<(), String> {
        let text = "{\"c\":1}\n{\"c\":1,\"x\":2}\n\n{\"c\":\"1\"}\r\nno\n{\"d\":1}\n{\"c\":2}";
        assert_eq!(
            read_all(text, Some("c"), 100)?,
            ["1:1x2", "4:\"1\"x1", "5!json", "6!group", "7:2x1"]
        );
        assert_eq!(
            read_all(text, None, 100)?,
            [
                "1:nullx1", "2:nullx1", "4:nullx1", "5!json", "6:nullx1", "7:nullx1"
            ]
        );
        let long = format!("{{\"c\":\"{}\"}}\n{{\"c\":2}}\n", "x".repeat(100_000));
        assert_eq!(read_all(&long, Some("c"), 100)?, ["1!too_long", "2:2x1"]);
        assert_eq!(read_all("", Some("c"), 100)?, Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn rows_of_a_group_that_stand_apart_are_an_error() {
        let error = read_all("{\"c\":1}\n{\"c\":2}\n{\"c\":1}\n", Some("c"), 100).err();
        let error = error.unwrap_or_default();
        assert!(
            error.contains("line 3: the rows of c 1 are not next to each other"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_an_error() -> Result<(), String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = dir.path().join("a.ndjson");
        std::fs::write(&path, "{\"c\":1}\n{\"c\":2}\n").map_err(|error| error.to_string())?;
        let reading = Reading {
            group: Some("c"),
            max_row: 100,
        };
        let mut count = 0;
        let error = read::<String>(&path, reading, &mut |_| {
            count += 1;
            std::fs::write(&path, "{\"c\":1}\n{\"c\":2}\n{\"c\":2}\n")
                .map_err(|error| error.to_string())?;
            Ok(true)
        });
        assert_eq!(count, 1);
        assert!(
            error
                .err()
                .unwrap_or_default()
                .contains("has changed while it was read")
        );
        Ok(())
    }

    #[test]
    fn no_group_is_handed_out_with_half_of_its_rows() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.ndjson");
        // More than is read ahead, so that the rest is read from what is there then.
        let text = |key: u32| format!("{{\"c\":{key}}}\n").repeat(50_000);
        std::fs::write(&path, format!("{{\"c\":1}}\n{}{{\"c\":3}}\n", text(2)))?;
        let reading = Reading {
            group: Some("c"),
            max_row: 1 << 20,
        };
        let mut given = Vec::new();
        let read = read::<String>(&path, reading, &mut |found| {
            if let Found::Group(group) = found {
                given.push((group.key, group.rows.len()));
            }
            std::fs::write(&path, format!("{{\"c\":1}}\n{}", text(4)))
                .map_err(|error| error.to_string())?;
            Ok(true)
        });
        assert_eq!(given, [("1".to_owned(), 1)]);
        assert!(read.is_err());
        Ok(())
    }

    #[test]
    fn patterns_stand_for_names() -> Result<(), String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        for name in ["b.ndjson", "a.ndjson", "a.csv", ".hidden.ndjson"] {
            std::fs::write(dir.path().join(name), "").map_err(|error| error.to_string())?;
        }
        let names = |pattern: &str| -> Result<Vec<String>, String> {
            let files = files(&dir.path().join(pattern))?;
            let names = files.iter().filter_map(|path| path.file_name());
            Ok(names
                .map(|name| name.to_string_lossy().into_owned())
                .collect())
        };
        assert_eq!(names("*.ndjson")?, ["a.ndjson", "b.ndjson"]);
        assert_eq!(names("?.ndjson")?, ["a.ndjson", "b.ndjson"]);
        assert_eq!(names("a*")?, ["a.csv", "a.ndjson"]);
        assert_eq!(names("b.ndjson")?, ["b.ndjson"]);
        assert!(files(&dir.path().join("none/*")).is_err());
        Ok(())
    }
}
