//! The rows of an object as JSON, whatever its format.

use std::io::{self, BufRead as _, BufReader};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Format, ndjson, parquet_read};

/// Gives each row of an object to `take`, until it says that it has enough (`false`). Columns without a value are
/// null; in columns nested values are JSON in a text.
pub fn rows_of_object(
    key: &str,
    bytes: Vec<u8>,
    take: &mut dyn FnMut(Map<String, Value>) -> io::Result<bool>,
) -> io::Result<()> {
    match Format::of_key(key).map(Format::codec) {
        None => Err(io::Error::other("it has no known suffix")),
        Some(None) => parquet_read::rows_as_json(Bytes::from(bytes), take),
        Some(Some(codec)) => {
            let reader = BufReader::new(ndjson::decoder(codec, io::Cursor::new(bytes))?);
            for line in reader.split(b'\n') {
                if !take(serde_json::from_slice(&line?)?)? {
                    break;
                }
            }
            Ok(())
        }
    }
}
