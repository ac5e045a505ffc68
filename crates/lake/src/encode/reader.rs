//! One reader for objects of every format: it gives their rows, and sums over them.
//!
//! An object may be damaged in any way; that is an error, never a panic.

use std::io::{self, BufRead as _, BufReader, Cursor, Read};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::format::{Codec, Format, Layout};
use super::ndjson::decoder;
use super::parquet_read;
use lakehook_base::json::{Members, text};
use lakehook_base::record::{Lsn, row_hash};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 128 << 10;

/// Reads objects of one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectReader {
    layout: Layout,
}

/// Sums over the rows of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSums {
    /// Number of rows.
    pub count: u64,
    /// Sum of the hashes of the LSNs of those that have one, modulo 2^128.
    pub lsn_hash: u128,
    /// Sum of the hashes of the rows as they were logged, modulo 2^128. `None` for typed columns,
    /// from which the logged bytes cannot be restored.
    pub row_hash: Option<u128>,
}

impl ObjectReader {
    /// A reader of objects of a format.
    pub fn new(format: Format) -> Self {
        Self {
            layout: format.layout(),
        }
    }

    /// A reader of the object with a key, whose suffix names the format.
    pub fn of_key(key: &str) -> io::Result<Self> {
        let format = Format::of_key(key);
        let format = format.ok_or_else(|| io::Error::other("it has no known suffix"))?;
        Ok(Self::new(format))
    }

