//! How a replay reaches the log that stores what is valid: that of events, or that of polls; held by this process or
//! by a running service.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::clock::Clock;
use crate::config::Config;
use crate::contract::{Contract, EVENTS};
use crate::feeds::feed::Feed;
use crate::files::Disk;
use crate::ids::Ids;
use crate::inbox::control::replay_by_service;
use crate::inbox::definition::{Changed, FilesMode};
use crate::inbox::dry::dry_replay as dry_files;
use crate::inbox::keeper::FilesKeepers;
use crate::inbox::plan::FilesPlan;
use crate::inbox::replay::{RefusedRecord, ReplayedRecord};
use crate::poll::definition::Mode;
use crate::poll::plan::Plan;
use crate::poll::replay::{
    KeptRecord, RecordClient, RecordOutcome, RecordReplayer, dry as dry_records,
};
use crate::replay::kept::KeptError;
use crate::replay::talk::{ErasureAsks, ErasureClient, ReplayClient};
use crate::replay::{Candidate, EventCounts, HookJudge, ReplayOutcome, judge};
use crate::serve::events::{OpenEvents, dry_contract};
use crate::serve::feeds::{FeedList, OpenFeeds, RunningFeeds, files_feed, poll_feed};
use crate::serve::{Patience, Process, ServeError, Stopped, hook_judge};
use crate::wal::node::{Lock, LockError, read};

/// What rows of a stream are stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// Events.
    Events,
    /// Records of a poll that appends.
    Appended,
    /// Records of files that add rows.
    Files,
    /// Records of a snapshot, to which nothing can be added.
    Snapshot,
}

/// The stream that rows are replayed into.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) kind: StreamKind,
}

impl Stream {
    /// The stream with that name, if it is configured.
    pub(super) fn find(config: &Config, name: &str) -> Option<Self> {
        let kind = if name == EVENTS {
            StreamKind::Events
        } else if let Some(files) = config.files.get(name) {
            // What may be replaced as a whole is not added to.
            match (files.mode, files.changed) {
                (FilesMode::Append, Changed::Refuse | Changed::Take) => StreamKind::Files,
                _ => StreamKind::Snapshot,
            }
        } else {
            match config.poll.get(name)?.mode {
                Mode::Append => StreamKind::Appended,
                Mode::Snapshot => StreamKind::Snapshot,
            }
        };
        Some(Self {
            name: name.to_owned(),
            kind,
        })
    }

    /// The directory of the log that stores rows of this stream: the log of events, or the log of polls.
    pub(super) fn dir<'a>(&self, config: &'a Config) -> &'a Path {
        if self.kind == StreamKind::Events {
            &config.wal.dir
        } else {
            &config.polls.dir
        }
    }
}

/// How this command reaches the log.
pub(super) enum Door {
    /// Nothing had to be stored yet, so the log is not open.
    Shut,
    /// This is a dry run, which stores nothing.
    Dry(Dry),
    /// This process holds the log of events.
    Events(Box<OpenEvents>),
    /// A service holds the log of events.
    EventsOfService(ReplayClient),
    /// This process holds the log of polls.
    Records(Box<OpenRecords>),
    /// A service holds the log of polls.
    RecordsOfService(Away, RecordClient),
    /// This process holds the log that files share with polls.
    Files(Box<OpenFiles>),
    /// A service holds that log.
    FilesOfService(Away, FilesOfService),
}

/// The stream of files in this process.
pub(super) struct OpenFiles {
    _away: Away,
    feeds: RunningFeeds,
    keepers: FilesKeepers,
    stream: String,
}

/// The stream of files in a service.
pub(super) struct FilesOfService {
    dir: PathBuf,
    stream: String,
}

/// What a dry run judges by.
pub(super) enum Dry {
    Events(Box<Contract>, HookJudge),
    Records(Box<Plan>),
    Files(Box<FilesPlan>),
    /// Nothing of a snapshot is judged.
    Nothing,
}

impl Dry {
    pub(super) fn open(config: &Config, stream: &Stream) -> Result<Self, ServeError> {
        if stream.kind == StreamKind::Events {
            return Ok(Self::Events(
                Box::new(dry_contract(config)?),
                hook_judge(config),
            ));
        }
        if stream.kind == StreamKind::Files {
            let plans = files_feed(config).dry_plans().map_err(ServeError::Polls)?;
            let plan = plans.into_iter().find(|plan| plan.name == stream.name);
            return Ok(plan.map_or(Self::Nothing, |plan| Self::Files(Box::new(plan))));
        }
        let plans = poll_feed(config).dry_plans(None).map_err(|errors| {
            let errors = errors
                .iter()
                .map(|error| crate::feeds::feed::SetupError(error.to_string()));
            ServeError::Polls(errors.collect())
        })?;
        let plan = plans.into_iter().find(|plan| plan.name == stream.name);
        Ok(match plan {
            Some(plan) if stream.kind == StreamKind::Appended => Self::Records(Box::new(plan)),
            _ => Self::Nothing,
        })
    }
}

