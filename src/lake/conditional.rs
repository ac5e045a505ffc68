//! Exactly one object per batch, by conditional puts whose answers may be lost.
//!
//! | answer | meaning |
//! |---|---|
//! | 200 | done |
//! | 412 | somebody was first: our own lost put if nonce and row hash are ours, else foreign |
//! | anything else | unknown: ask again, for ever; never a verdict |
//!
//! Known weakness: a store without conditions can only be asked before each put. Two nodes never use
//! the same key, so that protects against a copied log directory less well, and against nothing else.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::store::{Body, Head, ObjectStore, Put, PutAnswer, StoreError};
use super::{CRC, Found, LakeError, Metadata, NONCE, Object, ROW_HASH, Trouble, keys};
use crate::encode::ObjectReader;
use crate::files::{Appender, Files, Reader, remove_if_there};

const UNKNOWN: u8 = 0;
const HONOURED: u8 = 1;
const IGNORED: u8 = 2;

/// A lake in an object store.
pub struct StoreLake<F> {
    files: F,
    store: Box<dyn ObjectStore>,
    identity: String,
    spool: PathBuf,
    conditions: AtomicU8,
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
    /// A lake whose seals carry that identity, with files in the making under `spool`.
    pub fn new(files: F, store: Box<dyn ObjectStore>, identity: String, spool: &Path) -> Self {
        let conditions = AtomicU8::new(UNKNOWN);
        Self {
            files,
            store,
            identity,
            spool: spool.to_owned(),
            conditions,
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
        match self.conditions.load(Ordering::Acquire) {
            HONOURED => Some(true),
            IGNORED => Some(false),
            _ => None,
        }
    }

    /// Shows with two conditional puts of the same key whether the store honours conditions.
    pub fn probe(&self) -> Result<(), LakeError> {
        if self.honours_conditions().is_some() {
            return Ok(());
        }
        let first = self.put_probe()?;
        let verdict = match first {
            PutAnswer::Exists => HONOURED,
            PutAnswer::ConditionRefused => IGNORED,
            PutAnswer::Stored => match self.put_probe()? {
                PutAnswer::Exists => HONOURED,
                PutAnswer::Stored | PutAnswer::ConditionRefused => IGNORED,
            },
        };
        if verdict == IGNORED {
            tracing::warn!(
                lake = self.identity,
                "the store ignores If-None-Match; each put is preceded by a HEAD instead"
            );
        }
        self.conditions.store(verdict, Ordering::Release);
        Ok(())
    }

    fn put_probe(&self) -> Result<PutAnswer, StoreError> {
        self.store.put(&Put {
            key: &keys::probe_key(),
            body: Body::Bytes(
                b"lakehook checks with this object whether puts can be conditional\n",
            ),
            content_type: "text/plain",
            metadata: &Metadata::new(),
            if_absent: true,
        })
    }

    /// See [`super::Lake::put`].
    pub fn put(&self, object: &Object) -> Result<Found, LakeError> {
        self.probe()?;
        let if_absent = self.honours_conditions() == Some(true);
        if !if_absent && let Some(head) = self.store.head(&object.key)? {
            return self.judge(object, &head);
        }
        let answer = self.store.put(&Put {
            key: &object.key,
            body: Body::File(&object.spool, object.bytes),
            content_type: object.content_type,
            metadata: &object.metadata,
            if_absent,
        })?;
        match answer {
            PutAnswer::Stored => {
                self.forget_spool(object);
                Ok(object.found())
            }
            PutAnswer::Exists => match self.store.head(&object.key)? {
                Some(head) => self.judge(object, &head),
                None => Err(again("the key was taken and is free again")),
            },
            PutAnswer::ConditionRefused => Err(again("the store refuses the condition it took")),
        }
    }

    /// An object is under our key: is it ours, put by a request whose answer was lost?
    fn judge(&self, object: &Object, head: &Head) -> Result<Found, LakeError> {
        let theirs = (head.metadata.get(NONCE), head.metadata.get(ROW_HASH));
        let ours = (object.metadata.get(NONCE), object.metadata.get(ROW_HASH));
        match theirs {
            (None, None) => self.compare(object),
            _ if theirs == ours => {
                self.forget_spool(object);
                Ok(found(head))
            }
            _ => {
                let detail = format!("its nonce is {}", theirs.0.map_or("none", String::as_str));
                Err(LakeError::Foreign {
                    key: object.key.clone(),
                    detail,
                })
            }
        }
    }

    /// A store that keeps no metadata: the content decides.
    fn compare(&self, object: &Object) -> Result<Found, LakeError> {
        let copy = object.spool.with_extension("theirs");
        let same = self.fetch(object, &copy);
        let _left_behind = remove_if_there(&self.files, &copy);
        if same? {
            self.forget_spool(object);
            return Ok(object.found());
        }
        let detail = "it has no metadata, and its content differs".to_owned();
        Err(LakeError::Foreign {
            key: object.key.clone(),
            detail,
        })
    }

    fn fetch(&self, object: &Object, copy: &Path) -> Result<bool, LakeError> {
        let local = |error: io::Error| again(&format!("failed to compare: {error}"));
        remove_if_there(&self.files, copy).map_err(local)?;
        let file = self.files.create_new(copy).map_err(local)?;
        let mut out = BufWriter::new(Appender::new(Arc::new(file)));
        if !self.store.get(&object.key, &mut out)? {
            return Err(again("the key was taken and is free again"));
        }
        out.flush().map_err(local)?;
        let open = |path: &Path| Reader::new(self.files.open(path)?);
        let theirs = BufReader::new(open(copy).map_err(local)?);
        let ours = BufReader::new(open(&object.spool).map_err(local)?);
        // What cannot be decoded is not what we put.
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
        let ours = says(NONCE, nonce) && says(ROW_HASH, row_hash);
        Ok(ours.then(|| found(&head)))
    }

    /// The object is in the lake; what is left of the local file is removed at the next start.
    fn forget_spool(&self, object: &Object) {
        if let Err(error) = remove_if_there(&self.files, &object.spool) {
            tracing::warn!(%error, path = %object.spool.display(), "failed to remove a spooled object");
        }
    }
}

fn found(head: &Head) -> Found {
    let crc = head.metadata.get(CRC);
    let crc = crc.and_then(|crc| u32::from_str_radix(crc, 16).ok());
    Found {
        bytes: head.bytes,
        crc: crc.unwrap_or(0),
    }
}

fn again(message: &str) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message: message.to_owned(),
    }
}
