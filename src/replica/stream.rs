//! A stream of NATS JetStream as the engine of a replicated log: one message for each item, under a subject of
//! its own.
//!
//! ```text
//! <root>.frames.<number, 20 digits>.item      envelope and frame
//! <root>.files.<name>.item                    a file beside them
//! <root>.….parts.<hash>-<bytes>.<number>      the parts of an item that is larger than a message may be
//! ```
//!
//! An item is stored on the condition that its subject has no message. Its subject has one for as long as it is
//! not deleted, so JetStream refuses another one, whoever sends it, and whenever.
//!
//! *Refused* is no verdict by itself: JetStream compares with messages that are still on their way, too. So a
//! subject counts as taken only once its message can be read. What cannot be read is *unknown*, and is tried
//! again.
//!
//! Where there is no space, the leader refuses a message before it tells the others of it. Commits and checkpoints
//! must be stored even then, because nothing can be trimmed without them: a few messages without meaning,
//! `<root>.reserve.<number>`, are deleted to make room for them, and are put back once there is room again.
//!
//! A server that has been cut off may answer by what it knew before, and a stream may be made anew, or lose what it
//! has acknowledged. So nothing is believed of whoever does not know the newest message that we have heard of: not
//! a list, nor that there is no such item, nor that one is stored or taken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Handle;

use super::nats::{Done, NatsConnection, NatsError, PubAck, StreamPlace};
use super::parts::{IN_PARTS, Parts, WHOLE, name_of_token, token_of};
use super::stream_checks::{self, StreamCluster, StreamInfo};
use crate::lake::LakeError;
use crate::wal::journal::layout::number_of;
use crate::wal::journal::replica::engine::{Engine, EngineError, Item, PutVerdict};

/// The subject has a message, or one is on its way.
const NOT_LAST: [u32; 2] = [10071, 10164];
/// There is no message of that subject.
const NO_MESSAGE: u32 = 10037;
/// There is no such stream.
const NO_STREAM: u32 = 10059;

/// Bytes that a stream takes for an item, apart from the item: subject, headers, envelope, and its own record.
const BESIDE_ITEM: u64 = 512;
/// Bytes of a message apart from its part of an item.
const BESIDE: usize = 1024;
/// Most bytes of a message.
const MAX_MESSAGE: usize = 1 << 20;
/// So many messages of the most bytes are kept in reserve.
const RESERVE: u64 = 16;
/// Lists are begun again if something is deleted meanwhile, so often.
const LISTS: u32 = 5;

/// A stream that keeps a log. Cheap to clone.
#[derive(Clone)]
pub struct StreamEngine {
    own: Arc<Own>,
}

struct Own {
    connection: NatsConnection,
    place: StreamPlace,
    /// Most bytes of a part.
    part: usize,
    /// The newest message that we have heard of.
    newest: AtomicU64,
    /// Whether a stream that does not exist is as good as an empty one.
    only_reads: bool,
}

#[derive(Debug, Deserialize)]
struct Got {
    message: GotMessage,
}

#[derive(Debug, Deserialize)]
struct GotMessage {
    seq: u64,
    #[serde(default)]
    data: String,
}

impl StreamEngine {
    /// The log in a stream, which is made if there is none. It is probed, and refused if it cannot keep a log.
    /// `unique` is a random number. Blocks.
    pub fn open(place: StreamPlace, runtime: Handle, unique: u64) -> Result<Self, LakeError> {
        let connection = NatsConnection::open(&place.access, runtime)?;
        stream_checks::prepare(&connection, &place)?;
        let engine = Self::new(connection, place, false);
        engine.probe(unique)?;
        engine.sweep().map_err(|error| engine.no_result(&error))?;
        Ok(engine)
    }

    /// The same for whoever only reads, without a probe. Blocks.
    pub fn for_reading(place: StreamPlace, runtime: Handle) -> Result<Self, LakeError> {
        let connection = NatsConnection::open(&place.access, runtime)?;
        Ok(Self::new(connection, place, true))
    }

    /// The names of the servers that keep the stream. Blocks.
    pub fn servers(&self) -> Result<Vec<String>, EngineError> {
        let info = self.info(&json!({}))?;
        Ok(info.cluster.map(StreamCluster::names).unwrap_or_default())
    }

    /// Deletes the stream, with everything in it. Blocks.
    pub fn remove(&self) -> Result<(), EngineError> {
        let removed = self
            .own
            .connection
            .ask::<Done>(&self.api("STREAM.DELETE"), &json!({}));
        removed.map(drop).map_err(|error| unknown(&error))
    }

