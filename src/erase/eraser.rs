//! Erasing from one object: read, find, copy without the rows, exchange.
//!
//! Each call begins from the start and can be repeated after a kill or an error at any point. Memory holds one
//! line, or one row group of columns, and the LSNs of the rows that go, whatever the size of the object.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;

use super::condition::RowCondition;
use super::standing::Standing;
use crate::encode::{Copied, Format, RowFilter, Source, copy_without, find_rows};
use crate::files::{Appender, Entry, File as _, Files, create_dir_durably, remove_if_there};
use crate::lake::proof::measure;
use crate::lake::rewrite::{Original, Rewritten};
use crate::lake::stamp::{CRC, ERASED_LSN_HASH, ERASED_ROWS, ERASURE, Erased, Stamp, hex};
use crate::lake::{Found, Lake, LakeError, Object, Trouble, keys};
use crate::record::Lsn;

/// How often an object is read again because it changed while it was rewritten.
const MAX_CHANGES: u32 = 5;
const QUARANTINE: &str = "quarantine";

/// Erases what one request means.
pub struct Eraser<'a, F: Files> {
    /// Local files.
    pub files: F,
    /// The lake.
    pub lake: &'a Lake<F>,
    /// The id of the request.
    pub erasure: u128,
    /// Which rows.
    pub condition: &'a RowCondition,
    /// Which objects may be rewritten.
    pub standing: &'a Standing,
    /// Whether to look only.
    pub dry_run: bool,
    /// Called before an object is exchanged: the request must be noted by then.
    pub before: &'a dyn Fn() -> Result<(), LakeError>,
}

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasedObject {
    /// It has no such row.
    Untouched,
    /// It had such rows. They are gone, or would be.
    Erased(u64),
    /// An earlier attempt of this request has erased this many rows from it.
    Before(u64),
    /// It stays as it is, although it has such rows or cannot be read; the text says why.
    Left(String),
}

