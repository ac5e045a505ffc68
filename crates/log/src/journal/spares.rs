//! Spares: files full of zeros that are made in advance, so that a segment begins at once and its
//! syncs have no new lengths or extents to record.
//!
//! There is one for the next segment, and another one that is kept for seals, commits and trims:
//! once the disk is full only shipping frees space, and shipping needs room in the log. The one that is
//! kept has the full size of a segment. The others are as large as segments turn out to be: zeros that no
//! frame ever replaces would cost time, and space of the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::seam::{Purpose, SPACE_RETRY};
use crate::helper::{Background, Helper, remove_needless};
use lakehook_base::clock::Now;
use lakehook_base::files::{File, Files, remove_if_there};

/// Bytes of zeros that are written at once.
const ZERO_STEP: usize = 1 << 20;
/// Sync after this many bytes of zeros, so that a frame's sync never queues behind more.
const ZERO_SYNC: u64 = 4 << 20;
/// Upper bound of what requests leave to shipping, in bytes.
const MAX_RESERVE: u64 = 4 << 20;

/// Bytes of a segment that requests leave to shipping while there is no spare.
pub(crate) fn reserve_of(segment_bytes: u64) -> u64 {
    (segment_bytes / 4).min(MAX_RESERVE)
}

/// A file full of zeros under a temporary name, waiting to become a segment.
pub struct Spare<F: Files> {
    /// The open file.
    pub file: Arc<F::File>,
    /// Temporary name of the file.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
}

impl<F: Files> Spare<F> {
    /// Fills a new file with zeros. Durable when it returns.
    pub fn prepare(files: &F, path: &Path, bytes: u64) -> io::Result<Self> {
        remove_if_there(files, path)?;
        let file = files.create_new(path)?;
        if let Err(error) = fill_with_zeros(&file, bytes) {
            // The space is needed more than an unfinished file.
            remove_if_there(files, path)?;
            return Err(error);
        }
        Ok(Self {
            file: Arc::new(file),
            path: path.to_owned(),
            bytes,
        })
    }
}

fn fill_with_zeros<H: File>(file: &H, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_STEP];
    let mut offset = 0;
    while offset < bytes {
        let step = usize::try_from(bytes - offset)
            .unwrap_or(ZERO_STEP)
            .min(ZERO_STEP);
        file.write_all_at(&zeros[..step], offset)?;
        offset += step as u64;
        if offset.is_multiple_of(ZERO_SYNC) || offset == bytes {
            file.sync()?;
        }
    }
    Ok(())
}

/// Work for the journal's helper.
enum Task {
    /// Make a spare of that size under that temporary name.
    Make(PathBuf, u64),
    /// Remove segments that were trimmed. Tasks run in order, so a spare that is requested later is
    /// made after their space was freed.
    Remove(Vec<PathBuf>),
}

/// The spare for the next segment.
enum Next<F: Files> {
    /// None was requested.
    None,
    /// The helper is making it, with this many bytes.
    Preparing(u64),
    /// It is ready.
    Ready(Spare<F>),
    /// It could not be made, at this time on the monotonic clock.
    Failed(Duration),
}

/// The spares of a journal.
pub(crate) struct Spares<F: Files> {
    files: F,
    dir: PathBuf,
    /// Size of the one that is kept, and most bytes of the others.
    most_bytes: u64,
    /// Size of the next one.
    next_bytes: u64,
    helper: Helper<Task, io::Result<Spare<F>>>,
    next: Next<F>,
    /// The spare that is kept for seals, commits and trims alone.
    kept: Option<Spare<F>>,
    /// Number of spares made so far, which is in their names.
    made: u64,
    /// Whether [`Self::tend`] is to request the next one.
    is_wanted: bool,
}

impl<F: Files> Spares<F> {
    pub(crate) fn new(
        files: F,
        dir: &Path,
        most_bytes: u64,
        background: Background,
    ) -> io::Result<Self> {
        let of_helper = files.clone();
        let helper = Helper::new(background, "wal-helper", move |task| match task {
            Task::Make(path, bytes) => Some(Spare::prepare(&of_helper, &path, bytes)),
            Task::Remove(paths) => {
                remove_needless(&of_helper, &paths);
                None
            }
        })?;
        Ok(Self {
            files,
            dir: dir.to_owned(),
            most_bytes,
            next_bytes: most_bytes,
            helper,
            next: Next::None,
            kept: None,
            made: 0,
            is_wanted: false,
        })
    }

    /// Bytes of the spares that are ready or being made.
    pub(crate) fn used(&self) -> u64 {
        let next = match &self.next {
            Next::Ready(spare) => spare.bytes,
            Next::Preparing(bytes) => *bytes,
            Next::None | Next::Failed(_) => 0,
        };
        next + self.kept.as_ref().map_or(0, |spare| spare.bytes)
    }

    /// Whether a spare is kept for shipping.
    pub(crate) fn keeps_one(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether no spare is kept and the last attempt to make one failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.kept.is_none() && matches!(self.next, Next::Failed(_))
    }

