//! Proposes a section of the configuration and a schema for a file, from its first records.
//!
//! This is the only place that guesses. What it prints is read and edited by a person, and nothing guesses
//! afterwards.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::cells::TableColumns;
use super::definition::{FileFormat, FileLimits, TableForm};
use super::record::{Part, ReadRecord, ReadStop};
use super::table_row::RowScratch;
use super::unpacked::unpack;
use super::{columnar, csv, document, ndjson};
use lakehook_base::columns::date;
use lakehook_base::json::{Members, text};
use lakehook_base::rfc3339;

/// Records that are looked at.
const MAX_RECORDS: u64 = 10_000;
const MAX_RECORD: u64 = 1 << 20;
/// Most columns that are described.
const MAX_COLUMNS: usize = 500;
/// Bytes of which the form is guessed.
const FIRST_BYTES: u64 = 64 << 10;
/// How a Parquet file begins.
const PARQUET: &str = "PAR1";

/// What is proposed for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The section, as TOML.
    pub section: String,
    /// The schema, as JSON.
    pub schema: String,
}

/// What the values of a column have in common.
#[derive(Debug)]
struct Guess {
    name: String,
    values: u64,
    integers: u64,
    numbers: u64,
    booleans: u64,
    dates: u64,
    times: u64,
    nested: u64,
    distinct: BTreeSet<u64>,
}

/// Reads the beginning of a file, and proposes how to take files like it. `path` is what the section says.
pub fn propose(file: &File, name: &str, path: &Path) -> Result<Proposal, String> {
    let limits = FileLimits::default();
    let told = |stop: ReadStop| match stop {
        ReadStop::Wrong(what) => what,
        ReadStop::Io(error) => error.to_string(),
        other => format!("{other:?}"),
    };
    let mut first = String::new();
    let begun = file.try_clone().map_err(|error| error.to_string())?;
    let mut read_first = |stream: &mut dyn Read| {
        let mut bytes = Vec::new();
        stream.take(FIRST_BYTES).read_to_end(&mut bytes)?;
        first = String::from_utf8_lossy(&bytes).into_owned();
        Err::<(), std::io::Error>(std::io::Error::other("enough"))
    };
    // It ends with an error on purpose, so that the rest of the file is not read.
    let _enough = unpack(&begun, &limits, None, |stream| read_first(stream));
    let (format, delimiter) = if first.starts_with(PARQUET) {
        (FileFormat::Parquet, b',')
    } else {
        form_of(&first)
    };
    let again = std::io::Seek::rewind(&mut &begun);
    again.map_err(|error| error.to_string())?;
    let mut guesses: Vec<Guess> = Vec::new();
    let mut records = 0;
    let mut scratch = RowScratch::default();
    let mut take = |part: Part<'_>| {
        records += see_part(&mut guesses, &part, &mut scratch);
        if records < MAX_RECORDS {
            Ok(())
        } else {
            Err(ReadStop::Large)
        }
    };
    let form = TableForm {
        delimiter,
        ..TableForm::default()
    };
    if format == FileFormat::Parquet {
        return match columnar::read(&begun, &limits, &mut take) {
            Ok(_) | Err(ReadStop::Large) => Ok(proposal(name, path, format, delimiter, &guesses)),
            Err(stop) => Err(told(stop)),
        };
    }
    let read = unpack(&begun, &limits, None, |stream| match format {
        FileFormat::Parquet => Ok(()),
        FileFormat::Ndjson => ndjson::read(stream, MAX_RECORD, &mut take),
        FileFormat::Json => document::read(stream, None, MAX_RECORD, &mut take),
        FileFormat::Csv | FileFormat::Tsv => csv::read(
            stream,
            &form,
            &TableColumns::default(),
            MAX_RECORD,
            &mut take,
        ),
    });
    match read {
        Ok(_) | Err(ReadStop::Large) => Ok(proposal(name, path, format, delimiter, &guesses)),
        Err(stop) => Err(told(stop)),
    }
}

