#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::super::{Encoder, ObjectReader, ObjectSpec};
use super::*;
use lakehook_base::files::Disk;
use lakehook_base::tables::Table;

const ROWS: u64 = 40;

/// Every third row is of `u-1`, and some have values in every kind of column.
fn logged(number: u64) -> String {
    let row = json!({
        "event_id": format!("id-{number}"), "user_id": format!("u-{}", number % 3), "user": null,
        "event_type": "click", "source": "web", "timestamp": format!("2026-11-25T00:00:{number:02}.000000Z"),
        "received_at": "2026-11-25T01:00:00.000000Z", "properties": {"a": number},
        "extra": if number == 8 { json!({"user_id": 7}) } else { json!(null) },
    });
    row.to_string()
}

fn object(format: Format) -> Bytes {
    let table = Arc::new(Table::events(std::iter::empty::<&str>()).unwrap());
    let spec = ObjectSpec {
        format,
        table: &table,
        rows: ROWS,
        path: Path::new("unused"),
    };
    let mut encoder = Encoder::new(&spec, Vec::new(), Disk).unwrap();
    for number in 1..=ROWS {
        encoder
            .row(Lsn(number), 1, logged(number).as_bytes())
            .unwrap();
    }
    encoder.finish().unwrap().out.into()
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
        let found = find_rows(format, &bytes, &of_user("u-1", &is_u1)).unwrap();
        let expected: BTreeSet<Lsn> = (1..=ROWS).filter(|n| n % 3 == 1).map(Lsn).collect();
        assert_eq!(found, expected, "{format:?}");
        let (copy, copied) = copy_without(format, &bytes, &found, Vec::new()).unwrap();
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
        let (copy, copied) = copy_without(format, &object(format), &all, Vec::new()).unwrap();
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
    find_rows(Format::Parquet, &bytes, &of_user("nobody", &count)).unwrap();
    assert_eq!(seen.get(), ROWS);
    let without = [Lsn(8)].into();
    let (copy, _) = copy_without(Format::Parquet, &bytes, &without, Vec::new()).unwrap();
    seen.set(0);
    find_rows(Format::Parquet, &copy.into(), &of_user("nobody", &count)).unwrap();
    assert_eq!(seen.get(), 0);
}
