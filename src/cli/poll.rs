//! `lakehook poll`: runs each poll once and exits.
//!
//! If a service runs, it does the work and this command follows it; otherwise this process opens the polls'
//! log itself. A dry run needs neither.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::board::Board;
use crate::cli::chosen;
use crate::cli::elsewhere;
use crate::cli::ending;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::feeds::feed::{Feed, SetupError};
use crate::feeds::figures::{Progress, Waiting};
use crate::feeds::wait::Waiter;
use crate::files::{Disk, create_dir_durably};
use crate::ids::{Ids, NodeId};
use crate::lake::reader::LakeReader;
use crate::poll::asked::Shipped;
use crate::poll::control::{Done, Line, Request, ask, ask_service};
use crate::poll::definition::GrantKind;
use crate::poll::feed::PollFeed;
use crate::poll::job::{Backfill, Job};
use crate::poll::plan::Plan;
use crate::poll::resume::PollCursor;
use crate::poll::run::run as run_poll;
use crate::serve::feeds::{FeedList, OpenFeeds, poll_feed};
use crate::serve::{Process, ServeError};
use crate::side_files::SideFiles;
use crate::telemetry;
use crate::wal::node::{Lock, LockError};

/// Arguments of `lakehook poll`.
#[derive(Debug, Args)]
pub struct PollArgs {
    /// The polls to run [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Fetch and validate, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Write a snapshot even if nothing has changed
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// Take the records as they are, whatever the guards say
    #[arg(long)]
    accept: bool,
    /// Read again what is new since this mark or time, of one poll, without moving its mark
    #[arg(long, value_name = "MARK", conflicts_with_all = ["dry_run", "force"])]
    from: Option<String>,
    /// End of what is read again, for a poll with a window [default: now]
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
}

/// Runs polls; exit code 1 if any failed, or is not in the lake.
pub fn run(loaded: &Loaded, args: PollArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    // Progress and failures go to standard output; the log has everything else.
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let names = chosen(config, args.names)?;
    let backfill = args.from.map(|from| Backfill { from, to: args.to });
    if backfill.is_some() && names.len() != 1 {
        let message = "lakehook: --from is about one poll; name it: lakehook poll NAME --from …";
        return Err(Failure::Usage(message.to_owned()));
    }
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let mut board = Board::new();
        let all_well = if args.dry_run {
            dry_runs(config, &names, args.accept, &mut board).await?
        } else {
            let request = Request {
                polls: names,
                force: args.force,
                accept: args.accept,
                backfill,
                state: None,
            };
            runs(config, &request, &mut board).await?
        };
        Ok(if all_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    });
    runtime.shutdown_background();
    code
}

pub(super) fn chosen(config: &Config, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let none = "lakehook: no polls are configured; add a section [poll.NAME] with a url to the configuration";
    chosen::chosen(&config.poll, names, ("poll", none))
}

/// Runs polls here, or has the service run them that holds their log. Returns whether all of them succeeded.
async fn runs(config: &Config, request: &Request, board: &mut Board) -> Result<bool, Failure> {
    let process = Process::new(config, Clock::system(), Ids::System)?;
    let polls = Arc::new(poll_feed(config));
    let feeds = FeedList::with(config, &[Arc::clone(&polls) as Arc<dyn Feed>]);
    match OpenFeeds::open(config, feeds, process).await {
        Ok(feeds) => runs_here(config, feeds, &polls, request, board).await,
        Err(ServeError::Polls(errors)) => Err(usage(&ServeError::Polls(errors))),
        Err(ServeError::Lock(held @ LockError::Held { .. })) => {
            let mut follow = |line| board.show(line);
            let asked = ask_service(&config.polls.dir, request, &mut follow).await;
            if let Err(error) = asked {
                return Err(elsewhere::explained(config, &held, "to poll", error)
                    .await
                    .into());
            }
            board.finish(&request.polls)
        }
        Err(error) => Err(error.into()),
    }
}

fn usage(error: &ServeError) -> Failure {
    Failure::Usage(format!("lakehook: {error}"))
}

async fn runs_here(
    config: &Config,
    feeds: OpenFeeds,
    polls: &PollFeed,
    request: &Request,
    board: &mut Board,
) -> Result<bool, Failure> {
    let mut signals = Signals::new()?;
    let feeds = feeds.start(false)?;
    let supervisor = polls.supervisor().context("the polls are not started")?;
    let mut lines = ask(supervisor, request);
    let ending = loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => board.show(line),
                None => break Ok(()),
            },
            reason = feeds.failed() => break Err(anyhow!("the log of polls cannot go on: {reason}")),
            () = signals.next() => break Err(anyhow!("interrupted; nothing half is visible")),
        }
    };
    // Nobody reads the lines any more. A task that still writes one must not wait for that.
    drop(lines);
    let stopped = ending::stop(config, feeds, &mut signals).await;
    ending?;
    if stopped.all_shipped {
        board.take_back();
    } else {
        ending::tell_left(config, &stopped);
    }
    Ok(board.finish(&request.polls)? && stopped.all_shipped)
}

