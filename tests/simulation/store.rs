//! A simulated object store: atomic conditional puts in memory, and answers that get lost.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use lakehook::files::read_whole;
use lakehook::lake::store::{Body, Head, ObjectStore, Put, PutAnswer, StoreError};
use lakehook::lake::{Metadata, Trouble};

use crate::chance::Chance;
use crate::disk::SimDisk;

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Metadata,
}

/// What goes wrong with a request; see [`StoreFaults::script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// An error, and nothing was done.
    Refused(Trouble),
    /// It was done, and the answer got lost.
    LostAnswer,
    /// No answer; it is done later, whoever lives by then.
    Late,
}

/// How a store treats conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conditions {
    #[default]
    Honoured,
    /// 501.
    Refused,
    /// 200, and the object is replaced.
    Ignored,
    /// Honoured for the probe alone: a store that lies.
    OnlyForProbe,
}

/// What a broken store does and doesn't tell; to see whether the simulation notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StoreLie {
    #[default]
    Nothing,
    /// Some objects are reported as stored, and are not.
    Forgets,
    /// Some objects end in their middle.
    Cuts,
    /// What is said of an object is what was said of the one before.
    MixesUp,
    /// What is there already is stored again, under another key.
    Copies,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StoreFaults {
    /// In percent of the requests.
    pub(crate) errors: u64,
    pub(crate) lost_answers: u64,
    pub(crate) late: u64,
    /// What happens to the next puts of objects, in order; `None` is no fault.
    pub(crate) script: Vec<Option<StoreFault>>,
    pub(crate) conditions: Conditions,
    pub(crate) forgets_metadata: bool,
    pub(crate) lie: StoreLie,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<String, Stored>,
    late: Vec<(String, Stored, bool)>,
    faults: StoreFaults,
    chance: Chance,
    replaced: Vec<String>,
    /// What was said of the last object.
    last: Metadata,
}

/// The store. Clones are the same store.
#[derive(Clone, Debug)]
pub(crate) struct SimStore {
    /// Where the files are that it is given by path.
    disk: SimDisk,
    state: Arc<Mutex<State>>,
}

impl SimStore {
    pub(crate) fn new(disk: SimDisk, seed: u64) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            late: Vec::new(),
            faults: StoreFaults::default(),
            chance: Chance::new(seed),
            replaced: Vec::new(),
            last: Metadata::new(),
        };
        Self {
            disk,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut StoreFaults)) {
        change(&mut self.state().faults);
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Stored> {
        self.state().objects.clone()
    }

    /// Objects that a put replaced: never allowed, be the bytes the same or not.
    pub(crate) fn replaced(&self) -> Vec<String> {
        self.state().replaced.clone()
    }

    /// Puts an object behind the program's back.
    pub(crate) fn plant(&self, key: &str, object: Stored) {
        self.state().objects.insert(key.to_owned(), object);
    }

    /// Requests without answer reach the store now.
    pub(crate) fn deliver_late(&self) {
        let mut state = self.state();
        for (key, object, if_absent) in std::mem::take(&mut state.late) {
            let _nobody_listens = state.apply(&key, object, if_absent);
        }
    }
}

impl State {
    fn apply(&mut self, key: &str, object: Stored, if_absent: bool) -> PutAnswer {
        let is_probe = key.starts_with("_lakehook/");
        if !is_probe && let Some(answer) = self.lie(key, &object) {
            return answer;
        }
        let conditions = self.faults.conditions;
        let honoured = match conditions {
            Conditions::Honoured => true,
            Conditions::OnlyForProbe => is_probe,
            Conditions::Refused | Conditions::Ignored => false,
        };
        let taken = self.objects.contains_key(key);
        if if_absent && conditions == Conditions::Refused {
            return PutAnswer::ConditionRefused;
        }
        if if_absent && honoured && taken {
            return PutAnswer::Exists;
        }
        if taken && !is_probe {
            self.replaced.push(key.to_owned());
        }
        self.objects.insert(key.to_owned(), object);
        PutAnswer::Stored
    }

