//! The way into a running service: a Unix socket in the directory of the polls' log, on which
//! `lakehook poll` asks for runs and follows them.
//!
//! One JSON value a line. The client sends one [`Request`]; the service answers with [`Line`]s, and
//! closes when all runs have ended. Who may write into the directory may ask: the socket's mode is 0600.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::run::{Outcome, Progress, Report};
use super::supervisor::{Supervisor, Update};
use crate::files::{Disk, remove_if_there};

const FILE: &str = "control.sock";
/// Addresses of sockets are short; a longer path goes by way of the open directory.
const MAX_ADDRESS: usize = 100;
const MAX_REQUEST: u64 = 64 << 10;
const MAX_CLIENTS: usize = 16;
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Names of polls; none means all.
    pub polls: Vec<String>,
    /// Whether an unchanged snapshot is written all the same.
    #[serde(default)]
    pub force: bool,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How far a run is.
    Progress {
        /// The poll.
        poll: String,
        /// Pages read.
        pages: u64,
        /// Records read.
        records: u64,
        /// Records in all, if known.
        total: Option<u64>,
    },
    /// A run has not failed.
    Done {
        /// The poll.
        poll: String,
        /// What there is to say.
        done: Done,
    },
    /// A run failed.
    Failed {
        /// The poll; empty if nothing was begun.
        poll: String,
        /// Why.
        error: String,
    },
}

/// A run that did not fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Its name.
    pub run: String,
    /// The earlier run that holds the same, if nothing has changed.
    pub same_as: Option<String>,
    /// Records read.
    pub records: u64,
    /// Rows that are new.
    pub stored: u64,
    /// Rows that were stored before.
    pub duplicates: u64,
    /// Records in the quarantine.
    pub quarantined: u64,
    /// What is wrong with the first of these.
    pub samples: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Whether all of it is in the lake.
    pub shipped: bool,
}

impl Done {
    /// From the report of a run.
    pub fn new(report: Report, shipped: bool) -> Self {
        let counts = report.counts;
        Self {
            run: report.run,
            same_as: match report.outcome {
                Outcome::Unchanged(run) => Some(run),
                Outcome::Complete | Outcome::Checked => None,
            },
            records: counts.records,
            stored: counts.stored,
            duplicates: counts.duplicates,
            quarantined: counts.quarantined,
            samples: counts.samples,
            took_ms: u64::try_from(report.took.as_millis()).unwrap_or(u64::MAX),
            shipped,
        }
    }
}

impl Line {
    /// Of a run on its way.
    pub fn progress(poll: &str, progress: Progress) -> Self {
        Self::Progress {
            poll: poll.to_owned(),
            pages: progress.pages,
            records: progress.records,
            total: progress.total,
        }
    }

    /// Of a poll's update.
    pub fn new(poll: &str, update: Update) -> Self {
        let poll = poll.to_owned();
        match update {
            Update::Progress(progress) => Self::progress(&poll, progress),
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

    /// Whether it is the last of its poll.
    pub fn is_end(&self) -> bool {
        !matches!(self, Self::Progress { .. })
    }
}

/// Asks for runs, all at once; their lines come in the order in which things happen, the last one of
/// each poll being its end.
pub fn ask(supervisor: &Supervisor, request: &Request) -> mpsc::Receiver<Line> {
    let (lines, receiver) = mpsc::channel(16);
    let polls: Vec<String> = if request.polls.is_empty() {
        supervisor.names().map(str::to_owned).collect()
    } else {
        request.polls.clone()
    };
    for poll in polls {
        let updates = supervisor.ask(&poll, request.force);
        let lines = lines.clone();
        tokio::spawn(async move {
            let Some(mut updates) = updates else {
                let error =
                    "there is no such poll in the running service, or too many wait for it; a \
                             changed configuration needs a restart"
                        .to_owned();
                let _gone = lines.send(Line::Failed { poll, error }).await;
                return;
            };
            let mut has_ended = false;
            while let Some(update) = updates.recv().await {
                let line = Line::new(&poll, update);
                has_ended = line.is_end();
                if lines.send(line).await.is_err() {
                    return;
                }
            }
            if !has_ended {
                let error = "the service is stopping".to_owned();
                let _gone = lines.send(Line::Failed { poll, error }).await;
            }
        });
    }
    receiver
}

/// The service's side of the socket.
pub struct Control {
    stop: CancellationToken,
    tasks: TaskTracker,
    path: PathBuf,
}

impl Control {
    /// Listens in a directory whose lock is held; a socket that an earlier service left is replaced.
    pub fn start(dir: &Path, supervisor: Supervisor) -> io::Result<Self> {
        let path = dir.join(FILE);
        remove_if_there(&Disk, &path)?;
        let listener = with_address(dir, UnixListener::bind)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let control = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            path,
        };
        let (stop, tasks) = (control.stop.clone(), control.tasks.clone());
        let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
        control.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let (Ok((stream, _)), Ok(permit)) =
                    (accepted, Arc::clone(&permits).acquire_owned().await)
                else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let supervisor = supervisor.clone();
                tasks.spawn(async move {
                    if let Err(error) = serve(stream, &supervisor).await {
                        tracing::debug!(%error, "a client of the control socket is gone");
                    }
                    drop(permit);
                });
            }
        });
        control.tasks.close();
        Ok(control)
    }

    /// Lets nobody in any more, and waits until all are told; runs have been stopped before.
    pub async fn stop(self) {
        self.stop.cancel();
        let _hung = tokio::time::timeout(WRITE_LIMIT, self.tasks.wait()).await;
        let _left_for_the_next = remove_if_there(&Disk, &self.path);
    }
}

async fn serve(stream: UnixStream, supervisor: &Supervisor) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    let mut text = String::new();
    let mut input = BufReader::new(input.take(MAX_REQUEST));
    tokio::time::timeout(REQUEST_LIMIT, input.read_line(&mut text)).await??;
    let request: Request = serde_json::from_str(&text)?;
    let mut lines = ask(supervisor, &request);
    while let Some(line) = lines.recv().await {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        tokio::time::timeout(WRITE_LIMIT, output.write_all(&text)).await??;
    }
    output.shutdown().await
}

/// The client's side: asks the service that holds a directory, and gives every line to `tell`.
pub async fn ask_service(
    dir: &Path,
    request: &Request,
    tell: &mut (dyn FnMut(Line) + Send),
) -> io::Result<()> {
    let stream = with_address(dir, |address| {
        std::os::unix::net::UnixStream::connect(address)
    })?;
    stream.set_nonblocking(true)?;
    let (input, mut output) = UnixStream::from_std(stream)?.into_split();
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    output.write_all(&text).await?;
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await? {
        tell(serde_json::from_str(&line)?);
    }
    Ok(())
}

/// Calls with an address of the socket that is short enough.
#[allow(
    clippy::disallowed_methods,
    reason = "opens a directory for its number alone"
)]
fn with_address<T>(dir: &Path, call: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let path = dir.join(FILE);
    if path.as_os_str().len() <= MAX_ADDRESS {
        return call(path);
    }
    let open = std::fs::File::open(dir)?;
    call(PathBuf::from(format!(
        "/proc/self/fd/{}/{FILE}",
        open.as_raw_fd()
    )))
}