/// The lock of the polls' log, if one of the polls uses up refresh tokens and nobody else holds it: their
/// successors must be kept even in a dry run.
fn lock_for_tokens(config: &Config, names: &[String]) -> Option<Lock> {
    let mut polls = names.iter().filter_map(|name| config.poll.get(name));
    let uses_up = polls.any(|poll| {
        let api = poll.api.as_ref().and_then(|api| config.api.get(api));
        let auth = api.map_or(&poll.auth, |api| &api.auth);
        auth.grant() == GrantKind::RefreshToken
    });
    let dir = &config.polls.dir;
    if !uses_up || create_dir_durably(&Disk, dir, true).is_err() {
        return None;
    }
    // Of a log in a bucket, only a service may use tokens up: it is the one that keeps them.
    if config.wal.replica.is_some() {
        return None;
    }
    Lock::take(dir).ok()
}

/// Fetches and validates records without a log.
async fn dry_runs(
    config: &Config,
    names: &[String],
    accept: bool,
    board: &mut Board,
) -> Result<bool, Failure> {
    let lock = lock_for_tokens(config, names);
    let beside = lock.as_ref().map(|_| SideFiles::within(&config.polls.dir));
    let plans = poll_feed(config).dry_plans(beside.as_ref());
    let plans = plans.map_err(|errors| {
        let errors = errors.iter().map(|error| SetupError(error.to_string()));
        usage(&ServeError::Polls(errors.collect()))
    })?;
    let lake = lake_for(config, &plans).await;
    let runtime = tokio::runtime::Handle::current();
    let cancel = CancellationToken::new();
    let mut signals = Signals::new()?;
    let (lines, mut receiver) = tokio::sync::mpsc::channel(16);
    let stop = cancel.clone();
    let names_here = names.to_vec();
    let running = tokio::task::spawn_blocking(move || {
        let turn = DryTurn {
            lake,
            accept,
            runtime,
            cancel: stop,
            lines,
        };
        for plan in plans.iter().filter(|plan| names_here.contains(&plan.name)) {
            turn.run(plan);
        }
    });
    loop {
        tokio::select! {
            line = receiver.recv() => match line {
                Some(line) => board.show(line),
                None => break,
            },
            () = signals.next() => cancel.cancel(),
        }
    }
    running.await?;
    board.finish(names)
}

/// What dry runs share.
struct DryTurn {
    lake: Option<LakeReader>,
    accept: bool,
    runtime: tokio::runtime::Handle,
    cancel: CancellationToken,
    lines: tokio::sync::mpsc::Sender<Line>,
}

impl DryTurn {
    /// Runs one poll without a log, and tells how it goes. Blocks.
    fn run(&self, plan: &Plan) {
        let (watched, poll) = (self.lines.clone(), plan.name.clone());
        let (runtime, cancel) = (self.runtime.clone(), self.cancel.clone());
        let waiter = Waiter::new(runtime, cancel, Clock::system(), plan.limits.budget);
        let waiter = waiter.watched_by(Arc::new(move |waiting: Option<&Waiting>| {
            let line = waiting.map(|waiting| Line::waiting(&poll, waiting));
            let _missed = line.map(|line| watched.try_send(line));
        }));
        let progress = |progress: Progress| {
            let line = Line::progress(&plan.name, progress);
            let _missed = self.lines.try_send(line);
        };
        let job = Job {
            plan,
            waiter: &waiter,
            log: None,
            dir: None,
            lake: self.lake.as_ref(),
            node: NodeId(0),
            ids: &Ids::System,
            force: false,
            accept: self.accept,
            backfill: None,
            progress: &progress,
        };
        let poll = plan.name.clone();
        let line = match run_poll(&job, &mut PollCursor::default()) {
            Ok(report) => Line::Done {
                poll,
                done: Done::new(report, Shipped::Yes),
            },
            Err(error) => Line::Failed {
                poll,
                error: error.to_string(),
            },
        };
        let _gone = self.lines.blocking_send(line);
    }
}

/// Reads the lake, if one of the plans needs it for its parents.
async fn lake_for(config: &Config, plans: &[Plan]) -> Option<LakeReader> {
    if plans.iter().all(|plan| plan.division.each.is_none()) {
        return None;
    }
    Some(LakeReader::open(config.lake.destination()).await)
}