    /// Does something else than it was asked.
    fn lie(&mut self, key: &str, object: &Stored) -> Option<PutAnswer> {
        let mut object = object.clone();
        let last = std::mem::replace(&mut self.last, object.metadata.clone());
        let taken = self.objects.contains_key(key);
        let key = match self.faults.lie {
            StoreLie::Forgets if self.chance.percent(20) => return Some(PutAnswer::Stored),
            StoreLie::Cuts if !taken && self.chance.percent(20) => {
                object.bytes.truncate(object.bytes.len() / 2);
                key.to_owned()
            }
            StoreLie::MixesUp if !taken && !last.is_empty() => {
                object.metadata = last;
                key.to_owned()
            }
            StoreLie::Copies if taken => key.replacen('.', "-again.", 1),
            _ => return None,
        };
        self.objects.insert(key, object);
        Some(PutAnswer::Stored)
    }

    fn fault(&mut self, key: &str) -> Option<StoreFault> {
        let is_probe = key.starts_with("_lakehook/");
        if !is_probe && !self.faults.script.is_empty() {
            return self.faults.script.remove(0);
        }
        let roll = self.chance.below(100);
        let StoreFaults {
            errors,
            lost_answers,
            late,
            ..
        } = self.faults;
        if roll < errors {
            let kind = Trouble::ALL[self.chance.index(Trouble::ALL.len())];
            Some(StoreFault::Refused(kind))
        } else if roll < errors + lost_answers {
            Some(StoreFault::LostAnswer)
        } else if roll < errors + lost_answers + late {
            Some(StoreFault::Late)
        } else {
            None
        }
    }
}

impl ObjectStore for SimStore {
    fn put(&self, put: &Put<'_>) -> Result<PutAnswer, StoreError> {
        let bytes = match put.body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::File(path, bytes) => self.read(path, bytes)?,
        };
        let mut state = self.state();
        let metadata = if state.faults.forgets_metadata {
            Metadata::new()
        } else {
            put.metadata.clone()
        };
        let object = Stored { bytes, metadata };
        match state.fault(put.key) {
            None => Ok(state.apply(put.key, object, put.if_absent)),
            Some(StoreFault::Refused(kind)) => Err(error(kind)),
            Some(StoreFault::LostAnswer) => {
                state.apply(put.key, object, put.if_absent);
                Err(error(Trouble::Timeout))
            }
            Some(StoreFault::Late) => {
                state.late.push((put.key.to_owned(), object, put.if_absent));
                Err(error(Trouble::Timeout))
            }
        }
    }

    fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let mut state = self.state();
        let errors = state.faults.errors;
        if !state.chance.percent(errors) {
            return Ok(state.objects.get(key).map(|object| Head {
                bytes: object.bytes.len() as u64,
                metadata: object.metadata.clone(),
            }));
        }
        Err(error(Trouble::Server))
    }

    fn get(&self, key: &str, out: &mut dyn Write) -> Result<bool, StoreError> {
        let mut state = self.state();
        let errors = state.faults.errors;
        if state.chance.percent(errors) {
            return Err(error(Trouble::Network));
        }
        let Some(object) = state.objects.get(key).cloned() else {
            return Ok(false);
        };
        // `out` is a file on the simulated disk.
        drop(state);
        out.write_all(&object.bytes)
            .map_err(|_| error(Trouble::Other))?;
        Ok(true)
    }
}

impl SimStore {
    fn read(&self, path: &Path, expected: u64) -> Result<Vec<u8>, StoreError> {
        let bytes = read_whole(&self.disk, path, 1 << 30).map_err(|_| error(Trouble::Other))?;
        if bytes.len() as u64 != expected {
            return Err(error(Trouble::Other));
        }
        Ok(bytes)
    }
}

fn error(kind: Trouble) -> StoreError {
    StoreError {
        kind,
        message: format!("simulated: {}", kind.as_str()),
    }
}
