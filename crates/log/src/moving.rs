//! Moves a log from the files of a directory into an engine, or back, once everything in it is shipped.
//!
//! What moves is the state, the ids and the files beside the log; frames stay where they are, and are
//! needed no more. At every moment at most one of the two places takes a start: an engine that a log is
//! moving into is refused until its first frame is there, and by then the directory is marked as a copy;
//! an engine that a log is moving out of is refused by a durable item, and the directory stays marked
//! until its log has begun. So a move that was interrupted is simply done again.

use std::io;
use std::path::Path;

use super::dedup::id_files;
use super::helper::Background;
use super::inspect::inspect;
use super::journal::errors::OpenError;
use super::journal::inventory::Inventory;
use super::journal::layout::segment_path;
use super::journal::local::FoundFiles;
use super::journal::mark;
use super::journal::node::{self, Node};
use super::journal::replica::cache::is_copy_of_frames;
use super::journal::replica::engine::{Engine, Item, KeepTrying, PutVerdict, insist};
use super::journal::replica::found::FoundReplica;
use super::journal::replica::identity;
use super::journal::replica::sides::{EngineSides, MOVED, MOVING};
use super::journal::seam::{Found, Journal as _};
use super::ledger::request::Settings;
use super::ledger::state::State;
use super::opening::Opening;
use super::recover::{ReplicaStart, archive, find_here, find_replica, open_journal};
use lakehook_base::clock::Clock;
use lakehook_base::files::{Files, read_whole, remove_if_there, replace_durably};
use lakehook_base::ids::Ids;
use lakehook_base::side_files::{SideCopies as _, SideFiles};

/// Why a log was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Not everything is in the lake.
    #[error(
        "{rows} rows and {runs} runs of the log are not in the lake yet: start the service where the log is, stop it \
         once everything is shipped, and move the log then. Nothing was changed"
    )]
    NotShipped {
        /// Rows without a commit.
        rows: u64,
        /// Runs that are open, or whose marker is not in the lake.
        runs: u64,
    },
    /// The other place has something that is not ours.
    #[error("{place} cannot take the log: {detail}")]
    Taken {
        /// The other place.
        place: String,
        /// What is there.
        detail: String,
    },
    /// There is no log to move.
    #[error("there is no log in {0}")]
    Nothing(String),
    /// The log cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("failed to move the log: {0}")]
    Io(#[from] io::Error),
}

/// What became of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It is done.
    Done,
    /// It had been done before.
    Before,
}

/// A log, and what is needed to open it on both sides.
pub struct Moving<'a, E, F> {
    /// The engine.
    pub engine: E,
    /// The file system of the directory, whose lock is held.
    pub files: F,
    /// The directory.
    pub dir: &'a Path,
    /// The settings of the log.
    pub settings: Settings,
    /// The source of the time.
    pub clock: Clock,
    /// The source of randomness.
    pub ids: Ids,
    /// How the engine is used.
    pub start: ReplicaStart,
    /// The names of the files beside the log that are replaced, …
    pub beside: Vec<String>,
    /// … and of those that are written once.
    pub once: Vec<String>,
}

/// Most bytes of a file beside the log, and of ids of one file.
const MAX_SIDE: u64 = 64 << 20;
const MAX_IDS: u64 = 4 << 30;
/// The file with the word by which an interrupted move out of an engine is known again.
const OUT: &str = "moving-out";

