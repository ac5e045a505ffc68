//! A lake in a directory that looks like a bucket.
//!
//! A put writes the object's metadata into a sidecar, links the finished file to its name without
//! replacing anything, and syncs both and every directory up to the lake's root. Only then is it
//! done. If the name is taken, the object is ours if its sidecar says so and no byte is missing;
//! then everything is synced again, because an earlier attempt may have crashed between link and
//! sync. (A store answers 412 in that case.)
//!
//! Several nodes may put notes under one key, and a node may put another text there after a crash. A
//! sidecar whose note never came therefore hinders nobody: the next one adds its own claims to it, and
//! whichever note gets the name, the sidecar describes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::errors::{LakeError, Trouble};
use super::keys::INTERNAL;
use super::object::{Found, Object};
use super::original::{Original, Version};
use super::proof::measure;
use super::sidecar::{Claims, Sidecar};
use super::stamp::{NONCE, ROW_HASH};
use lakehook_base::files::{
    File, Files, create_dir_durably, parent_of, read_whole, remove_if_there, replace_durably_by,
    write_durably_by,
};

const MAX_SIDECAR: u64 = 64 << 10;
/// How often a directory is probed in vain before an error is believed.
const PROBES: u32 = 4;

/// A lake in a local directory.
pub struct Directory<F> {
    pub(super) files: F,
    pub(super) root: PathBuf,
    spool: PathBuf,
    identity: String,
    /// Whether the directory is known to be usable. Locked during the probe, so that only one thread probes.
    ready: Mutex<bool>,
}

