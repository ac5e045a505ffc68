//! What commands ask a running service that holds the log of events, through its control socket: to replay, to
//! make way for an erasure, and what it remembers of an event.
//!
//! The client sends one [`ReplayPage`] after the other and receives one [`ReplayAnswer`] to each. Everything
//! that an answer reports as replayed is durable.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::candidate::Candidate;
use super::judge::ReplayOutcome;
use super::owner::Replayer;
use crate::control::{Control, Talk};

/// A page has at most this many candidates, …
pub const MAX_CANDIDATES: usize = 512;
/// … and this many bytes of refused input, unless it holds a single candidate.
pub const MAX_RAW: usize = 1 << 20;
/// A row of the quarantine holds at most 4 MiB (`quarantine.max_row`) of input, and the rest of it is short.
const MAX_PAGE: u64 = 8 << 20;
/// An answer holds a few errors for each candidate.
const MAX_ANSWER: u64 = 8 << 20;

/// Candidates that are replayed together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPage {
    /// The candidates, in the order of the outcomes.
    pub replay: Vec<Candidate>,
}

/// What an erasure asks. While it is connected it has the turn of a replay, so that no row of the quarantine
/// comes back that it removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureAsks {
    /// To seal every open batch.
    Flush,
    /// Nothing but whether the service is still there.
    Hold,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErasureTurn {
    erasure: ErasureAsks,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallAsked {
    recall: String,
}

/// Asks where the log is, if another node of the cluster owns it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ElsewhereAsked {
    elsewhere: (),
}

/// What a client may ask.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Elsewhere(ElsewhereAsked),
    Page(ReplayPage),
    Erasure(ErasureTurn),
    Recall(RecallAsked),
}

/// Says what the service remembers of an id.
pub type Recall = Arc<dyn Fn(&str) -> Value + Send + Sync>;

/// The answer to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayAnswer {
    /// The outcome of each candidate, in their order; durable.
    Outcomes(Vec<ReplayOutcome>),
    /// What an erasure asked is done.
    Done,
    /// What the service remembers.
    Recalled(Value),
    /// Where the log is, if another node of the cluster owns it.
    Elsewhere(Option<String>),
    /// Nothing can be replayed now. It is not known whether a part of the page was stored.
    Refused(String),
}

/// Listens in the directory of the log of events, whose lock the caller holds. One replay or erasure runs at a time,
/// which bounds the memory: whoever has the one permit of `turn`.
pub fn listen(
    dir: &Path,
    replayer: Replayer,
    turn: Arc<Semaphore>,
    recall: Recall,
) -> io::Result<Control> {
    Control::start(dir, move |talk, stop| {
        let serving = Serving {
            replayer: replayer.clone(),
            turn: Arc::clone(&turn),
            recall: Arc::clone(&recall),
        };
        serving.serve(talk, stop)
    })
}

/// What a client is served with.
struct Serving {
    replayer: Replayer,
    turn: Arc<Semaphore>,
    recall: Recall,
}

impl Serving {
    async fn serve(self, mut talk: Talk, stop: CancellationToken) -> io::Result<()> {
        let mut held = None;
        loop {
            let asked = tokio::select! {
                asked = talk.hear::<Asked>(MAX_PAGE) => asked?,
                () = stop.cancelled() => {
                    let stopping = "the service is stopping".to_owned();
                    return talk.say(&ReplayAnswer::Refused(stopping)).await;
                }
            };
            let asked = match asked {
                None => return talk.end().await,
                Some(Asked::Recall(RecallAsked { recall })) => {
                    let own = Arc::clone(&self.recall);
                    let recalled = tokio::task::spawn_blocking(move || own(&recall)).await;
                    let recalled = recalled.map_err(io::Error::other)?;
                    talk.say(&ReplayAnswer::Recalled(recalled)).await?;
                    continue;
                }
                Some(Asked::Elsewhere(_)) => {
                    let elsewhere = self.replayer.check_owned().err();
                    talk.say(&ReplayAnswer::Elsewhere(elsewhere)).await?;
                    continue;
                }
                Some(asked) => asked,
            };
            // From its first page or question on, a client has the turn until it is gone.
            if held.is_none() {
                let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() else {
                    let busy = "another replay is under way, or an erasure".to_owned();
                    return talk.say(&ReplayAnswer::Refused(busy)).await;
                };
                held = Some(turn);
            }
            match self.answer(asked).await {
                Ok(answer) => talk.say(&answer).await?,
                Err(why) => return talk.say(&ReplayAnswer::Refused(why)).await,
            }
        }
    }

