//! Replays: records of appending polls that were refused, judged again and stored where the polls' log is.
//!
//! A record keeps the time of its receipt in its row; for the log it is received now. If a run has stored the
//! same record since, it is a duplicate. A snapshot takes nothing: its runs are published, and the next one
//! reads the record again.
//!
//! A command that does not hold the log asks the process that does: the first line names the poll, each
//! further one is a page of records, and each is answered once its records are durable.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::definition::Mode;
use super::plan::Plan;
use crate::context::Context;
use crate::control::Talk;
use lakehook_base::record::{NO_RUN, Origin, Rows};
use lakehook_base::rfc3339;
use lakehook_base::tables::LiveShape;
use lakehook_contract::entity::{Taken, Target};
use lakehook_contract::quarantine::{FieldError, partition};
use lakehook_lake::keys;
use lakehook_log::request::{Append, AppendError, FULL_PAUSE, Reply};

/// A record of at most 4 MiB (`max_record`), in base64, or many smaller ones.
const MAX_PAGE: u64 = 8 << 20;
/// An answer has one error for each record.
const MAX_ANSWER: u64 = 8 << 20;
/// While the log is full, a record is tried at most this often.
const FULL_TRIES: u32 = 300;

/// A record as the quarantine has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRecord {
    /// When it was received: RFC 3339, in UTC.
    pub received_at: String,
    /// The run that read it.
    pub run: String,
    /// The record as it was sent, in base64.
    pub raw: String,
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordOutcome {
    /// It is stored.
    Stored,
    /// The same record is stored already.
    Known,
    /// It is still invalid; this is the first error.
    Invalid {
        /// JSON Pointer into the record.
        pointer: String,
        /// The rule that is broken.
        code: String,
        /// What the rule expects.
        detail: String,
    },
}

/// The answer to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordAnswer {
    /// The outcome of each record, in their order; durable.
    Outcomes(Vec<RecordOutcome>),
    /// Nothing can be replayed now. It is not known whether a part of the page was stored.
    Refused(String),
}

/// Judges and stores records; cheap to clone.
#[derive(Clone)]
pub struct RecordReplayer {
    plans: Arc<BTreeMap<String, Plan>>,
    context: Context,
    /// One replay runs at a time, which bounds the memory.
    turn: Arc<Semaphore>,
}

/// A row that is valid now.
struct Judged {
    rows: Rows,
    origin: Origin,
}

/// Judges a record by the schema of its poll, as of the time when it was received.
fn judge(plan: &Plan, record: &KeptRecord) -> Result<Judged, RecordOutcome> {
    let unreadable = |what: &str| invalid(FieldError::of_body("unreadable", what));
    let received_at = rfc3339::parse(&record.received_at);
    let received_at = received_at.ok_or_else(|| unreadable("received_at is no time"))?;
    let raw = BASE64.decode(&record.raw).ok();
    let raw = raw.and_then(|raw| String::from_utf8(raw).ok());
    let raw = raw.ok_or_else(|| unreadable("the record is no text"))?;
    let origin = Origin {
        received_at,
        endpoint: plan.name.as_str().into(),
        request_id: record.run.as_str().into(),
        client: None,
    };
    let target = Target {
        partition: &keys::day_partition(&plan.name, received_at),
        quarantine: &partition(&plan.name, received_at),
        is_snapshot: false,
        may_be_older: true,
    };
    let mut rows = Rows::default();
    match plan.entities.take(&raw, &origin, target, &mut rows) {
        Taken::Row { .. } => Ok(Judged { rows, origin }),
        Taken::Invalid { error, .. } => Err(invalid(error)),
    }
}

fn invalid(error: FieldError) -> RecordOutcome {
    RecordOutcome::Invalid {
        pointer: error.pointer,
        code: error.code.to_owned(),
        detail: error.detail,
    }
}

/// The outcomes that records would have if none of them were stored already.
pub fn dry(plan: &Plan, records: &[KeptRecord]) -> Vec<RecordOutcome> {
    let outcome = |record| match judge(plan, record) {
        Ok(_) => RecordOutcome::Stored,
        Err(invalid) => invalid,
    };
    records.iter().map(outcome).collect()
}