impl<F: Files> Directory<F> {
    /// The lake at a path, which should be absolute. The directory is created when it is first
    /// needed.
    pub fn new(files: F, root: &Path) -> Self {
        Self {
            files,
            root: root.to_owned(),
            spool: root.join(INTERNAL).join("tmp"),
            identity: format!("dir:{}", root.display()),
            ready: Mutex::new(false),
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

    /// See [`super::Lake::probe`]: creates the directories, and tries a hard link.
    pub fn probe(&self) -> Result<(), LakeError> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if !*ready {
            self.try_hard_link()
                .map_err(|error| trouble(&error, &self.root))?;
            *ready = true;
        }
        Ok(())
    }

    /// Another node may try the same in the same directory: what goes wrong is tried again before it counts.
    fn try_hard_link(&self) -> io::Result<()> {
        create_dir_durably(&self.files, &self.spool, false)?;
        for _ in 0..PROBES {
            if self.try_hard_link_once().is_ok() {
                return Ok(());
            }
        }
        self.try_hard_link_once()
    }

    fn try_hard_link_once(&self) -> io::Result<()> {
        let (file, link) = (self.spool.join("probe-file"), self.spool.join("probe-link"));
        for path in [&file, &link] {
            remove_if_there(&self.files, path)?;
        }
        self.files.create_new(&file)?.sync()?;
        let linked = self.files.link(&file, &link);
        let again = self.files.link(&file, &link);
        for path in [&file, &link] {
            remove_if_there(&self.files, path)?;
        }
        linked.map_err(without_links)?;
        match again {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the file system replaces names that exist; a lake needs one that does not",
            )),
        }
    }

    /// See [`super::Lake::put`].
    pub fn put(&self, object: &Object) -> Result<Found, LakeError> {
        self.probe()?;
        let at = |error: io::Error| trouble(&error, &self.root.join(&object.key));
        let sidecar = Sidecar::of(Claims::of(object));
        self.write_sidecar(&object.key, &sidecar)?;
        let path = self.root.join(&object.key);
        create_dir_durably(&self.files, parent_of(&path), false).map_err(at)?;
        self.files
            .open(&object.spool)
            .and_then(|file| file.sync())
            .map_err(at)?;
        self.check_spooled(object)?;
        let found = match self.files.link(&object.spool, &path) {
            Ok(()) => {
                self.keep_own_claims(&object.key, &sidecar).map_err(at)?;
                object.found()
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.check_ours(&object.key, &path, &sidecar)?
            }
            Err(error) => return Err(at(error)),
        };
        self.sync_up(&path).map_err(at)?;
        remove_if_there(&self.files, &object.spool).map_err(at)?;
        Ok(found)
    }

    /// Reads the finished file back before it gets its name: nothing else has compared what arrived there
    /// with what was sent.
    fn check_spooled(&self, object: &Object) -> Result<(), LakeError> {
        let at = |error: io::Error| trouble(&error, &object.spool);
        let there = measure(self.files.open(&object.spool).map_err(at)?).map_err(at)?;
        if there == object.found() {
            return Ok(());
        }
        remove_if_there(&self.files, &object.spool).map_err(at)?;
        Err(LakeError::Retry {
            kind: Trouble::Other,
            message: format!(
                "{} does not hold the bytes that were written to it",
                object.spool.display()
            ),
        })
    }

    /// See [`super::Lake::find`].
    pub fn find(&self, key: &str, nonce: &str, row_hash: &str) -> Result<Option<Found>, LakeError> {
        let path = self.root.join(key);
        let at = |error: io::Error| trouble(&error, &path);
        let Some(sidecar) = self.read_sidecar(key).map_err(at)? else {
            return Ok(None);
        };
        if !self.files.exists(&path) {
            return Ok(None);
        }
        let claims = self.claims_of(&path, &sidecar).map_err(at)?;
        let is_ours = claims.says(NONCE, nonce) && claims.says(ROW_HASH, row_hash);
        let bytes = self.length(&path).map_err(at)?;
        if !is_ours || bytes != claims.bytes {
            return Ok(None);
        }
        self.sync_up(&path).map_err(at)?;
        Ok(Some(claims.found()))
    }

    /// See [`super::Lake::read_small`].
    pub fn read_small(&self, key: &str) -> Result<Option<Vec<u8>>, LakeError> {
        let path = self.root.join(key);
        match read_whole(&self.files, &path, MAX_SIDECAR) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(&error, &path)),
        }
    }

    /// See [`super::Lake::was_used`].
    pub fn was_used(&self) -> bool {
        self.files.exists(&self.root.join(INTERNAL).join("meta"))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.files.open(path)?.len()
    }

    /// What a sidecar says of the object at that path, as it is now.
    fn claims_of<'a>(&self, path: &Path, sidecar: &'a Sidecar) -> io::Result<&'a Claims> {
        sidecar.claims_for(self.length(path)?, || {
            Ok(measure(self.files.open(path)?)?.crc)
        })
    }

    pub(super) fn sidecar_path(&self, key: &str) -> PathBuf {
        self.root
            .join(INTERNAL)
            .join("meta")
            .join(format!("{key}.json"))
    }

    pub(super) fn read_sidecar(&self, key: &str) -> io::Result<Option<Sidecar>> {
        match read_whole(&self.files, &self.sidecar_path(key), MAX_SIDECAR) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    fn write_sidecar(&self, key: &str, sidecar: &Sidecar) -> Result<(), LakeError> {
        let path = self.sidecar_path(key);
        let at = |error: io::Error| trouble(&error, &path);
        match self.read_sidecar(key) {
            Ok(Some(there)) => return self.accept_sidecar(key, &path, &there, sidecar),
            // Half a sidecar of a write that was cut short says nothing, as long as there is no object.
            Err(error)
                if error.kind() == io::ErrorKind::InvalidData
                    && !self.files.exists(&self.root.join(key)) =>
            {
                return self.replace_sidecar(key, sidecar);
            }
            Err(error) => return Err(at(error)),
            Ok(None) => {}
        }
        if self.files.exists(&self.root.join(key)) {
            // We write the sidecar before the object gets its name.
            let detail = "it has no sidecar".to_owned();
            return Err(LakeError::Foreign {
                key: key.to_owned(),
                detail,
            });
        }
        create_dir_durably(&self.files, parent_of(&path), false).map_err(at)?;
        let text = serde_json::to_vec_pretty(sidecar).map_err(|e| at(io::Error::other(e)))?;
        let temporary = temporary_of(&path, sidecar);
        match write_durably_by(&self.files, &temporary, &path, &text) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                remove_if_there(&self.files, &temporary).map_err(at)?;
                let message = format!("{} appeared meanwhile", path.display());
                Err(LakeError::Retry {
                    kind: Trouble::Other,
                    message,
                })
            }
            written => written.map_err(at),
        }
    }

    /// Accepts the sidecar of an earlier attempt if it is ours, and makes it durable again. Its
    /// size and checksum may differ if another version of the program compressed the object; then
    /// the object decides.
    fn accept_sidecar(
        &self,
        key: &str,
        path: &Path,
        there: &Sidecar,
        ours: &Sidecar,
    ) -> Result<(), LakeError> {
        let at = |error: io::Error| trouble(&error, path);
        if !there.claims.is_same_batch(&ours.claims) {
            if ours.claims.is_note() && !self.files.exists(&self.root.join(key)) {
                // Whoever wrote this sidecar may have crashed, or may be about to link its note.
                let both = Sidecar {
                    claims: there.claims.clone(),
                    next: Some(ours.claims.clone()),
                };
                return self.replace_sidecar(key, &both);
            }
            let detail = format!("its sidecar {} is of another batch", path.display());
            return Err(LakeError::Foreign {
                key: key.to_owned(),
                detail,
            });
        }
        if there != ours && !self.files.exists(&self.root.join(key)) {
            // There is no object yet, so nobody relies on this sidecar.
            remove_if_there(&self.files, path).map_err(at)?;
            return self.write_sidecar(key, ours);
        }
        self.files
            .open(path)
            .and_then(|file| file.sync())
            .map_err(at)?;
        self.sync_dirs_of(path).map_err(at)
    }

    /// Writes the sidecar of a note that has just got its name anew, if others have added to it meanwhile.
    fn keep_own_claims(&self, key: &str, ours: &Sidecar) -> io::Result<()> {
        if !ours.claims.is_note() || self.read_sidecar(key)?.as_ref() == Some(ours) {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(ours).map_err(io::Error::other)?;
        let path = self.sidecar_path(key);
        replace_durably_by(&self.files, &temporary_of(&path, ours), &path, &text)
    }

    fn check_ours(&self, key: &str, path: &Path, ours: &Sidecar) -> Result<Found, LakeError> {
        let at = |error: io::Error| trouble(&error, path);
        let bytes = self.length(path).map_err(at)?;
        let foreign = |detail: String| LakeError::Foreign {
            key: key.to_owned(),
            detail,
        };
        if ours.claims.is_note() {
            // Other nodes may have written the sidecar meanwhile; the note itself decides.
            let found = measure(self.files.open(path).map_err(at)?).map_err(at)?;
            let is_ours = found == ours.claims.found();
            return is_ours
                .then_some(found)
                .ok_or_else(|| foreign(format!("{} has another text", path.display())));
        }
        let there = self.read_sidecar(key).map_err(at)?;
        let nonce = ours.claims.metadata.get(NONCE);
        let there = there
            .as_ref()
            .map(|sidecar| self.claims_of(path, sidecar))
            .transpose()
            .map_err(at)?;
        match there {
            Some(there) if there.metadata.get(NONCE) == nonce && there.bytes == bytes => {
                Ok(there.found())
            }
            _ => Err(foreign(format!(
                "{} has {bytes} bytes and no sidecar of ours",
                path.display()
            ))),
        }
    }

    /// Reads an object that is to be rewritten. If `finishes`, and an exchange was cut short, the sidecar then has
    /// only the claims of the object that is there.
    pub(super) fn read_original(
        &self,
        key: &str,
        finishes: bool,
    ) -> Result<Option<Original<F>>, LakeError> {
        let path = self.root.join(key);
        let at = |error: io::Error| trouble(&error, &path);
        let file = match self.files.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(at)?,
        };
        let original = Original::of(Arc::new(file)).map_err(at)?;
        let sidecar = self.read_sidecar(key).map_err(at)?;
        let Some(sidecar) = sidecar else {
            return Ok(Some(original));
        };
        let Found { bytes, crc } = original.found;
        let fitting = sidecar.claims_for(bytes, || Ok::<_, LakeError>(crc));
        let claims = fitting?.clone();
        if finishes && sidecar.next.is_some() {
            self.sync_up(&path).map_err(at)?;
            self.replace_sidecar(key, &Sidecar::of(claims.clone()))?;
        }
        Ok(Some(Original {
            metadata: claims.metadata.clone(),
            version: Version::Sidecar(Some(claims)),
            ..original
        }))
    }

    /// Exchanges an object: first a sidecar with the claims of both, then the object, then a sidecar with the
    /// claims of the new one. Each is durable before the next one. Nobody else may exchange objects meanwhile.
    pub(super) fn exchange(&self, old: &Claims, object: &Object) -> Result<(), LakeError> {
        let path = self.root.join(&object.key);
        let at = |error: io::Error| trouble(&error, &path);
        let next = Claims::of(object);
        let spooled = self.files.open(&object.spool);
        spooled.and_then(|file| file.sync()).map_err(at)?;
        let both = Sidecar {
            claims: old.clone(),
            next: Some(next.clone()),
        };
        self.replace_sidecar(&object.key, &both)?;
        self.files.replace(&object.spool, &path).map_err(at)?;
        self.sync_up(&path).map_err(at)?;
        self.replace_sidecar(&object.key, &Sidecar::of(next))
    }

    fn replace_sidecar(&self, key: &str, sidecar: &Sidecar) -> Result<(), LakeError> {
        let path = self.sidecar_path(key);
        let at = |error: io::Error| trouble(&error, &path);
        let text = serde_json::to_vec_pretty(sidecar).map_err(|e| at(io::Error::other(e)))?;
        replace_durably_by(&self.files, &temporary_of(&path, sidecar), &path, &text).map_err(at)
    }

    /// Syncs an object and every directory from it up to the root.
    pub(super) fn sync_up(&self, path: &Path) -> io::Result<()> {
        self.files.open(path)?.sync()?;
        self.sync_dirs_of(path)
    }

    pub(super) fn sync_dirs_of(&self, path: &Path) -> io::Result<()> {
        let mut dir = parent_of(path);
        while dir.starts_with(&self.root) {
            self.files.sync_dir(dir)?;
            if dir == self.root {
                break;
            }
            dir = parent_of(dir);
        }
        Ok(())
    }
}

/// The temporary name of a sidecar: no other content has it, so that no two nodes write to one file.
fn temporary_of(path: &Path, sidecar: &Sidecar) -> PathBuf {
    let newest = sidecar.next.as_ref().unwrap_or(&sidecar.claims);
    let nonce = newest.metadata.get(NONCE).map_or("", String::as_str);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{nonce}.tmp"));
    PathBuf::from(name)
}

/// If we may create a file but not link it, the file system has no hard links.
fn without_links(error: io::Error) -> io::Error {
    let has_none = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported];
    if !has_none.contains(&error.kind()) {
        return error;
    }
    let message = format!("the file system has no hard links, which a lake needs: {error}");
    io::Error::new(io::ErrorKind::Unsupported, message)
}

pub(super) fn trouble(error: &io::Error, path: &Path) -> LakeError {
    if error.kind() == io::ErrorKind::Unsupported {
        return LakeError::Unusable(format!("{}: {error}", path.display()));
    }
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Space,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Trouble::Denied,
        io::ErrorKind::NotFound => Trouble::Missing,
        _ => Trouble::Other,
    };
    LakeError::Retry {
        kind,
        message: format!("{}: {error}", path.display()),
    }
}