impl<F: Files> Eraser<'_, F> {
    /// Erases from the object with that key. After an error, ask again.
    pub fn object(&self, key: &str) -> Result<ErasedObject, LakeError> {
        for _ in 0..MAX_CHANGES {
            let copy = self.path(key).with_extension("read");
            let Some(original) = self.lake.read_original(key, !self.dry_run, &copy)? else {
                return Ok(ErasedObject::Untouched);
            };
            if let Some(outcome) = self.attempt(key, &original)? {
                return Ok(outcome);
            }
        }
        let what = "it was changed again and again while it was read".to_owned();
        Ok(ErasedObject::Left(what))
    }

    /// `None` if the object has changed meanwhile.
    fn attempt(
        &self,
        key: &str,
        original: &Original<F>,
    ) -> Result<Option<ErasedObject>, LakeError> {
        let left = |why: String| Ok(Some(ErasedObject::Left(why)));
        let stamp = match Stamp::from_metadata(&original.metadata) {
            Ok(stamp) => stamp,
            Err(error) => return left(error.to_string()),
        };
        let Some(format) = Format::of_key(key) else {
            return left("its format is not known".to_owned());
        };
        if original.found.crc != stamp.crc {
            return self.put_again(key, original, &stamp, format);
        }
        let found = match self.find(key, format, &original.source) {
            Ok(found) => found,
            Err(error) => return left(format!("it cannot be read: {error}")),
        };
        if found.is_empty() {
            let before = stamp.erased.filter(|erased| erased.erasure == self.erasure);
            return Ok(Some(before.map_or(ErasedObject::Untouched, |erased| {
                ErasedObject::Before(erased.rows)
            })));
        }
        if let Some(doubt) = self.standing.doubt(&stamp) {
            return left(doubt);
        }
        if self.dry_run {
            return Ok(Some(ErasedObject::Erased(found.len() as u64)));
        }
        (self.before)()?;
        // A put that was cut short may have left a second name of the old file.
        let part = keys::part_name(stamp.node, stamp.seal, stamp.nonce);
        self.lake
            .remove_part(&self.files, &part)
            .map_err(|error| local(&error))?;
        let (object, copied) = self
            .copy(key, format, &found, original)
            .map_err(|error| local(&error))?;
        let Some(object) = self.stamped(object, &stamp, &copied) else {
            remove_if_there(&self.files, &self.path(key)).map_err(|error| local(&error))?;
            return left("its rows are not those that its stamp says".to_owned());
        };
        Ok(match self.lake.rewrite(original, &object)? {
            Rewritten::Done => Some(ErasedObject::Erased(copied.left_out.count)),
            Rewritten::Changed => None,
        })
    }

    fn find(
        &self,
        key: &str,
        format: Format,
        source: &Source<F::File>,
    ) -> io::Result<BTreeSet<Lsn>> {
        let condition = self.condition;
        if keys::top_folder(key) == Some(QUARANTINE) {
            return find_rows(
                format,
                source,
                &RowFilter {
                    columns: &["raw", "raw_encoding", "raw_bytes"],
                    equals: None,
                    may_match: &|_| true,
                    matches: &|row| condition.matches_refused(row),
                },
            );
        }
        find_rows(
            format,
            source,
            &RowFilter {
                columns: &condition.columns(),
                equals: condition.equals(),
                may_match: &|line| condition.may_match(line),
                matches: &|row| condition.matches(row),
            },
        )
    }

    fn path(&self, key: &str) -> std::path::PathBuf {
        self.lake.erasing_path(self.erasure, key)
    }

    /// Writes the copy into a local file. Its stamp is not finished.
    fn copy(
        &self,
        key: &str,
        format: Format,
        without: &BTreeSet<Lsn>,
        original: &Original<F>,
    ) -> io::Result<(Object, Copied)> {
        let path = self.path(key);
        create_dir_durably(&self.files, &self.lake.erasing_dir(), true)?;
        remove_if_there(&self.files, &path)?;
        let file = Arc::new(self.files.create_new(&path)?);
        let out = BufWriter::with_capacity(256 << 10, Appender::new(Arc::clone(&file)));
        let (mut out, copied) = copy_without(format, &original.source, without, out)?;
        out.flush()?;
        file.sync()?;
        self.files.sync_dir(&self.lake.erasing_dir())?;
        Ok((self.spooled(key, format, original)?, copied))
    }

    /// The object in the local file, with the metadata of the original.
    fn spooled(&self, key: &str, format: Format, original: &Original<F>) -> io::Result<Object> {
        let spool = self.path(key);
        let Found { bytes, crc } = measure(self.files.open(&spool)?)?;
        Ok(Object {
            key: key.to_owned(),
            spool,
            assembled: None,
            bytes,
            crc,
            format,
            content_type: format.content_type(),
            metadata: original.metadata.clone(),
        })
    }

    /// The object with its stamp: everything as it was, and what is erased by now. `None` if the rows of the
    /// original are not those that its stamp says.
    fn stamped(&self, mut object: Object, stamp: &Stamp, copied: &Copied) -> Option<Object> {
        let (kept, left_out) = (&copied.kept, &copied.left_out);
        let adds_up = kept.count + left_out.count == stamp.rows_left()
            && kept.lsn_hash.wrapping_add(left_out.lsn_hash) == stamp.lsn_hash_left();
        if !adds_up {
            return None;
        }
        let before = stamp
            .erased
            .map_or((0, 0), |erased| (erased.rows, erased.lsn_hash));
        let erased = Erased {
            erasure: self.erasure,
            rows: before.0 + left_out.count,
            lsn_hash: left_out.lsn_hash.wrapping_add(before.1),
        };
        object.metadata.extend([
            (CRC.to_owned(), format!("{:08x}", object.crc)),
            (ERASURE.to_owned(), hex(erased.erasure)),
            (ERASED_ROWS.to_owned(), erased.rows.to_string()),
            (ERASED_LSN_HASH.to_owned(), hex(erased.lsn_hash)),
        ]);
        Some(object)
    }

    /// The bytes are not those of the stamp. If this request put them and they were damaged on their way, the
    /// local copy is put over them.
    fn put_again(
        &self,
        key: &str,
        original: &Original<F>,
        stamp: &Stamp,
        format: Format,
    ) -> Result<Option<ErasedObject>, LakeError> {
        let damaged = "its bytes are not those of its stamp; `lakehook audit --deep` says more";
        let ours = stamp.erased.filter(|erased| erased.erasure == self.erasure);
        let has_copy = !self.dry_run && self.files.exists(&self.path(key));
        let (Some(erased), true) = (ours, has_copy) else {
            return Ok(Some(ErasedObject::Left(damaged.to_owned())));
        };
        let object = self.spooled(key, format, original);
        let object = object.map_err(|error| local(&error))?;
        if object.crc != stamp.crc {
            return Ok(Some(ErasedObject::Left(damaged.to_owned())));
        }
        Ok(match self.lake.rewrite(original, &object)? {
            Rewritten::Done => Some(ErasedObject::Before(erased.rows)),
            Rewritten::Changed => None,
        })
    }

    /// Removes what killed runs of this request left in the making.
    pub fn clear(&self) -> io::Result<()> {
        let dir = self.lake.erasing_dir();
        if !self.files.exists(&dir) {
            return Ok(());
        }
        let prefix = keys::erasing_prefix(self.erasure);
        for Entry { name, .. } in self.files.list(&dir)? {
            if name.starts_with(&prefix) {
                remove_if_there(&self.files, &dir.join(name))?;
            }
        }
        Ok(())
    }
}

fn local(error: &io::Error) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message: format!("failed to write the copy of an object: {error}"),
    }
}
