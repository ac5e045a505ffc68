//! A helper does work that must not delay a frame, such as making the next segment in advance,
//! writing the ids of closed ones, or removing what is no longer needed. The journal has one, and
//! dedup has another.
//!
//! Tasks are done in order. In the program they run on a thread of their own; in simulations they
//! run inline, because the order of everything must follow from the seed.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use lakehook_base::files::{Files, remove_if_there};

/// Most tasks that wait at once, and most results. There are few: one spare at a time, and few
/// segments to close or trim.
const MAX_TASKS: usize = 64;

/// Where the tasks of helpers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// On threads of their own.
    Threads,
    /// In the caller's thread, at once.
    Inline,
}

type Perform<T, D> = Box<dyn FnMut(T) -> Option<D> + Send>;

/// Performs tasks `T`, which may have results `D`.
pub(crate) enum Helper<T, D> {
    /// Tasks run in the caller's thread, at once.
    Inline {
        perform: Perform<T, D>,
        /// Results that the caller has not taken yet.
        done: VecDeque<D>,
    },
    /// Tasks run on a thread of the helper.
    Thread {
        /// Queue of tasks; `None` once the thread is told to end.
        tasks: Option<SyncSender<T>>,
        /// Queue of results.
        done: Receiver<D>,
        thread: Option<JoinHandle<()>>,
    },
}

impl<T: Send + 'static, D: Send + 'static> Helper<T, D> {
    /// A helper that calls `perform` for each task.
    pub(crate) fn new(
        background: Background,
        name: &str,
        mut perform: impl FnMut(T) -> Option<D> + Send + 'static,
    ) -> io::Result<Self> {
        if background == Background::Inline {
            return Ok(Self::Inline {
                perform: Box::new(perform),
                done: VecDeque::new(),
            });
        }
        let (tasks, task_queue) = sync_channel::<T>(MAX_TASKS);
        let (results, done) = sync_channel::<D>(MAX_TASKS);
        let work = move || {
            while let Ok(task) = task_queue.recv() {
                if perform(task).is_some_and(|done| results.send(done).is_err()) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(work)?;
        Ok(Self::Thread {
            tasks: Some(tasks),
            done,
            thread: Some(thread),
        })
    }

    /// Starts a task; returns it if the queue is full or the thread is gone.
    pub(crate) fn start(&mut self, task: T) -> Result<(), T> {
        match self {
            Self::Inline { perform, done } => {
                done.extend(perform(task));
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

    /// Takes a result, if one is ready.
    pub(crate) fn poll(&mut self) -> Option<D> {
        match self {
            Self::Inline { done, .. } => done.pop_front(),
            Self::Thread { done, .. } => done.try_recv().ok(),
        }
    }

    /// Waits for a result; `None` if none will come.
    pub(crate) fn wait(&mut self) -> Option<D> {
        match self {
            Self::Inline { done, .. } => done.pop_front(),
            Self::Thread { done, .. } => done.recv().ok(),
        }
    }
}

impl<T, D> Drop for Helper<T, D> {
    fn drop(&mut self) {
        if let Self::Thread {
            tasks,
            done,
            thread,
        } = self
        {
            drop(tasks.take());
            // The thread may wait for room in the queue of results.
            while done.recv().is_ok() {}
            if let Some(thread) = thread.take() {
                let _panicked = thread.join();
            }
        }
    }
}

/// Removes files that the log no longer needs. The next start removes those that cannot be removed
/// now.
pub(crate) fn remove_needless<F: Files>(files: &F, paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = remove_if_there(files, path) {
            let path = path.display();
            tracing::warn!(%error, %path, "failed to remove a file that is no longer needed");
        }
    }
}

/// Whether an error says that no space is left.
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