impl RecordReplayer {
    pub(super) fn new(plans: Vec<Plan>, context: Context) -> Self {
        let plans = plans.into_iter().map(|plan| (plan.name.clone(), plan));
        Self {
            plans: Arc::new(plans.collect()),
            context,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Judges records of a poll, and stores those that are valid. The outcomes are in the order of the
    /// records, and are durable; an error says why they are not known.
    pub async fn page(
        &self,
        poll: &str,
        records: &[KeptRecord],
    ) -> Result<Vec<RecordOutcome>, String> {
        let plan = self.plans.get(poll);
        let plan =
            plan.ok_or_else(|| format!("the process that holds the log has no poll {poll:?}"))?;
        if plan.mode == Mode::Snapshot {
            return Err(format!(
                "{poll} is a snapshot in the process that holds the log: its next run reads the records again"
            ));
        }
        if let Some(why) = self.context.host.refusal(self.context.clock.now()) {
            return Err(why);
        }
        let (judged, kept) = tokio::task::block_in_place(|| {
            let judged: Vec<_> = records.iter().map(|record| judge(plan, record)).collect();
            (judged, plan.entities.live().map_or(Ok(()), LiveShape::keep))
        });
        kept.map_err(|error| format!("failed to write down the columns of {poll}: {error}"))?;
        // All records are appended at once, so that they share frames.
        let appends: Vec<_> = judged
            .iter()
            .map(|judged| {
                let append = self.append(judged.as_ref().ok()?);
                let log = self.context.log.clone();
                Some(tokio::spawn(async move { log.append(append).await }))
            })
            .collect();
        let mut outcomes = Vec::with_capacity(judged.len());
        for (judged, append) in judged.into_iter().zip(appends) {
            outcomes.push(match (judged, append) {
                (Err(still_invalid), _) => still_invalid,
                (Ok(valid), Some(append)) => {
                    let reply = append.await.unwrap_or(Err(AppendError::Closed));
                    self.settle(&valid, reply).await?
                }
                (Ok(_), None) => return Err(AppendError::Closed.to_string()),
            });
        }
        Ok(outcomes)
    }

    /// For the log the row is received now, because its time must not be before a published watermark.
    fn append(&self, valid: &Judged) -> Append {
        let now = self.context.clock.now().wall;
        Append {
            rows: valid.rows.clone(),
            dropped: 0,
            origin: Origin {
                received_at: self.context.log.gauges().receipt(now),
                ..valid.origin.clone()
            },
            run: NO_RUN,
            cursor: None,
        }
    }

    async fn settle(&self, valid: &Judged, mut reply: Reply) -> Result<RecordOutcome, String> {
        let mut tries = 0;
        while let Err(AppendError::Full | AppendError::Late) = &reply
            && tries < FULL_TRIES
        {
            tokio::time::sleep(FULL_PAUSE).await;
            reply = self.context.log.append(self.append(valid)).await;
            tries += 1;
        }
        let appended = reply.map_err(|error| error.to_string())?;
        Ok(if appended.duplicates > 0 {
            RecordOutcome::Known
        } else {
            RecordOutcome::Stored
        })
    }

    /// Serves one client that replays records of a poll.
    pub(super) async fn serve(
        &self,
        talk: &mut Talk,
        poll: &str,
        stop: &tokio_util::sync::CancellationToken,
    ) -> io::Result<()> {
        let Ok(_turn) = self.turn.try_acquire() else {
            let busy = "another replay is under way".to_owned();
            return talk.say(&RecordAnswer::Refused(busy)).await;
        };
        loop {
            let page = tokio::select! {
                page = talk.hear::<Vec<KeptRecord>>(MAX_PAGE) => page?,
                () = stop.cancelled() => {
                    let stopping = "the service is stopping".to_owned();
                    return talk.say(&RecordAnswer::Refused(stopping)).await;
                }
            };
            let Some(page) = page else {
                return talk.end().await;
            };
            match self.page(poll, &page).await {
                Ok(outcomes) => talk.say(&RecordAnswer::Outcomes(outcomes)).await?,
                Err(why) => return talk.say(&RecordAnswer::Refused(why)).await,
            }
        }
    }
}

/// What the first line of a client says that replays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReplayOf {
    /// The poll.
    pub(super) replay: String,
}

/// A client of the service that holds the polls' log.
pub struct RecordClient(Talk);

impl RecordClient {
    /// Connects to the service that holds the log in `dir`, to replay records of a poll.
    pub async fn connect(dir: &Path, poll: &str) -> io::Result<Self> {
        let mut talk = Talk::connect(dir)?;
        let replay = poll.to_owned();
        talk.say(&ReplayOf { replay }).await?;
        Ok(Self(talk))
    }

    /// Sends records, and returns their outcomes; the inner error is the service's.
    pub async fn page(
        &mut self,
        records: &[KeptRecord],
    ) -> io::Result<Result<Vec<RecordOutcome>, String>> {
        // A service that closed the connection may have sent its reason before.
        let said = self.0.say(&records).await;
        let heard = self.0.hear(MAX_ANSWER).await;
        if !matches!(heard, Ok(Some(_))) {
            said?;
        }
        Ok(match heard? {
            Some(RecordAnswer::Outcomes(outcomes)) if outcomes.len() == records.len() => {
                Ok(outcomes)
            }
            Some(RecordAnswer::Outcomes(_)) => Err(
                "the service gave another number of outcomes than records; is it of another version?"
                    .to_owned(),
            ),
            Some(RecordAnswer::Refused(why)) => Err(why),
            None => Err("the service closed the connection; is it of another version?".to_owned()),
        })
    }
}
