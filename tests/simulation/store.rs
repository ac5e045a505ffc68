//! A simulated object store: atomic conditional puts in memory, answers that are lost, and bodies that are
//! damaged on their way.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use lakehook::checksum::crc32c;
use lakehook::files::read_whole;
use lakehook::lake::stamp::ERASURE;
use lakehook::lake::store::{
    Body, BodyCheck, Condition, Evidence, Head, ObjectStore, Put, PutAnswer, StoreError,
};
use lakehook::lake::{Metadata, Trouble};
use md5::{Digest as _, Md5};

use crate::chance::Chance;
use crate::disk::SimDisk;

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Metadata,
    /// The CRC-32C in the headers of the put.
    pub(crate) sent_crc: Option<u32>,
}

impl Stored {
    /// An object that somebody put without a checksum.
    pub(crate) fn new(bytes: Vec<u8>, metadata: Metadata) -> Self {
        Self {
            bytes,
            metadata,
            sent_crc: None,
        }
    }
}

/// A put as it reaches the store.
#[derive(Clone, Debug)]
struct Arrived {
    key: String,
    object: Stored,
    condition: OwnedCondition,
    /// Whether the body was damaged on its way.
    damaged: bool,
    check: BodyCheck,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnedCondition {
    Always,
    IfAbsent,
    IfMatch(String),
}

/// A fault of one request; see [`StoreFaults::script`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreFault {
    /// The store answers with an error and does nothing.
    Refused(Trouble),
    /// The store does it, and the answer is lost.
    LostAnswer,
    /// There is no answer. The store does it later, perhaps after the process has ended.
    Late,
    /// One bit of the body is flipped on its way.
    Flips,
    /// The body ends in its middle.
    Cuts,
    /// Something between client and store answers 200; the store never sees the request.
    Stranger,
}

/// Which checksums a store compares with a body, and which it reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proofs {
    /// It compares CRC-32C and Content-MD5, and its answers have the CRC-32C.
    #[default]
    Crc32c,
    /// It compares the CRC-32C but never reports it, and its ETags are no MD5.
    SilentCrc32c,
    /// It refuses a put with a CRC-32C, but compares Content-MD5.
    Md5,
    /// It compares nothing, but reports the CRC-32C of what it holds.
    NamedCrc32c,
    /// It compares nothing, reports the checksum that the request had, and its ETag is the MD5.
    RepeatedCrc32c,
    /// It refuses every checksum, but its ETag is the MD5.
    Etag,
    /// It refuses every checksum, and reports nothing.
    Nothing,
}

impl Proofs {
    pub(crate) const ALL: [Self; 7] = [
        Self::Crc32c,
        Self::SilentCrc32c,
        Self::Md5,
        Self::NamedCrc32c,
        Self::RepeatedCrc32c,
        Self::Etag,
        Self::Nothing,
    ];

    /// The answer to a body whose checksum the store does not accept, or that does not match its checksum.
    fn refuses(self, check: BodyCheck, bytes: &[u8]) -> Option<PutAnswer> {
        let compares_crc = matches!(self, Self::Crc32c | Self::SilentCrc32c);
        let compares_md5 = matches!(self, Self::Crc32c | Self::Md5);
        let takes_crc = !matches!(self, Self::Md5 | Self::Etag | Self::Nothing);
        let takes_md5 = !matches!(self, Self::Etag | Self::Nothing);
        let (taken, fits) = match check {
            BodyCheck::Absent => (true, true),
            BodyCheck::Crc32c(crc) => (takes_crc, !compares_crc || crc == crc32c(bytes)),
            BodyCheck::Md5(md5) => (takes_md5, !compares_md5 || md5 == md5_of(bytes)),
        };
        if !taken {
            return Some(PutAnswer::Refused("simulated: what is that header?".into()));
        }
        (!fits).then(|| PutAnswer::Damaged("simulated: BadDigest".into()))
    }

