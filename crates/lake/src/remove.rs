//! Removing objects for good: only retention does it, and only after a durable note that lists them.

use std::io;

use super::configured::Lake;
use super::directory::{Directory, trouble};
use super::errors::LakeError;
use super::proof::measure;
use super::reader::Looked;
use lakehook_base::files::{File as _, Files, remove_if_there};

impl<F: Files> Lake<F> {
    /// What is said of an object, and how long it is; `None` if there is none.
    pub fn look(&self, key: &str) -> Result<Option<Looked>, LakeError> {
        match self {
            Self::Directory(directory) => directory.look(key),
            Self::Store(store) => {
                let head = store.store.head(key)?;
                Ok(head.map(|head| Looked {
                    bytes: head.bytes,
                    declared: None,
                    metadata: head.metadata,
                }))
            }
        }
    }

    /// Removes an object, and in a directory also its sidecar, whether or not they are there. After an error it is
    /// not known whether they are gone: ask again.
    pub fn remove(&self, key: &str) -> Result<(), LakeError> {
        match self {
            Self::Directory(directory) => directory.remove(key),
            Self::Store(store) => Ok(store.store.delete(key)?),
        }
    }
}

impl<F: Files> Directory<F> {
    fn look(&self, key: &str) -> Result<Option<Looked>, LakeError> {
        let path = self.root.join(key);
        let at = |error: io::Error| trouble(&error, &path);
        if !self.files.exists(&path) {
            return Ok(None);
        }
        let bytes = self.files.open(&path).and_then(|file| file.len());
        let bytes = bytes.map_err(at)?;
        let mut looked = Looked {
            bytes,
            ..Looked::default()
        };
        if let Some(sidecar) = self.read_sidecar(key).map_err(at)? {
            let crc = || Ok(measure(self.files.open(&path)?)?.crc);
            let claims = sidecar.claims_for(bytes, crc).map_err(at)?;
            looked.declared = Some(claims.bytes);
            looked.metadata.clone_from(&claims.metadata);
        }
        Ok(Some(looked))
    }

    /// The object goes first: a sidecar without an object is one whose object was removed or never came to be, while
    /// an object without a sidecar would be foreign.
    fn remove(&self, key: &str) -> Result<(), LakeError> {
        for path in [self.root.join(key), self.sidecar_path(key)] {
            let at = |error: io::Error| trouble(&error, &path);
            if self.files.exists(&path) {
                remove_if_there(&self.files, &path).map_err(at)?;
            }
            // An earlier attempt may have ended before this.
            self.sync_folder_of(&path).map_err(at)?;
        }
        Ok(())
    }

    fn sync_folder_of(&self, path: &std::path::Path) -> io::Result<()> {
        let folder = lakehook_base::files::parent_of(path);
        if self.files.exists(folder) {
            self.files.sync_dir(folder)?;
        }
        Ok(())
    }
}
