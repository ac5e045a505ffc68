//! The way to the process that holds the log of events, where a service runs.
//!
//! On the control socket the client says one [`ReplayPage`] after the other, and hears one [`ReplayAnswer`] to each, which
//! means that what was taken is durable.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::candidate::Candidate;
use super::judge::ReplayOutcome;
use super::owner::Replayer;
use crate::control::{Control, Talk};

/// A page has at most so many candidates, …
pub const MAX_CANDIDATES: usize = 512;
/// … and so many bytes of what was refused, unless it is one candidate.
pub const MAX_RAW: usize = 1 << 20;
/// `quarantine.max_row` is 4 MiB at most, and the rest of a row is short.
const MAX_PAGE: u64 = 8 << 20;
/// A few errors for each candidate.
const MAX_ANSWER: u64 = 8 << 20;

/// Some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayPage {
    /// The rows.
    pub replay: Vec<Candidate>,
}

/// What is answered to a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayAnswer {
    /// What became of each row, in their order; durable.
    Outcomes(Vec<ReplayOutcome>),
    /// Nothing more can be replayed now; what became of the page is not known.
    Refused(String),
}

/// Listens in the directory of the log of events, whose lock is held. One replay at a time: memory is bounded.
pub fn listen(dir: &Path, replayer: Replayer) -> io::Result<Control> {
    let turn = Arc::new(Semaphore::new(1));
    Control::start(dir, move |mut talk, stop| {
        let (replayer, turn) = (replayer.clone(), Arc::clone(&turn));
        async move {
            let Ok(_turn) = turn.try_acquire_owned() else {
                let busy = "another replay is under way".to_owned();
                return talk.say(&ReplayAnswer::Refused(busy)).await;
            };
            loop {
                let page = tokio::select! {
                    page = talk.hear::<ReplayPage>(MAX_PAGE) => page?,
                    () = stop.cancelled() => {
                        let stopping = "the service is stopping".to_owned();
                        return talk.say(&ReplayAnswer::Refused(stopping)).await;
                    }
                };
                let Some(page) = page else {
                    return talk.end().await;
                };
                match replayer.page(&page.replay).await {
                    Ok(outcomes) => talk.say(&ReplayAnswer::Outcomes(outcomes)).await?,
                    Err(why) => return talk.say(&ReplayAnswer::Refused(why)).await,
                }
            }
        }
    })
}

/// The client's side.
pub struct ReplayClient(Talk);

impl ReplayClient {
    /// The service that holds the log in a directory.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        Ok(Self(Talk::connect(dir)?))
    }

    /// Has a page replayed.
    pub async fn page(&mut self, replay: Vec<Candidate>) -> anyhow::Result<Vec<ReplayOutcome>> {
        let candidates = replay.len();
        // Whoever hangs up may have said why before.
        let said = self.0.say(&ReplayPage { replay }).await;
        let heard = self.0.hear(MAX_ANSWER).await;
        if !matches!(heard, Ok(Some(_))) {
            said?;
        }
        match heard? {
            Some(ReplayAnswer::Outcomes(outcomes)) if outcomes.len() == candidates => Ok(outcomes),
            Some(ReplayAnswer::Outcomes(_)) => {
                Err(anyhow::anyhow!("the service answers something else"))
            }
            Some(ReplayAnswer::Refused(why)) => Err(anyhow::anyhow!("{why}")),
            None => Err(anyhow::anyhow!("the service went away")),
        }
    }
}
