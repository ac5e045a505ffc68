//! A simulated disk behind the file seam, as nasty as POSIX allows.
//!
//! What was written is durable after a sync of the file, a name after a sync of its directory. A power
//! cut keeps any subset of the other sectors and, name by name in order, of the other changes of
//! names. A failed sync loses sectors and marks them clean: reads show them until the cache is
//! forgotten, and a later sync succeeds without writing them. Names of a failed directory sync stay
//! pending, as a journal keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use lakehook::files::{Entry, File, Files, parent_of};

use crate::chance::{Chance, mix};

const SECTOR: usize = 512;

/// Operations that change something; each has a number, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Create,
    Write,
    Sync,
    Rename,
    Link,
    Remove,
    CreateDir,
    SyncDir,
}

impl Op {
    pub(crate) const ALL: [Self; 8] = [
        Self::Create,
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::Link,
        Self::Remove,
        Self::CreateDir,
        Self::SyncDir,
    ];
}

/// An operation that fails.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Only operations of this kind count.
    pub(crate) op: Option<Op>,
    /// Only on paths that contain this.
    pub(crate) on: &'static str,
    /// How many of those still succeed.
    pub(crate) after: u64,
    pub(crate) kind: io::ErrorKind,
    pub(crate) forever: bool,
}

/// What a broken disk pretends; to see whether the simulation notices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    pub(crate) sync: bool,
    pub(crate) sync_dir: bool,
    /// A rename is reported, and durable only after the second sync of its directory.
    pub(crate) late_rename: bool,
}

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) planned: Vec<Fault>,
    /// The power goes, or the process ends, while that operation runs.
    pub(crate) crash_at: Option<u64>,
    /// Of 1000 operations of any kind so many fail with EIO, and so many with ENOSPC.
    pub(crate) eio: u64,
    pub(crate) enospc: u64,
    /// Bytes that fit.
    pub(crate) capacity: Option<u64>,
    pub(crate) lies: Lies,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// What the kernel has survives.
    Kill,
    /// Only what is durable survives for sure.
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Dir,
    File(u64),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What reads show.
    cache: Vec<u8>,
    disk: Vec<u8>,
    /// Written since the last sync.
    dirty: Vec<Range<usize>>,
    links: u32,
}

/// A change of names that no sync of its directory has made durable yet.
#[derive(Clone, Debug)]
struct Change {
    dir: PathBuf,
    removed: Option<PathBuf>,
    added: Option<(PathBuf, Node)>,
    /// The next sync of the directory forgets it.
    late: bool,
}

#[derive(Debug)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    pending: Vec<Change>,
    faults: Faults,
    chance: Chance,
    crashed: bool,
    saw_eio: bool,
    /// Handles of an earlier life are dead.
    epoch: u64,
    ops: u64,
    counts: [u64; 8],
    trace: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    inode: u64,
    epoch: u64,
}

