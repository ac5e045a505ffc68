//! The operations of the simulated disk behind the file seam.

use std::io;
use std::path::{Path, PathBuf};

use lakehook::files::{Entry, File, Files, parent_of};

use crate::disk::{Op, SimDisk};
use crate::disk_state::{Change, Inode, Node, State, dead};

/// An open file.
#[derive(Debug)]
pub(crate) struct SimFile {
    pub(crate) disk: SimDisk,
    pub(crate) path: PathBuf,
    pub(crate) inode: u64,
    pub(crate) epoch: u64,
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
            // The power is off, or these sectors are lost for good.
            Err(_) if state.crashed => {}
            Err(_) => {
                inode.keep_some(&mut state.chance);
                if state.faults.lies.failed_sync {
                    return Ok(());
                }
            }
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

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Rename, to)?;
        let inode = state.inode_of(from)?;
        if let Ok(replaced) = state.inode_of(to) {
            state.inodes.get_mut(&replaced).unwrap().links -= 1;
        }
        state.change(to, Some(from), Some((to, Node::File(inode))));
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

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin(Op::Remove, path)?;
        if state.names.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.names.keys().any(|name| parent_of(name) == path) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change(path, Some(path), None);
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
        // The map is sorted by the components of paths, so everything in a directory is together.
        let below = state.names.range(dir.to_owned()..);
        let below = below.take_while(|(path, _)| path.starts_with(dir));
        let files = below.filter(|(path, _)| parent_of(path) == dir);
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
