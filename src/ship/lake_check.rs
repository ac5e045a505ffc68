//! Is this the lake that the log knows?
//!
//! The log's directory remembers the lake's identity (where it is) and its id (in its label). Where the
//! label is gone although this log has put objects there, something else is in the lake's place, such
//! as the directory beneath a volume that is not mounted: nothing is put there until an operator says
//! that it is meant.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::checksum::crc32c;
use crate::files::Files;
use crate::ids::{Ids, NodeId};
use crate::lake::label::{self, LakeId};
use crate::lake::{Lake, LakeError, Trouble};
use crate::side_files::SideFiles;

const FILE: &str = "lake";
const HEAD: &str = "lakehook lake, format 1";
const MAX_BYTES: u64 = 8192;

/// The lake that a log knows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    identity: String,
    id: LakeId,
}

/// Compares the lake with the one that the log knows; once, when the lake can be reached.
pub struct LakeCheck<F: Files> {
    files: F,
    beside: SideFiles<F>,
    node: NodeId,
    ids: Ids,
    has_objects: bool,
    accepts_new: bool,
    /// Locked during the check, so that only one thread makes it.
    is_done: Mutex<bool>,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LakeFinding {
    /// It is the one that the log knows, or the first.
    Fine,
    /// It may be meant.
    Changed(String),
    /// It is not used until an operator says so.
    Refused(String),
}

/// What is remembered and what is there.
struct Comparison {
    known: Option<Known>,
    there: Option<LakeId>,
    finding: LakeFinding,
}

impl<F: Files> LakeCheck<F> {
    /// Checks the lake of the log beside which these files are. `objects` says whether that log has put objects into a
    /// lake before.
    pub fn new(
        files: F,
        beside: SideFiles<F>,
        node: NodeId,
        ids: Ids,
        objects: KnownObjects,
    ) -> Self {
        Self {
            files,
            beside,
            node,
            ids,
            has_objects: objects.has_objects,
            accepts_new: objects.accepts_new,
            is_done: Mutex::new(false),
        }
    }

    /// Compares, puts the label that is missing, and remembers the lake. Does nothing once that has gone well.
    pub fn run(&self, lake: &Lake<F>) -> Result<(), LakeError> {
        let mut is_done = self.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_done {
            return Ok(());
        }
        let Comparison {
            known,
            there,
            finding,
        } = self.compare(lake)?;
        match finding {
            LakeFinding::Refused(why) if !self.accepts_new => {
                return Err(LakeError::Unusable(format!(
                    "{why}; nothing is put there. If this lake is meant, start once with \
                     `lakehook serve --new-lake`"
                )));
            }
            LakeFinding::Refused(what) | LakeFinding::Changed(what) => tracing::warn!("{what}"),
            LakeFinding::Fine => {}
        }
        let id = match there {
            Some(id) => id,
            None => {
                let id = LakeId(self.ids.next_u128().map_err(|error| local(&error))?);
                label::create(&self.files, lake, self.node, id)?
            }
        };
        let found = Known {
            identity: lake.identity().to_owned(),
            id,
        };
        if known.as_ref() != Some(&found) {
            self.remember(&found).map_err(|error| local(&error))?;
        }
        *is_done = true;
        Ok(())
    }

    /// What a start would find. Changes nothing.
    pub fn look(&self, lake: &Lake<F>) -> Result<LakeFinding, LakeError> {
        Ok(self.compare(lake)?.finding)
    }

    fn compare(&self, lake: &Lake<F>) -> Result<Comparison, LakeError> {
        let known = self.known().map_err(|error| local(&error))?;
        let there = label::read(lake)?;
        let identity = lake.identity();
        let is_moved = known
            .as_ref()
            .is_some_and(|known| known.identity != identity);
        let moved = || {
            let before = known.as_ref().map_or("", |known| &known.identity);
            format!("the lake was {before} at the last start, and is {identity} now")
        };
        let finding = match (&known, there) {
            _ if is_moved => LakeFinding::Changed(moved()),
            (Some(known), Some(id)) if known.id != id => LakeFinding::Refused(format!(
                "{identity} is another lake than at the last start: its label has another id"
            )),
            (Some(_), None) => LakeFinding::Refused(format!(
                "{identity} is not the lake that this log knows: its label {} is gone; is a volume not \
                 mounted?",
                crate::lake::keys::label_key()
            )),
            (None, None) if self.has_objects && !lake.was_used()? => LakeFinding::Refused(format!(
                "{identity} holds nothing of lakehook, but this log has put objects there; is a volume \
                     not mounted?"
            )),
            _ => LakeFinding::Fine,
        };
        Ok(Comparison {
            known,
            there,
            finding,
        })
    }

    fn known(&self) -> io::Result<Option<Known>> {
        let Some(bytes) = self.beside.read(FILE, MAX_BYTES)? else {
            return Ok(None);
        };
        let known = std::str::from_utf8(&bytes).ok().and_then(parse);
        known.map(Some).ok_or_else(|| {
            let path = self.beside.path(FILE);
            let message = format!("{} cannot be read; remove it to go on", path.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    fn remember(&self, known: &Known) -> io::Result<()> {
        let text = format!(
            "{HEAD}\nid = {:032x}\nidentity = {}\n",
            known.id.0, known.identity
        );
        let text = format!("{text}crc32c = {:08x}\n", crc32c(text.as_bytes()));
        self.beside.replace(FILE, text.as_bytes())
    }
}

/// What decides about a lake without a label.
#[derive(Clone, Copy, Debug)]
pub struct KnownObjects {
    /// The log knows objects that it has put into its lake.
    pub has_objects: bool,
    /// The operator says that another lake is meant.
    pub accepts_new: bool,
}

fn parse(text: &str) -> Option<Known> {
    let (said, crc) = text.rsplit_once("crc32c = ")?;
    if crc != format!("{:08x}\n", crc32c(said.as_bytes())) {
        return None;
    }
    let mut lines = said.lines();
    if lines.next()? != HEAD {
        return None;
    }
    let id = u128::from_str_radix(lines.next()?.strip_prefix("id = ")?, 16).ok()?;
    let identity = lines.next()?.strip_prefix("identity = ")?;
    Some(Known {
        identity: identity.to_owned(),
        id: LakeId(id),
    })
}

fn local(error: &io::Error) -> LakeError {
    LakeError::Retry {
        kind: Trouble::Other,
        message: format!("failed to compare the lake with the log: {error}"),
    }
}
