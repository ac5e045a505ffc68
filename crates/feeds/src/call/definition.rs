//! Definition of a call: its settings in plain values.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::guards::Guards;
use crate::poll::definition::{RecordId, Request};

/// All settings of one call.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The files of the outbox: a path whose last part may hold `*` and `?`.
    pub rows: PathBuf,
    /// How requests are made. Their body is made of the rows.
    pub request: Request,
    /// The member whose value keeps rows together; by default each row is a group.
    pub group: Option<String>,
    /// Bounds of one request.
    pub chunk: ChunkLimits,
    /// Where in the body the rows go; `None` for a request without a body.
    pub body: Option<String>,
    /// What a body must say that reports success.
    pub success: Option<Success>,
    /// Where in an answer the records are.
    pub records: String,
    /// Where in an answer the failures are.
    pub failures: Option<String>,
    /// A file with the JSON Schema of a record.
    pub schema: Option<PathBuf>,
    /// What identifies a record.
    pub id: Option<RecordId>,
    /// The header that carries the key of a chunk.
    pub idempotency_header: Option<String>,
    /// How a lookup differs from a call.
    pub lookup: Option<Lookup>,
    /// The member by whose time rows are chosen.
    pub time: Option<String>,
    /// Interval between the starts of two runs in a service.
    pub every: Option<Duration>,
    /// Bounds of a run.
    pub limits: CallLimits,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Most groups.
    pub groups: usize,
    /// Most rows.
    pub rows: usize,
    /// Most bytes of its body.
    pub bytes: usize,
}

/// What a body must say that reports success.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// Where it says so.
    pub pointer: String,
    /// The values that mean success.
    pub values: Vec<Value>,
}

/// How a lookup differs from a call: each value of a key is asked for alone, and again after a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The member that is looked up.
    pub key: String,
    /// How long an answer counts; `None` for ever.
    pub fresh: Option<Duration>,
    /// Statuses that say that there is nothing, which is an answer too.
    pub missing: Vec<u16>,
}

/// Bounds of a run.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Most requests of a run, repeated ones included.
    pub max_calls: u64,
    /// Most bytes of an answer, decompressed.
    pub max_answer: u64,
    /// Longest time until an answer begins, and longest pause within it.
    pub timeout: Duration,
    /// Longest duration of a run.
    pub budget: Duration,
    /// How long a file of the outbox must not have changed before it is read.
    pub settle: Duration,
    /// What must hold before the records of an answer are stored.
    pub guards: Guards,
}
