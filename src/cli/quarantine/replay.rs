//! `lakehook quarantine replay`: stores what was refused earlier but is valid now.
//!
//! If a running service holds the log, this command asks it to store the rows. Otherwise the command opens the log and
//! stores them itself. A dry run only checks the rows and does neither.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::door::{Door, Dry, Stream, StreamKind};
use super::kept::{Which, each};
use super::report::Report;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::contract::EVENTS;
use crate::erase::notes;
use crate::files::Disk;
use crate::ids::{Ids, NodeId};
use crate::lake::LakeError;
use crate::lake::reader::LakeReader;
use crate::replay::kept::Kept;
use crate::replay::marks::{Marking, Marks};
use crate::replay::talk::{MAX_CANDIDATES, MAX_RAW};
use crate::replay::{Candidate, ReplayOutcome, RowsOf, Scope, Skip, node_of};
use crate::serve::{Patience, ServeError, lake_of};
use crate::telemetry;
use crate::wal::node::read;

/// How often the command tries to put a mark, …
const MARK_TRIES: u32 = 5;
/// … and how long it pauses between two attempts.
const MARK_PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `lakehook quarantine replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    which: Which,
    /// Only the row with this LSN
    #[arg(long, value_name = "LSN")]
    lsn: Option<u64>,
    /// Only rows of this object
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Take what other nodes refused, too; an event that got in there since is then stored a second time
    #[arg(long)]
    other_nodes: bool,
    /// Judge, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Replays. The exit code is 1 if part of it could not be done, or is not in the lake. Rows that are still
/// invalid are no failure.
pub fn run(loaded: &Loaded, args: ReplayArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let runtime = runtime()?;
    let done = runtime.block_on(replay(config, args));
    runtime.shutdown_background();
    done
}

async fn replay(config: &Config, mut args: ReplayArgs) -> Result<ExitCode, Failure> {
    let name = args.which.stream.get_or_insert_with(|| EVENTS.to_owned());
    let stream = Stream::find(config, name).ok_or_else(|| {
        let polls = config.poll.keys().chain(config.files.keys());
        let polls: Vec<_> = polls.map(String::as_str).collect();
        Failure::Usage(format!(
            "--stream {name}: it must be `events`, or the name of a poll or of a stream of files; configured are: {}",
            polls.join(", ")
        ))
    })?;
    let dry = Dry::open(config, &stream).map_err(usage)?;
    let place = LakeReader::open(config.lake.destination()).await;
    // Before anything is read of the quarantine.
    let erasures = notes::keys_of(&place).await?;
    let marks = Marks::read(&place).await?;
    let node = read(&Disk, stream.dir(config))?.map(|node| node.id);
    let door = if args.dry_run {
        Door::Dry(dry)
    } else {
        Door::Shut
    };
    let scope = Scope {
        stream: stream.name.clone(),
        rows: match stream.kind {
            StreamKind::Events => RowsOf::Events,
            StreamKind::Appended | StreamKind::Files => RowsOf::Appended,
            StreamKind::Snapshot => RowsOf::Snapshot,
        },
        node,
        other_nodes: args.other_nodes,
        hooks: config.hook.keys().cloned().collect(),
        hook_paths: config
            .hook
            .iter()
            .flat_map(|(name, hook)| hook.paths(name))
            .map(|(path, _)| path)
            .collect(),
    };
    let mut replay = Replay {
        config,
        place: &place,
        stream,
        erasures,
        scope,
        marks,
        door,
        page: Vec::new(),
        raw_bytes: 0,
        marking: Marking::default(),
        report: Report::new(args.dry_run),
        interrupts: Interrupts::listen()?,
    };
    // What was replayed before an error is marked, too.
    let sent = replay.all(&args).await;
    let marked = replay.mark().await;
    let all_well = replay.close().await;
    replay.interrupts.end().await;
    replay.report.print(args.json)?;
    sent?;
    marked.context("what was replayed is not marked; replayed again, it is found to be known")?;
    Ok(if all_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// The first signal ends the reading, the second one the wait for the lake.
struct Interrupts {
    stop: CancellationToken,
    hurry: CancellationToken,
    listener: JoinHandle<()>,
}

impl Interrupts {
    fn listen() -> std::io::Result<Self> {
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let mut signals = Signals::new()?;
        let (first, second) = (stop.clone(), hurry.clone());
        let listener = tokio::spawn(async move {
            signals.next().await;
            first.cancel();
            signals.next().await;
            second.cancel();
        });
        Ok(Self {
            stop,
            hurry,
            listener,
        })
    }

    /// Ends the task that listens for signals.
    async fn end(self) {
        self.listener.abort();
        let _cancelled = self.listener.await;
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.stop.is_cancelled() {
            return Err(anyhow!("interrupted; what was replayed is told above"));
        }
        Ok(())
    }
}

fn usage(error: ServeError) -> Failure {
    match error {
        ServeError::Schemas(_) | ServeError::Columns(_) | ServeError::Polls(_) => {
            Failure::Usage(format!("lakehook: {error}"))
        }
        error => error.into(),
    }
}

/// A row that is being replayed.
struct Sent {
    candidate: Candidate,
    key: String,
    node: NodeId,
    lsn: u64,
}

struct Replay<'a> {
    config: &'a Config,
    place: &'a LakeReader,
    stream: Stream,
    /// The keys of the notes of erasures, as they were before the quarantine was read.
    erasures: Vec<String>,
    scope: Scope,
    marks: Marks,
    door: Door,
    page: Vec<Sent>,
    raw_bytes: usize,
    marking: Marking,
    report: Report,
    interrupts: Interrupts,
}

impl Replay<'_> {
    /// Reads the quarantine and replays its rows page by page.
    async fn all(&mut self, args: &ReplayArgs) -> anyhow::Result<()> {
        let stop = self.interrupts.stop.clone();
        let place = self.place;
        let mut failed = None;
        let mut take = |key: &str, row: Kept| {
            if args.lsn.is_some_and(|lsn| row.lsn != lsn) {
                return Ok(true);
            }
            // These errors are not errors of the object.
            let goes_on = self.interrupts.check();
            let goes_on = goes_on.and_then(|()| self.make_room(&row));
            goes_on.unwrap_or_else(|error| failed = Some(error));
            if failed.is_none() {
                self.take(key, &row)?;
            }
            Ok(failed.is_none())
        };
        tokio::select! {
            read = each(place, &args.which, args.key.as_deref(), &mut take) => read?,
            () = stop.cancelled() => {}
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.interrupts.check()?;
        self.send().await
    }

    /// Sends the current page first if it has no room for this row.
    fn make_room(&mut self, row: &Kept) -> anyhow::Result<()> {
        let is_full = self.page.len() == MAX_CANDIDATES || self.raw_bytes + row.raw.len() > MAX_RAW;
        if is_full && !self.page.is_empty() {
            let handle = Handle::current();
            tokio::task::block_in_place(|| handle.block_on(self.send()))?;
        }
        Ok(())
    }

    fn take(&mut self, key: &str, row: &Kept) -> anyhow::Result<()> {
        let of = node_of(key);
        if self.marks.of(of, row.lsn).is_some() {
            self.report.skipped(Skip::Before, key, row.lsn);
            return Ok(());
        }
        let (candidate, node) = match (self.scope.candidate(row, of)?, of) {
            (Ok(candidate), Some(node)) => (candidate, node),
            (Err(skip), _) => {
                self.report.skipped(skip, key, row.lsn);
                return Ok(());
            }
            (Ok(_), None) => return Ok(()),
        };
        self.raw_bytes += row.raw.len();
        self.page.push(Sent {
            candidate,
            key: key.to_owned(),
            node,
            lsn: row.lsn,
        });
        Ok(())
    }

    /// Sends the current page and records its outcomes.
    async fn send(&mut self) -> anyhow::Result<()> {
        let page = std::mem::take(&mut self.page);
        self.raw_bytes = 0;
        if page.is_empty() {
            return Ok(());
        }
        if matches!(self.door, Door::Shut) {
            self.door = Door::open(self.config, &self.stream).await?;
        }
        self.check_erasures().await?;
        let candidates = page.iter().map(|sent| sent.candidate.clone()).collect();
        let outcomes = self.door.page(candidates).await?;
        let is_dry = matches!(self.door, Door::Dry(_));
        let mut is_full = false;
        for (sent, outcome) in page.iter().zip(outcomes) {
            match outcome {
                ReplayOutcome::Replayed(counts) => {
                    self.report.replayed(counts);
                    is_full |= !is_dry && self.marking.add(sent.node, sent.lsn, counts);
                }
                ReplayOutcome::Invalid {
                    errors,
                    errors_total: _,
                } => self.report.invalid(&errors, &sent.key, sent.lsn),
            }
        }
        if is_full {
            self.mark().await?;
        }
        Ok(())
    }

    /// What was read may hold what was erased since. On this node none begins while the door is open.
    async fn check_erasures(&self) -> anyhow::Result<()> {
        if matches!(self.door, Door::Dry(_)) {
            return Ok(());
        }
        let keys = notes::keys_of(self.place).await?;
        if let Some(key) = notes::unfinished_among(&keys) {
            return Err(anyhow!(
                "an erasure is not done ({key}): finish it with `lakehook erase` on the node that the note names, then \
                 replay; docs/privacy.md says what to do if that node is gone"
            ));
        }
        if keys != self.erasures {
            return Err(anyhow!(
                "rows were erased while the quarantine was read; start the replay again"
            ));
        }
        Ok(())
    }

    /// Puts a mark for what was replayed into the lake.
    async fn mark(&mut self) -> anyhow::Result<()> {
        if self.marking.is_empty() {
            return Ok(());
        }
        let dir = self.stream.dir(self.config);
        let by = read(&Disk, dir)?.context("the log has no node")?.id;
        let lake = lake_of(self.config, dir, Handle::current()).await;
        let (at, number) = (Clock::system().now().wall, Ids::System.next()?);
        let mut tries = 0;
        loop {
            tries += 1;
            let marking = &mut self.marking;
            let put = tokio::task::block_in_place(|| {
                lake.probe()?;
                marking.put(&lake, by, at, number)
            });
            match put {
                Err(LakeError::Retry { .. }) if tries < MARK_TRIES => {
                    tokio::time::sleep(MARK_PAUSE).await;
                }
                put => return Ok(put?),
            }
        }
    }

    /// Closes the log if this process holds it. Returns `false` if part of it is not in the lake.
    async fn close(&mut self) -> bool {
        let door = std::mem::replace(&mut self.door, Door::Shut);
        self.report.by_service = door.is_of_service();
        let grace = self.config.server.shutdown_grace.duration();
        let patience = Patience::new(grace, self.interrupts.hurry.clone());
        let stopped = door.close(&patience).await;
        self.report.shipped = stopped.as_ref().map(|stopped| stopped.all_shipped);
        stopped.is_none_or(|stopped| stopped.all_shipped)
    }
}