/// Sees the members of the records that a part has, and returns how many it has.
fn see_part(guesses: &mut Vec<Guess>, part: &Part<'_>, scratch: &mut RowScratch) -> u64 {
    let mut see_json = |json: &str| {
        if let Ok(Members(members)) = serde_json::from_str(json) {
            see(guesses, &members);
        }
    };
    match part {
        Part::Record(record) => see_json(record.json),
        Part::Rows(rows) => {
            let mut records = 0;
            for row in rows.rows() {
                if let Ok(record) = ReadRecord::of_row(row, scratch) {
                    see_json(record.json);
                    records += 1;
                }
            }
            return records;
        }
        Part::Bad(_) | Part::Blank => return 0,
    }
    1
}

/// The format, and what separates values.
fn form_of(first: &str) -> (FileFormat, u8) {
    let mut lines = first.lines().filter(|line| !line.trim().is_empty());
    let line = lines.next().unwrap_or_default();
    let is_object = |line: &str| serde_json::from_str::<Map<String, Value>>(line).is_ok();
    if is_object(line) && (first.lines().count() > 1 || first.ends_with('\n')) {
        let format = match lines.next() {
            Some(second) if !is_object(second) => FileFormat::Json,
            Some(_) => FileFormat::Ndjson,
            None => FileFormat::Json,
        };
        return (format, b',');
    }
    if line.trim_start().starts_with(['{', '[']) {
        return (FileFormat::Json, b',');
    }
    let count = |byte: u8| line.bytes().filter(|own| *own == byte).count();
    let delimiter = [b',', b';', b'\t', b'|']
        .into_iter()
        .max_by_key(|byte| (count(*byte), *byte == b','));
    match delimiter {
        Some(b'\t') => (FileFormat::Tsv, b'\t'),
        other => (FileFormat::Csv, other.unwrap_or(b',')),
    }
}

fn see(guesses: &mut Vec<Guess>, members: &[(&str, &str)]) {
    for (key, raw) in members {
        let name = text(key).unwrap_or_default();
        let at = guesses.iter().position(|guess| guess.name == *name);
        let at = at.unwrap_or_else(|| {
            guesses.push(Guess::new(name.into_owned()));
            guesses.len() - 1
        });
        if at < MAX_COLUMNS {
            guesses[at].see(&serde_json::from_str(raw).unwrap_or_default());
        }
    }
}

impl Guess {
    fn new(name: String) -> Self {
        Self {
            name,
            values: 0,
            integers: 0,
            numbers: 0,
            booleans: 0,
            dates: 0,
            times: 0,
            nested: 0,
            distinct: BTreeSet::new(),
        }
    }

    fn see(&mut self, value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) if text.is_empty() => return,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let is_text = value.is_string();
        self.values += 1;
        self.distinct
            .insert(xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
        self.nested += u64::from(value.is_object() || value.is_array());
        let digits = text.strip_prefix('-').unwrap_or(&text);
        // Leading zeros mean something: it is no number.
        let is_plain = digits == "0" || !digits.starts_with('0') || digits.starts_with("0.");
        let is_integer = is_plain && text.parse::<i64>().is_ok() && !text.starts_with('+');
        let is_number = is_integer || (is_plain && is_decimal(digits));
        self.integers += u64::from(is_integer && !value.is_boolean());
        self.numbers += u64::from(is_number && !value.is_boolean());
        let is_boolean = ["true", "false"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word));
        self.booleans += u64::from(is_boolean);
        self.dates += u64::from(is_text && date(&text).is_some());
        self.times += u64::from(is_text && rfc3339::parse(&text).is_some());
    }

    /// The schema of the column.
    fn schema(&self) -> Value {
        let all = |count: u64| count == self.values && count > 0;
        if all(self.nested) {
            return json!({});
        }
        if all(self.integers) {
            json!({"type": ["integer", "null"]})
        } else if all(self.numbers) {
            json!({"type": ["number", "null"]})
        } else if all(self.booleans) {
            json!({"type": ["boolean", "null"]})
        } else if all(self.dates) {
            json!({"type": ["string", "null"], "format": "date"})
        } else if all(self.times) {
            json!({"type": ["string", "null"], "format": "date-time"})
        } else {
            json!({"type": ["string", "null"]})
        }
    }

    fn is_id(&self) -> bool {
        let name = self.name.to_lowercase();
        let is_named = name == "id" || name.ends_with("_id") || name.ends_with(" id");
        is_named && self.values > 1 && self.distinct.len() as u64 == self.values
    }
}