    fn new(connection: NatsConnection, place: StreamPlace, only_reads: bool) -> Self {
        let part = connection
            .max_payload()
            .min(MAX_MESSAGE)
            .saturating_sub(BESIDE)
            .max(BESIDE);
        Self {
            own: Arc::new(Own {
                connection,
                place,
                part,
                newest: AtomicU64::new(0),
                only_reads,
            }),
        }
    }

    /// Why a start ends here. A right that is missing shows as requests without an answer.
    fn no_result(&self, error: &EngineError) -> LakeError {
        match self.own.connection.missing_right() {
            Some(said) => NatsError::Denied(said).into(),
            None => NatsError::Unanswered(error.to_string()).into(),
        }
    }

    /// One message must keep others away, be listed, and be gone once it is deleted. It also shows that the leader
    /// of the stream has the others behind it.
    fn probe(&self, unique: u64) -> Result<(), LakeError> {
        let name = format!("probe-{unique:016x}");
        let item = Item::File(&name);
        let retry = |error: EngineError| self.no_result(&error);
        let is_listed = || Ok::<_, EngineError>(self.files()?.contains(&name));
        // The answer to an earlier attempt may have been lost.
        self.delete(item).map_err(retry)?;
        let mut first = self.put_new(item, b"1");
        if let Err(EngineError::Full(_)) = first {
            self.make_room().map_err(retry)?;
            first = self.put_new(item, b"1");
        }
        let first = first.map_err(retry)?;
        let second = self.put_new(item, b"2").map_err(retry)?;
        let there = self.read(item).map_err(retry)?;
        let was_listed = is_listed().map_err(retry)?;
        self.delete(item).map_err(retry)?;
        let fences = (first, second) == (PutVerdict::Stored, PutVerdict::Taken);
        if fences && there.as_deref() == Some(b"1") && was_listed && !is_listed().map_err(retry)? {
            return Ok(());
        }
        Err(LakeError::Unusable(format!(
            "{} cannot keep a log: it takes two messages where one must keep the other away",
            self.name()
        )))
    }

    /// The subject of an item, apart from its last name.
    fn subject(&self, item: Item<'_>) -> String {
        let root = &self.own.place.root;
        match item {
            Item::Frame(number) => format!("{root}.frames.{number:020}"),
            Item::File(name) => format!("{root}.files.{}", token_of(name)),
        }
    }

    fn api(&self, what: &str) -> String {
        format!("{what}.{}", self.own.place.stream)
    }

    fn heard_of(&self, newest: u64) {
        self.own.newest.fetch_max(newest, Ordering::AcqRel);
    }

    /// Whether whoever answers knows the newest message.
    fn check_answer(&self, newest: u64) -> Result<(), EngineError> {
        let heard_of = self.own.newest.load(Ordering::Acquire);
        if newest < heard_of {
            return Err(self.gone_back(newest, heard_of));
        }
        self.heard_of(newest);
        Ok(())
    }

    /// Asks whether the stream has the newest message.
    fn check_stream(&self) -> Result<(), EngineError> {
        self.check_answer(self.info(&json!({}))?.state.last_seq)
    }

    fn gone_back(&self, newest: u64, heard_of: u64) -> EngineError {
        let name = self.name();
        EngineError::Unknown(format!(
            "the newest message in {name} is {newest}, and {heard_of} was stored before: either a server has \
             answered that lags behind the others, or the stream has lost messages"
        ))
    }

    /// Stores a message unless its subject has one; `None` if there is one, or is about to be.
    fn publish(&self, subject: &str, bytes: Vec<u8>) -> Result<Option<()>, EngineError> {
        let before = self.own.newest.load(Ordering::Acquire);
        match self.own.connection.publish_new(subject, &bytes.into()) {
            Ok(PubAck {
                stream,
                seq,
                duplicate,
            }) => {
                if stream != self.own.place.stream || duplicate {
                    let message = format!("stream {stream} has answered in place of this one");
                    return Err(EngineError::Unknown(message));
                }
                // Numbers only grow, also when messages are deleted.
                if seq <= before {
                    return Err(self.gone_back(seq, before));
                }
                self.heard_of(seq);
                Ok(Some(()))
            }
            Err(error) if error.code().is_some_and(|code| NOT_LAST.contains(&code)) => Ok(None),
            Err(error) if error.is_about_space() => match self.last_of(subject)? {
                // Two servers may take themselves for the leader for a moment, and the other one has stored it.
                Some(_) => Ok(None),
                None => Err(EngineError::Full(format!("{}: {error}", self.name()))),
            },
            Err(error) => Err(unknown(&error)),
        }
    }

