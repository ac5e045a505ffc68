//! The protocol by which `lakehook poll` asks a running service for runs and follows them, over the
//! socket in the directory of the polls' log.
//!
//! The client sends one [`Request`]; the service answers with [`Line`]s, and closes the connection
//! when all runs have ended.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::asked::{Shipped, Update, Wish};
use super::job::{Backfill, RunOutcome, RunReport};
use super::replay::{RecordReplayer, ReplayOf};
use super::state::{Change, State};
use super::supervisor::Supervisor;
use crate::control::{Control, Talk};
use crate::figures::{Progress, Waiting};

const MAX_REQUEST: u64 = 64 << 10;
/// Most bytes of a line; errors and samples are short.
const MAX_LINE: u64 = 1 << 20;
/// Why a poll cannot be asked.
const NOT_ASKED: &str = "there is no such poll in the running service, or too many wait for it; a changed \
                         configuration needs a restart";
const STOPPING: &str = "the service is stopping";
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// The runs that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Names of polls; an empty list means all.
    pub polls: Vec<String>,
    /// Whether a snapshot is written even if it has not changed.
    #[serde(default)]
    pub force: bool,
    /// Whether the records are accepted as they are, whatever the guards say.
    #[serde(default)]
    pub accept: bool,
    /// What is read again, without moving the marks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// Instead of runs: what the polls remember is shown or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Change>,
}

/// One line of the service's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Progress of a run.
    Progress {
        /// Name of the poll.
        poll: String,
        /// Number of pages read.
        pages: u64,
        /// Number of records read.
        records: u64,
        /// Number of all records, if known.
        total: Option<u64>,
    },
    /// What a run waits for.
    Waiting {
        /// Name of the poll.
        poll: String,
        /// In words, to follow "waits for".
        what: String,
        /// When it goes on, in microseconds since 1970, if that is known.
        until: Option<i64>,
        /// Whether it waits because something failed.
        failed: bool,
    },
    /// A run has ended, and what it stored is on its way to the lake.
    Shipping {
        /// Name of the poll.
        poll: String,
        /// Number of batches and runs that are not in the lake yet.
        left: u64,
    },
    /// A run ended, and did not fail.
    Done {
        /// Name of the poll.
        poll: String,
        /// Figures of the run.
        done: Done,
    },
    /// What a poll remembers.
    State {
        /// Name of the poll.
        poll: String,
        /// What it remembers.
        state: State,
    },
    /// A run failed.
    Failed {
        /// Name of the poll; empty if no run was begun.
        poll: String,
        /// The error.
        error: String,
    },
}

/// A run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Name of the run.
    pub run: String,
    /// The earlier run that holds the same records, if nothing has changed.
    pub same_as: Option<String>,
    /// Number of records read.
    pub records: u64,
    /// Number of rows that are new.
    pub stored: u64,
    /// Number of rows that were stored before.
    pub duplicates: u64,
    /// Number of records in the quarantine.
    pub quarantined: u64,
    /// Number of parents that the API does not know.
    #[serde(default)]
    pub missing: u64,
    /// Errors of the first records in the quarantine, as messages.
    pub samples: Vec<String>,
    /// How many values column rules have made null, by column.
    #[serde(default)]
    pub nulls: BTreeMap<String, u64>,
    /// What is probably a mistake of the configuration.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The first rows as they would be stored, of a run that writes nothing.
    #[serde(default)]
    pub first: Vec<String>,
    /// Duration of the run in milliseconds.
    pub took_ms: u64,
    /// Whether all that the run stored is in the lake.
    pub shipped: bool,
    /// Seconds that were waited for that, if it is not.
    #[serde(default)]
    pub waited: u64,
}

impl Done {
    /// Makes it from the report of a run; `shipped` says whether all that it stored is in the lake.
    pub fn new(report: RunReport, shipped: Shipped) -> Self {
        let counts = report.counts;
        Self {
            run: report.run,
            same_as: match report.outcome {
                RunOutcome::Unchanged(run) => Some(run),
                RunOutcome::Complete | RunOutcome::Checked => None,
            },
            records: counts.records,
            stored: counts.stored,
            duplicates: counts.duplicates,
            quarantined: counts.quarantined,
            missing: counts.missing,
            samples: counts.samples,
            nulls: counts.nulls,
            warnings: counts.warnings,
            first: counts.first,
            took_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            shipped: shipped == Shipped::Yes,
            waited: match shipped {
                Shipped::Yes => 0,
                Shipped::NotWithin(limit) => limit.as_secs(),
            },
        }
    }
}

impl Line {
    /// A line with what a run waits for.
    pub fn waiting(poll: &str, waiting: &Waiting) -> Self {
        Self::Waiting {
            poll: poll.to_owned(),
            what: waiting.what.clone(),
            until: waiting.until.map(|until| until.0),
            failed: waiting.failed,
        }
    }

    /// A line with the progress of a run.
    pub fn progress(poll: &str, progress: Progress) -> Self {
        Self::Progress {
            poll: poll.to_owned(),
            pages: progress.pages,
            records: progress.records,
            total: progress.total,
        }
    }