    /// What the store reports about an object.
    fn evidence(self, object: &Stored) -> Evidence {
        let crc = match self {
            Self::Crc32c | Self::NamedCrc32c => Some(crc32c(&object.bytes)),
            Self::RepeatedCrc32c => object.sent_crc,
            Self::SilentCrc32c | Self::Md5 | Self::Etag | Self::Nothing => None,
        };
        let tag = match self {
            Self::Md5 | Self::RepeatedCrc32c | Self::Etag => md5_of(&object.bytes),
            // A tag as long as an MD5, but which is none.
            _ => md5_of(&[b"no MD5", object.bytes.as_slice()].concat()),
        };
        Evidence {
            etag: Some(format!("{:032x}", u128::from_be_bytes(tag))),
            crc,
        }
    }
}

fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// How a store treats conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conditions {
    #[default]
    Honoured,
    /// Conditions are answered 501.
    Refused,
    /// Conditions are ignored: the answer is 200, and the object is replaced.
    Ignored,
    /// Conditions are honoured for the probe alone, as by a store that lies.
    OnlyForProbe,
}

/// What a broken store pretends. The simulation must notice each of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StoreLie {
    #[default]
    Nothing,
    /// Some objects are reported as stored but are not.
    Forgets,
    /// Some objects are cut in their middle.
    Cuts,
    /// An object gets the metadata of the object before it.
    MixesUp,
    /// An object that is there already is stored again, under another key.
    Copies,
    /// A 200 that is not the store's names the checksum that was sent, so it is believed.
    BelievedStranger,
    /// Checksums are not compared, so bodies that were damaged on their way count as stored.
    ChecksumNotCompared,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StoreFaults {
    /// Percentage of requests that fail, like the next four for other faults.
    pub(crate) errors: u64,
    pub(crate) lost_answers: u64,
    pub(crate) late: u64,
    /// Bodies that arrive with a flipped bit or cut.
    pub(crate) damages: u64,
    /// Answers of 200 that are not the store's.
    pub(crate) strangers: u64,
    /// The faults of the next puts of objects, in order; `None` is no fault.
    pub(crate) script: Vec<Option<StoreFault>>,
    /// The faults of the next puts of notes of retentions, likewise.
    pub(crate) notes: Vec<Option<StoreFault>>,
    /// The faults of the next deletions, likewise.
    pub(crate) deletes: Vec<Option<StoreFault>>,
    pub(crate) conditions: Conditions,
    pub(crate) proofs: Proofs,
    pub(crate) forgets_metadata: bool,
    pub(crate) lie: StoreLie,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<String, Stored>,
    late: Vec<Arrived>,
    faults: StoreFaults,
    chance: Chance,
    replaced: Vec<String>,
    /// Keys of objects whose bodies were damaged on their way, which may be replaced.
    damaged: BTreeSet<String>,
    /// The metadata of the last object.
    last: Metadata,
}

/// The store. Clones share its contents.
#[derive(Clone, Debug)]
pub(crate) struct SimStore {
    /// The disk with the files that the store is given by path.
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
            damaged: BTreeSet::new(),
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

    /// Keys of objects that a put replaced, which is never allowed, even with the same bytes.
    pub(crate) fn replaced(&self) -> Vec<String> {
        self.state().replaced.clone()
    }

    /// Whether an object was damaged on its way and has not been put again.
    pub(crate) fn is_damaged(&self, key: &str) -> bool {
        self.state().damaged.contains(key)
    }

    /// Puts an object behind the program's back.
    pub(crate) fn plant(&self, key: &str, object: Stored) {
        self.state().objects.insert(key.to_owned(), object);
    }

    /// Puts an object of ours that was damaged on its way, behind the program's back.
    pub(crate) fn plant_damaged(&self, key: &str, object: Stored) {
        let mut state = self.state();
        state.damaged.insert(key.to_owned());
        state.objects.insert(key.to_owned(), object);
    }

    /// Delivers the requests that were not answered.
    pub(crate) fn deliver_late(&self) {
        let mut state = self.state();
        for put in std::mem::take(&mut state.late) {
            let _nobody_listens = state.apply(put);
        }
    }
}

