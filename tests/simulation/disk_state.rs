//! The contents of a simulated disk: names and bytes, both as reads show them and as they are durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use lakehook::files::parent_of;

use crate::chance::{Chance, mix};
use crate::disk::{Faults, Op};

const SECTOR: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    File(u64),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Inode {
    /// The bytes that reads show.
    pub(crate) cache: Vec<u8>,
    pub(crate) disk: Vec<u8>,
    /// The ranges that were written since the last sync.
    pub(crate) dirty: Vec<Range<usize>>,
    pub(crate) links: u32,
}

/// A change of names that no sync of its directory has made durable yet.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) dir: PathBuf,
    pub(crate) removed: Option<PathBuf>,
    pub(crate) added: Option<(PathBuf, Node)>,
    /// The next sync of the directory leaves this change pending.
    pub(crate) late: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) inodes: BTreeMap<u64, Inode>,
    pub(crate) next_inode: u64,
    pub(crate) names: BTreeMap<PathBuf, Node>,
    pub(crate) durable: BTreeMap<PathBuf, Node>,
    pub(crate) pending: Vec<Change>,
    pub(crate) faults: Faults,
    pub(crate) chance: Chance,
    pub(crate) crashed: bool,
    pub(crate) saw_eio: bool,
    /// Counts the lives of the process; handles of an earlier life no longer work.
    pub(crate) epoch: u64,
    pub(crate) ops: u64,
    pub(crate) counts: [u64; 8],
    pub(crate) trace: u64,
}

impl State {
    /// Counts an operation, and returns an error if it must fail.
    pub(crate) fn begin(&mut self, op: Op, path: &Path) -> io::Result<()> {
        if self.crashed {
            return Err(dead());
        }
        self.ops += 1;
        self.counts[op as usize] += 1;
        let name = path.as_os_str().as_encoded_bytes();
        let said = name
            .iter()
            .fold(op as u64, |sum, byte| mix(sum ^ u64::from(*byte)));
        self.trace = mix(self.trace ^ said);
        if self.faults.crash_at.is_some_and(|at| self.ops >= at) {
            self.crashed = true;
            return Err(dead());
        }
        let planned = self.planned_fault(op, path);
        let roll = self.chance.below(1000);
        let (eio, enospc) = (self.faults.eio, self.faults.enospc);
        let error = match planned {
            Some(kind) => Some(io::Error::from(kind)),
            None if roll < eio => Some(io::Error::other("simulated EIO")),
            None if roll < eio + enospc => Some(io::ErrorKind::StorageFull.into()),
            None => None,
        };
        match error {
            Some(error) => {
                self.trace = mix(self.trace ^ 1);
                self.saw_eio |= error.kind() != io::ErrorKind::StorageFull;
                Err(error)
            }
            None => Ok(()),
        }
    }

    pub(crate) fn planned_fault(&mut self, op: Op, path: &Path) -> Option<io::ErrorKind> {
        let path = path.to_string_lossy();
        let mut failing = None;
        self.faults.planned.retain_mut(|fault| {
            let counts = fault.op.is_none_or(|of| of == op) && path.contains(fault.on);
            if !counts || failing.is_some() {
                return true;
            }
            if fault.after > 0 {
                fault.after -= 1;
                return true;
            }
            failing = Some(fault.kind);
            fault.forever
        });
        failing
    }

    pub(crate) fn inode_of(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        let linked = self.inodes.values().filter(|inode| inode.links > 0);
        linked.map(|inode| inode.cache.len() as u64).sum()
    }

    pub(crate) fn change(
        &mut self,
        path: &Path,
        removed: Option<&Path>,
        added: Option<(&Path, Node)>,
    ) {
        if let Some(name) = removed {
            self.names.remove(name);
        }
        if let Some((name, node)) = added {
            self.names.insert(name.to_owned(), node);
        }
        self.pending.push(Change {
            dir: parent_of(path).to_owned(),
            removed: removed.map(Path::to_owned),
            added: added.map(|(name, node)| (name.to_owned(), node)),
            late: false,
        });
    }