    /// Passes each row to `take`, until `take` returns `false`. `T` is deserialized from a JSON
    /// object. In columns a missing value is null, a time is RFC 3339, and nested values are JSON
    /// in a text.
    pub fn each<T: DeserializeOwned>(
        self,
        bytes: Vec<u8>,
        take: &mut dyn FnMut(T) -> io::Result<bool>,
    ) -> io::Result<()> {
        match self.layout {
            Layout::Columns => parquet_read::rows_as_json(Bytes::from(bytes), &mut |row| {
                take(serde_json::from_value(Value::Object(row))?)
            }),
            Layout::Lines(codec) => {
                let reader = BufReader::new(decoder(codec, Cursor::new(bytes))?);
                for line in reader.split(b'\n') {
                    if !take(serde_json::from_slice(&line?)?)? {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Passes each row to `take` as its bytes, until `take` returns `false`: a line as it stands, without looking
    /// whether it is JSON, or a row of columns as JSON.
    pub fn each_text(
        self,
        bytes: Vec<u8>,
        take: &mut dyn FnMut(&[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        let codec = match self.layout {
            Layout::Columns => {
                return parquet_read::rows_as_json(Bytes::from(bytes), &mut |row| {
                    take(Value::Object(row).to_string().as_bytes())
                });
            }
            Layout::Lines(codec) => codec,
        };
        let mut reader =
            BufReader::with_capacity(BUFFER_BYTES, decoder(codec, Cursor::new(bytes))?);
        let mut line = Vec::new();
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            line.pop_if(|last| *last == b'\n');
            if !take(&line)? {
                return Ok(());
            }
        }
    }

    /// Sums over the rows.
    pub fn sums(self, bytes: Vec<u8>) -> io::Result<RowSums> {
        match self.layout {
            Layout::Lines(codec) => sums_of_lines(decoder(codec, Cursor::new(bytes))?),
            Layout::Columns => sums_of_columns(bytes),
        }
    }

    /// Whether two objects have the same content: the same lines, however they are compressed; or,
    /// for columns, the same bytes.
    pub fn same_content(self, left: impl Read, right: impl Read) -> io::Result<bool> {
        let codec = match self.layout {
            Layout::Lines(codec) => codec,
            Layout::Columns => Codec::Plain,
        };
        let (mut left, mut right) = (decoder(codec, left)?, decoder(codec, right)?);
        let (mut a, mut b) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
        loop {
            let (a_bytes, b_bytes) = (fill(&mut left, &mut a)?, fill(&mut right, &mut b)?);
            if a[..a_bytes] != b[..b_bytes] {
                return Ok(false);
            }
            if a_bytes == 0 {
                return Ok(true);
            }
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    Ok(filled)
}

fn sums_of_lines(input: Box<dyn Read>) -> io::Result<RowSums> {
    let mut sums = RowSums::default();
    let mut rows = 0_u128;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut line = Vec::new();
    let mut row = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            sums.row_hash = Some(rows);
            return Ok(sums);
        }
        if line.pop() != Some(b'\n') {
            return Err(io::Error::other("its last line has no end"));
        }
        let lsn = take_lsn_out(&line, &mut row)?;
        sums.count += 1;
        let hash = lsn.map_or(0, Lsn::hash);
        sums.lsn_hash = sums.lsn_hash.wrapping_add(hash);
        rows = rows.wrapping_add(row_hash(&row));
    }
}

/// The LSN of a line, unless it is null: rows of files have none.
pub(super) fn lsn_of(line: &[u8]) -> io::Result<Option<Lsn>> {
    take_lsn_out(line, &mut Vec::new())
}

/// Returns the LSN of a line, if it has one. Writes the line without it, which is the row as it was logged, to
/// `row`.
fn take_lsn_out(line: &[u8], row: &mut Vec<u8>) -> io::Result<Option<Lsn>> {
    let whole = std::str::from_utf8(line).map_err(io::Error::other)?;
    let Members(members) = serde_json::from_str(whole)?;
    let own = members
        .iter()
        .find(|(key, _)| text(key).is_some_and(|key| key == "lsn"));
    let Some((key, value)) = own else {
        return Err(io::Error::other("a row has no lsn"));
    };
    let lsn = match *value {
        "null" => None,
        number => Some(Lsn(number.parse().map_err(io::Error::other)?)),
    };
    let start = key.as_ptr() as usize - line.as_ptr() as usize;
    let end = value.as_ptr() as usize - line.as_ptr() as usize + value.len() + ",".len();
    row.clear();
    row.extend_from_slice(&line[..start]);
    row.extend_from_slice(line.get(end..).unwrap_or_default());
    Ok(lsn)
}

fn sums_of_columns(bytes: Vec<u8>) -> io::Result<RowSums> {
    let (count, lsns) = parquet_read::lsns_of(Bytes::from(bytes))?;
    let mut sums = RowSums {
        count,
        ..RowSums::default()
    };
    for lsn in lsns {
        sums.lsn_hash = sums.lsn_hash.wrapping_add(Lsn(lsn.unsigned_abs()).hash());
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::sync::Arc;

    use serde::Deserialize;
    use serde_json::json;

    use super::super::{Encoder, ObjectSpec};
    use super::*;
    use lakehook_base::files::Disk;
    use lakehook_base::tables::Table;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Known {
        event_id: String,
        lsn: u64,
        user_id: Option<String>,
    }

    fn logged(number: u64) -> String {
        let row = json!({
            "event_id": format!("id-{number}"), "user_id": null, "user": null, "event_type": "click",
            "source": "web", "timestamp": format!("2026-11-25T00:00:{number:02}.000000Z"),
            "received_at": "2026-11-25T01:00:00.000000Z", "properties": {"a": number}, "extra": null,
        });
        row.to_string()
    }

    fn object(format: Format, rows: u64) -> Vec<u8> {
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
            let row = logged(number);
            encoder.row(Lsn(number), 1, row.as_bytes()).unwrap();
        }
        encoder.finish().unwrap().out
    }

    #[test]
    fn rows_of_every_format_are_read_back() {
        for format in Format::ALL {
            let key = format!("events/dt=2026-11-25/x.{}", format.as_str());
            let reader = ObjectReader::of_key(&key).unwrap();
            let mut read = Vec::new();
            let mut take = |row: Known| {
                read.push(row);
                Ok(read.len() < 3)
            };
            reader.each(object(format, 9), &mut take).unwrap();
            let expected = (1..4).map(|number| Known {
                event_id: format!("id-{number}"),
                lsn: number,
                user_id: None,
            });
            assert_eq!(read, expected.collect::<Vec<_>>(), "{format:?}");
        }
        assert!(ObjectReader::of_key("events/dt=2026-11-25/x.csv").is_err());
    }

    #[test]
    fn sums_are_those_of_the_rows_as_they_were_logged() {
        let lsns = (1..=9).fold(0_u128, |sum, lsn| sum.wrapping_add(Lsn(lsn).hash()));
        let rows = (1..=9).fold(0_u128, |sum, number| {
            sum.wrapping_add(row_hash(logged(number).as_bytes()))
        });
        for format in Format::ALL {
            let sums = ObjectReader::new(format).sums(object(format, 9)).unwrap();
            assert_eq!((sums.count, sums.lsn_hash), (9, lsns), "{format:?}");
            let has_rows = !format.layout().is_typed();
            assert_eq!(sums.row_hash, has_rows.then_some(rows), "{format:?}");
        }
    }

    #[test]
    fn content_is_compared_whatever_the_compression() {
        for format in Format::ALL {
            let reader = ObjectReader::new(format);
            let (a, b, c) = (object(format, 50), object(format, 50), object(format, 51));
            assert!(reader.same_content(a.as_slice(), b.as_slice()).unwrap());
            assert!(!reader.same_content(a.as_slice(), c.as_slice()).unwrap());
        }
        let lines = object(Format::Ndjson, 50);
        let other = zstd::encode_all(lines.as_slice(), 9).unwrap();
        let reader = ObjectReader::new(Format::NdjsonZst);
        let ours = object(Format::NdjsonZst, 50);
        assert_ne!(ours, other);
        assert!(
            reader
                .same_content(ours.as_slice(), other.as_slice())
                .unwrap()
        );
    }
}
