//! Small items that are put once, read, listed and deleted: what a log needs that keeps its frames in
//! a bucket.
//!
//! An item must be stored only where there is none, and be what was sent. So a store is refused here
//! that ignores `If-None-Match: *`, or that does not list what it has just stored: for the objects of the
//! lake there is a way round the first, which a log cannot afford. Where a store takes bodies that do not
//! match their checksum, each item is read back before it counts.

use super::abilities::{self, CheckKind, check_of};
use super::errors::{LakeError, Trouble};
use super::object::Metadata;
use super::proof::Protection;
use super::store::{Body, Condition, ObjectStore, Put, PutAnswer, StoreError};

/// Prefix of the items by which lists are probed.
const PROBES: &str = "_lakehook/list-probe/";

/// Items in a store.
pub struct Items {
    store: Box<dyn ObjectStore>,
    check: CheckKind,
    /// Whether the store may have stored something else than was sent.
    reads_back: bool,
}

impl Items {
    /// Probes by harmless puts whether the store can keep a log. `unique` is a random number.
    pub fn open(store: Box<dyn ObjectStore>, unique: u64) -> Result<Self, LakeError> {
        let abilities = abilities::probe(&*store)?;
        if !abilities.conditions {
            return Err(unusable(
                "it ignores If-None-Match, so two owners could both believe that they have it",
            ));
        }
        let items = Self {
            store,
            check: abilities.check,
            reads_back: !matches!(abilities.protection, Protection::Crc32c | Protection::Md5),
        };
        items.probe_lists(unique)?;
        Ok(items)
    }

    /// Items that are only read, without a probe.
    pub fn for_reading(store: Box<dyn ObjectStore>) -> Self {
        Self {
            store,
            check: CheckKind::Crc32c,
            reads_back: false,
        }
    }

    /// Whether each item is read back, which costs a request more.
    pub fn reads_back(&self) -> bool {
        self.reads_back
    }

    /// An item that was stored must be in the next list, and one that was deleted must not.
    fn probe_lists(&self, unique: u64) -> Result<(), LakeError> {
        let key = format!("{PROBES}{unique:016x}");
        self.put_new(
            &key,
            b"lakehook checks with this object whether lists are up to date\n",
        )?;
        let is_listed = || Ok::<_, StoreError>(self.list(PROBES, None)?.contains(&key));
        let was_listed = is_listed()?;
        self.delete(&key)?;
        if !was_listed || is_listed()? {
            return Err(unusable(
                "its lists lack what was stored just before, or have what was deleted",
            ));
        }
        Ok(())
    }

    /// Puts an item, unless there is one; returns whether it is stored. After an error it may be
    /// stored, or be stored later.
    pub fn put_new(&self, key: &str, bytes: &[u8]) -> Result<bool, StoreError> {
        let answer = self.store.put(&Put {
            key,
            body: Body::Bytes(bytes),
            check: check_of(self.check, bytes),
            content_type: "application/octet-stream",
            metadata: &Metadata::new(),
            condition: Condition::IfAbsent,
        })?;
        match answer {
            PutAnswer::Stored(evidence) if evidence.etag.is_some() => {
                if self.reads_back && self.get(key)?.as_deref() != Some(bytes) {
                    return Err(unknown("what the store has is not what was sent"));
                }
                Ok(true)
            }
            // Anything between us and the store may have answered this.
            PutAnswer::Stored(_) => Err(unknown("a 200 without an ETag is no answer of the store")),
            PutAnswer::ConditionFailed => Ok(false),
            PutAnswer::Damaged(words) | PutAnswer::Refused(words) => Err(unknown(&words)),
        }
    }

    /// The bytes of an item; `None` if there is none.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut bytes = Vec::new();
        let is_there = self.store.get(key, &mut bytes)?;
        Ok(is_there.then_some(bytes))
    }

    /// Keys that begin with `prefix`, in order; only those after the key `after`, if one is given.
    pub fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix, after)
    }

    /// Deletes an item, if it is there.
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key)
    }
}

fn unknown(message: &str) -> StoreError {
    StoreError {
        kind: Trouble::Other,
        message: message.to_owned(),
    }
}

fn unusable(why: &str) -> LakeError {
    LakeError::Unusable(format!("the store cannot keep a log: {why}"))
}