    /// A line from an update of the supervisor.
    pub fn new(poll: &str, update: Update) -> Self {
        let poll = poll.to_owned();
        match update {
            Update::Progress(progress) => Self::progress(&poll, progress),
            Update::Waiting(waiting) => Self::waiting(&poll, &waiting),
            Update::Shipping(left) => Self::Shipping { poll, left },
            Update::Done(Ok(report), shipped) => Self::Done {
                poll,
                done: Done::new(report, shipped),
            },
            Update::Done(Err(error), _) => Self::Failed {
                poll,
                error: error.to_string(),
            },
        }
    }

    /// Whether this is the last line of its poll.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// Requests all runs at once, except that children wait for their parents. The lines of a poll come in order, and its last one says how the run
/// ended.
pub fn ask(supervisor: &Supervisor, request: &Request) -> mpsc::Receiver<Line> {
    let (lines, receiver) = mpsc::channel(16);
    let polls: Vec<String> = if request.polls.is_empty() {
        supervisor.names().map(str::to_owned).collect()
    } else {
        request.polls.clone()
    };
    if let Some(change) = &request.state {
        supervisor.spawn(ask_states(supervisor.clone(), polls, change.clone(), lines));
        return receiver;
    }
    let mut ends = BTreeMap::new();
    for poll in &polls {
        ends.insert(poll.clone(), watch::channel(false));
    }
    for poll in polls {
        let wish = Wish {
            force: request.force,
            accept: request.accept,
            backfill: request.backfill.clone(),
        };
        let parent = supervisor
            .parent_of(&poll)
            .and_then(|parent| ends.get(parent));
        let asking = Asking {
            supervisor: supervisor.clone(),
            parent: parent.map(|(_, parent)| parent.clone()),
            ended: ends.get(&poll).map(|(ended, _)| ended.clone()),
            lines: lines.clone(),
        };
        // The task is tracked with the polls, which wait for it when they are stopped.
        supervisor.spawn(asking.run(poll, wish));
    }
    receiver
}

/// Asks for what polls remember, one after the other.
async fn ask_states(
    supervisor: Supervisor,
    polls: Vec<String>,
    change: Change,
    lines: mpsc::Sender<Line>,
) {
    for poll in polls {
        let line = match supervisor.ask_state(&poll, change.clone()) {
            None => Err(NOT_ASKED.to_owned()),
            Some(answer) => answer.await.unwrap_or_else(|_| Err(STOPPING.to_owned())),
        };
        let line = match line {
            Ok(state) => Line::State { poll, state },
            Err(error) => Line::Failed { poll, error },
        };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// Asks for one run, and follows it.
struct Asking {
    supervisor: Supervisor,
    /// Becomes true when the run of its parent has ended: children see what that has read.
    parent: Option<watch::Receiver<bool>>,
    ended: Option<watch::Sender<bool>>,
    lines: mpsc::Sender<Line>,
}

impl Asking {
    async fn run(mut self, poll: String, wish: Wish) {
        if let Some(parent) = &mut self.parent {
            // An error says that nobody sets it any more.
            let _ended = parent.wait_for(|has_ended| *has_ended).await;
        }
        self.follow(&poll, wish).await;
        if let Some(ended) = &self.ended {
            ended.send_replace(true);
        }
    }

    async fn follow(&self, poll: &str, wish: Wish) {
        let failed = |error: &str| Line::Failed {
            poll: poll.to_owned(),
            error: error.to_owned(),
        };
        let Some(mut updates) = self.supervisor.ask(poll, wish) else {
            let _gone = self.lines.send(failed(NOT_ASKED)).await;
            return;
        };
        let mut has_ended = false;
        while let Some(update) = updates.recv().await {
            let line = Line::new(poll, update);
            has_ended = line.is_end();
            if self.lines.send(line).await.is_err() {
                return;
            }
        }
        if !has_ended {
            let _gone = self.lines.send(failed(STOPPING)).await;
        }
    }
}

/// What a client may ask first.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asked {
    Replay(ReplayOf),
    Runs(Request),
}

/// Listens in the directory of the polls' log, whose lock is held.
pub fn listen(dir: &Path, supervisor: Supervisor, replayer: RecordReplayer) -> io::Result<Control> {
    Control::start(dir, move |talk, stop| {
        serve(talk, supervisor.clone(), replayer.clone(), stop)
    })
}

async fn serve(
    mut talk: Talk,
    supervisor: Supervisor,
    replayer: RecordReplayer,
    stop: CancellationToken,
) -> io::Result<()> {
    let heard = tokio::time::timeout(REQUEST_LIMIT, talk.hear(MAX_REQUEST)).await??;
    let request = match heard {
        None => return Ok(()),
        Some(Asked::Replay(ReplayOf { replay })) => {
            return replayer.serve(&mut talk, &replay, &stop).await;
        }
        Some(Asked::Runs(request)) => request,
    };
    let mut lines = ask(&supervisor, &request);
    while let Some(line) = lines.recv().await {
        talk.say(&line).await?;
    }
    talk.end().await
}

/// The client's side: asks the service that owns a directory, and passes every line to `tell`.
pub async fn ask_service(
    dir: &Path,
    request: &Request,
    tell: &mut (dyn FnMut(Line) + Send),
) -> io::Result<()> {
    let mut talk = Talk::connect(dir)?;
    talk.say(request).await?;
    while let Some(line) = talk.hear(MAX_LINE).await? {
        tell(line);
    }
    Ok(())
}
