//! Puts exactly one object per batch, by conditional puts whose answers may be lost.
//!
//! | answer | meaning |
//! |---|---|
//! | 200 that names a checksum of ours | done |
//! | any other 200 | unknown: HEAD says if the object is there, ours, and whole ([`super::proof`]) |
//! | 412 | the key is taken: by our lost put if nonce and row hash are ours, else by others |
//! | anything else | unknown: retried for ever; never a verdict |
//!
//! An object of ours that proves to be damaged is put again over itself (with `If-Match` and its
//! ETag, if the store has one): its batch is not committed yet, so the log still has the rows. An object from
//! which rows were erased is never put again: its commit was confirmed before, and the log's rows must
//! not come back.
//!
//! Known weakness: without `If-None-Match` we HEAD before each put, which leaves a race. Two nodes never
//! use the same key, so only a copied log directory can hit it.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::abilities::{self, Abilities, CheckKind};
use super::errors::{LakeError, Trouble};
use super::keys;
use super::object::{Found, Object};
use super::proof::{Measure, Protection, Verdict, compare_crc, is_md5, may_be_md5, md5_of, open};
use super::stamp::{CRC, NONCE, ROW_HASH, is_erased};
use super::store::{
    Body, BodyCheck, Condition, Evidence, Head, ObjectStore, Put, PutAnswer, StoreError,
};
use crate::encode::ObjectReader;
use lakehook_base::files::{
    Appender, Files, Reader, create_dir_durably, parent_of, remove_if_there,
};

/// A lake in an object store.
pub struct StoreLake<F> {
    pub(super) files: F,
    pub(super) store: Box<dyn ObjectStore>,
    identity: String,
    spool: PathBuf,
    /// `None` until the store has been probed.
    abilities: Mutex<Option<Abilities>>,
}

impl From<StoreError> for LakeError {
    fn from(error: StoreError) -> Self {
        Self::Retry {
            kind: error.kind,
            message: error.message,
        }
    }
}

impl<F: Files> StoreLake<F> {
    /// A lake whose seals carry `identity`; objects are spooled in the directory `spool` before
    /// they are put.
    pub fn new(files: F, store: Box<dyn ObjectStore>, identity: String, spool: &Path) -> Self {
        Self {
            files,
            store,
            identity,
            spool: spool.to_owned(),
            abilities: Mutex::new(None),
        }
    }

    /// See [`super::Lake::identity`].
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// See [`super::Lake::spool_dir`].
    pub fn spool_dir(&self) -> &Path {
        &self.spool
    }

    /// See [`super::Lake::honours_conditions`].
    pub fn honours_conditions(&self) -> Option<bool> {
        self.known().map(|abilities| abilities.conditions)
    }

    /// See [`super::Lake::protection`].
    pub fn protection(&self) -> Option<Protection> {
        self.known().map(|abilities| abilities.protection)
    }

    fn known(&self) -> Option<Abilities> {
        *self
            .abilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, abilities: Abilities) {
        *self
            .abilities
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(abilities);
    }

    /// Probes by harmless puts what the store can do.
    pub fn probe(&self) -> Result<(), LakeError> {
        self.abilities().map(drop)
    }

    /// See [`super::Lake::read_small`].
    pub fn read_small(&self, key: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let mut bytes = Vec::new();
        let mut out = Limited {
            out: &mut bytes,
            left: MAX_SMALL,
        };
        let is_there = self.store.get(key, &mut out)?;
        Ok(is_there.then_some(bytes))
    }

    /// See [`super::Lake::was_used`].
    pub fn was_used(&self) -> Result<bool, LakeError> {
        Ok(self.store.head(&keys::probe_key())?.is_some())
    }

