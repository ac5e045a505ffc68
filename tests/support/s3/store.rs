//! What the S3 server holds: buckets of objects in memory, behind one lock.
//!
//! A conditional put is decided and applied under that lock, so exactly one of several racing puts wins. The
//! store knows nothing of HTTP.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

/// One object: it is replaced whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Its content.
    pub(crate) bytes: Bytes,
    /// User metadata, without the `x-amz-meta-` before each name.
    pub(crate) metadata: HashMap<String, String>,
    /// As the writer declared it.
    pub(crate) content_type: Option<String>,
    /// As the writer declared it; lakehook never should.
    pub(crate) content_encoding: Option<String>,
    /// When it was put.
    pub(crate) modified: SystemTime,
}

impl Object {
    /// An object of these bytes, put now, without metadata.
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            metadata: HashMap::new(),
            content_type: None,
            content_encoding: None,
            modified: SystemTime::now(),
        }
    }

    /// A hash of the content. It is not the MD5 that AWS gives, on which nobody may rely.
    pub(crate) fn etag(&self) -> String {
        format!("{:032x}", xxh3_128(&self.bytes))
    }

    /// The CRC-32C of the content, as S3 writes it.
    pub(crate) fn crc(&self) -> String {
        let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &self.bytes);
        BASE64_STANDARD.encode(&crc.to_be_bytes()[4..])
    }
}

/// The result of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// The object is in place.
    Applied {
        /// Whether there was one before it.
        replaced: bool,
    },
    /// An object was there already, and the put was conditional.
    Exists,
    /// There is no such bucket.
    NoBucket,
}

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Objects in the order of their keys.
    pub(crate) objects: Vec<(String, Object)>,
    /// Prefixes that end with the delimiter, in place of all keys below them.
    pub(crate) prefixes: Vec<String>,
    /// The last key that this page covers, if there are more.
    pub(crate) next: Option<String>,
}

/// Which keys a listing is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<'a> {
    /// Only keys that begin with this.
    pub(crate) prefix: &'a str,
    /// Folds what comes after it (beyond the prefix); empty folds nothing.
    pub(crate) delimiter: &'a str,
    /// Only keys after this one.
    pub(crate) after: &'a str,
    /// The most objects and prefixes of a page.
    pub(crate) max: usize,
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Store {
    buckets: Mutex<BTreeMap<String, BTreeMap<String, Object>>>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<String, Object>>> {
        self.buckets.lock().expect("no holder of the lock panics")
    }

    /// Makes a bucket; false if there is one already.
    pub(crate) fn create_bucket(&self, bucket: &str) -> bool {
        let mut buckets = self.lock();
        if buckets.contains_key(bucket) {
            return false;
        }
        buckets.insert(bucket.to_owned(), BTreeMap::new());
        true
    }

    /// Whether there is such a bucket.
    pub(crate) fn has_bucket(&self, bucket: &str) -> bool {
        self.lock().contains_key(bucket)
    }

    /// Puts an object; with `only_if_absent`, only where there is none under that key.
    pub(crate) fn put(&self, bucket: &str, key: &str, object: Object, only_if_absent: bool) -> Put {
        let mut buckets = self.lock();
        let Some(objects) = buckets.get_mut(bucket) else {
            return Put::NoBucket;
        };
        if only_if_absent && objects.contains_key(key) {
            return Put::Exists;
        }
        let before = objects.insert(key.to_owned(), object);
        Put::Applied {
            replaced: before.is_some(),
        }
    }

    /// The object under that key.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Option<Object> {
        self.lock().get(bucket)?.get(key).cloned()
    }

    /// Removes an object; false if there was none.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> bool {
        let mut buckets = self.lock();
        let objects = buckets.get_mut(bucket);
        objects.is_some_and(|objects| objects.remove(key).is_some())
    }

    /// All keys of a bucket that begin with `prefix`, sorted.
    pub(crate) fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let buckets = self.lock();
        let keys = buckets.get(bucket).into_iter().flat_map(BTreeMap::keys);
        keys.filter(|key| key.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// One page of a listing; `None` where there is no such bucket.
    pub(crate) fn list(&self, bucket: &str, query: &Query<'_>) -> Option<Page> {
        let buckets = self.lock();
        let objects = buckets.get(bucket)?;
        let mut page = Page::default();
        let mut covered = String::new();
        let start = Bound::Excluded(query.after.to_owned());
        for (key, object) in objects.range((start, Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(query.prefix) else {
                continue;
            };
            let folded = fold(query, rest);
            if folded
                .as_ref()
                .is_some_and(|p| page.prefixes.last() == Some(p) || covers(query, p))
            {
                // Its prefix is listed already, on this page or on the one before.
                covered.clone_from(key);
                continue;
            }
            if page.objects.len() + page.prefixes.len() == query.max {
                page.next = Some(covered);
                break;
            }
            match folded {
                Some(prefix) => page.prefixes.push(prefix),
                None => page.objects.push((key.clone(), object.clone())),
            }
            covered.clone_from(key);
        }
        Some(page)
    }
}

/// The common prefix that replaces a key, if the delimiter folds it.
fn fold(query: &Query<'_>, rest: &str) -> Option<String> {
    if query.delimiter.is_empty() {
        return None;
    }
    let end = rest.find(query.delimiter)? + query.delimiter.len();
    Some(format!("{}{}", query.prefix, &rest[..end]))
}

/// Whether the page before ended inside this prefix, so that it was listed there.
fn covers(query: &Query<'_>, prefix: &str) -> bool {
    query.after.starts_with(prefix)
}
