//! Side files in the engine: what stands beside a log and is not in its frames.
//!
//! An item is never changed, so each version of a file has a name of its own, which ends with the
//! epoch of its owner and a number. The newest version counts, and the one before is deleted. A former
//! owner that still writes has an older epoch, so nothing of it outlives what the owner has written.
//!
//! A start takes over all files before it takes the log, and compares the versions afterwards: if one
//! came in meanwhile, it ends. So what an owner writes is known to the next one, if the owner has
//! appended a frame after it. [`EngineSides::confirm`] does that for facts on which something depends
//! outside the log.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::engine::{Engine, Item, KeepTrying, PutVerdict, insist};
use super::identity::{io as engine_io, unreadable};
use crate::journal::errors::OpenError;
use lakehook_base::checksum::crc32c;
use lakehook_base::files::Files;
use lakehook_base::side_files::{SideCopies, SideFiles};

/// Names of the items begin with this.
const PREFIX: &str = "side/";
const MAGIC: &[u8; 4] = b"LHSF";
/// Bytes before the file's own.
const HEAD: usize = 9;
/// A file of this size is no side file.
const MAX_BYTES: u64 = 64 << 20;
/// How often files are listed again because the owner has replaced one meanwhile.
const TRIES: u32 = 20;

/// The item by which a log says that it has moved out of this engine, …
pub const MOVED: &str = "moved";
/// … and that it is about to move in.
pub const MOVING: &str = "moving";

/// Which version of a file; they are compared in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    epoch: u64,
    count: u64,
}

fn item_name(name: &str, version: Version) -> String {
    let Version { epoch, count } = version;
    format!("{PREFIX}{name}@{epoch:020}-{count:020}")
}

fn parse(item: &str) -> Option<(&str, Version)> {
    let (name, version) = item.strip_prefix(PREFIX)?.rsplit_once('@')?;
    let (epoch, count) = version.split_once('-')?;
    let version = Version {
        epoch: epoch.parse().ok()?,
        count: count.parse().ok()?,
    };
    Some((name, version))
}

/// The newest version of each file.
type Versions = BTreeMap<String, Version>;

/// Confirms that this process still owns the log.
type Confirm = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The side files of a log in an engine.
pub struct EngineSides<E> {
    engine: E,
    keep_trying: KeepTrying,
    newest: Mutex<Versions>,
    /// The epoch of this owner, once it owns the log.
    epoch: OnceLock<u64>,
    confirm: OnceLock<Confirm>,
}

impl<E: Engine> EngineSides<E> {
    fn new(engine: E, keep_trying: KeepTrying) -> Self {
        Self {
            engine,
            keep_trying,
            newest: Mutex::default(),
            epoch: OnceLock::new(),
            confirm: OnceLock::new(),
        }
    }

    /// Of a log that has no owner yet, because it is about to move in.
    pub(crate) fn of_mover(engine: E, keep_trying: KeepTrying) -> Self {
        let sides = Self::new(engine, keep_trying);
        let _set_before = sides.epoch.set(0);
        sides
    }

    /// Takes over the files of an engine into the directory of the log, as they are now.
    pub fn take_over<F: Files>(
        engine: E,
        into: &SideFiles<F>,
        keep_trying: KeepTrying,
    ) -> Result<Self, OpenError> {
        let sides = Self::new(engine, keep_trying);
        sides.is_at_home(&sides.names()?)?;
        sides.fetch_all(into)?;
        Ok(sides)
    }

    /// The same for a log that is about to move out, whatever an earlier attempt has said of that.
    pub(crate) fn take_over_to_move<F: Files>(
        engine: E,
        into: &SideFiles<F>,
        keep_trying: KeepTrying,
    ) -> Result<(), OpenError> {
        Self::new(engine, keep_trying).fetch_all(into)
    }

    fn fetch_all<F: Files>(&self, into: &SideFiles<F>) -> Result<(), OpenError> {
        for _ in 0..TRIES {
            let listed = newest_of(&self.names()?);
            if self.fetch(&listed, into)? {
                *self.newest() = listed;
                return Ok(());
            }
        }
        Err(self.contended("its owner replaces files all the time"))
    }

    /// Refuses a log that has moved out, or has not moved in yet.
    fn is_at_home(&self, names: &[String]) -> Result<(), OpenError> {
        let has = |item| names.iter().any(|name| name == item);
        if has(MOVED) {
            let detail = "its log has moved to a disk; leave `wal.replica` out where that is, or use another prefix";
            return Err(unreadable(&self.engine, detail));
        }
        if has(MOVING) {
            let detail =
                "a log is about to move here; run `lakehook wal move` again, where its disk is";
            return Err(unreadable(&self.engine, detail));
        }
        Ok(())
    }

    /// This process owns the log from now on, if nothing was written since the files were taken over.
    pub fn own(&self, epoch: u64) -> Result<(), OpenError> {
        let names = self.names()?;
        self.is_at_home(&names)?;
        if newest_of(&names) != *self.newest() {
            return Err(self.contended("a file beside the log was written just now"));
        }
        let _set_before = self.epoch.set(epoch);
        Ok(())
    }

    /// Says how [`SideCopies::confirm`] confirms that this process still owns the log.
    pub fn confirm_by(&self, confirm: Confirm) {
        let _set_before = self.confirm.set(confirm);
    }

