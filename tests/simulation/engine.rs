//! A simulated engine of a replicated journal: items in memory, answers that are lost, puts that arrive long
//! after whoever sent them has given up, and lies.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use lakehook::wal::journal::replica::engine::{Engine, EngineError, Item, KeepTrying, PutVerdict};
use lakehook::wal::journal::replica::envelope::Envelope;

use crate::chance::Chance;
use crate::disk::{Op, SimDisk};

/// What a broken engine, or a broken owner, pretends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EngineLie {
    #[default]
    Nothing,
    /// A trim deletes fences too.
    FencesTrimmed,
    /// A put of a number that is taken is reported as stored: "it must have been ours".
    TakenIsOurs,
    /// A list has nothing that was stored after its caller first looked.
    OldList,
    /// A put is reported as stored, and nothing is.
    Forgets,
    /// Id files are reported as stored, and are not.
    ForgetsIds,
}

/// How often what goes wrong, in percent of requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EngineFaults {
    /// Nothing happened, and that is not known.
    pub(crate) errors: u64,
    /// It was done, and the answer was lost.
    pub(crate) lost_answers: u64,
    /// It will be done some time later; the caller is told that nobody knows.
    pub(crate) late: u64,
    /// Bytes for which there is space, apart from the reserve.
    pub(crate) space: Option<u64>,
    pub(crate) lie: EngineLie,
}

#[derive(Debug)]
struct State {
    items: BTreeMap<String, Vec<u8>>,
    /// Puts that are still on their way.
    late: Vec<(String, Vec<u8>)>,
    faults: EngineFaults,
    chance: Chance,
    /// Whether any request failed, or found its item taken, since the last question.
    saw_trouble: bool,
    /// Whether the reserve has been given up.
    has_no_reserve: bool,
    /// Numbers that were listed when the journal was opened last, for [`EngineLie::OldList`].
    listed: BTreeSet<u64>,
}

/// The engine. Clones share it; the process that asks dies with the disk.
#[derive(Clone, Debug)]
pub(crate) struct SimEngine {
    disk: SimDisk,
    state: Arc<Mutex<State>>,
}

/// Bytes that the engine keeps in reserve.
pub(crate) const RESERVE: u64 = 4 << 10;
const FRAMES: &str = "frames/";

fn key_of(item: Item<'_>) -> String {
    match item {
        Item::Frame(number) => format!("{FRAMES}{number:020}"),
        Item::File(name) => format!("files/{name}"),
    }
}

fn number_of(key: &str) -> Option<u64> {
    key.strip_prefix(FRAMES)?.parse().ok()
}

impl State {
    fn put(&mut self, key: &str, bytes: &[u8]) -> PutVerdict {
        if self.items.contains_key(key) {
            self.saw_trouble = true;
            return match self.faults.lie {
                EngineLie::TakenIsOurs => PutVerdict::Stored,
                _ => PutVerdict::Taken,
            };
        }
        let forgets = match self.faults.lie {
            EngineLie::Forgets => key.starts_with(FRAMES) && self.chance.percent(20),
            EngineLie::ForgetsIds => key.strip_suffix(".ids").is_some(),
            _ => false,
        };
        if !forgets {
            self.items.insert(key.to_owned(), bytes.to_vec());
        }
        PutVerdict::Stored
    }

    /// Takes space for something, if there is as much.
    fn takes_space(&mut self, bytes: u64) -> bool {
        let Some(space) = &mut self.faults.space else {
            return true;
        };
        let fits = bytes <= *space;
        if fits {
            *space -= bytes;
        }
        fits
    }

    /// Whether a request goes wrong, and how.
    fn trouble(&mut self) -> Option<Trouble> {
        let EngineFaults {
            errors,
            lost_answers,
            late,
            ..
        } = self.faults;
        let roll = self.chance.below(100);
        let trouble = match roll {
            _ if roll < errors => Some(Trouble::Error),
            _ if roll < errors + lost_answers => Some(Trouble::LostAnswer),
            _ if roll < errors + lost_answers + late => Some(Trouble::Late),
            _ => None,
        };
        self.saw_trouble |= trouble.is_some();
        trouble
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Error,
    LostAnswer,
    Late,
}

fn unknown() -> EngineError {
    EngineError::Unknown("simulated: nobody knows".to_owned())
}

impl SimEngine {
    pub(crate) fn new(disk: SimDisk, seed: u64) -> Self {
        let state = State {
            items: BTreeMap::new(),
            late: Vec::new(),
            faults: EngineFaults::default(),
            chance: Chance::new(seed),
            saw_trouble: false,
            has_no_reserve: false,
            listed: BTreeSet::new(),
        };
        Self {
            disk,
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut EngineFaults)) {
        change(&mut self.state().faults);
    }

    /// Whether a request failed since the last question.
    pub(crate) fn take_trouble(&self) -> bool {
        std::mem::take(&mut self.state().saw_trouble)
    }

    /// Lets puts arrive that were on their way.
    pub(crate) fn deliver_late(&self) {
        let mut state = self.state();
        for (key, bytes) in std::mem::take(&mut state.late) {
            state.items.entry(key).or_insert(bytes);
        }
    }

    /// Takes a copy of everything, to which [`SimEngine::go_back`] returns.
    pub(crate) fn remember(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().items.clone()
    }

    /// Loses everything that was stored since.
    pub(crate) fn go_back(&self, to: BTreeMap<String, Vec<u8>>) {
        self.state().items = to;
    }

    /// Loses an item behind everybody's back.
    pub(crate) fn vanish(&self, item: Item<'_>) {
        self.state().items.remove(&key_of(item));
    }

