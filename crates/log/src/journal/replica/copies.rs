//! Id files in the engine: without them, a log whose directory has vanished would take events again
//! whose segments are trimmed.
//!
//! The engine has one file for each closed segment; merged ones are on the local disk only. A start
//! fetches those that the directory lacks. It does so after it has listed the frames: the ids of
//! every segment that those have released are in the engine by then.

use std::io;
use std::path::Path;

use super::engine::{Engine, EngineError, Item, KeepTrying, insist};
use super::identity;
use crate::dedup::copies::Copies;
use crate::dedup::id_files::{ids_range_of, list};
use crate::journal::errors::OpenError;
use lakehook_base::files::{Files, write_durably};

/// Id files in an engine.
pub(crate) struct EngineCopies<E> {
    pub(crate) engine: E,
    pub(crate) keep_trying: KeepTrying,
}

impl<E: Engine> Copies for EngineCopies<E> {
    fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // Whether it is stored now or was before: there is one. Without it nothing can be trimmed, so it may
        // use the reserve of an engine that is full, and is not repeated if it does not fit even then.
        let mut is_full = None;
        insist(&self.keep_trying, || {
            let item = Item::File(name);
            let put = self.engine.put_new(item, bytes).map(drop);
            let Err(EngineError::Full(_)) = put else {
                return put;
            };
            self.engine.make_room()?;
            match self.engine.put_new(item, bytes).map(drop) {
                Err(error @ EngineError::Full(_)) => {
                    is_full = Some(error);
                    Ok(())
                }
                put => put,
            }
        })?;
        is_full.map_or(Ok(()), |error| Err(error.into()))
    }

    fn remove_up_to(&self, segment: u64) -> io::Result<()> {
        for name in self.engine.files()? {
            if ids_range_of(&name).is_some_and(|(_, last)| last <= segment) {
                self.engine.delete(Item::File(&name))?;
            }
        }
        Ok(())
    }
}

/// Fetches the id files that a directory lacks. A file that is damaged in the engine is damaged in
/// the directory too, and reported where it is read; an engine that does not answer ends the start.
pub(crate) fn fetch_ids<E: Engine, F: Files>(
    engine: &E,
    (files, dir): (&F, &Path),
    keep_trying: &KeepTrying,
) -> Result<(), OpenError> {
    let io = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    let (here, _) = list(files, dir).map_err(io)?;
    let names = insist(keep_trying, || engine.files());
    for name in names.map_err(|error| identity::io(engine, error))? {
        let Some((first, last)) = ids_range_of(&name) else {
            continue;
        };
        let outer = here.range(last..).next();
        if outer.is_some_and(|(_, file)| file.first <= first) {
            continue;
        }
        let read = insist(keep_trying, || engine.read(Item::File(&name)));
        // It may have been released just now.
        if let Some(bytes) = read.map_err(|error| identity::io(engine, error))? {
            write_durably(files, &dir.join(&name), &bytes).map_err(io)?;
        }
    }
    Ok(())
}