impl SimDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let root = BTreeMap::from([(PathBuf::from("/"), Node::Dir)]);
        let state = State {
            inodes: BTreeMap::new(),
            next_inode: 1,
            names: root.clone(),
            durable: root,
            pending: Vec::new(),
            faults: Faults::default(),
            chance: Chance::new(seed),
            crashed: false,
            saw_eio: false,
            epoch: 0,
            ops: 0,
            counts: [0; 8],
            trace: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// Operations so far that change something.
    pub(crate) fn ops(&self) -> u64 {
        self.state().ops
    }

    /// Operations of that kind so far.
    pub(crate) fn count(&self, op: Op) -> u64 {
        self.state().counts[op as usize]
    }

    /// A number that sums up everything that was done.
    pub(crate) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Whether anything failed since the restart but for lack of space.
    pub(crate) fn saw_eio(&self) -> bool {
        self.state().saw_eio
    }

    /// Bytes of all files that have a name.
    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    /// Whether an armed crash has happened.
    pub(crate) fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Ends the life of all handles; after it, the disk works again.
    pub(crate) fn restart(&self, crash: Crash) {
        let mut state = self.state();
        if crash == Crash::Power {
            state.lose_names();
            state.lose_sectors();
        }
        state.crashed = false;
        state.saw_eio = false;
        state.faults.crash_at = None;
        state.epoch += 1;
    }

    /// Flips one bit of a file, in the cache and on the disk.
    pub(crate) fn flip(&self, path: &Path, at: usize, bit: u8) {
        let mut state = self.state();
        let inode = state.inode_of(path).unwrap();
        let inode = state.inodes.get_mut(&inode).unwrap();
        inode.cache[at] ^= 1 << bit;
        if at < inode.disk.len() {
            inode.disk[at] ^= 1 << bit;
        }
    }

    /// Changes a file behind the program's back.
    pub(crate) fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let number = state.next_inode;
        state.next_inode += 1;
        let inode = Inode {
            cache: bytes.to_vec(),
            disk: bytes.to_vec(),
            dirty: Vec::new(),
            links: 1,
        };
        state.inodes.insert(number, inode);
        let mut dirs: Vec<PathBuf> = path.ancestors().skip(1).map(PathBuf::from).collect();
        dirs.reverse();
        for dir in dirs {
            state.names.insert(dir.clone(), Node::Dir);
            state.durable.insert(dir, Node::Dir);
        }
        state.names.insert(path.to_owned(), Node::File(number));
        state.durable.insert(path.to_owned(), Node::File(number));
    }

    /// Removes a name behind the program's back.
    pub(crate) fn vanish(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable.remove(path);
    }

    /// All files under a directory with their bytes, as reads show them.
    pub(crate) fn tree(&self, dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let files = state.names.iter().filter(|(path, _)| path.starts_with(dir));
        files
            .filter_map(|(path, node)| match node {
                Node::Dir => None,
                Node::File(inode) => Some((path.clone(), state.inodes[inode].cache.clone())),
            })
            .collect()
    }

    /// Whether a file is there whole after any power cut: its name, its ancestors, its bytes.
    pub(crate) fn is_durable(&self, path: &Path) -> bool {
        let state = self.state();
        let named = path.ancestors().all(|name| {
            state
                .durable
                .get(name)
                .is_some_and(|node| state.names.get(name) == Some(node))
        });
        let pending = state.pending.iter().any(|change| {
            change.removed.as_deref() == Some(path)
                || change.added.as_ref().is_some_and(|(name, _)| name == path)
        });
        let whole = state.inode_of(path).is_ok_and(|inode| {
            let inode = &state.inodes[&inode];
            inode.dirty.is_empty() && inode.disk == inode.cache
        });
        named && !pending && whole
    }

    /// A copy of everything, that goes its own way.
    pub(crate) fn fork(&self) -> Self {
        let state = self.state();
        let copy = State {
            inodes: state.inodes.clone(),
            next_inode: state.next_inode,
            names: state.names.clone(),
            durable: state.durable.clone(),
            pending: state.pending.clone(),
            faults: state.faults.clone(),
            chance: state.chance.clone(),
            crashed: state.crashed,
            saw_eio: state.saw_eio,
            epoch: state.epoch + 1,
            ops: state.ops,
            counts: state.counts,
            trace: state.trace,
        };
        Self {
            state: Arc::new(Mutex::new(copy)),
        }
    }

    fn handle(&self, state: &State, path: &Path, inode: u64) -> SimFile {
        SimFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            epoch: state.epoch,
        }
    }
}

