//! The writer's helper: work that must not hold up a frame. It makes the next segment ahead, writes
//! the ids of closed ones, merges small id files, and removes what is no longer needed.
//!
//! On a thread of its own in the program, in line in simulations, where the order of everything must
//! follow from the seed.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use crate::files::{Files, remove_if_there};
use crate::wal::dedup::id_files::{self as ids, IdFile, SegmentIds};
use crate::wal::journal::segment::Spare;

/// Most tasks that wait at once. The writer has one spare made at a time, and few segments closed or let go.
const MAX_TASKS: usize = 64;

/// Work for the helper.
pub enum Task {
    /// Make a spare of that size under that temporary name.
    Spare(PathBuf, u64),
    /// Write the ids of a closed segment.
    Ids(u64, SegmentIds),
    /// Make one id file of several.
    Merge(Vec<IdFile>),
    /// Remove these files, of which the log says that they are needless. Tasks are done in their order: a spare that
    /// is asked for later takes its space only when theirs was given back.
    Remove(Vec<PathBuf>),
}

/// Work that is done, or failed.
pub enum Done<F: Files> {
    /// The spare.
    Spare(io::Result<Spare<F>>),
    /// The ids of that segment, in the order of their file, and that file or the error.
    Ids(u64, SegmentIds, io::Result<IdFile>),
    /// The file that has what these have.
    Merged(Vec<IdFile>, io::Result<(IdFile, SegmentIds)>),
}

/// Who does the work.
pub enum Helper<F: Files> {
    /// The caller, at once.
    Inline {
        /// Where the files are.
        files: F,
        /// The log's directory.
        dir: PathBuf,
        /// Results that were not taken yet.
        done: VecDeque<Done<F>>,
    },
    /// A thread.
    Thread {
        /// To the thread; `None` once it is told to end.
        tasks: Option<SyncSender<Task>>,
        /// From the thread.
        done: Receiver<Done<F>>,
        /// The thread.
        thread: Option<JoinHandle<()>>,
    },
}

impl<F: Files> Helper<F> {
    /// A helper that works when it is asked.
    pub fn inline(files: F, dir: &Path) -> Self {
        Self::Inline {
            files,
            dir: dir.to_owned(),
            done: VecDeque::new(),
        }
    }

    /// A helper with a thread of its own.
    pub fn thread(files: F, dir: &Path) -> io::Result<Self> {
        let (tasks, task_queue) = sync_channel::<Task>(MAX_TASKS);
        let (results, done) = sync_channel::<Done<F>>(MAX_TASKS);
        let dir = dir.to_owned();
        let work = move || {
            while let Ok(task) = task_queue.recv() {
                let done = perform(&files, &dir, task);
                if done.is_some_and(|done| results.send(done).is_err()) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("wal-helper".into())
            .spawn(work)?;
        Ok(Self::Thread {
            tasks: Some(tasks),
            done,
            thread: Some(thread),
        })
    }

    /// Hands over a task; gives it back when the queue is full or the thread is gone.
    pub fn start(&mut self, task: Task) -> Result<(), Task> {
        match self {
            Self::Inline { files, dir, done } => {
                done.extend(perform(files, dir, task));
                Ok(())
            }
            Self::Thread {
                tasks: Some(tasks), ..
            } => match tasks.try_send(task) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => Err(task),
            },
            Self::Thread { tasks: None, .. } => Err(task),
        }
    }

    /// A result, if there is one.
    pub fn poll(&mut self) -> Option<Done<F>> {
        match self {
            Self::Inline { done, .. } => done.pop_front(),
            Self::Thread { done, .. } => done.try_recv().ok(),
        }
    }

    /// Waits for a result; `None` if none will come.
    pub fn wait(&mut self) -> Option<Done<F>> {
        match self {
            Self::Inline { done, .. } => done.pop_front(),
            Self::Thread { done, .. } => done.recv().ok(),
        }
    }
}

impl<F: Files> Drop for Helper<F> {
    fn drop(&mut self) {
        if let Self::Thread {
            tasks,
            done,
            thread,
        } = self
        {
            drop(tasks.take());
            // The thread may wait for a place in the queue of results.
            while done.recv().is_ok() {}
            if let Some(thread) = thread.take() {
                let _panicked = thread.join();
            }
        }
    }
}

/// Does it; a removal has no result.
fn perform<F: Files>(files: &F, dir: &Path, task: Task) -> Option<Done<F>> {
    Some(match task {
        Task::Spare(path, bytes) => Done::Spare(Spare::prepare(files, &path, bytes)),
        Task::Ids(segment, mut ids) => {
            let written = ids::write(files, dir, (segment, segment), &mut ids);
            Done::Ids(segment, ids, written)
        }
        Task::Merge(parts) => {
            let merged = ids::merge(files, dir, &parts);
            Done::Merged(parts, merged)
        }
        Task::Remove(paths) => {
            remove(files, &paths);
            return None;
        }
    })
}

/// Removes files that the log no longer needs. What stays behind is removed by the next start.
pub(crate) fn remove<F: Files>(files: &F, paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = remove_if_there(files, path) {
            let path = path.display();
            tracing::warn!(%error, %path, "failed to remove a file that is no longer needed");
        }
    }
}
