//! The id and the key of a replicated log, which are in the engine before its first frame.
//!
//! The directory has a copy. It decides nothing, but a directory that belongs to another log, or an
//! engine that has lost its log, is noticed by it.

use std::path::Path;

use super::engine::{Engine, EngineError, Item, KeepTrying, PutVerdict, insist};
use crate::journal::errors::OpenError;
use crate::journal::mark;
use crate::journal::node::{self, Node, Ordinal};
use lakehook_base::files::Files;
use lakehook_base::ids::{HashKey, Ids};

/// Name of the item in the engine; its text is that of the file `node` of a directory.
pub const IDENTITY: &str = "node";

/// The identity of the log in an engine; `None` if the engine has no log yet.
pub fn read<E: Engine>(engine: &E, keep_trying: &KeepTrying) -> Result<Option<Node>, OpenError> {
    let read = insist(keep_trying, || engine.read(Item::File(IDENTITY)));
    let Some(bytes) = read.map_err(|error| io(engine, error))? else {
        return Ok(None);
    };
    let node = node::decode(&bytes);
    node.map(Some)
        .ok_or_else(|| unreadable(engine, "its identity cannot be read"))
}

/// Judges a log from outside, before a directory that does not know it uses it: `None` if the engine
/// has none yet. The error says why it must not be used, or founded.
pub type Judge<'a> = dyn FnMut(Option<&Node>) -> Result<(), OpenError> + 'a;

/// Which log is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meant {
    /// Which of several.
    pub ordinal: Ordinal,
    /// The key that it must have, if that is known: the one of the first of these logs.
    pub key: Option<HashKey>,
}

impl Meant {
    /// The only log.
    pub const ONLY: Self = Self {
        ordinal: Ordinal::ONLY,
        key: None,
    };

    /// Why a log is not the one that is meant.
    fn contradicts(&self, node: &Node) -> Option<String> {
        let (is, meant) = (node.ordinal, self.ordinal);
        if is.of != meant.of {
            let (of, wanted) = (is.of, meant.of);
            return Some(format!(
                "the number of logs is decided when they are founded: here it is {of}, and `cluster.logs` is {wanted}. \
                 Set it to {of} on every node; docs/cluster.md says how the number is changed"
            ));
        }
        if is.number != meant.number {
            return Some(format!("it is log {is}, and log {meant} is meant"));
        }
        let is_other = self.key.is_some_and(|key| key != node.key);
        is_other
            .then(|| format!("log {is} belongs to another cluster than log 0: their keys differ"))
    }
}

/// The identity of the log in an engine, of which the directory gets a copy. An engine without a log
/// gets one, unless the directory has been used before.
pub(crate) fn read_or_found<E: Engine, F: Files>(
    engine: &E,
    (files, dir): (&F, &Path),
    (ids, meant): (&Ids, &Meant),
    keep_trying: &KeepTrying,
    judge: &mut Judge<'_>,
) -> Result<Node, OpenError> {
    let dir_io = |error| OpenError::Io {
        dir: dir.to_owned(),
        error,
    };
    mark::check(files, dir, Some(&engine.name()))?;
    let local = node::read(files, dir).map_err(dir_io)?;
    let node = match read(engine, keep_trying)? {
        Some(node) => node,
        None if local.is_some() => {
            let detail = format!(
                "it has no log, and {} belongs to one: the replica is another one, or has lost the log",
                dir.display()
            );
            return Err(unreadable(engine, &detail));
        }
        None => {
            judge(None)?;
            found(engine, (ids, meant), keep_trying)?
        }
    };
    if let Some(detail) = meant.contradicts(&node) {
        return Err(unreadable(engine, &detail));
    }
    match local {
        Some(local) if local != node => {
            let detail = format!(
                "its log is {}, and {} belongs to log {}; use an empty directory",
                node.id,
                dir.display(),
                local.id
            );
            Err(unreadable(engine, &detail))
        }
        Some(_) => Ok(node),
        None => {
            judge(Some(&node))?;
            mark::put(files, dir, &engine.name()).map_err(dir_io)?;
            node::write(files, dir, &node).map_err(dir_io)?;
            Ok(node)
        }
    }
}

/// Founds a log, unless somebody else is first.
fn found<E: Engine>(
    engine: &E,
    (ids, meant): (&Ids, &Meant),
    keep_trying: &KeepTrying,
) -> Result<Node, OpenError> {
    let frames = insist(keep_trying, || engine.frames(0));
    if !frames.map_err(|error| io(engine, error))?.is_empty() {
        // Somebody may have founded it just now.
        return read(engine, keep_trying)?
            .ok_or_else(|| unreadable(engine, "it has frames of a log whose identity is gone"));
    }
    let node = node::draw(ids, meant.key, meant.ordinal);
    let node = node.map_err(|error| OpenError::Io {
        dir: engine.name().into(),
        error,
    })?;
    let text = node::encode(&node);
    let put = insist(keep_trying, || {
        engine.put_new(Item::File(IDENTITY), text.as_bytes())
    });
    match put.map_err(|error| io(engine, error))? {
        PutVerdict::Stored => Ok(node),
        // By somebody else, or by an attempt whose answer was lost.
        PutVerdict::Taken => read(engine, keep_trying)?
            .ok_or_else(|| unreadable(engine, "its identity comes and goes")),
    }
}

/// The engine does not answer.
pub(crate) fn io<E: Engine>(engine: &E, error: EngineError) -> OpenError {
    OpenError::Io {
        dir: engine.name().into(),
        error: error.into(),
    }
}

/// What the engine has is no log that could go on.
pub(crate) fn unreadable<E: Engine>(engine: &E, detail: &str) -> OpenError {
    OpenError::Unreadable {
        journal: engine.name(),
        detail: detail.to_owned(),
    }
}