    fn newest(&self) -> MutexGuard<'_, Versions> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contended(&self, detail: &str) -> OpenError {
        OpenError::Contended {
            journal: self.engine.name(),
            detail: detail.to_owned(),
        }
    }

    fn names(&self) -> Result<Vec<String>, OpenError> {
        let names = insist(&self.keep_trying, || self.engine.files());
        names.map_err(|error| engine_io(&self.engine, error))
    }

    /// Fetches files into the directory; `false` if one of them was replaced meanwhile.
    fn fetch<F: Files>(&self, listed: &Versions, into: &SideFiles<F>) -> Result<bool, OpenError> {
        let dir_io = |error| OpenError::Io {
            dir: into.dir().to_owned(),
            error,
        };
        for (name, version) in listed {
            let item = item_name(name, *version);
            let read = insist(&self.keep_trying, || self.engine.read(Item::File(&item)));
            let Some(bytes) = read.map_err(|error| engine_io(&self.engine, error))? else {
                return Ok(false);
            };
            let here = into.read(name, MAX_BYTES).map_err(dir_io)?;
            let taken = match open(&bytes) {
                Content::Damaged => {
                    return Err(unreadable(&self.engine, &format!("{item} is damaged")));
                }
                Content::File(file) if here.as_deref() != Some(file) => into.replace(name, file),
                Content::Gone if here.is_some() => into.remove(name),
                Content::File(_) | Content::Gone => Ok(()),
            };
            taken.map_err(dir_io)?;
        }
        Ok(true)
    }

    fn put(&self, item: &str, bytes: &[u8]) -> io::Result<()> {
        let put = insist(&self.keep_trying, || {
            self.engine.put_new(Item::File(item), bytes)
        });
        if put? == PutVerdict::Stored {
            return Ok(());
        }
        // The answer to an earlier attempt may have been lost.
        let there = insist(&self.keep_trying, || self.engine.read(Item::File(item)))?;
        if there.as_deref() == Some(bytes) {
            return Ok(());
        }
        let message = format!("{item} in {} is another one", self.engine.name());
        Err(io::Error::other(message))
    }
}

fn newest_of(names: &[String]) -> Versions {
    let mut newest = Versions::new();
    for (name, version) in names.iter().filter_map(|name| parse(name)) {
        let known = newest.entry(name.to_owned()).or_insert(version);
        *known = version.max(*known);
    }
    newest
}

/// The item of a file, or of its absence.
fn seal(file: Option<&[u8]>) -> Vec<u8> {
    let mut item = Vec::with_capacity(HEAD + file.map_or(0, <[u8]>::len));
    item.extend_from_slice(MAGIC);
    item.extend_from_slice(&[0; 4]);
    item.push(u8::from(file.is_some()));
    item.extend_from_slice(file.unwrap_or_default());
    let crc = crc32c(&item[8..]);
    item[4..8].copy_from_slice(&crc.to_le_bytes());
    item
}

/// What an item holds.
#[derive(Debug, PartialEq, Eq)]
enum Content<'a> {
    File(&'a [u8]),
    /// There is no such file any more.
    Gone,
    Damaged,
}

fn open(item: &[u8]) -> Content<'_> {
    let Some((magic, rest)) = item.split_first_chunk::<4>() else {
        return Content::Damaged;
    };
    match rest.split_first_chunk::<4>() {
        Some((crc, rest)) if magic == MAGIC && u32::from_le_bytes(*crc) == crc32c(rest) => {
            match rest.split_first() {
                Some((1, file)) => Content::File(file),
                Some(_) => Content::Gone,
                None => Content::Damaged,
            }
        }
        _ => Content::Damaged,
    }
}

impl<E: Engine> SideCopies for EngineSides<E> {
    fn keep(&self, name: &str, bytes: Option<&[u8]>) -> io::Result<()> {
        let epoch = *self.epoch.get().ok_or_else(|| {
            let log = self.engine.name();
            io::Error::other(format!("this process does not own the log in {log} yet"))
        })?;
        let mut newest = self.newest();
        let before = newest.get(name).copied();
        let count = before.filter(|before| before.epoch == epoch);
        let version = Version {
            epoch,
            count: count.map_or(1, |before| before.count + 1),
        };
        // Whatever becomes of the put, it may be stored later, so no other file gets its version.
        newest.insert(name.to_owned(), version);
        self.put(&item_name(name, version), &seal(bytes))?;
        if let Some(before) = before {
            let item = item_name(name, before);
            if let Err(error) = self.engine.delete(Item::File(&item)) {
                tracing::warn!(%error, item, "failed to delete an older version; it does no harm");
            }
        }
        Ok(())
    }

    fn confirm(&self) -> io::Result<()> {
        match self.confirm.get() {
            Some(confirm) => confirm(),
            None => Err(io::Error::other("the log is not open yet")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_its_file_or_its_absence_and_damage_is_found() {
        assert_eq!(open(&seal(Some(b"abc"))), Content::File(b"abc"));
        assert_eq!(open(&seal(Some(b""))), Content::File(b""));
        assert_eq!(open(&seal(None)), Content::Gone);
        let mut item = seal(Some(b"abc"));
        item[10] ^= 1;
        assert_eq!(open(&item), Content::Damaged);
        assert_eq!(open(&item[..7]), Content::Damaged);
    }

    #[test]
    fn the_newest_version_counts_whatever_its_name() {
        let version = |epoch, count| Version { epoch, count };
        let names = [
            item_name("apis/a@b", version(2, 9)),
            item_name("apis/a@b", version(10, 1)),
            item_name("apis/a@b", version(2, 10)),
            "node".to_owned(),
            "side/strange".to_owned(),
        ];
        let newest = newest_of(&names);
        assert_eq!(
            newest.into_iter().collect::<Vec<_>>(),
            [("apis/a@b".to_owned(), version(10, 1))]
        );
    }
}