/// The log of polls, held by this process.
pub(super) struct OpenRecords {
    _away: Away,
    feeds: RunningFeeds,
    replayer: RecordReplayer,
    poll: String,
}

/// Keeps erasures of this node away: they take the log of events, or its turn.
pub(super) enum Away {
    /// There is no log of events here, and so no erasure.
    Nobody,
    /// No other process can open it.
    Here { _lock: Lock },
    /// The service keeps erasures away while we are connected.
    Service(Box<ErasureClient>),
}

impl Away {
    async fn take(config: &Config) -> anyhow::Result<Self> {
        let dir = &config.wal.dir;
        if read(&Disk, dir)?.is_none() {
            return Ok(Self::Nobody);
        }
        match Lock::take(dir) {
            Ok(lock) => Ok(Self::Here { _lock: lock }),
            Err(held @ LockError::Held { .. }) => {
                let client = ErasureClient::connect(dir).with_context(|| busy(&held))?;
                let mut away = Self::Service(Box::new(client));
                away.hold().await?;
                Ok(away)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn hold(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Service(client) => client.ask(ErasureAsks::Hold).await,
            Self::Here { .. } | Self::Nobody => Ok(()),
        }
    }
}

fn busy(held: &LockError) -> String {
    format!(
        "{held}; it is no service that can be asked to replay, or is still starting. Try again when it is ready or gone"
    )
}

impl Door {
    /// Opens the log of a stream.
    pub(super) async fn open(config: &Config, stream: &Stream) -> anyhow::Result<Self> {
        if stream.kind == StreamKind::Events {
            return match OpenEvents::open(config, Clock::system(), Ids::System).await {
                Ok(events) => Ok(Self::Events(Box::new(events))),
                Err(ServeError::Lock(held @ LockError::Held { .. })) => {
                    let service = ReplayClient::connect(&config.wal.dir);
                    Ok(Self::EventsOfService(service.with_context(|| busy(&held))?))
                }
                Err(error) => Err(error.into()),
            };
        }
        let away = Away::take(config).await?;
        if stream.kind == StreamKind::Files {
            return Self::open_files(config, stream, away).await;
        }
        let polls = Arc::new(poll_feed(config));
        let feeds = FeedList::with(config, &[Arc::clone(&polls) as Arc<dyn Feed>]);
        let process = Process::new(config, Clock::system(), Ids::System)?;
        match OpenFeeds::open(config, feeds, process).await {
            Ok(feeds) => {
                let feeds = feeds.start(false)?;
                let replayer = polls.replayer().cloned();
                Ok(Self::Records(Box::new(OpenRecords {
                    _away: away,
                    feeds,
                    replayer: replayer.context("the polls are not started")?,
                    poll: stream.name.clone(),
                })))
            }
            Err(ServeError::Lock(held @ LockError::Held { .. })) => {
                let client = RecordClient::connect(&config.polls.dir, &stream.name).await;
                Ok(Self::RecordsOfService(
                    away,
                    client.with_context(|| busy(&held))?,
                ))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn open_files(config: &Config, stream: &Stream, away: Away) -> anyhow::Result<Self> {
        let files = Arc::new(files_feed(config));
        let feeds = FeedList::with(config, &[Arc::clone(&files) as Arc<dyn Feed>]);
        let process = Process::new(config, Clock::system(), Ids::System)?;
        match OpenFeeds::open(config, feeds, process).await {
            Ok(feeds) => {
                let feeds = feeds.start(false)?;
                let keepers = files.keepers().cloned();
                Ok(Self::Files(Box::new(OpenFiles {
                    _away: away,
                    feeds,
                    keepers: keepers.context("the feed of files is not started")?,
                    stream: stream.name.clone(),
                })))
            }
            Err(ServeError::Lock(LockError::Held { .. })) => {
                let service = FilesOfService {
                    dir: config.polls.dir.clone(),
                    stream: stream.name.clone(),
                };
                Ok(Self::FilesOfService(away, service))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Replays rows; the outcomes are in their order.
    pub(super) async fn page(
        &mut self,
        candidates: Vec<Candidate>,
    ) -> anyhow::Result<Vec<ReplayOutcome>> {
        match self {
            Self::Shut => Err(anyhow!("the log is not open")),
            Self::Dry(Dry::Events(contract, hooks)) => {
                let judged = candidates.iter().map(|one| dry_event(contract, hooks, one));
                Ok(judged.collect())
            }
            Self::Dry(Dry::Records(plan)) => Ok(outcomes(dry_records(plan, &records(candidates)))),
            Self::Dry(Dry::Files(plan)) => {
                let records = refused(candidates)?;
                Ok(of_files(dry_files(plan, &records)?))
            }
            Self::Files(open) => {
                let replayed = open
                    .keepers
                    .replay(&open.stream, refused(candidates)?)
                    .await;
                replayed.map(of_files).map_err(|why| anyhow!("{why}"))
            }
            Self::FilesOfService(away, service) => {
                away.hold().await?;
                let records = refused(candidates)?;
                let replayed = replay_by_service(&service.dir, &service.stream, records).await?;
                replayed.map(of_files).map_err(|why| anyhow!("{why}"))
            }
            Self::Dry(Dry::Nothing) => Err(anyhow!("nothing of a snapshot is replayed")),
            Self::Events(events) => {
                let replayed = events.replayer().page(&candidates).await;
                replayed.map_err(|why| anyhow!("{why}"))
            }
            Self::EventsOfService(service) => service.page(candidates).await,
            Self::Records(open) => {
                let replayed = open.replayer.page(&open.poll, &records(candidates)).await;
                replayed.map(outcomes).map_err(|why| anyhow!("{why}"))
            }
            Self::RecordsOfService(away, service) => {
                away.hold().await?;
                let replayed = service.page(&records(candidates)).await?;
                replayed.map(outcomes).map_err(|why| anyhow!("{why}"))
            }
        }
    }

    /// Closes the log if this process holds it, and says what was shipped then.
    pub(super) async fn close(self, patience: &Patience) -> Option<Stopped> {
        match self {
            Self::Events(events) => Some(events.close(patience).await),
            Self::Records(open) => Some(open.feeds.stop(patience).await),
            Self::Files(open) => Some(open.feeds.stop(patience).await),
            _ => None,
        }
    }

    /// Whether a service holds the log.
    pub(super) fn is_of_service(&self) -> bool {
        matches!(
            self,
            Self::EventsOfService(_) | Self::RecordsOfService(..) | Self::FilesOfService(..)
        )
    }
}

/// What was refused of files; rows of the quarantine that name no file cannot be replayed.
fn refused(candidates: Vec<Candidate>) -> anyhow::Result<Vec<RefusedRecord>> {
    let records = candidates.into_iter().map(|candidate| {
        let raw = BASE64.decode(&candidate.raw)?;
        Ok(RefusedRecord {
            file: candidate.place.file.unwrap_or_default(),
            line: candidate.place.line.unwrap_or_default(),
            header: candidate.place.header,
            raw: String::from_utf8_lossy(&raw).into_owned(),
        })
    });
    records.collect()
}

fn of_files(records: Vec<ReplayedRecord>) -> Vec<ReplayOutcome> {
    let outcome = |record| match record {
        ReplayedRecord::Stored => RecordOutcome::Stored,
        ReplayedRecord::Known => RecordOutcome::Known,
        ReplayedRecord::Invalid {
            pointer,
            code,
            detail,
        } => RecordOutcome::Invalid {
            pointer,
            code,
            detail,
        },
    };
    outcomes(records.into_iter().map(outcome).collect())
}

fn records(candidates: Vec<Candidate>) -> Vec<KeptRecord> {
    let records = candidates.into_iter().map(|candidate| KeptRecord {
        received_at: candidate.received_at,
        run: candidate.request_id,
        raw: candidate.raw,
    });
    records.collect()
}

fn outcomes(records: Vec<RecordOutcome>) -> Vec<ReplayOutcome> {
    let outcome = |record| match record {
        RecordOutcome::Stored => ReplayOutcome::Replayed(EventCounts {
            stored: 1,
            ..EventCounts::default()
        }),
        RecordOutcome::Known => ReplayOutcome::Replayed(EventCounts {
            duplicates: 1,
            ..EventCounts::default()
        }),
        RecordOutcome::Invalid {
            pointer,
            code,
            detail,
        } => ReplayOutcome::Invalid {
            errors: vec![KeptError {
                pointer,
                code,
                detail,
            }],
            errors_total: 1,
        },
    };
    records.into_iter().map(outcome).collect()
}

/// The outcome that a row would have if none of its ids were known.
fn dry_event(contract: &Contract, hooks: &HookJudge, candidate: &Candidate) -> ReplayOutcome {
    match judge(contract, hooks, candidate) {
        Err(outcome) => outcome,
        Ok(valid) => ReplayOutcome::Replayed(EventCounts {
            stored: valid.checked.rows.rows.len() as u64,
            dropped: valid
                .checked
                .dropped
                .iter()
                .map(|(_, count)| u64::from(*count))
                .sum(),
            ..EventCounts::default()
        }),
    }
}