impl State {
    fn apply(&mut self, put: Arrived) -> PutAnswer {
        let is_probe = put.key.starts_with("_lakehook/probe");
        if !put.key.starts_with("_lakehook/")
            && let Some(answer) = self.lie(&put)
        {
            return answer;
        }
        let conditions = self.faults.conditions;
        let honoured = match conditions {
            Conditions::Honoured => true,
            Conditions::OnlyForProbe => is_probe,
            Conditions::Refused | Conditions::Ignored => false,
        };
        if put.condition != OwnedCondition::Always && conditions == Conditions::Refused {
            return PutAnswer::Refused("simulated: no conditions".into());
        }
        if honoured && !self.holds(&put) {
            return PutAnswer::ConditionFailed;
        }
        if let Some(refused) = self.faults.proofs.refuses(put.check, &put.object.bytes) {
            return refused;
        }
        let taken = self.objects.contains_key(&put.key);
        let was_damaged = self.damaged.remove(&put.key);
        // An erasure replaces an object, and says so; nothing replaces an erased one without saying so.
        let is_erasure = put.object.metadata.contains_key(ERASURE)
            && matches!(put.condition, OwnedCondition::IfMatch(_));
        if taken && !is_probe && !was_damaged && !is_erasure {
            self.replaced.push(put.key.clone());
        }
        if put.damaged {
            self.damaged.insert(put.key.clone());
        }
        let evidence = self.faults.proofs.evidence(&put.object);
        self.objects.insert(put.key, put.object);
        PutAnswer::Stored(evidence)
    }

    /// Whether the condition of a put holds.
    fn holds(&self, put: &Arrived) -> bool {
        let there = self.objects.get(&put.key);
        match &put.condition {
            OwnedCondition::Always => true,
            OwnedCondition::IfAbsent => there.is_none(),
            OwnedCondition::IfMatch(etag) => there.is_some_and(|object| {
                self.faults.proofs.evidence(object).etag.as_ref() == Some(etag)
            }),
        }
    }

    /// Does something other than what it was asked to do.
    fn lie(&mut self, put: &Arrived) -> Option<PutAnswer> {
        let mut object = put.object.clone();
        let stored = PutAnswer::Stored(as_sent(&object));
        let last = std::mem::replace(&mut self.last, object.metadata.clone());
        let taken = self.objects.contains_key(&put.key);
        let key = match self.faults.lie {
            StoreLie::Forgets if self.chance.percent(20) => return Some(stored),
            StoreLie::Cuts if !taken && self.chance.percent(20) => {
                object.bytes.truncate(object.bytes.len() / 2);
                put.key.clone()
            }
            StoreLie::ChecksumNotCompared if !taken && self.chance.percent(20) => {
                let at = self.chance.index(object.bytes.len());
                object.bytes[at] ^= 1;
                put.key.clone()
            }
            StoreLie::MixesUp if !taken && !last.is_empty() => {
                object.metadata = last;
                put.key.clone()
            }
            StoreLie::Copies if taken => put.key.replacen('.', "-again.", 1),
            _ => return None,
        };
        self.objects.insert(key, object);
        Some(stored)
    }

