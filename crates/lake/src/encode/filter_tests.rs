#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use serde_json::json;

use super::super::{Encoder, ObjectReader, ObjectSpec};
use super::*;
use lakehook_base::files::Disk;
use lakehook_base::tables::Table;

const ROWS: u64 = 40;

/// Every third row is of `u-1`, and some have values in every kind of column.
fn logged(number: u64) -> String {
    logged_with(number, &json!({ "a": number }))
}

fn logged_with(number: u64, properties: &Value) -> String {
    let row = json!({
        "event_id": format!("id-{number}"), "user_id": format!("u-{}", number % 3), "user": null,
        "event_type": "click", "source": "web", "timestamp": format!("2026-11-25T00:00:{:02}.000000Z", number % 60),
        "received_at": "2026-11-25T01:00:00.000000Z", "properties": properties,
        "extra": if number == 8 { json!({"user_id": 7}) } else { json!(null) },
    });
    row.to_string()
}

fn object(format: Format) -> Bytes {
    object_of(format, ROWS, logged)
}

fn object_of(format: Format, rows: u64, mut logged: impl FnMut(u64) -> String) -> Bytes {
    let dir = tempfile::tempdir().unwrap();
    let table = Arc::new(Table::events(std::iter::empty::<&str>()).unwrap());
    let spec = ObjectSpec {
        format,
        table: &table,
        rows,
        path: &dir.path().join("object.part"),
    };
    let mut encoder = Encoder::new(&spec, Vec::new(), Disk).unwrap();
    for number in 1..=rows {
        encoder
            .row(Lsn(number), 1, logged(number).as_bytes())
            .unwrap();
    }
    encoder.finish().unwrap().out.into()
}

/// The object in a file.
fn source(bytes: &[u8]) -> Source<std::fs::File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Source::new(Arc::new(file)).unwrap()
}

fn rows(format: Format, bytes: &Bytes) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    let mut take = |row| {
        rows.push(row);
        Ok(true)
    };
    ObjectReader::new(format)
        .each(bytes.to_vec(), &mut take)
        .unwrap();
    rows
}

fn of_user<'a>(user: &'a str, matches: &'a dyn Fn(&Map<String, Value>) -> bool) -> RowFilter<'a> {
    RowFilter {
        columns: &["user_id", "extra"],
        equals: Some(("user_id", user)),
        may_match: &|_| true,
        matches,
    }
}

#[test]
fn a_copy_has_the_same_rows_but_those_that_match() {
    for format in Format::ALL {
        let bytes = object(format);
        let is_u1 = |row: &Map<String, Value>| row["user_id"] == "u-1";
        let found = find_rows(format, &source(&bytes), &of_user("u-1", &is_u1)).unwrap();
        let expected: BTreeSet<Lsn> = (1..=ROWS).filter(|n| n % 3 == 1).map(Lsn).collect();
        assert_eq!(found, expected, "{format:?}");
        let (copy, copied) = copy_without(format, &source(&bytes), &found, Vec::new()).unwrap();
        let copy = Bytes::from(copy);
        let kept: Vec<_> = rows(format, &bytes)
            .into_iter()
            .filter(|row| row["user_id"] != "u-1")
            .collect();
        assert_eq!(rows(format, &copy), kept, "{format:?}");
        let sums = ObjectReader::new(format).sums(copy.to_vec()).unwrap();
        assert_eq!(sums.lsn_hash, copied.kept.lsn_hash);
        assert_eq!((copied.kept.count, copied.left_out.count), (26, 14));
        // Nothing of it is left in dictionaries, statistics or filters.
        let is_gone = !copy.windows(3).any(|window| window == b"u-1");
        assert!(is_gone || format.layout() != Layout::Columns, "{format:?}");
    }
}

#[test]
fn a_copy_without_any_row_can_be_read() {
    for format in Format::ALL {
        let all = (1..=ROWS).map(Lsn).collect();
        let (copy, copied) =
            copy_without(format, &source(&object(format)), &all, Vec::new()).unwrap();
        assert_eq!((copied.kept.count, copied.left_out.count), (0, ROWS));
        assert!(rows(format, &copy.into()).is_empty(), "{format:?}");
    }
}

#[test]
fn a_bloom_filter_passes_over_only_what_cannot_match() {
    let bytes = object(Format::Parquet);
    let seen = std::cell::Cell::new(0);
    let count = |_: &Map<String, Value>| {
        seen.set(seen.get() + 1);
        false
    };
    // There is a value in `extra`, where a value goes that does not fit its column.
    find_rows(Format::Parquet, &source(&bytes), &of_user("nobody", &count)).unwrap();
    assert_eq!(seen.get(), ROWS);
    let without = [Lsn(8)].into();
    let (copy, _) = copy_without(Format::Parquet, &source(&bytes), &without, Vec::new()).unwrap();
    seen.set(0);
    find_rows(Format::Parquet, &source(&copy), &of_user("nobody", &count)).unwrap();
    assert_eq!(seen.get(), 0);
}

/// A file that knows the largest read of it.
struct Watched {
    file: std::fs::File,
    largest: AtomicUsize,
}

impl File for Watched {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        File::write_all_at(&self.file, bytes, offset)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.largest.fetch_max(buffer.len(), Relaxed);
        File::read_exact_at(&self.file, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        File::len(&self.file)
    }

    fn forget_cache(&self) {}
}

#[test]
fn an_object_is_never_read_as_a_whole() {
    let rows = 6000;
    for format in Format::ALL {
        let mut noise = 1_u64;
        let bytes = object_of(format, rows, |number| {
            let mut words = Vec::new();
            for _ in 0..100 {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                words.push(format!("{noise:016x}"));
            }
            logged_with(number, &json!({ "words": words }))
        });
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let largest = AtomicUsize::new(0);
        let watched = Arc::new(Watched { file, largest });
        let source = Source::new(Arc::clone(&watched)).unwrap();
        let is_u1 = |row: &Map<String, Value>| row["user_id"] == "u-1";
        let found = find_rows(format, &source, &of_user("u-1", &is_u1)).unwrap();
        assert_eq!(found.len(), 2000, "{format:?}");
        let (_, copied) = copy_without(format, &source, &found, io::sink()).unwrap();
        assert_eq!(copied.kept.count, 4000, "{format:?}");
        let largest = watched.largest.load(Relaxed);
        assert!(
            largest < bytes.len() / 3,
            "{format:?}: {largest} of {} bytes at once",
            bytes.len()
        );
    }
}
