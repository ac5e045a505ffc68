//! Ids in memory by how their hashes begin, with the content of their records. Pure.
//!
//! Most ids are only added and written out later, so adding one must be cheap: it touches the end of one bucket.
//! Looking for one reads the whole bucket, and sorting them sorts bucket by bucket.

use super::id_entry::{ID_BITS, IdEntry};

/// Hashes are spread evenly, so that all buckets have about as many ids.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 12;

/// Ids of which each was added once.
#[derive(Debug, Default)]
pub(crate) struct IdBuckets {
    /// None at all before the first id.
    buckets: Vec<Vec<IdEntry>>,
    count: usize,
}

/// The bucket of an id. An id that is larger is in the same bucket or in a later one.
pub(crate) fn bucket_of(id: u128) -> usize {
    usize::try_from(id >> (ID_BITS - BUCKET_BITS)).unwrap_or(0) % BUCKETS
}

impl IdBuckets {
    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entry of an id.
    pub(crate) fn get(&self, id: u128) -> Option<IdEntry> {
        find_in(self.buckets.get(bucket_of(id))?, id)
    }

    /// Adds an id that is new.
    pub(crate) fn insert(&mut self, entry: IdEntry) {
        if self.buckets.is_empty() {
            self.buckets.resize(BUCKETS, Vec::new());
        }
        self.buckets[bucket_of(entry.id())].push(entry);
        self.count += 1;
    }

    /// The ids of a bucket, in the order in which they came.
    pub(crate) fn bucket(&self, bucket: usize) -> &[IdEntry] {
        self.buckets.get(bucket).map_or(&[], Vec::as_slice)
    }

    /// Forgets all, and keeps the memory for as many.
    pub(crate) fn clear(&mut self) {
        self.buckets.iter_mut().for_each(Vec::clear);
        self.count = 0;
    }
}

/// The entry of an id among those of its bucket.
pub(crate) fn find_in(bucket: &[IdEntry], id: u128) -> Option<IdEntry> {
    bucket.iter().find(|entry| entry.id() == id).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    fn entry(number: u64) -> IdEntry {
        IdEntry::new(xxh3_128(&number.to_le_bytes()), u128::from(number))
    }

    #[test]
    fn every_id_is_found_and_buckets_are_in_the_order_of_ids() {
        let mut ids = IdBuckets::default();
        assert!(ids.is_empty() && ids.get(entry(1).id()).is_none() && ids.bucket(7).is_empty());
        (0..50_000).for_each(|number| ids.insert(entry(number)));
        assert_eq!(ids.len(), 50_000);
        for number in (0..50_000).step_by(7) {
            assert_eq!(ids.get(entry(number).id()), Some(entry(number)));
        }
        assert!((50_000..50_500).all(|number| ids.get(entry(number).id()).is_none()));
        let mut last = None;
        for bucket in 0..BUCKETS {
            let own = ids.bucket(bucket).iter().copied();
            assert!(own.clone().all(|entry| Some(entry) > last));
            last = own.max().or(last);
        }
        let ends = [0, (1 << ID_BITS) - 1];
        assert_eq!(ends.map(bucket_of), [0, BUCKETS - 1]);
        ids.clear();
        assert!(ids.is_empty() && ids.get(entry(7).id()).is_none());
    }
}