impl State {
    /// Counts an operation, and says whether it fails.
    fn begin(&mut self, op: Op, path: &Path) -> io::Result<()> {
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

    fn planned_fault(&mut self, op: Op, path: &Path) -> Option<io::ErrorKind> {
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

    fn inode_of(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn used(&self) -> u64 {
        let linked = self.inodes.values().filter(|inode| inode.links > 0);
        linked.map(|inode| inode.cache.len() as u64).sum()
    }

    fn change(&mut self, path: &Path, removed: Option<&Path>, added: Option<(&Path, Node)>) {
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

    fn check_free(&self, path: &Path) -> io::Result<()> {
        if self.names.get(parent_of(path)) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(())
    }

    fn apply(durable: &mut BTreeMap<PathBuf, Node>, change: Change) {
        if let Some(name) = change.removed {
            durable.remove(&name);
        }
        if let Some((name, node)) = change.added {
            durable.insert(name, node);
        }
    }

    /// A power cut: of the pending changes of names some survive, in order for each name.
    fn lose_names(&mut self) {
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
        // What lies in a directory that has no name is lost with it.
        let names = self.durable.clone();
        self.durable
            .retain(|path, _| path.ancestors().all(|dir| names.contains_key(dir)));
        self.names = self.durable.clone();
    }

    /// A power cut: of the sectors that were not synced any subset survives, and any length.
    fn lose_sectors(&mut self) {
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
    fn dirty_sectors(&self) -> BTreeSet<usize> {
        let sectors = self.dirty.iter();
        sectors
            .flat_map(|range| range.start / SECTOR..range.end.div_ceil(SECTOR))
            .collect()
    }

    fn keep_sector(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cache.len()).min(self.disk.len());
        if start < end {
            self.disk[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }

    fn lose_sectors(&mut self, chance: &mut Chance) {
        self.keep_some(chance);
        self.cache = self.disk.clone();
    }

    /// Some of the length and some sectors reach the disk; nothing is dirty any more.
    fn keep_some(&mut self, chance: &mut Chance) {
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

    fn sync(&mut self) {
        self.disk.resize(self.cache.len(), 0);
        for range in std::mem::take(&mut self.dirty) {
            self.disk[range.clone()].copy_from_slice(&self.cache[range]);
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        self.dirty.push(offset..end);
    }
}

impl SimFile {
    fn alive(&self, state: &State) -> io::Result<()> {
        if state.crashed || state.epoch != self.epoch {
            Err(dead())
        } else {
            Ok(())
        }
    }
}

impl File for SimFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let state = &mut *state;
        self.alive(state)?;
        let offset = usize::try_from(offset).unwrap();
        let mut outcome = state.begin(Op::Write, &self.path);
        let length = state.inodes[&self.inode].cache.len();
        let growth = (offset + bytes.len()).saturating_sub(length) as u64;
        let full = growth > 0
            && state
                .faults
                .capacity
                .is_some_and(|capacity| state.used() + growth > capacity);
        if outcome.is_ok() && full {
            outcome = Err(io::ErrorKind::StorageFull.into());
        }
        let written = match outcome {
            Ok(()) => bytes.len(),
            Err(_) if full => 0,
            Err(_) => state.chance.index(bytes.len() + 1),
        };
        if let Some(inode) = state.inodes.get_mut(&self.inode)
            && written > 0
        {
            inode.write(&bytes[..written], offset);
        }
        outcome
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        self.alive(&state)?;
        let start = usize::try_from(offset).unwrap();
        let cache = &state.inodes[&self.inode].cache;
        match cache.get(start..start + buffer.len()) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let state = &mut *state;
        self.alive(state)?;
        let outcome = state.begin(Op::Sync, &self.path);
        let lies = state.faults.lies.sync;
        let Some(inode) = state.inodes.get_mut(&self.inode) else {
            return outcome;
        };
        match &outcome {
            Ok(()) if lies => {}
            Ok(()) => inode.sync(),
            // The machine is gone, or these sectors are lost for good.
            Err(_) if state.crashed => {}
            Err(_) => inode.keep_some(&mut state.chance),
        }
        outcome
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        self.alive(&state)?;
        Ok(state.inodes[&self.inode].cache.len() as u64)
    }

    fn forget_cache(&self) {
        let mut state = self.disk.state();
        if self.alive(&state).is_err() {
            return;
        }
        let Some(inode) = state.inodes.get_mut(&self.inode) else {
            return;
        };
        let mut fresh = inode.disk.clone();
        fresh.resize(inode.cache.len(), 0);
        for range in &inode.dirty {
            fresh[range.clone()].copy_from_slice(&inode.cache[range.clone()]);
        }
        inode.cache = fresh;
    }
}

impl Files for SimDisk {
    type File = SimFile;

    fn create_new(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.state();
        state.begin(Op::Create, path)?;
        state.check_free(path)?;
        if state
            .faults
            .capacity
            .is_some_and(|capacity| state.used() >= capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let number = state.next_inode;
        state.next_inode += 1;
        let inode = Inode {
            links: 1,
            ..Inode::default()
        };
        state.inodes.insert(number, inode);
        state.change(path, None, Some((path, Node::File(number))));
        Ok(self.handle(&state, path, number))
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let state = self.state();
        if state.crashed {
            return Err(dead());
        }
        let inode = state.inode_of(path)?;
        Ok(self.handle(&state, path, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Rename, to)?;
        let inode = state.inode_of(from)?;
        state.check_free(to)?;
        state.change(to, Some(from), Some((to, Node::File(inode))));
        if state.faults.lies.late_rename
            && let Some(change) = state.pending.last_mut()
        {
            change.late = true;
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Link, to)?;
        let inode = state.inode_of(from)?;
        state.check_free(to)?;
        state.inodes.get_mut(&inode).unwrap().links += 1;
        state.change(to, None, Some((to, Node::File(inode))));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.crashed && !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.begin(Op::Remove, path)?;
        let inode = state.inode_of(path)?;
        state.inodes.get_mut(&inode).unwrap().links -= 1;
        state.change(path, Some(path), None);
        Ok(())
    }

    fn create_dir(&self, path: &Path, _private: bool) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::CreateDir, path)?;
        state.check_free(path)?;
        state.change(path, None, Some((path, Node::Dir)));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let state = &mut *state;
        let outcome = state.begin(Op::SyncDir, path);
        if state.crashed || (outcome.is_ok() && state.faults.lies.sync_dir) {
            return outcome;
        }
        if state.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let pending = std::mem::take(&mut state.pending);
        let (ours, others): (Vec<Change>, Vec<Change>) =
            pending.into_iter().partition(|change| change.dir == path);
        let done = match outcome {
            Ok(()) => ours.len(),
            Err(_) => state.chance.index(ours.len() + 1),
        };
        state.pending = others;
        for (index, mut change) in ours.into_iter().enumerate() {
            if change.late {
                change.late = false;
                state.pending.push(change);
            } else if index < done {
                State::apply(&mut state.durable, change);
            } else {
                state.pending.push(change);
            }
        }
        outcome
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        if state.crashed {
            return Err(dead());
        }
        let files = state
            .names
            .iter()
            .filter(|(path, _)| parent_of(path) == dir);
        Ok(files
            .filter_map(|(path, node)| match node {
                Node::Dir => None,
                Node::File(inode) => Some(Entry {
                    name: path.file_name()?.to_string_lossy().into_owned(),
                    bytes: state.inodes[inode].cache.len() as u64,
                }),
            })
            .collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().names.contains_key(path)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state();
        let capacity = state.faults.capacity.unwrap_or(1 << 40);
        Ok(capacity.saturating_sub(state.used()))
    }
}

fn dead() -> io::Error {
    io::Error::other("simulated crash")
}
