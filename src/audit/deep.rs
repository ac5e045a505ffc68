//! Looking into an object: its rows, held against what it says of itself.

use super::{Problem, Seen, claims_of, problem};
use crate::encode::ObjectReader;
use crate::lake::{CRC, ROW_HASH};
use crate::record::Lsn;
use crate::wal::layout::crc32c;

/// What is wrong with an object whose bytes are these.
pub fn look(object: &Seen, bytes: Vec<u8>) -> Vec<String> {
    let mut wrong = Vec::new();
    let says = |name: &str| object.metadata.get(name).map(String::as_str);
    if says(CRC) != Some(format!("{:08x}", crc32c(&bytes)).as_str()) {
        wrong.push("its bytes are not those that were put: the checksum differs".to_owned());
    }
    let sums = ObjectReader::of_key(&object.key).and_then(|reader| reader.sums(bytes));
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
