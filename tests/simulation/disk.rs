//! A simulated disk behind the file seam, as nasty as POSIX allows.
//!
//! Written bytes are durable after a sync of the file, a name after a sync of its directory. A power cut
//! keeps any subset of the other sectors and, for each name in order, of the other changes of names. A failed
//! sync loses sectors and marks them clean: reads show them until the cache is dropped, and a later sync
//! succeeds without writing them. After a failed sync of a directory, changes of names stay pending, as in a
//! file system with a journal.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::chance::Chance;
use crate::disk_files::SimFile;
use crate::disk_state::{Inode, Node, State};

/// Operations that change something; they are numbered from 1.
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

/// A plan to let operations fail.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Operations of other kinds do not count.
    pub(crate) op: Option<Op>,
    /// Paths that do not contain this do not count.
    pub(crate) on: &'static str,
    /// How many of the operations that count still succeed.
    pub(crate) after: u64,
    pub(crate) kind: io::ErrorKind,
    pub(crate) forever: bool,
}

/// What a broken disk pretends. The simulation must notice each of these.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    pub(crate) sync: bool,
    pub(crate) sync_dir: bool,
    /// A failed sync is reported as done.
    pub(crate) failed_sync: bool,
    /// A rename becomes durable only with the second sync of its directory.
    pub(crate) late_rename: bool,
}

/// Everything that can go wrong with the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) planned: Vec<Fault>,
    /// The power fails or the process ends during the operation with this number.
    pub(crate) crash_at: Option<u64>,
    /// Of 1000 operations of any kind, this many fail with EIO; `enospc` of them fail with ENOSPC.
    pub(crate) eio: u64,
    pub(crate) enospc: u64,
    /// How many bytes fit on the disk.
    pub(crate) capacity: Option<u64>,
    pub(crate) lies: Lies,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process was killed: everything that the kernel has survives.
    Kill,
    /// The power failed: only what is durable is sure to survive.
    Power,
}

/// The disk. Clones share its contents.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
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

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// How many operations have changed something so far.
    pub(crate) fn ops(&self) -> u64 {
        self.state().ops
    }

    /// How many operations of this kind there were so far.
    pub(crate) fn count(&self, op: Op) -> u64 {
        self.state().counts[op as usize]
    }

    /// A hash of everything that was done.
    pub(crate) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Whether any operation since the restart failed for another reason than lack of space.
    pub(crate) fn saw_eio(&self) -> bool {
        self.state().saw_eio
    }

    /// The bytes of all files that have a name.
    pub(crate) fn used(&self) -> u64 {
        self.state().used()
    }

    /// Whether the crash of `crash_at` has happened.
    pub(crate) fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Makes all open handles useless. After that, the disk works again.
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

    /// How many lives have ended.
    pub(crate) fn lives(&self) -> u64 {
        self.state().epoch
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

    /// Whether no name under a directory, and no byte of any file, waits for a sync.
    pub(crate) fn all_is_durable(&self, dir: &Path) -> bool {
        let state = self.state();
        let mut added = state
            .pending
            .iter()
            .filter_map(|change| change.added.as_ref());
        let mut files = state.inodes.values().filter(|inode| inode.links > 0);
        !added.any(|(name, _)| name.starts_with(dir) || dir.starts_with(name))
            && files.all(|inode| inode.dirty.is_empty() && inode.disk.len() == inode.cache.len())
    }

    /// The paths of all files under a directory.
    pub(crate) fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        let state = self.state();
        let files = state.names.iter().filter(|(_, node)| **node != Node::Dir);
        let paths = files.map(|(path, _)| path.clone());
        paths.filter(|path| path.starts_with(dir)).collect()
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

    /// The files under a directory that some power cut could take: their names or those of their ancestors
    /// are not durable, or some of their bytes.
    pub(crate) fn not_durable(&self, dir: &Path) -> Vec<PathBuf> {
        let state = self.state();
        let changed = state.pending.iter().flat_map(|change| {
            let added = change.added.as_ref().map(|(name, _)| name);
            change.removed.iter().chain(added)
        });
        // Names are compared as strings, because comparing paths by their components would take most of the
        // simulation's time.
        let pending: HashSet<&OsStr> = changed.map(|name| name.as_os_str()).collect();
        let is_named = |path: &Path| {
            let mut dirs = path.ancestors();
            dirs.all(|name| match state.durable.get(name) {
                Some(node) => state.names.get(name) == Some(node),
                None => false,
            })
        };
        let is_whole = |inode: &Inode| inode.dirty.is_empty() && inode.disk == inode.cache;
        let files = state.names.iter().filter_map(|(path, node)| match node {
            Node::File(inode) if path.starts_with(dir) => Some((path, &state.inodes[inode])),
            _ => None,
        });
        let lost = files.filter(|(path, inode)| {
            pending.contains(path.as_os_str()) || !is_whole(inode) || !is_named(path)
        });
        lost.map(|(path, _)| path.clone()).collect()
    }

    /// A copy of everything, which no longer depends on this disk.
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

    pub(crate) fn handle(&self, state: &State, path: &Path, inode: u64) -> SimFile {
        SimFile {
            disk: self.clone(),
            path: path.to_owned(),
            inode,
            epoch: state.epoch,
        }
    }
}
