//! Rewriting an object in place: only erasures do it, and only with objects whose commit is confirmed.
//!
//! In a store the put carries `If-Match`, and a put whose answer was lost is recognised by the id of the
//! erasure in the stamp. In a directory the sidecar announces the exchange. Decision 14 has every case.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::abilities;
use super::conditional::{Since, StoreLake, again, damaged, refused};
use super::configured::Lake;
use super::directory::trouble;
use super::errors::LakeError;
use super::keys::erasing_name;
use super::object::Object;
use super::original::Version;
use super::proof::{PIECE_BYTES, Verdict};
use super::stamp::{ERASURE, NONCE, ROW_HASH};
use super::store::{Condition, Evidence, PutAnswer};
use lakehook_base::files::{Appender, Files, create_dir_durably, parent_of, remove_if_there};

pub use super::original::{Original, Rewritten};

impl<F: Files> Lake<F> {
    /// Refuses a lake in which objects cannot be exchanged under a condition.
    pub fn check_rewritable(&self) -> Result<(), LakeError> {
        match self {
            Self::Directory(directory) => directory.probe(),
            Self::Store(store) => store.check_rewritable(),
        }
    }

    /// Reads an object that is to be rewritten; `None` if there is none. `finishes`: an exchange that was cut
    /// short in a directory is finished. An object of a store is copied to a file that is called `copy` for a
    /// moment, and then has no name: nothing is left of it when it is closed.
    pub fn read_original(
        &self,
        key: &str,
        finishes: bool,
        copy: &Path,
    ) -> Result<Option<Original<F>>, LakeError> {
        match self {
            Self::Directory(directory) => directory.read_original(key, finishes),
            Self::Store(store) => store.read_original(key, copy),
        }
    }

    /// Puts an object in the place of the one that was read. After an error it is not known whether it was
    /// put: ask again with the same arguments. `object.spool` is removed once the exchange is proven.
    pub fn rewrite(&self, original: &Original<F>, object: &Object) -> Result<Rewritten, LakeError> {
        match (self, &original.version) {
            (Self::Directory(directory), Version::Sidecar(Some(claims))) => {
                directory.exchange(claims, object).map(|()| Rewritten::Done)
            }
            (Self::Store(store), Version::Etag(etag)) => store.rewrite(etag, object),
            _ => Err(again(
                "the object was read from another lake, or has no sidecar",
            )),
        }
    }

    /// Where the new bytes of an object are kept until the exchange is proven: beside the files in the
    /// making, which a start removes.
    pub fn erasing_dir(&self) -> PathBuf {
        match self {
            Self::Directory(directory) => directory.spool_dir().to_owned(),
            Self::Store(store) => store.spool_dir().with_file_name("erasing"),
        }
    }

    /// The file for the new bytes of an object.
    pub fn erasing_path(&self, erasure: u128, key: &str) -> PathBuf {
        self.erasing_dir().join(erasing_name(erasure, key))
    }

    /// Removes what an attempt to put an object may have left in the making: it may hold rows that are to be
    /// erased.
    pub fn remove_part(&self, files: &F, name: &str) -> std::io::Result<()> {
        let path: &Path = &self.spool_dir().join(name);
        remove_if_there(files, path)
    }
}

impl<F: Files> StoreLake<F> {
    fn check_rewritable(&self) -> Result<(), LakeError> {
        let honours = self.abilities()?.conditions && abilities::honours_if_match(&*self.store)?;
        if honours {
            return Ok(());
        }
        let message = "the store ignores If-None-Match or If-Match, so that an exchange of objects could undo \
                       another one; erase with the store's own tools instead";
        Err(LakeError::Unusable(message.to_owned()))
    }

    fn read_original(&self, key: &str, copy: &Path) -> Result<Option<Original<F>>, LakeError> {
        let Some(head) = self.store.head(key)? else {
            return Ok(None);
        };
        let Some(etag) = head.evidence.etag else {
            return Err(again("the store names no ETag"));
        };
        let at = |error: std::io::Error| trouble(&error, copy);
        let file = Arc::new(self.nameless(copy).map_err(at)?);
        let mut out = BufWriter::with_capacity(PIECE_BYTES, Appender::new(Arc::clone(&file)));
        if !self.store.get(key, &mut out)? {
            return Ok(None);
        }
        out.flush().map_err(at)?;
        drop(out);
        Ok(Some(Original {
            metadata: head.metadata,
            version: Version::Etag(etag),
            ..Original::of(file).map_err(at)?
        }))
    }

    /// A new file without a name.
    fn nameless(&self, path: &Path) -> std::io::Result<F::File> {
        create_dir_durably(&self.files, parent_of(path), true)?;
        remove_if_there(&self.files, path)?;
        let file = self.files.create_new(path)?;
        remove_if_there(&self.files, path)?;
        Ok(file)
    }

    fn rewrite(&self, etag: &str, object: &Object) -> Result<Rewritten, LakeError> {
        match self.send(object, Condition::IfMatch(etag))? {
            PutAnswer::Stored(evidence) => self.confirm_rewritten(object, &evidence),
            PutAnswer::ConditionFailed => self.recognise(object, Since::Earlier),
            PutAnswer::Damaged(words) => Err(damaged(&words)),
            PutAnswer::Refused(words) => Err(refused(&words)),
        }
    }

    fn confirm_rewritten(
        &self,
        object: &Object,
        evidence: &Evidence,
    ) -> Result<Rewritten, LakeError> {
        match self.examine(evidence, object.crc, Some(object))? {
            Verdict::Proven => {
                self.done(object, object.found());
                Ok(Rewritten::Done)
            }
            // Something that is not the store may have answered; what it holds decides.
            Verdict::Damaged | Verdict::Open => self.recognise(object, Since::ThisPut),
        }
    }

    /// Is what is there now the object of this erasure, and whole?
    fn recognise(&self, object: &Object, since: Since) -> Result<Rewritten, LakeError> {
        let Some(head) = self.store.head(&object.key)? else {
            return Ok(Rewritten::Changed);
        };
        let same = |name: &str| head.metadata.get(name) == object.metadata.get(name);
        if ![ERASURE, NONCE, ROW_HASH].into_iter().all(same) {
            return Ok(Rewritten::Changed);
        }
        if self
            .prove(&object.key, &head, Some(object), since)?
            .is_some()
        {
            self.done(object, object.found());
            return Ok(Rewritten::Done);
        }
        tracing::warn!(
            key = object.key,
            "the rewritten object was damaged on its way; it is put again"
        );
        let etag = head.evidence.etag;
        let etag = etag.ok_or_else(|| again("the store names no ETag"))?;
        match self.send(object, Condition::IfMatch(&etag))? {
            PutAnswer::Stored(evidence)
                if self.examine(&evidence, object.crc, Some(object))? == Verdict::Proven =>
            {
                self.done(object, object.found());
                Ok(Rewritten::Done)
            }
            PutAnswer::Stored(_) | PutAnswer::ConditionFailed => {
                Err(again("the rewritten object is not proven yet"))
            }
            PutAnswer::Damaged(words) => Err(damaged(&words)),
            PutAnswer::Refused(words) => Err(refused(&words)),
        }
    }
}
