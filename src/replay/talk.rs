//! Replays through the control socket of a running service, which holds the log of events.
//!
//! The client sends one [`ReplayPage`] after the other and receives one [`ReplayAnswer`] to each. Everything
//! that an answer reports as replayed is durable.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

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

/// What a client may ask.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Page(ReplayPage),
    Erasure(ErasureTurn),
}

/// The answer to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayAnswer {
    /// The outcome of each candidate, in their order; durable.
    Outcomes(Vec<ReplayOutcome>),
    /// What an erasure asked is done.
    Done,
    /// Nothing can be replayed now. It is not known whether a part of the page was stored.
    Refused(String),
}

/// Listens in the directory of the log of events, whose lock the caller holds. One replay runs at a time, which
/// bounds the memory: whoever has the one permit of `turn`.
pub fn listen(dir: &Path, replayer: Replayer, turn: Arc<Semaphore>) -> io::Result<Control> {
    Control::start(dir, move |mut talk, stop| {
        let (replayer, turn) = (replayer.clone(), Arc::clone(&turn));
        async move {
            let Ok(_turn) = turn.try_acquire_owned() else {
                let busy = "another replay is under way, or an erasure".to_owned();
                return talk.say(&ReplayAnswer::Refused(busy)).await;
            };
            loop {
                let asked = tokio::select! {
                    asked = talk.hear::<Asked>(MAX_PAGE) => asked?,
                    () = stop.cancelled() => {
                        let stopping = "the service is stopping".to_owned();
                        return talk.say(&ReplayAnswer::Refused(stopping)).await;
                    }
                };
                let answer = match asked {
                    None => return talk.end().await,
                    Some(Asked::Page(page)) => replayer.page(&page.replay).await,
                    Some(Asked::Erasure(ErasureTurn { erasure })) => {
                        talk.say(&hold(&replayer, erasure).await).await?;
                        continue;
                    }
                };
                match answer {
                    Ok(outcomes) => talk.say(&ReplayAnswer::Outcomes(outcomes)).await?,
                    Err(why) => return talk.say(&ReplayAnswer::Refused(why)).await,
                }
            }
        }
    })
}

async fn hold(replayer: &Replayer, asked: ErasureAsks) -> ReplayAnswer {
    if asked == ErasureAsks::Hold {
        return ReplayAnswer::Done;
    }
    let log = replayer.log.clone();
    match tokio::task::spawn_blocking(move || log.flush()).await {
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
            Some(ReplayAnswer::Outcomes(_)) | None => Err(anyhow::anyhow!(
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
            Some(ReplayAnswer::Done) | None => {
                Err(anyhow::anyhow!("the service closed the connection"))
            }
        }
    }
}
