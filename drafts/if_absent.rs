//! Puts of small objects that several nodes may want to be the first to put.
//!
//! No answer says who was the first: the caller reads what is there.

use std::io;

use super::abilities;
use super::conditional::{StoreLake, damaged, refused};
use super::configured::Lake;
use super::directory::{Directory, trouble};
use super::errors::LakeError;
use super::object::Object;
use super::store::PutAnswer;
use lakehook_base::files::{Files, create_dir_durably, parent_of, remove_if_there};

impl<F: Files> Lake<F> {
    /// Puts an object, unless there is one under its key. `Ok` means that there is one then.
    pub fn put_if_absent(&self, object: &Object) -> Result<(), LakeError> {
        match self {
            Self::Directory(directory) => directory.put_if_absent(object),
            Self::Store(store) => store.put_if_absent(object),
        }
    }
}

impl<F: Files> Directory<F> {
    fn put_if_absent(&self, object: &Object) -> Result<(), LakeError> {
        self.probe()?;
        let path = self.root.join(&object.key);
        let at = |error: io::Error| trouble(&error, &path);
        create_dir_durably(&self.files, parent_of(&path), false).map_err(at)?;
        match self.files.link(&object.spool, &path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(error)),
            _ => self.sync_up(&path).map_err(at)?,
        }
        remove_if_there(&self.files, &object.spool).map_err(at)
    }
}

impl<F: Files> StoreLake<F> {
    fn put_if_absent(&self, object: &Object) -> Result<(), LakeError> {
        let conditions = self.abilities()?.conditions;
        let is_there = !conditions && self.store.head(&object.key)?.is_some();
        let answer = if is_there {
            PutAnswer::ConditionFailed
        } else {
            self.send(object, abilities::first_put(conditions))?
        };
        let _left_for_the_next_start = remove_if_there(&self.files, &object.spool);
        match answer {
            PutAnswer::Stored(_) | PutAnswer::ConditionFailed => Ok(()),
            PutAnswer::Damaged(words) => Err(damaged(&words)),
            PutAnswer::Refused(words) => Err(refused(&words)),
        }
    }
}
