//! The protocol by which `lakehook files` asks a running service for looks into inboxes, and follows them.
//!
//! The client sends one [`FilesRequest`]; the service answers with [`FilesLine`]s, and closes the connection when
//! all looks have ended.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::keeper::FilesKeepers;
use super::replay::{RefusedRecord, ReplayedRecord};
use super::report::PassReport;
use super::shared::FilesUpdate;
use lakehook_base::files::{Disk, create_dir_durably};
use lakehook_feeds::control::{Control, Talk};

/// A page of refused records: many, or a large one.
const MAX_REQUEST: u64 = 32 << 20;
const MAX_LINE: u64 = 8 << 20;
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
const NOT_ASKED: &str = "there is no such stream of files in the running service, or too many wait for it; a changed \
                         configuration needs a restart";
const STOPPING: &str = "the service is stopping";

/// The looks that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesRequest {
    /// Names of streams.
    pub streams: Vec<String>,
    /// Whether files are taken as they are, whatever the guards say.
    #[serde(default)]
    pub accept: bool,
    /// In place of looks: refused records of the one stream, which are judged again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Vec<RefusedRecord>>,
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesLine {
    /// Progress of a look.
    Progress {
        /// The stream.
        stream: String,
        /// Number of files that were read.
        files: u64,
        /// Number of lines that were read.
        lines: u64,
        /// Number of all files, if it is known.
        total: Option<u64>,
    },
    /// What a look waits for.
    Waiting {
        /// The stream.
        stream: String,
        /// In words, to follow "waits for".
        what: String,
    },
    /// What was read is on its way to the lake.
    Shipping {
        /// The stream.
        stream: String,
        /// Number of batches and runs that are not in the lake yet.
        left: u64,
    },
    /// A look has ended.
    Done {
        /// The stream.
        stream: String,
        /// What it has found and done.
        report: Box<PassReport>,
        /// How long it took, in milliseconds.
        took_ms: u64,
        /// Whether all of it is visible.
        shipped: bool,
    },
    /// What became of refused records.
    Replayed(Vec<ReplayedRecord>),
    /// A look has failed.
    Failed {
        /// The stream.
        stream: String,
        /// Why.
        error: String,
    },
}

impl FilesLine {
    fn new(stream: &str, update: FilesUpdate) -> Self {
        let stream = stream.to_owned();
        match update {
            FilesUpdate::Progress(progress) => Self::Progress {
                stream,
                files: progress.pages,
                lines: progress.records,
                total: progress.total,
            },
            FilesUpdate::Waiting(waiting) => Self::Waiting {
                stream,
                what: waiting.what,
            },
            FilesUpdate::Shipping(left) => Self::Shipping { stream, left },
            FilesUpdate::Done(Ok(report), took, shipped) => Self::Done {
                stream,
                report: Box::new(report),
                took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                shipped,
            },
            FilesUpdate::Done(Err(error), ..) => Self::Failed {
                stream,
                error: error.to_string(),
            },
        }
    }

    fn is_end(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// Asks for all looks at once. The lines of a stream come in order, and its last one says how its look ended.
pub fn ask_files(keepers: &FilesKeepers, request: &FilesRequest) -> mpsc::Receiver<FilesLine> {
    let (lines, receiver) = mpsc::channel(16);
    for stream in request.streams.clone() {
        let asked = keepers.ask(&stream, request.accept);
        let lines = lines.clone();
        keepers.spawn(async move { follow(&stream, asked, lines).await });
    }
    receiver
}

async fn follow(
    stream: &str,
    asked: Option<mpsc::Receiver<FilesUpdate>>,
    lines: mpsc::Sender<FilesLine>,
) {
    let failed = |error: &str| FilesLine::Failed {
        stream: stream.to_owned(),
        error: error.to_owned(),
    };
    let Some(mut updates) = asked else {
        let _gone = lines.send(failed(NOT_ASKED)).await;
        return;
    };
    let mut has_ended = false;
    while let Some(update) = updates.recv().await {
        let line = FilesLine::new(stream, update);
        has_ended = line.is_end();
        if lines.send(line).await.is_err() {
            return;
        }
    }
    if !has_ended {
        let _gone = lines.send(failed(STOPPING)).await;
    }
}

/// The directory of the socket, within that of the log.
fn socket_dir(dir: &Path) -> PathBuf {
    dir.join("files")
}

/// Listens within the directory of the feeds' log, whose lock is held.
pub(crate) fn listen(dir: &Path, keepers: FilesKeepers) -> io::Result<Control> {
    let dir = socket_dir(dir);
    create_dir_durably(&Disk, &dir, true)?;
    Control::start(&dir, move |talk, stop| serve(talk, keepers.clone(), stop))
}

async fn serve(mut talk: Talk, keepers: FilesKeepers, stop: CancellationToken) -> io::Result<()> {
    let heard: Option<FilesRequest> =
        tokio::time::timeout(REQUEST_LIMIT, talk.hear(MAX_REQUEST)).await??;
    let Some(request) = heard else {
        return Ok(());
    };
    if let Some(records) = request.replay {
        let stream = request.streams.into_iter().next().unwrap_or_default();
        let line = match keepers.replay(&stream, records).await {
            Ok(outcomes) => FilesLine::Replayed(outcomes),
            Err(error) => FilesLine::Failed { stream, error },
        };
        talk.say(&line).await?;
        return talk.end().await;
    }
    let mut lines = ask_files(&keepers, &request);
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = stop.cancelled() => None,
        };
        match line {
            Some(line) => talk.say(&line).await?,
            None => return talk.end().await,
        }
    }
}

/// The client's side: asks the service that owns a directory, and passes every line to `tell`.
pub async fn ask_files_of_service(
    dir: &Path,
    request: &FilesRequest,
    tell: &mut (dyn FnMut(FilesLine) + Send),
) -> io::Result<()> {
    let mut talk = Talk::connect(&socket_dir(dir))?;
    talk.say(request).await?;
    while let Some(line) = talk.hear(MAX_LINE).await? {
        tell(line);
    }
    Ok(())
}

/// Has the service that owns a directory judge refused records again; the inner error is the service's.
pub async fn replay_by_service(
    dir: &Path,
    stream: &str,
    records: Vec<RefusedRecord>,
) -> io::Result<Result<Vec<ReplayedRecord>, String>> {
    let request = FilesRequest {
        streams: vec![stream.to_owned()],
        accept: false,
        replay: Some(records),
    };
    let mut answer = None;
    let mut hear = |line| answer = Some(line);
    ask_files_of_service(dir, &request, &mut hear).await?;
    Ok(match answer {
        Some(FilesLine::Replayed(outcomes)) => Ok(outcomes),
        Some(FilesLine::Failed { error, .. }) => Err(error),
        _ => Err("the service gave no answer; is it of another version?".to_owned()),
    })
}