    /// The answer; an error ends the conversation.
    async fn answer(&self, asked: Asked) -> Result<ReplayAnswer, String> {
        match asked {
            Asked::Page(page) => {
                let outcomes = self.replayer.page(&page.replay).await;
                outcomes.map(ReplayAnswer::Outcomes)
            }
            Asked::Erasure(ErasureTurn { erasure }) => Ok(hold(&self.replayer, erasure).await),
            Asked::Elsewhere(_) => Ok(ReplayAnswer::Elsewhere(self.replayer.check_owned().err())),
            Asked::Recall(RecallAsked { recall }) => {
                Ok(ReplayAnswer::Recalled((self.recall)(&recall)))
            }
        }
    }
}

/// Asks the service that holds the directory of the log where the log is, if another node of the cluster owns it.
pub async fn elsewhere(dir: &Path) -> io::Result<Option<String>> {
    let mut talk = Talk::connect(dir)?;
    talk.say(&ElsewhereAsked { elsewhere: () }).await?;
    match talk.hear(MAX_ANSWER).await? {
        Some(ReplayAnswer::Elsewhere(elsewhere)) => Ok(elsewhere),
        _ => Err(io::Error::other("it is of another version")),
    }
}

/// Asks the service that holds the log in `dir` what it remembers of an id.
pub async fn recall(dir: &Path, id: &str) -> io::Result<Value> {
    let mut talk = Talk::connect(dir)?;
    let recall = id.to_owned();
    talk.say(&RecallAsked { recall }).await?;
    match talk.hear(MAX_ANSWER).await? {
        Some(ReplayAnswer::Recalled(recalled)) => Ok(recalled),
        Some(ReplayAnswer::Refused(why)) => Err(io::Error::other(why)),
        _ => Err(io::Error::other(
            "the service cannot say what it remembers; is it of another version?",
        )),
    }
}

async fn hold(replayer: &Replayer, asked: ErasureAsks) -> ReplayAnswer {
    if let Err(why) = replayer.check_owned() {
        return ReplayAnswer::Refused(why);
    }
    if asked == ErasureAsks::Hold {
        return ReplayAnswer::Done;
    }
    let logs = replayer.logs.clone();
    match tokio::task::spawn_blocking(move || logs.flush()).await {
        Ok(Ok(())) => ReplayAnswer::Done,
        Ok(Err(error)) => ReplayAnswer::Refused(error.to_string()),
        Err(error) => ReplayAnswer::Refused(error.to_string()),
    }
}

/// Holds the turn of a service for an erasure, until it is dropped.
pub struct ErasureClient(Talk);

impl ErasureClient {
    /// Connects to the service that holds the log in `dir`.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        Ok(Self(Talk::connect(dir)?))
    }

    /// Asks for something.
    pub async fn ask(&mut self, erasure: ErasureAsks) -> anyhow::Result<()> {
        let said = self.0.say(&ErasureTurn { erasure }).await;
        let heard = self.0.hear(MAX_ANSWER).await;
        if !matches!(heard, Ok(Some(_))) {
            said?;
        }
        match heard? {
            Some(ReplayAnswer::Done) => Ok(()),
            Some(ReplayAnswer::Refused(why)) => Err(anyhow::anyhow!("{why}")),
            Some(_) | None => Err(anyhow::anyhow!(
                "the service closed the connection; is it of another version?"
            )),
        }
    }
}

/// A client of a running service.
pub struct ReplayClient(Talk);

impl ReplayClient {
    /// Connects to the service that holds the log in `dir`.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        Ok(Self(Talk::connect(dir)?))
    }

    /// Sends candidates to be replayed, and returns their outcomes.
    pub async fn page(&mut self, replay: Vec<Candidate>) -> anyhow::Result<Vec<ReplayOutcome>> {
        let candidates = replay.len();
        // A service that closed the connection may have sent its reason before.
        let said = self.0.say(&ReplayPage { replay }).await;
        let heard = self.0.hear(MAX_ANSWER).await;
        if !matches!(heard, Ok(Some(_))) {
            said?;
        }
        match heard? {
            Some(ReplayAnswer::Outcomes(outcomes)) if outcomes.len() == candidates => Ok(outcomes),
            Some(ReplayAnswer::Outcomes(_)) => Err(anyhow::anyhow!(
                "the service gave another number of outcomes than candidates; is it of another version?"
            )),
            Some(ReplayAnswer::Refused(why)) => Err(anyhow::anyhow!("{why}")),
            Some(_) | None => Err(anyhow::anyhow!("the service closed the connection")),
        }
    }
}