    /// Stores the parts of an item. They are named by what they are, so those of an earlier attempt are as good.
    fn put_parts(&self, base: &str, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        let parts = Parts::of(bytes, self.own.part);
        let token = parts.token();
        for (number, part) in bytes.chunks(self.own.part).enumerate() {
            let subject = format!("{base}.parts.{token}.{number}");
            if self.publish(&subject, part.to_vec())?.is_none() && self.last_of(&subject)?.is_none()
            {
                return Err(on_its_way());
            }
        }
        Ok(parts.encode())
    }

    /// The message of a subject.
    fn last_of(&self, subject: &str) -> Result<Option<Vec<u8>>, EngineError> {
        let body = json!({ "last_by_subj": subject });
        let got: Result<Got, _> = self.own.connection.ask(&self.api("STREAM.MSG.GET"), &body);
        match got {
            Ok(Got { message }) => {
                self.heard_of(message.seq);
                let decoded = BASE64_STANDARD.decode(&message.data);
                decoded
                    .map(Some)
                    .map_err(|error| EngineError::Unknown(error.to_string()))
            }
            Err(error) if error.code() == Some(NO_MESSAGE) => {
                self.check_stream()?;
                Ok(None)
            }
            Err(error) if self.own.only_reads && error.code() == Some(NO_STREAM) => Ok(None),
            Err(error) => Err(unknown(&error)),
        }
    }

    fn info(&self, body: &serde_json::Value) -> Result<StreamInfo, EngineError> {
        let info = self.own.connection.ask(&self.api("STREAM.INFO"), body);
        info.map_err(|error| unknown(&error))
    }

    /// The item of its message; `None` if its parts are gone. What somebody else has put there is as it is, and
    /// whoever reads it finds that it is nothing of a log.
    fn assemble(&self, base: &str, mut message: Vec<u8>) -> Result<Option<Vec<u8>>, EngineError> {
        let parts = match message.split_first() {
            Some((&WHOLE, _)) => {
                message.remove(0);
                return Ok(Some(message));
            }
            Some((&IN_PARTS, rest)) => Parts::decode(rest),
            _ => None,
        };
        let Some(parts) = parts else {
            return Ok(Some(message));
        };
        let token = parts.token();
        let mut bytes = Vec::new();
        for number in 0..parts.count() {
            let Some(part) = self.last_of(&format!("{base}.parts.{token}.{number}"))? else {
                return Ok(None);
            };
            bytes.extend_from_slice(&part);
        }
        Ok(Some(bytes))
    }

    /// The subjects that have messages, in order, that match a pattern.
    fn subjects(&self, pattern: &str) -> Result<Vec<String>, EngineError> {
        'list: for _ in 0..LISTS {
            let (mut found, mut total) = (BTreeSet::new(), 0);
            loop {
                let body = json!({ "subjects_filter": pattern, "offset": found.len() });
                let info = match self
                    .own
                    .connection
                    .ask::<StreamInfo>(&self.api("STREAM.INFO"), &body)
                {
                    Err(error) if self.own.only_reads && error.code() == Some(NO_STREAM) => {
                        return Ok(Vec::new());
                    }
                    info => info.map_err(|error| unknown(&error))?,
                };
                self.check_answer(info.state.last_seq)?;
                if info.total < total {
                    continue 'list;
                }
                total = info.total;
                let before = found.len();
                found.extend(info.state.subjects.into_keys());
                if found.len() as u64 >= total {
                    return Ok(found.into_iter().collect());
                }
                if found.len() == before {
                    continue 'list;
                }
            }
        }
        let message = format!("{} changes faster than it can be listed", self.name());
        Err(EngineError::Unknown(message))
    }

    fn purge(&self, pattern: &str) -> Result<(), EngineError> {
        let body = json!({ "filter": pattern });
        let purged = self
            .own
            .connection
            .ask::<Done>(&self.api("STREAM.PURGE"), &body);
        purged.map(drop).map_err(|error| unknown(&error))
    }

    /// Deletes parts of items that were never stored, because whoever wrote them has ended or was too late.
    fn sweep(&self) -> Result<(), EngineError> {
        // What an owner is about to store is behind the newest frame.
        let newest = self.frames(0)?.last().copied().unwrap_or(0);
        let root = &self.own.place.root;
        let mut sets = BTreeMap::new();
        for subject in self.subjects(&format!("{root}.frames.*.parts.>"))? {
            let set = subject.rsplit_once('.').map(|(set, _)| set.to_owned());
            let number = subject.strip_prefix(&format!("{root}.frames."));
            let number = number.and_then(|rest| number_of(rest.split('.').next()?, ""));
            if let (Some(set), Some(number)) = (set, number.filter(|number| *number < newest)) {
                sets.insert(set, number);
            }
        }
        for (set, number) in sets {
            let base = self.subject(Item::Frame(number));
            let message = self.last_of(&format!("{base}.item"))?;
            let parts = message.and_then(|message| Parts::decode(message.get(1..)?));
            let is_used =
                parts.is_some_and(|parts| set == format!("{base}.parts.{}", parts.token()));
            if !is_used {
                self.purge(&format!("{set}.*"))?;
            }
        }
        Ok(())
    }
}

