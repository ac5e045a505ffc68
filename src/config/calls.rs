//! `[call.NAME]`: rows that go out to an API, whose answers come back as a stream.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use validator::Validate;

use super::amounts::{ByteSize, Span};
use super::apis::Api;
use super::poll::children::IdKeys;
use super::rules;
use super::share::Share;
use super::words;
use crate::call::definition::{self, CallLimits, ChunkLimits, Definition, Lookup};
use crate::feeds::guards::Guards;
use crate::poll::definition::{Body, Request, Verb};
use crate::secret::Secret;

/// `[call.NAME]`: one call. Its name is also that of the stream of its answers.
#[derive(Clone, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct Call {
    /// The files of the outbox, in which each line is a row; the last part of the path may hold `*` and `?`.
    #[schemars(length(min = 1))]
    pub rows: PathBuf,
    /// How long a file must not have changed before it is read.
    pub settle: Span,
    /// The API: the name of a section `[api.NAME]`.
    pub api: String,
    /// What follows the URL of the API; for a lookup it may hold placeholders for members of a row.
    pub path: String,
    /// The method of every request.
    #[serde(deserialize_with = "words::deserialize")]
    #[schemars(schema_with = "words::schema::<Verb>")]
    pub method: Verb,
    /// Parameters of every request.
    pub query: BTreeMap<String, Secret>,
    /// Headers of every request.
    pub headers: BTreeMap<String, Secret>,
    /// The member of a row whose value keeps rows together.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub group: Option<String>,
    /// The most that goes into one request.
    #[validate(nested)]
    pub chunk: ChunkBounds,
    /// JSON Pointer to where in the body the rows go; empty for the list itself.
    pub body: String,
    /// What an answer says that reports success.
    pub success: Option<Success>,
    /// JSON Pointer to the records in an answer; empty for the whole body.
    pub records: String,
    /// JSON Pointer to the failures in an answer.
    pub failures: Option<String>,
    /// A file with the JSON Schema of a record.
    #[schemars(length(min = 1))]
    pub schema: Option<PathBuf>,
    /// What must hold before the records of an answer are stored.
    #[validate(nested)]
    pub guards: CallGuards,
    /// What identifies a record: its latest row is in a view of its own.
    pub id: Option<IdKeys>,
    /// The header that carries the key of a request.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub idempotency_header: Option<String>,
    /// A lookup: the member of a row whose values are looked up, one by one.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub key: Option<String>,
    /// How long an answer to a lookup counts; by default for ever.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub fresh: Option<Span>,
    /// Statuses that say that there is nothing for a key, which is an answer too.
    pub missing: Vec<u16>,
    /// The member of a row that `--since` and `--until` compare.
    #[validate(length(min = 1, message = "must not be empty"))]
    pub time: Option<String>,
    /// The time between two runs of a service.
    #[validate(custom(function = rules::interval))]
    pub every: Option<Span>,
    /// The most requests of a run, repeated ones included.
    #[schemars(range(min = 1))]
    pub max_calls: u64,
    /// The most bytes of an answer.
    #[validate(custom(function = rules::answer_size))]
    pub max_answer: ByteSize,
    /// How long an answer may take to begin, and how long it may pause.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub timeout: Span,
    /// How long a run may take.
    #[validate(range(exclusive_min = Span::ZERO))]
    pub budget: Span,
}

/// `[call.NAME] chunk`: the most that goes into one request.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkBounds {
    /// The most groups.
    #[schemars(range(min = 1, max = 100_000))]
    pub groups: usize,
    /// The most rows.
    #[schemars(range(min = 1, max = 100_000))]
    pub rows: usize,
    /// The most bytes of a body.
    #[validate(custom(function = rules::answer_size))]
    pub bytes: ByteSize,
}

/// `[call.NAME.guards]`: what must hold before the records of an answer are stored.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct CallGuards {
    /// The largest share of the records of an answer that may be refused.
    pub max_refused: Share,
}

impl Default for CallGuards {
    fn default() -> Self {
        Self {
            max_refused: Share::hundredths(1_000),
        }
    }
}

/// `[call.NAME] success`: what an answer says that reports success.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Success {
    /// JSON Pointer to where it says so.
    pub pointer: String,
    /// The values that mean success.
    pub values: Vec<serde_json::Value>,
}

impl Default for ChunkBounds {
    fn default() -> Self {
        Self {
            groups: 100,
            rows: 1_000,
            bytes: ByteSize::mib(1),
        }
    }
}

impl Default for Call {
    fn default() -> Self {
        Self {
            rows: PathBuf::new(),
            settle: Span::seconds(2),
            api: String::new(),
            path: String::new(),
            method: Verb::Post,
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
            group: None,
            chunk: ChunkBounds::default(),
            body: String::new(),
            success: None,
            records: String::new(),
            failures: None,
            schema: None,
            guards: CallGuards::default(),
            id: None,
            idempotency_header: None,
            key: None,
            fresh: None,
            missing: Vec::new(),
            time: None,
            every: None,
            max_calls: 10_000,
            max_answer: ByteSize::mib(8),
            timeout: Span::seconds(30),
            budget: Span::seconds(900),
        }
    }
}

impl Call {
    /// What its runs need to know; `api` is the API that it belongs to.
    pub fn definition(&self, api: &Api) -> Definition {
        let merged = |shared: &BTreeMap<String, Secret>, own: &BTreeMap<String, Secret>| {
            let mut merged = shared.clone();
            merged.extend(own.clone());
            merged
        };
        Definition {
            rows: self.rows.clone(),
            request: Request {
                url: format!("{}{}", api.url.trim_end_matches('/'), self.path),
                method: self.method,
                query: merged(&api.query, &self.query),
                headers: merged(&api.headers, &self.headers),
                body: Body::None,
                credentials: api.auth.credentials(),
                api: Some(self.api.clone()),
                pace: api.rate_limit.pace(),
                connection: api.connection(),
                allow_hosts: Vec::new(),
            },
            group: self.group.clone(),
            chunk: ChunkLimits {
                groups: if self.key.is_some() {
                    1
                } else {
                    self.chunk.groups
                },
                rows: self.chunk.rows,
                bytes: usize::try_from(self.chunk.bytes.bytes()).unwrap_or(usize::MAX),
            },
            body: (self.method != Verb::Get).then(|| self.body.clone()),
            success: self.success.as_ref().map(|success| definition::Success {
                pointer: success.pointer.clone(),
                values: success.values.clone(),
            }),
            records: self.records.clone(),
            failures: self.failures.clone(),
            schema: self.schema.clone(),
            id: self.id.as_ref().map(IdKeys::definition),
            idempotency_header: self.idempotency_header.clone(),
            lookup: self.key.as_ref().map(|key| Lookup {
                key: key.clone(),
                fresh: self.fresh.map(Span::duration),
                missing: self.missing.clone(),
            }),
            time: self.time.clone(),
            every: self.every.map(Span::duration),
            limits: CallLimits {
                max_calls: self.max_calls,
                max_answer: self.max_answer.bytes(),
                timeout: self.timeout.duration(),
                budget: self.budget.duration(),
                settle: self.settle.duration(),
                guards: Guards {
                    max_refused: self.guards.max_refused.share(),
                    ..Guards::default()
                },
            },
        }
    }
}