    /// Sets the size of the spares that are made from now on, except for the one that is kept.
    pub(crate) fn resize(&mut self, bytes: u64) {
        self.next_bytes = bytes.min(self.most_bytes);
    }

    /// Takes a spare of at least `bytes`, if there is space for one.
    pub(crate) fn take(&mut self, bytes: u64, purpose: Purpose, now: Now) -> Option<Spare<F>> {
        let is_shipping = purpose == Purpose::Shipping;
        match self.take_next(bytes, now) {
            // One is kept for shipping; requests need another one.
            Some(spare) if self.kept.is_none() && !is_shipping => {
                if spare.bytes < self.most_bytes {
                    self.next = Next::Ready(spare);
                    self.kept = self.make(self.most_bytes, now);
                } else {
                    self.kept = Some(spare);
                }
                self.kept.as_ref()?;
                self.take_next(bytes, now)
            }
            None if is_shipping && self.kept.as_ref().is_some_and(|s| s.bytes >= bytes) => {
                self.kept.take()
            }
            spare => spare,
        }
    }

    fn take_next(&mut self, bytes: u64, now: Now) -> Option<Spare<F>> {
        while matches!(self.next, Next::Preparing(_)) {
            match self.helper.wait() {
                Some(done) => self.take_result(done, now),
                None => self.next = Next::None,
            }
        }
        match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(spare) if spare.bytes >= bytes => return Some(spare),
            // Too small for this frame; a later one can use it.
            Next::Ready(spare) => self.next = Next::Ready(spare),
            Next::Failed(at) if now.mono.saturating_sub(at) < SPACE_RETRY => {
                self.next = Next::Failed(at);
                return None;
            }
            Next::None | Next::Preparing(_) | Next::Failed(_) => {}
        }
        self.make(self.next_bytes.max(bytes), now)
    }

    /// Makes a spare at once.
    fn make(&mut self, bytes: u64, now: Now) -> Option<Spare<F>> {
        let path = self.new_path();
        match Spare::prepare(&self.files, &path, bytes) {
            Ok(spare) => Some(spare),
            Err(error) => {
                warn_of_failure(&error);
                if !matches!(self.next, Next::Ready(_)) {
                    self.next = Next::Failed(now.mono);
                }
                None
            }
        }
    }

    fn new_path(&mut self) -> PathBuf {
        self.made += 1;
        self.dir.join(format!("spare-{}.tmp", self.made))
    }

    /// Asks the helper for the next spare, unless it is ready or being made.
    pub(crate) fn request(&mut self) {
        if !matches!(self.next, Next::None | Next::Failed(_)) {
            return;
        }
        let bytes = if self.kept.is_none() {
            self.most_bytes
        } else {
            self.next_bytes
        };
        let task = Task::Make(self.new_path(), bytes);
        if self.helper.start(task).is_ok() {
            self.next = Next::Preparing(bytes);
        }
    }

    /// Requests the next spare at the next [`Self::tend`]: until then its owner may need the space
    /// for something else.
    pub(crate) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Takes what the helper has made, and requests a spare that is wanted or that failed.
    pub(crate) fn tend(&mut self, now: Now) {
        if std::mem::take(&mut self.is_wanted) {
            self.request();
        }
        while let Some(done) = self.helper.poll() {
            self.take_result(done, now);
        }
        if let Next::Failed(at) = self.next
            && now.mono.saturating_sub(at) >= SPACE_RETRY
        {
            self.request();
        }
    }

    fn take_result(&mut self, done: io::Result<Spare<F>>, now: Now) {
        match done {
            Ok(spare) if self.kept.is_none() && spare.bytes >= self.most_bytes => {
                self.kept = Some(spare);
                self.next = Next::None;
                self.request();
            }
            Ok(spare) => self.next = Next::Ready(spare),
            Err(error) => {
                warn_of_failure(&error);
                self.next = Next::Failed(now.mono);
            }
        }
    }

    /// Removes a spare, because its owner needs the space more.
    pub(crate) fn give_up(&mut self) {
        let spare = match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(spare) => Some(spare),
            other => {
                self.next = other;
                self.kept.take()
            }
        };
        if let Some(spare) = spare
            && let Err(error) = remove_if_there(&self.files, &spare.path)
        {
            tracing::warn!(%error, "failed to remove a spare segment");
        }
    }

    /// Asks the helper to remove segments. Answers don't wait for it, because removing a large file
    /// takes milliseconds; the next start removes what a crash leaves.
    pub(crate) fn remove(&mut self, paths: Vec<PathBuf>) {
        if let Err(Task::Remove(paths)) = self.helper.start(Task::Remove(paths)) {
            // The helper is far behind.
            remove_needless(&self.files, &paths);
        }
    }
}

fn warn_of_failure(error: &io::Error) {
    tracing::warn!(%error, "failed to make the next segment; trying again in a second");
}
