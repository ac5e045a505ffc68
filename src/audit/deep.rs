//! Looking into an object: its rows, held against what it says of itself.

use std::io::{self, BufRead as _, BufReader};

use bytes::Bytes;

use super::{Problem, Seen, claims_of, problem};
use crate::checksum::crc32c;
use crate::encode::Format;
use crate::encode::ndjson::decoder;
use crate::encode::parquet_read;
use crate::json::{Members, text};
use crate::lake::{CRC, ROW_HASH};
use crate::record::{Lsn, row_hash};

/// What the rows of an object are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    count: u64,
    lsn_hash: u128,
    /// Of rows as they were logged; typed objects no longer have them.
    row_hash: Option<u128>,
}

/// What is wrong with an object whose bytes are these.
pub fn look(object: &Seen, bytes: Vec<u8>) -> Vec<String> {
    let mut wrong = Vec::new();
    let says = |name: &str| object.metadata.get(name).map(String::as_str);
    if says(CRC) != Some(format!("{:08x}", crc32c(&bytes)).as_str()) {
        wrong.push("its bytes are not those that were put: the checksum differs".to_owned());
    }
    let sums = match Format::of_key(&object.key).map(Format::codec) {
        None => Err(io::Error::other("it has no known suffix")),
        Some(Some(codec)) => decoder(codec, io::Cursor::new(bytes)).and_then(of_lines),
        Some(None) => of_columns(bytes),
    };
    let sums = match sums {
        Ok(sums) => sums,
        Err(error) => {
            wrong.push(format!("it cannot be read: {error}"));
            return wrong;
        }
    };
    if says("lakehook-count") != Some(sums.count.to_string().as_str()) {
        let count = says("lakehook-count").unwrap_or("nothing");
        wrong.push(format!("it has {} rows; it says {count}", sums.count));
    }
    if says("lakehook-lsn-hash") != Some(format!("{:032x}", sums.lsn_hash).as_str()) {
        wrong.push("the LSNs of its rows are not those that it says".to_owned());
    }
    let hash = sums.row_hash.map(|hash| format!("{hash:032x}"));
    if hash.is_some() && hash.as_deref() != says(ROW_HASH) {
        wrong.push("its rows are not those that were logged".to_owned());
    }
    wrong
}

/// Holds the running sums of LSNs against those of 1, 2, 3 and so on: that each LSN was given once. Costs a
/// hash for each LSN that is claimed, so it is for lakes whose claims agree with each other.
pub fn running_sums(objects: &[Seen]) -> Vec<Problem> {
    let mut claims: Vec<_> = objects
        .iter()
        .filter_map(|object| claims_of(object).ok())
        .collect();
    claims.sort_by_key(|(node, claims)| (*node, claims.as_of));
    let mut problems = Vec::new();
    let (mut of, mut upto, mut sum) = (None, 0, 0_u128);
    for (node, claims) in claims {
        if of != Some(node) {
            (of, upto, sum) = (Some(node), 0, 0);
        }
        let fresh = upto + 1..=claims.as_of.0;
        sum = fresh.fold(sum, |sum, lsn| sum.wrapping_add(Lsn(lsn).hash()));
        upto = claims.as_of.0;
        if sum != claims.as_of_hash {
            let what = "as of it, the sum of all LSNs is not what it must be".to_owned();
            problems.push(problem(Some(node), &claims.key, what));
        }
    }
    problems
}

fn of_lines(input: Box<dyn io::Read>) -> io::Result<Sums> {
    let mut sums = Sums {
        row_hash: Some(0),
        ..Sums::default()
    };
    let mut reader = BufReader::with_capacity(256 << 10, input);
    let mut line = Vec::new();
    let mut row = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(sums);
        }
        if line.pop() != Some(b'\n') {
            return Err(io::Error::other("its last line has no end"));
        }
        let lsn = without_lsn(&line, &mut row)?;
        sums.count += 1;
        sums.lsn_hash = sums.lsn_hash.wrapping_add(lsn.hash());
        let hash = sums.row_hash.unwrap_or(0);
        sums.row_hash = Some(hash.wrapping_add(row_hash(&row)));
    }
}

/// The LSN of a line; the row as it was logged, without it, goes to `row`.
fn without_lsn(line: &[u8], row: &mut Vec<u8>) -> io::Result<Lsn> {
    let whole = std::str::from_utf8(line).map_err(io::Error::other)?;
    let Members(members) = serde_json::from_str(whole)?;
    let own = members
        .iter()
        .find(|(key, _)| text(key).is_some_and(|key| key == "lsn"));
    let Some((key, value)) = own else {
        return Err(io::Error::other("a row has no lsn"));
    };
    let lsn = value.parse().map_err(io::Error::other)?;
    let start = key.as_ptr() as usize - line.as_ptr() as usize;
    let end = value.as_ptr() as usize - line.as_ptr() as usize + value.len() + ",".len();
    row.clear();
    row.extend_from_slice(&line[..start]);
    row.extend_from_slice(line.get(end..).unwrap_or_default());
    Ok(Lsn(lsn))
}

fn of_columns(bytes: Vec<u8>) -> io::Result<Sums> {
    let lsns = parquet_read::lsns_of(Bytes::from(bytes))?;
    let mut sums = Sums::default();
    for lsn in lsns {
        sums.count += 1;
        sums.lsn_hash = sums.lsn_hash.wrapping_add(Lsn(lsn.unsigned_abs()).hash());
    }
    Ok(sums)
}