    fn fault(&mut self, key: &str) -> Option<StoreFault> {
        let is_probe = key.starts_with("_lakehook/probe");
        if !key.starts_with("_lakehook/") && !self.faults.script.is_empty() {
            return self.faults.script.remove(0);
        }
        if key.starts_with("_lakehook/retention/") && !self.faults.notes.is_empty() {
            return self.faults.notes.remove(0);
        }
        let roll = self.chance.below(100);
        let StoreFaults {
            errors,
            lost_answers,
            late,
            damages,
            strangers,
            ..
        } = self.faults;
        if roll < errors {
            let kind = Trouble::ALL[self.chance.index(Trouble::ALL.len())];
            Some(StoreFault::Refused(kind))
        } else if roll < errors + lost_answers {
            Some(StoreFault::LostAnswer)
        } else if roll < errors + lost_answers + late {
            Some(StoreFault::Late)
        } else if is_probe {
            None
        } else if roll < errors + lost_answers + late + damages {
            Some([StoreFault::Flips, StoreFault::Cuts][self.chance.index(2)])
        } else if roll < errors + lost_answers + late + damages + strangers {
            Some(StoreFault::Stranger)
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
            Body::Assembled(assembled, bytes) => {
                let mut all = Vec::new();
                let read = Arc::clone(assembled).open().read_to_end(&mut all);
                if read.map_err(|_| error(Trouble::Other))? as u64 != bytes {
                    return Err(error(Trouble::Other));
                }
                all
            }
        };
        let mut state = self.state();
        let metadata = if state.faults.forgets_metadata {
            Metadata::new()
        } else {
            put.metadata.clone()
        };
        let sent_crc = match put.check {
            BodyCheck::Crc32c(crc) => Some(crc),
            BodyCheck::Md5(_) | BodyCheck::Absent => None,
        };
        let mut arrived = Arrived {
            key: put.key.to_owned(),
            object: Stored {
                bytes,
                metadata,
                sent_crc,
            },
            condition: match put.condition {
                Condition::Always => OwnedCondition::Always,
                Condition::IfAbsent => OwnedCondition::IfAbsent,
                Condition::IfMatch(etag) => OwnedCondition::IfMatch(etag.to_owned()),
            },
            damaged: false,
            check: put.check,
        };
        match state.fault(put.key) {
            None => Ok(state.apply(arrived)),
            Some(StoreFault::Refused(kind)) => Err(error(kind)),
            Some(StoreFault::LostAnswer) => {
                state.apply(arrived);
                Err(error(Trouble::Timeout))
            }
            Some(StoreFault::Late) => {
                state.late.push(arrived);
                Err(error(Trouble::Timeout))
            }
            Some(fault @ (StoreFault::Flips | StoreFault::Cuts)) => {
                let bytes = &mut arrived.object.bytes;
                if fault == StoreFault::Cuts || bytes.is_empty() {
                    bytes.truncate(bytes.len() / 2);
                } else {
                    let at = state.chance.index(bytes.len());
                    bytes[at] ^= 1 << state.chance.below(8);
                }
                arrived.damaged = true;
                Ok(state.apply(arrived))
            }
            Some(StoreFault::Stranger) => Ok(PutAnswer::Stored(
                if state.faults.lie == StoreLie::BelievedStranger {
                    as_sent(&arrived.object)
                } else {
                    Evidence::default()
                },
            )),
        }
    }

    fn head(&self, key: &str) -> Result<Option<Head>, StoreError> {
        let mut state = self.state();
        let errors = state.faults.errors;
        if !state.chance.percent(errors) {
            let proofs = state.faults.proofs;
            return Ok(state.objects.get(key).map(|object| Head {
                bytes: object.bytes.len() as u64,
                metadata: object.metadata.clone(),
                evidence: proofs.evidence(object),
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
        // `out` is a file on the simulated disk, so the store is not locked while it is written.
        drop(state);
        out.write_all(&object.bytes)
            .map_err(|_| error(Trouble::Other))?;
        Ok(true)
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        let scripted = !state.faults.deletes.is_empty();
        let fault = scripted.then(|| state.faults.deletes.remove(0)).flatten();
        match fault {
            None => {
                state.objects.remove(key);
                Ok(())
            }
            Some(StoreFault::LostAnswer) => {
                state.objects.remove(key);
                Err(error(Trouble::Timeout))
            }
            // Something between client and store answers.
            Some(StoreFault::Stranger) => Ok(()),
            Some(_) => Err(error(Trouble::Server)),
        }
    }

    fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, StoreError> {
        let mut state = self.state();
        let errors = state.faults.errors;
        if state.chance.percent(errors) {
            return Err(error(Trouble::Server));
        }
        let keys = state.objects.keys().filter(|key| key.starts_with(prefix));
        let keys = keys.filter(|key| after.is_none_or(|after| key.as_str() > after));
        Ok(keys.cloned().collect())
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

/// The answer of a store that had stored exactly what was sent.
fn as_sent(object: &Stored) -> Evidence {
    Evidence {
        etag: Some("0123456789abcdef".to_owned()),
        crc: object.sent_crc,
    }
}

fn error(kind: Trouble) -> StoreError {
    StoreError {
        kind,
        message: format!("simulated: {}", kind.as_str()),
    }
}