fn is_decimal(digits: &str) -> bool {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction)
}

fn proposal(
    name: &str,
    path: &Path,
    format: FileFormat,
    delimiter: u8,
    guesses: &[Guess],
) -> Proposal {
    let word = match format {
        FileFormat::Csv => "csv",
        FileFormat::Tsv => "tsv",
        FileFormat::Ndjson => "ndjson",
        FileFormat::Json => "json",
        FileFormat::Parquet => "parquet",
    };
    let quoted = |text: String| Value::String(text).to_string();
    let path = quoted(path.display().to_string());
    let mut section = format!(
        "[files.{name}]\npath = {path}\nformat = \"{word}\"\nschema = \"schemas/{name}.json\"\n"
    );
    if let Some(id) = guesses.iter().find(|guess| guess.is_id()) {
        let _memory_takes_it = writeln!(section, "id = {}", quoted(id.name.clone()));
    } else {
        section.push_str("#id = \"…\"                       # what identifies a record, so that none is taken twice\n");
    }
    section.push_str("every = \"10s\"\n");
    if format == FileFormat::Csv && delimiter != b',' {
        let delimiter = char::from(delimiter);
        let _memory_takes_it = writeln!(section, "csv = {{ delimiter = \"{delimiter}\" }}");
    }
    let mut properties = String::new();
    for (index, guess) in guesses.iter().enumerate() {
        let comma = if index + 1 < guesses.len() { "," } else { "" };
        let name = quoted(guess.name.clone());
        let _memory_takes_it = writeln!(properties, "    {name}: {}{comma}", guess.schema());
    }
    let schema =
        format!("{{\n  \"type\": \"object\",\n  \"properties\": {{\n{properties}  }}\n}}\n");
    Proposal { section, schema }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a failed unwrap is a failed test, and tests make their own files"
    )]
    use super::*;

    fn proposed(body: &str) -> Proposal {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, body).unwrap();
        let file = File::open(&path).unwrap();
        propose(&file, "claims", Path::new("inbox/*.csv")).unwrap()
    }

    #[test]
    fn a_table_is_described() {
        let body = "claim_id;zip;count;price;paid;day;at;note\n\
                    1;00501;1;1.50;True;2026-11-20;2026-11-20T10:00:00Z;x\n\
                    2;10001;;2;false;2026-11-21;2026-11-20T10:00:00+01:00;1\n";
        let Proposal { section, schema } = proposed(body);
        assert!(section.contains("id = \"claim_id\"\n"), "{section}");
        assert!(section.contains("csv = { delimiter = \";\" }"), "{section}");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let kind = |name: &str| {
            let own = &schema["properties"][name];
            let format = own["format"].as_str().unwrap_or_default();
            format!("{} {format}", own["type"][0].as_str().unwrap())
        };
        for (name, expected) in [
            ("claim_id", "integer "),
            ("zip", "string "),
            ("count", "integer "),
            ("price", "number "),
            ("paid", "boolean "),
            ("day", "string date"),
            ("at", "string date-time"),
            ("note", "string "),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn the_form_is_guessed_from_the_first_lines() {
        for (body, word) in [
            ("{\"id\":1}\n{\"id\":2}\n", "ndjson"),
            ("{\n\"id\":1}\n", "json"),
            ("{\"id\":1}\n", "json"),
            ("id\tname\n1\tA\n", "tsv"),
            ("id,name\n1,A\n", "csv"),
        ] {
            let section = proposed(body).section;
            assert!(
                section.contains(&format!("format = \"{word}\"")),
                "{section}"
            );
        }
    }
}