fn unknown(error: &NatsError) -> EngineError {
    EngineError::Unknown(error.to_string())
}

fn on_its_way() -> EngineError {
    EngineError::Unknown("a message of that name is on its way".to_owned())
}

impl Engine for StreamEngine {
    fn put_new(&self, item: Item<'_>, bytes: &[u8]) -> Result<PutVerdict, EngineError> {
        let base = self.subject(item);
        let message = if bytes.len() <= self.own.part {
            let mut message = Vec::with_capacity(bytes.len() + 1);
            message.push(WHOLE);
            message.extend_from_slice(bytes);
            message
        } else {
            self.put_parts(&base, bytes)?
        };
        let subject = format!("{base}.item");
        if self.publish(&subject, message)?.is_some() {
            return Ok(PutVerdict::Stored);
        }
        if self.last_of(&subject)?.is_none() {
            return Err(on_its_way());
        }
        self.check_stream()?;
        Ok(PutVerdict::Taken)
    }

    fn read(&self, item: Item<'_>) -> Result<Option<Vec<u8>>, EngineError> {
        let base = self.subject(item);
        let subject = format!("{base}.item");
        let Some(message) = self.last_of(&subject)? else {
            return Ok(None);
        };
        if let Some(bytes) = self.assemble(&base, message)? {
            return Ok(Some(bytes));
        }
        match self.last_of(&subject)? {
            // It was deleted meanwhile.
            None => Ok(None),
            Some(_) => Err(EngineError::Unknown(format!("{base} has lost a part"))),
        }
    }

    fn frames(&self, first: u64) -> Result<Vec<u64>, EngineError> {
        let prefix = format!("{}.frames.", self.own.place.root);
        let subjects = self.subjects(&format!("{prefix}*.item"))?;
        let numbers = subjects.iter().filter_map(|subject| {
            let number = subject.strip_prefix(&prefix)?.strip_suffix(".item")?;
            number_of(number, "")
        });
        Ok(numbers.filter(|number| *number >= first).collect())
    }

    fn files(&self) -> Result<Vec<String>, EngineError> {
        let prefix = format!("{}.files.", self.own.place.root);
        let subjects = self.subjects(&format!("{prefix}*.item"))?;
        let names = subjects.iter().filter_map(|subject| {
            let token = subject.strip_prefix(&prefix)?.strip_suffix(".item")?;
            name_of_token(token)
        });
        Ok(names.collect())
    }

    fn delete(&self, item: Item<'_>) -> Result<(), EngineError> {
        self.purge(&format!("{}.>", self.subject(item)))
    }

    fn make_room(&self) -> Result<(), EngineError> {
        self.purge(&format!("{}.reserve.>", self.own.place.root))
    }

    fn has_room(&self) -> Result<bool, EngineError> {
        let subject = |name: &str| format!("{}.reserve.{name}", self.own.place.root);
        let there = self.subjects(&subject("*"))?;
        let missing = (0..RESERVE).map(|number| subject(&number.to_string()));
        let missing = missing.filter(|subject| !there.contains(subject));
        // One more must fit than are kept.
        let more = subject("more");
        for subject in missing.chain(std::iter::once(more.clone())) {
            match self.publish(&subject, vec![0; self.own.part]) {
                Ok(_) => {}
                Err(EngineError::Full(_)) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.purge(&more)?;
        Ok(true)
    }

    fn name(&self) -> String {
        self.own.place.name()
    }

    fn beside(&self) -> u64 {
        BESIDE_ITEM
    }
}