impl<E: Engine, F: Files> Moving<'_, E, F> {
    fn keep_trying(&self) -> &KeepTrying {
        &self.start.keep_trying
    }

    fn effects(&self) -> (Clock, Ids) {
        (self.clock.clone(), self.ids.clone())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), MoveError> {
        let item = Item::File(name);
        let put = insist(self.keep_trying(), || self.engine.put_new(item, bytes));
        if put.map_err(io::Error::from)? == PutVerdict::Stored {
            return Ok(());
        }
        let there = self.read(name)?;
        if there.as_deref() == Some(bytes) {
            return Ok(());
        }
        Err(self.taken(format!("its file {name} is another one")))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MoveError> {
        let read = insist(self.keep_trying(), || self.engine.read(Item::File(name)));
        Ok(read.map_err(io::Error::from)?)
    }

    fn taken(&self, detail: String) -> MoveError {
        MoveError::Taken {
            place: self.engine.name(),
            detail,
        }
    }

    fn frames(&self) -> Result<Vec<u64>, MoveError> {
        let frames = insist(self.keep_trying(), || self.engine.frames(0));
        Ok(frames.map_err(io::Error::from)?)
    }

    /// Moves the log of the directory into the engine.
    pub fn into_engine(&self) -> Result<Moved, MoveError> {
        let inventory = Inventory::list(&self.files, self.dir)?;
        let Some(node) = node::read(&self.files, self.dir)? else {
            return Err(MoveError::Nothing(self.dir.display().to_string()));
        };
        let marked = mark::read(&self.files, self.dir)?;
        match &marked {
            Some(place) if *place != self.engine.name() => {
                return Err(self.taken(format!("{} is a copy of {place}", self.dir.display())));
            }
            Some(_) if inventory.segments.is_empty() => return Ok(Moved::Before),
            _ => {}
        }
        match (self.frames()?.is_empty(), marked) {
            (true, _) => self.begin_in_engine(&node)?,
            (false, Some(_)) => {}
            (false, None) => {
                return Err(self.taken("it has a log already; use another prefix".to_owned()));
            }
        }
        self.delete(MOVING)?;
        self.remove_segments()?;
        Ok(Moved::Done)
    }

    /// Puts everything into an engine that has no frame yet, and then the first one.
    fn begin_in_engine(&self, node: &Node) -> Result<(), MoveError> {
        let (state, segment) = self.local_state(node)?;
        // From here on, no start takes the engine for a new log.
        self.put(MOVING, node.id.to_string().as_bytes())?;
        self.put(identity::IDENTITY, node::encode(node).as_bytes())?;
        let (ids, _) = id_files::list(&self.files, self.dir)?;
        for file in ids.range(state.oldest_ids..).map(|(_, file)| file) {
            let path = file.path(self.dir);
            let bytes = read_whole(&self.files, &path, MAX_IDS)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.put(&name, &bytes)?;
        }
        let here = SideFiles::of(self.files.clone(), self.dir);
        let sides = EngineSides::of_mover(self.engine.clone(), self.keep_trying().clone());
        for name in &self.beside {
            if let Some(bytes) = here.read(name, MAX_SIDE)? {
                sides.keep(name, Some(&bytes))?;
            }
        }
        for name in &self.once {
            if let Some(bytes) = here.read(name, MAX_SIDE)? {
                self.put(name, &bytes)?;
            }
        }
        // From here on, no start takes the directory for a log.
        mark::put(&self.files, self.dir, &self.engine.name())?;
        let found = self.find_in_engine(node)?;
        self.go_on(found, node, state, segment)?;
        Ok(())
    }

    /// Moves the log of the engine into the directory, which is a copy of it.
    pub fn out_of_engine(&self) -> Result<Moved, MoveError> {
        let node = node::read(&self.files, self.dir)?;
        let marked = mark::read(&self.files, self.dir)?;
        let node = match (node, marked) {
            (Some(_), None) => return Ok(Moved::Before),
            (Some(node), Some(place)) if place == self.engine.name() => node,
            _ => return Err(MoveError::Nothing(self.engine.name())),
        };
        let word = self.word()?;
        if self
            .read(MOVED)?
            .is_some_and(|there| there != word.as_bytes())
        {
            return Err(self.taken("its log has moved to another disk".to_owned()));
        }
        if !self.has_begun_here()? {
            is_shipped(&self.owned_state(&node)?.0)?;
            // Whoever takes the log over from here on gives it up again …
            self.put(MOVED, word.as_bytes())?;
            // … and whoever did so before does not own it after this.
            let (state, segment) = self.owned_state(&node)?;
            if let Err(error) = is_shipped(&state) {
                self.delete(MOVED)?;
                return Err(error);
            }
            self.fetch_once()?;
            self.remove_segments()?;
            let found = self.find_in_directory(&node)?;
            self.go_on(found, &node, state, segment)?;
        }
        for entry in self.files.list(self.dir)? {
            if is_copy_of_frames(&entry.name) {
                remove_if_there(&self.files, &self.dir.join(entry.name))?;
            }
        }
        mark::remove(&self.files, self.dir)?;
        remove_if_there(&self.files, &self.dir.join(OUT))?;
        Ok(Moved::Done)
    }

    fn fetch_once(&self) -> Result<(), MoveError> {
        let here = SideFiles::of(self.files.clone(), self.dir);
        for name in &self.once {
            if let Some(bytes) = self.read(name)? {
                here.replace(name, &bytes)?;
            }
        }
        Ok(())
    }

    /// The word by which this move is known again.
    fn word(&self) -> Result<String, MoveError> {
        let path = self.dir.join(OUT);
        match read_whole(&self.files, &path, 1024) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let word = format!("{:032x}", self.ids.next_u128()?);
                replace_durably(&self.files, &path, word.as_bytes())?;
                Ok(word)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an earlier attempt has begun the log in the directory.
    fn has_begun_here(&self) -> Result<bool, MoveError> {
        let here = inspect(&self.files, self.dir)?;
        let frames: u64 = here.segments.iter().map(|segment| segment.frames).sum();
        Ok(here.problems.is_empty() && frames > 0)
    }

    fn delete(&self, name: &str) -> Result<(), MoveError> {
        let deleted = insist(self.keep_trying(), || self.engine.delete(Item::File(name)));
        Ok(deleted.map_err(io::Error::from)?)
    }

    fn remove_segments(&self) -> Result<(), MoveError> {
        let inventory = Inventory::take(&self.files, self.dir)?;
        for number in inventory.segments.keys() {
            remove_if_there(&self.files, &segment_path(self.dir, *number))?;
        }
        self.files.sync_dir(self.dir)?;
        Ok(())
    }

    fn find_in_directory(&self, node: &Node) -> Result<FoundFiles<F>, OpenError> {
        let (settings, ids) = (&self.settings, &self.ids);
        find_here(
            &self.files,
            self.dir,
            settings,
            (ids, node),
            Background::Inline,
        )
    }

    fn find_in_engine(&self, node: &Node) -> Result<FoundReplica<E, F>, OpenError> {
        let place = (&self.files, self.dir);
        let context = (&self.settings, &self.ids);
        find_replica(
            self.engine.clone(),
            place,
            node.id,
            context,
            self.start.clone(),
        )
    }

    /// The state of the log in the directory, and the segment behind its ids: a start writes the ids of
    /// the segment before, so the second one leaves none behind.
    fn local_state(&self, node: &Node) -> Result<(State, u64), MoveError> {
        let mut opened = self.opened(self.find_in_directory(node)?, node)?;
        is_shipped(&opened.0)?;
        opened = self.opened(self.find_in_directory(node)?, node)?;
        Ok(opened)
    }

    /// The state of the log in the engine, of which this process becomes the owner, and its segment.
    fn owned_state(&self, node: &Node) -> Result<(State, u64), MoveError> {
        let here = SideFiles::of(self.files.clone(), self.dir);
        let keep_trying = self.keep_trying().clone();
        EngineSides::take_over_to_move(self.engine.clone(), &here, keep_trying)?;
        self.opened(self.find_in_engine(node)?, node)
    }

    /// Opens a log and closes it again.
    fn opened<J: Found>(&self, found: J, node: &Node) -> Result<(State, u64), MoveError> {
        let (mut writer, _) = open_journal(
            found,
            self.files.clone(),
            self.dir,
            *node,
            self.settings.clone(),
            self.effects(),
            Background::Inline,
        )?;
        writer.close().map_err(io::Error::other)?;
        let segment = writer.journal.next().segment();
        Ok((writer.into_state(), segment))
    }

    /// Begins the log in its new place, in that segment.
    fn go_on<J: Found>(
        &self,
        found: J,
        node: &Node,
        mut state: State,
        segment: u64,
    ) -> Result<(), MoveError> {
        state.oldest_segment = segment;
        let place = (self.files.clone(), self.dir);
        let archive = archive(place, &self.settings, None, Background::Inline)?;
        let settings = self.settings.clone();
        let opening = Opening::with_state(archive, settings, *node, self.effects(), state);
        opening.go_on(found, segment - 1, None)?;
        Ok(())
    }
}

fn is_shipped(state: &State) -> Result<(), MoveError> {
    let rows = state.uncommitted_rows();
    let runs = state.runs.open().count() + state.runs.ended().count();
    if rows == 0 && runs == 0 && state.sealed.is_empty() {
        return Ok(());
    }
    let runs = runs as u64;
    Err(MoveError::NotShipped { rows, runs })
}