    pub(crate) fn check_free(&self, path: &Path) -> io::Result<()> {
        if self.names.get(parent_of(path)) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    pub(crate) fn apply(durable: &mut BTreeMap<PathBuf, Node>, change: Change) {
        if let Some(name) = change.removed {
            durable.remove(&name);
        }
        if let Some((name, node)) = change.added {
            durable.insert(name, node);
        }
    }

    /// A power cut keeps some of the pending changes of names, in their order for each name.
    pub(crate) fn lose_names(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let mode = self.chance.below(4);
        let first = self.chance.index(pending.len() + 1);
        let mut lost: BTreeSet<PathBuf> = BTreeSet::new();
        for (index, change) in pending.into_iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => true,
                2 => index < first,
                _ => self.chance.percent(50),
            };
            let names = [
                change.removed.clone(),
                change.added.clone().map(|(name, _)| name),
            ];
            let names: Vec<PathBuf> = names.into_iter().flatten().collect();
            if kept && !names.iter().any(|name| lost.contains(name)) {
                Self::apply(&mut self.durable, change);
            } else {
                lost.extend(names);
            }
        }
        // Everything in a directory that has lost its name is lost, too.
        let names = self.durable.clone();
        self.durable
            .retain(|path, _| path.ancestors().all(|dir| names.contains_key(dir)));
        self.names = self.durable.clone();
    }

    /// A power cut keeps any subset of the sectors that were not synced, and any length.
    pub(crate) fn lose_sectors(&mut self) {
        let mut links: BTreeMap<u64, u32> = BTreeMap::new();
        for node in self.names.values() {
            if let Node::File(inode) = node {
                *links.entry(*inode).or_default() += 1;
            }
        }
        self.inodes.retain(|number, _| links.contains_key(number));
        for (number, inode) in &mut self.inodes {
            inode.links = links[number];
            inode.lose_sectors(&mut self.chance);
        }
    }
}

impl Inode {
    pub(crate) fn dirty_sectors(&self) -> BTreeSet<usize> {
        let sectors = self.dirty.iter();
        sectors
            .flat_map(|range| range.start / SECTOR..range.end.div_ceil(SECTOR))
            .collect()
    }

    pub(crate) fn keep_sector(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cache.len()).min(self.disk.len());
        if start < end {
            self.disk[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }

    pub(crate) fn lose_sectors(&mut self, chance: &mut Chance) {
        self.keep_some(chance);
        self.cache = self.disk.clone();
    }

    /// Writes a random part of the new length and of the changed sectors to the disk. Nothing is dirty
    /// afterwards.
    pub(crate) fn keep_some(&mut self, chance: &mut Chance) {
        if self.cache.len() > self.disk.len() {
            let grown = self.cache.len() - self.disk.len();
            let length = match chance.below(3) {
                0 => self.disk.len(),
                1 => self.cache.len(),
                _ => self.disk.len() + chance.index(grown),
            };
            self.disk.resize(length, 0);
        }
        if self.dirty.is_empty() {
            return;
        }
        let sectors = self.dirty_sectors();
        let mode = chance.below(5);
        let first = chance.index(sectors.len() + 1);
        for (index, sector) in sectors.into_iter().enumerate() {
            let kept = match mode {
                0 => false,
                1 => true,
                2 => index < first,
                3 => index >= first,
                _ => chance.percent(50),
            };
            if kept {
                self.keep_sector(sector);
            }
        }
        self.dirty.clear();
    }

    pub(crate) fn sync(&mut self) {
        self.disk.resize(self.cache.len(), 0);
        for range in std::mem::take(&mut self.dirty) {
            self.disk[range.clone()].copy_from_slice(&self.cache[range]);
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset..end);
    }
}

pub(crate) fn dead() -> io::Error {
    io::Error::other("simulated crash")
}