    /// What the store can do; probed once.
    pub(super) fn abilities(&self) -> Result<Abilities, LakeError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let found = abilities::probe(&*self.store)?;
        if !found.conditions {
            tracing::warn!(
                lake = self.identity,
                "the store ignores If-None-Match; each put is preceded by a HEAD instead"
            );
        }
        if found.protection == Protection::ReadBack {
            tracing::warn!(
                lake = self.identity,
                "the store neither checks nor names a checksum; each object is read back once"
            );
        }
        self.remember(found);
        Ok(found)
    }

    /// See [`super::Lake::put`].
    pub fn put(&self, object: &Object) -> Result<Found, LakeError> {
        let conditions = self.abilities()?.conditions;
        if !conditions && let Some(head) = self.store.head(&object.key)? {
            return self.judge(object, &head, Since::Earlier);
        }
        match self.send(object, abilities::first_put(conditions))? {
            PutAnswer::Stored(evidence) => self.confirm(object, &evidence),
            PutAnswer::ConditionFailed => match self.store.head(&object.key)? {
                Some(head) => self.judge(object, &head, Since::Earlier),
                None => Err(again("the key was taken and is free again")),
            },
            PutAnswer::Damaged(words) => Err(damaged(&words)),
            PutAnswer::Refused(words) => Err(refused(&words)),
        }
    }

    /// Puts an object with the checksum that the store accepts; if it no longer accepts that, with
    /// another one or none.
    pub(super) fn send(
        &self,
        object: &Object,
        condition: Condition<'_>,
    ) -> Result<PutAnswer, LakeError> {
        let abilities = self.abilities()?;
        let from = CheckKind::ALL
            .iter()
            .position(|kind| *kind == abilities.check);
        let mut answer = PutAnswer::Refused(String::new());
        for kind in &CheckKind::ALL[from.unwrap_or(0)..] {
            answer = self.store.put(&Put {
                key: &object.key,
                body: match &object.assembled {
                    Some(assembled) => Body::Assembled(assembled, object.bytes),
                    None => Body::File(&object.spool, object.bytes),
                },
                check: self.check_of(*kind, object)?,
                content_type: object.content_type,
                metadata: &object.metadata,
                condition,
            })?;
            if !matches!(answer, PutAnswer::Refused(_)) {
                if *kind != abilities.check {
                    self.remember(Abilities {
                        check: *kind,
                        protection: Protection::ReadBack,
                        crc_is_computed: false,
                        ..abilities
                    });
                }
                return Ok(answer);
            }
        }
        Ok(answer)
    }

    fn check_of(&self, kind: CheckKind, object: &Object) -> Result<BodyCheck, LakeError> {
        Ok(match kind {
            CheckKind::Crc32c => BodyCheck::Crc32c(object.crc),
            CheckKind::Md5 => BodyCheck::Md5(self.md5_of(object)?),
            CheckKind::Absent => BodyCheck::Absent,
        })
    }

    fn md5_of(&self, object: &Object) -> Result<[u8; 16], LakeError> {
        let bytes = open(&self.files, object).map_err(|error| local(&error))?;
        md5_of(bytes).map_err(|error| local(&error))
    }

    /// After a 200: decides whether the answer proves that our bytes are stored.
    fn confirm(&self, object: &Object, evidence: &Evidence) -> Result<Found, LakeError> {
        match self.examine(evidence, object.crc, Some(object))? {
            Verdict::Proven => Ok(self.done(object, object.found())),
            Verdict::Damaged => self.replace(object, evidence.etag.as_deref()),
            // Something other than the store may have answered 200.
            Verdict::Open => match self.store.head(&object.key)? {
                Some(head) => self.judge(object, &head, Since::ThisPut),
                None => Err(LakeError::Retry {
                    kind: Trouble::Network,
                    message: "the put was answered 200, but there is no such object".to_owned(),
                }),
            },
        }
    }

    /// Decides whether the object under our key is ours, and whole.
    fn judge(&self, object: &Object, head: &Head, since: Since) -> Result<Found, LakeError> {
        let theirs = (head.metadata.get(NONCE), head.metadata.get(ROW_HASH));
        let ours = (object.metadata.get(NONCE), object.metadata.get(ROW_HASH));
        if theirs == (None, None) {
            return self.compare(object, head, since);
        }
        if theirs != ours {
            let detail = format!("its nonce is {}", theirs.0.map_or("none", String::as_str));
            return Err(LakeError::Foreign {
                key: object.key.clone(),
                detail,
            });
        }
        match self.prove(&object.key, head, Some(object), since)? {
            Some(found) => Ok(self.done(object, found)),
            None if is_erased(&head.metadata) => Ok(self.done(object, self.as_it_is(object, head))),
            None => self.replace(object, head.evidence.etag.as_deref()),
        }
    }

    /// Whether what a store says proves that it holds bytes with this checksum; they are those of
    /// `object`, if it is given.
    pub(super) fn examine(
        &self,
        evidence: &Evidence,
        crc: u32,
        object: Option<&Object>,
    ) -> Result<Verdict, LakeError> {
        if self.abilities()?.crc_is_computed {
            let verdict = compare_crc(evidence, crc);
            if verdict != Verdict::Open {
                return Ok(verdict);
            }
        }
        if let (Some(etag), Some(object)) = (&evidence.etag, object)
            && may_be_md5(etag)
            && is_md5(etag, self.md5_of(object)?)
        {
            return Ok(Verdict::Proven);
        }
        Ok(Verdict::Open)
    }

    /// Proves that an object of ours is what its metadata says; `None` if it is damaged. An earlier
    /// attempt may have compressed the rows differently, so the object's own metadata counts, not
    /// that of this attempt.
    pub(super) fn prove(
        &self,
        key: &str,
        head: &Head,
        object: Option<&Object>,
        since: Since,
    ) -> Result<Option<Found>, LakeError> {
        let crc = head.metadata.get(CRC);
        let Some(crc) = crc.and_then(|crc| u32::from_str_radix(crc, 16).ok()) else {
            return Ok(None);
        };
        let found = Found {
            bytes: head.bytes,
            crc,
        };
        let same = object.filter(|object| object.crc == crc);
        if same.is_some_and(|object| object.bytes != head.bytes) {
            return Ok(None);
        }
        match self.examine(&head.evidence, crc, same)? {
            Verdict::Proven => return Ok(Some(found)),
            Verdict::Damaged => return Ok(None),
            Verdict::Open => {}
        }
        if since == Since::ThisPut
            && same.is_some()
            && self.abilities()?.protection.refuses_damage()
        {
            return Ok(Some(found));
        }
        let mut measure = Measure::new();
        if !self.store.get(key, &mut measure)? {
            return Err(again("the object was there and is gone"));
        }
        Ok((measure.crc() == crc && measure.bytes() == head.bytes).then_some(found))
    }

    /// Puts an object again over a damaged one of ours.
    fn replace(&self, object: &Object, etag: Option<&str>) -> Result<Found, LakeError> {
        tracing::warn!(
            key = object.key,
            "the object in the lake is damaged; it is put again"
        );
        let mut answer = PutAnswer::Refused(String::new());
        if let Some(etag) = etag {
            answer = self.send(object, Condition::IfMatch(etag))?;
        }
        if let PutAnswer::Refused(_) = answer {
            answer = self.send(object, Condition::Always)?;
        }
        let evidence = match answer {
            PutAnswer::Stored(evidence) => evidence,
            PutAnswer::ConditionFailed => return Err(again("the damaged object has changed")),
            PutAnswer::Damaged(words) => return Err(damaged(&words)),
            PutAnswer::Refused(words) => return Err(refused(&words)),
        };
        let mut verdict = self.examine(&evidence, object.crc, Some(object))?;
        // A 200 that is not the store's leaves the damaged object there, with the same size and stamp.
        if verdict == Verdict::Open
            && let Some(head) = self.store.head(&object.key)?
            && self
                .prove(&object.key, &head, Some(object), Since::Earlier)?
                .is_some()
        {
            verdict = Verdict::Proven;
        }
        match verdict {
            Verdict::Proven => Ok(self.done(object, object.found())),
            Verdict::Damaged | Verdict::Open => {
                Err(damaged("what the store holds is not what was sent"))
            }
        }
    }

    /// An object from which rows were erased, and which was damaged since.
    fn as_it_is(&self, object: &Object, head: &Head) -> Found {
        tracing::error!(
            key = object.key,
            lake = self.identity,
            "rows were erased from this object, and it is damaged; it stays as it is, and `lakehook audit --deep` names it"
        );
        let crc = head.metadata.get(CRC);
        Found {
            bytes: head.bytes,
            crc: crc
                .and_then(|crc| u32::from_str_radix(crc, 16).ok())
                .unwrap_or(0),
        }
    }

    /// For a store that keeps no metadata: compares the contents.
    fn compare(&self, object: &Object, head: &Head, since: Since) -> Result<Found, LakeError> {
        let copy = object.spool.with_extension("theirs");
        let same = self.fetch(object, &copy);
        let _left_behind = remove_if_there(&self.files, &copy);
        if same? {
            return Ok(self.done(object, object.found()));
        }
        if since == Since::ThisPut {
            return self.replace(object, head.evidence.etag.as_deref());
        }
        let detail = "it has no metadata, and its content differs".to_owned();
        Err(LakeError::Foreign {
            key: object.key.clone(),
            detail,
        })
    }

    fn fetch(&self, object: &Object, copy: &Path) -> Result<bool, LakeError> {
        create_dir_durably(&self.files, parent_of(copy), true).map_err(|error| local(&error))?;
        remove_if_there(&self.files, copy).map_err(|error| local(&error))?;
        let file = self.files.create_new(copy).map_err(|error| local(&error))?;
        let mut out = BufWriter::new(Appender::new(Arc::new(file)));
        if !self.store.get(&object.key, &mut out)? {
            return Err(again("the key was taken and is free again"));
        }
        out.flush().map_err(|error| local(&error))?;
        let theirs = self.files.open(copy).and_then(Reader::new);
        let theirs = BufReader::new(theirs.map_err(|error| local(&error))?);
        let ours = open(&self.files, object).map_err(|error| local(&error))?;
        // An object that cannot be decoded is not what we put.
        Ok(ObjectReader::new(object.format)
            .same_content(ours, theirs)
            .unwrap_or(false))
    }

    /// See [`super::Lake::find`].
    pub fn find(&self, key: &str, nonce: &str, row_hash: &str) -> Result<Option<Found>, LakeError> {
        let Some(head) = self.store.head(key)? else {
            return Ok(None);
        };
        let says = |name: &str, value: &str| head.metadata.get(name).is_some_and(|v| v == value);
        if !(says(NONCE, nonce) && says(ROW_HASH, row_hash)) {
            return Ok(None);
        }
        let found = self.prove(key, &head, None, Since::Earlier)?;
        let crc = head.metadata.get(CRC);
        let crc = crc.and_then(|crc| u32::from_str_radix(crc, 16).ok());
        Ok(match (found, crc) {
            (None, Some(crc)) if is_erased(&head.metadata) => Some(Found {
                bytes: head.bytes,
                crc,
            }),
            (found, _) => found,
        })
    }

    /// Removes the spooled file of an object that is in the lake. The next start removes it if this
    /// fails.
    pub(super) fn done(&self, object: &Object, found: Found) -> Found {
        if let Err(error) = remove_if_there(&self.files, &object.spool) {
            tracing::warn!(%error, path = %object.spool.display(), "failed to remove a spooled object");
        }
        found
    }
}

/// Most bytes of a small object.
const MAX_SMALL: usize = 64 << 10;

/// Writes at most `left` bytes to `out`, and fails on more.
struct Limited<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.left {
            return Err(io::Error::other("the object is larger than it can be"));
        }
        self.left -= bytes.len();
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Which put may have stored the object that is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// The put that was just answered 200.
    ThisPut,
    /// An earlier put, possibly by another version of the program, or by another program.
    Earlier,
}

fn local(error: &io::Error) -> LakeError {
    again(&format!(
        "failed to read an object that is to be put: {error}"
    ))
}

pub(super) fn damaged(words: &str) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Network,
        message: format!("the object was damaged on its way to the store: {words}"),
    }
}

pub(super) fn refused(words: &str) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Refused,
        message: format!("the store refuses the put: {words}"),
    }
}

pub(super) fn again(message: &str) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message: message.to_owned(),
    }
}
