//! Reads objects, and compares their rows with what their stamps claim.

use super::object::AuditedObject;
use super::report::Discrepancy;
use crate::checksum::crc32c;
use crate::encode::ObjectReader;
use crate::lake::stamp::Stamp;
use crate::record::Lsn;

/// Describes everything that is wrong with an object, given its key, its stamp and its bytes.
pub fn look(key: &str, stamp: &Stamp, bytes: Vec<u8>) -> Vec<String> {
    let mut wrong = Vec::new();
    if stamp.crc != crc32c(&bytes) {
        wrong.push("its bytes are not those that were put: the checksum differs".to_owned());
    }
    let sums = ObjectReader::of_key(key).and_then(|reader| reader.sums(bytes));
    let sums = match sums {
        Ok(sums) => sums,
        Err(error) => {
            wrong.push(format!("it cannot be read: {error}"));
            return wrong;
        }
    };
    if sums.count != stamp.rows_left() {
        let (there, said) = (sums.count, stamp.rows_left());
        wrong.push(format!("it has {there} rows; it says {said}"));
    }
    if sums.lsn_hash != stamp.lsn_hash_left() {
        wrong.push("the LSNs of its rows are not those that it says".to_owned());
    }
    // The hash is that of all rows; what is left is protected by the checksum.
    let row_hash = sums.row_hash.filter(|_| stamp.erased.is_none());
    if row_hash.is_some_and(|hash| hash != stamp.row_hash) {
        wrong.push("its rows are not those that were logged".to_owned());
    }
    wrong
}

/// Compares the running sums of LSNs with those of 1, 2, 3 and so on, which proves that each LSN was assigned
/// once. This computes a hash for each claimed LSN, so it is done only for lakes whose claims agree with each
/// other.
pub fn running_sums(objects: &[AuditedObject]) -> Vec<Discrepancy> {
    let claims = objects
        .iter()
        .filter_map(|object| Some((object.key.as_str(), object.stamp_in_place().ok()?)))
        .filter(|(_, stamp)| stamp.parcel_of.is_none());
    let mut claims: Vec<(&str, &Stamp)> = claims.collect();
    claims.sort_by_key(|(_, stamp)| (stamp.node, stamp.as_of.lsn));
    let mut found = Vec::new();
    let (mut of, mut upto, mut sum) = (None, 0, 0_u128);
    for (key, Stamp { node, as_of, .. }) in claims {
        if of != Some(*node) {
            (of, upto, sum) = (Some(*node), 0, 0);
        }
        let fresh = upto + 1..=as_of.lsn.0;
        sum = fresh.fold(sum, |sum, lsn| sum.wrapping_add(Lsn(lsn).hash()));
        upto = as_of.lsn.0;
        if sum != as_of.lsn_hash {
            let what = "as of it, the sum of all LSNs is not what it must be".to_owned();
            found.push(Discrepancy::of_object(Some(*node), key, what));
        }
    }
    found
}