    /// Puts something that is no frame of the log.
    pub(crate) fn plant(&self, item: Item<'_>, bytes: &[u8]) {
        self.state().items.insert(key_of(item), bytes.to_vec());
    }

    /// Loses the frames of the oldest segment but those of the newest, and none of the fences.
    pub(crate) fn vanish_first(&self) {
        let mut state = self.state();
        let envelopes: Vec<(String, Envelope)> = {
            let frames = state
                .items
                .iter()
                .filter(|(key, _)| number_of(key).is_some());
            frames
                .map(|(key, item)| (key.clone(), Envelope::open(item.clone()).unwrap().0))
                .collect()
        };
        let newest = envelopes.last().map_or(0, |(_, envelope)| envelope.segment);
        let plain = envelopes.iter().filter(|(key, envelope)| {
            number_of(key) != Some(envelope.fence) && envelope.segment < newest
        });
        let oldest = plain.clone().map(|(_, envelope)| envelope.segment).min();
        for (key, _) in plain.filter(|(_, envelope)| Some(envelope.segment) == oldest) {
            state.items.remove(key);
        }
    }

    /// The numbers of all frames.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.state()
            .items
            .keys()
            .filter_map(|key| number_of(key))
            .collect()
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        let state = self.state();
        let files = state
            .items
            .keys()
            .filter_map(|key| key.strip_prefix("files/"));
        files.map(str::to_owned).collect()
    }

    /// The process is alive, and its disk does not let this request fail.
    fn begin(&self, key: &str) -> io::Result<()> {
        self.disk
            .state()
            .begin(Op::Write, Path::new(&format!("/engine/{key}")))
    }

    fn is_alive(&self) -> Result<(), EngineError> {
        if self.disk.has_crashed() {
            return Err(unknown());
        }
        Ok(())
    }

    fn trouble(&self) -> Result<(), EngineError> {
        self.is_alive()?;
        match self.state().trouble() {
            // Only puts can be late.
            None | Some(Trouble::Late) => Ok(()),
            Some(_) => Err(unknown()),
        }
    }
}

/// Tries again a few times, as the seed decides.
pub(crate) fn keep_trying(seed: u64) -> KeepTrying {
    let chance = Mutex::new(Chance::new(seed));
    Arc::new(move |failed, _| failed < 5 && chance.lock().unwrap().percent(70))
}

/// Never tries again.
pub(crate) fn give_up() -> KeepTrying {
    Arc::new(|_, _| false)
}

impl Engine for SimEngine {
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError> {
        // A process that is dead sends nothing.
        self.is_alive()?;
        let key = key_of(item);
        let begun = self.begin(&key);
        let mut state = self.state();
        if !state.takes_space(bytes.len() as u64) {
            return Err(EngineError::Full("simulated: no space".to_owned()));
        }
        if let Err(error) = begun {
            state.saw_trouble = true;
            if error.kind() == io::ErrorKind::StorageFull {
                return Err(EngineError::Full(error.to_string()));
            }
            // The process died, or the network failed: before or after.
            if state.chance.percent(50) {
                state.put(&key, bytes);
            }
            return Err(unknown());
        }
        match state.trouble() {
            None => Ok(state.put(&key, bytes)),
            Some(Trouble::Error) => Err(unknown()),
            Some(Trouble::LostAnswer) => {
                state.put(&key, bytes);
                Err(unknown())
            }
            Some(Trouble::Late) => {
                state.late.push((key, bytes.to_vec()));
                Err(unknown())
            }
        }
    }

    fn make_room(&self) -> Result<(), EngineError> {
        let mut state = self.state();
        let gives = !std::mem::replace(&mut state.has_no_reserve, true);
        if let Some(space) = state.faults.space.as_mut().filter(|_| gives) {
            *space += RESERVE;
        }
        Ok(())
    }

    fn has_room(&self) -> Result<bool, EngineError> {
        let mut state = self.state();
        if state.has_no_reserve && !state.takes_space(RESERVE) {
            return Ok(false);
        }
        state.has_no_reserve = false;
        Ok(state.faults.space.is_none_or(|space| space >= RESERVE))
    }

    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        self.trouble()?;
        Ok(self.state().items.get(&key_of(item)).cloned())
    }

    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError> {
        self.trouble()?;
        let mut state = self.state();
        let numbers: Vec<u64> = state
            .items
            .keys()
            .filter_map(|key| number_of(key))
            .collect();
        if first == 0 {
            state.listed = numbers.iter().copied().collect();
        }
        let is_old = state.faults.lie == EngineLie::OldList;
        let seen = |number: &u64| !is_old || *number == first || state.listed.contains(number);
        Ok(numbers
            .into_iter()
            .filter(|number| *number >= first && seen(number))
            .collect())
    }

    fn files(&self) -> Result<Vec<String>, EngineError> {
        self.trouble()?;
        Ok(self.names())
    }

    fn delete(&self, item: Item<'_>) -> Result<(), EngineError> {
        self.trouble()?;
        let mut state = self.state();
        state.items.remove(&key_of(item));
        if let (EngineLie::FencesTrimmed, Item::Frame(number)) = (state.faults.lie, item) {
            // Everything below what is deleted goes too.
            let doomed: Vec<String> = {
                let keys = state.items.keys();
                let below = |key: &&String| number_of(key).is_some_and(|other| other <= number);
                let newest = state
                    .items
                    .keys()
                    .rev()
                    .find(|key| number_of(key).is_some());
                keys.filter(below)
                    .filter(|key| Some(*key) != newest)
                    .cloned()
                    .collect()
            };
            for key in doomed {
                state.items.remove(&key);
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        "engine".to_owned()
    }
}
