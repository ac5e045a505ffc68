//! `lakehook poll`: runs each poll once and exits.
//!
//! If a service runs, it does the work and this command follows it; otherwise this process opens the polls'
//! log itself. A dry run needs neither.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::{Clock, Micros};
use crate::config::{Config, Loaded};
use crate::feeds::feed::{Feed, SetupError};
use crate::feeds::figures::{Progress, Waiting};
use crate::feeds::wait::Waiter;
use crate::files::{Disk, create_dir_durably};
use crate::ids::{Ids, NodeId};
use crate::out;
use crate::poll::control::{Done, Line, Request, ask, ask_service};
use crate::poll::definition::GrantKind;
use crate::poll::feed::PollFeed;
use crate::poll::job::{Backfill, Job};
use crate::poll::resume::PollCursor;
use crate::poll::run::run as run_poll;
use crate::poll::supervisor::Shipped;
use crate::serve::feeds::{FeedList, OpenFeeds, poll_feed};
use crate::serve::{Patience, Process, ServeError};
use crate::telemetry;
use crate::wal::node::{Lock, LockError};

/// Minimum time between two plain lines of progress.
const PLAIN_PAUSE: Duration = Duration::from_secs(2);
/// Most characters of what is shown beside a bar.
const MAX_MESSAGE: usize = 60;
const HOUR: Duration = Duration::from_secs(3600);

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

fn chosen(config: &Config, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let known: Vec<&str> = config.poll.keys().map(String::as_str).collect();
    if known.is_empty() {
        let message = "lakehook: no polls are configured; add a section [poll.NAME] with a url to the \
                       configuration";
        return Err(Failure::Usage(message.to_owned()));
    }
    if let Some(unknown) = names.iter().find(|name| !config.poll.contains_key(*name)) {
        let known = known.join(", ");
        let message = format!("lakehook: there is no poll {unknown:?}; configured are {known}");
        return Err(Failure::Usage(message));
    }
    let mut names = if names.is_empty() {
        known.into_iter().map(str::to_owned).collect()
    } else {
        names
    };
    names.sort();
    names.dedup();
    Ok(names)
}

/// Runs polls here, or has the service run them that holds their log. Returns whether all of them succeeded.
async fn runs(config: &Config, request: &Request, board: &mut Board) -> Result<bool, Failure> {
    let process = Process::new(config, Clock::system(), Ids::System)?;
    let polls = Arc::new(poll_feed(config));
    let feeds = FeedList::only(Arc::clone(&polls) as Arc<dyn Feed>);
    match OpenFeeds::open(config, feeds, process).await {
        Ok(feeds) => runs_here(config, feeds, &polls, request, board).await,
        Err(ServeError::Polls(errors)) => Err(usage(&ServeError::Polls(errors))),
        Err(ServeError::Lock(held @ LockError::Held { .. })) => {
            let mut follow = |line| board.show(line);
            let asked = ask_service(&config.polls.dir, request, &mut follow).await;
            asked.with_context(|| {
                format!(
                    "{held}; it is no service that can be asked to poll, or is still starting. Try \
                     again when it is ready or gone"
                )
            })?;
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
    let hurry = CancellationToken::new();
    let patience = Patience::new(config.server.shutdown_grace.duration(), hurry.clone());
    let stopping = feeds.stop(&patience);
    let mut stopping = std::pin::pin!(stopping);
    let stopped = tokio::select! {
        stopped = &mut stopping => stopped,
        () = signals.next() => {
            hurry.cancel();
            stopping.await
        }
    };
    ending?;
    if stopped.all_shipped {
        board.take_back();
    } else {
        out::line(format_args!(
            "{} records are safe in the log ({}) and not in the lake yet; the next run or service brings \
             them there",
            stopped.left_rows,
            config.polls.dir.display()
        ));
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
    let dir = lock.as_ref().map(|_| config.polls.dir.as_path());
    let plans = poll_feed(config).dry_plans(dir);
    let plans = plans.map_err(|errors| {
        let errors = errors.iter().map(|error| SetupError(error.to_string()));
        usage(&ServeError::Polls(errors.collect()))
    })?;
    let runtime = tokio::runtime::Handle::current();
    let cancel = CancellationToken::new();
    let mut signals = Signals::new()?;
    let (lines, mut receiver) = tokio::sync::mpsc::channel(16);
    let stop = cancel.clone();
    let names_here = names.to_vec();
    let running = tokio::task::spawn_blocking(move || {
        for plan in plans.iter().filter(|plan| names_here.contains(&plan.name)) {
            let budget = plan.limits.budget;
            let (watched, poll) = (lines.clone(), plan.name.clone());
            let waiter = Waiter::new(runtime.clone(), stop.clone(), Clock::system(), budget);
            let waiter = waiter.watched_by(Arc::new(move |waiting: Option<&Waiting>| {
                let line = waiting.map(|waiting| Line::waiting(&poll, waiting));
                let _missed = line.map(|line| watched.try_send(line));
            }));
            let progress = |progress: Progress| {
                let line = Line::progress(&plan.name, progress);
                let _missed = lines.try_send(line);
            };
            let job = Job {
                plan,
                waiter: &waiter,
                log: None,
                node: NodeId(0),
                ids: &Ids::System,
                force: false,
                accept,
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
            let _gone = lines.blocking_send(line);
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

/// Shows the progress of runs: bars on a terminal, lines elsewhere.
struct Board {
    bars: Option<MultiProgress>,
    shown: HashMap<String, Shown>,
    clock: Clock,
    failed: Vec<String>,
    /// Polls that went well, and whose rows are not in the lake yet.
    unshipped: Vec<String>,
    ended: Vec<String>,
}

struct Shown {
    bar: Option<ProgressBar>,
    last_line: Duration,
}

impl Board {
    fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let bars =
            is_terminal.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stdout()));
        Self {
            bars,
            shown: HashMap::new(),
            clock: Clock::system(),
            failed: Vec::new(),
            unshipped: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn show(&mut self, line: Line) {
        match line {
            Line::Progress {
                poll,
                pages,
                records,
                total,
            } => self.progress(&poll, pages, records, total),
            Line::Waiting {
                poll,
                what,
                until,
                failed,
            } => self.waiting(&poll, &what, until.map(Micros), failed),
            Line::Shipping { poll, left } => {
                self.step(
                    &poll,
                    &format!("{left} batches on their way to the lake"),
                    false,
                );
            }
            Line::Done { poll, done } => {
                for sample in &done.samples {
                    self.say(&format!("{poll}  quarantined: {sample}"));
                }
                for warning in &done.warnings {
                    self.say(&format!("{poll}  warning: {warning}"));
                }
                self.end(&poll, &describe(&done));
                if !done.shipped {
                    self.unshipped.push(poll.clone());
                    self.say(&format!(
                        "{poll}  it is safe in the log, but was not in the lake within {} s",
                        done.waited
                    ));
                }
            }
            Line::Failed { poll, error } => {
                self.end(&poll, &format!("failed: {error}"));
                self.failed.push(poll);
            }
        }
    }

    fn progress(&mut self, poll: &str, pages: u64, records: u64, total: Option<u64>) {
        let of = total.map_or_else(String::new, |total| format!(" of {total}"));
        let shown = self.shown(poll);
        if let Some(bar) = &shown.bar {
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(records);
            bar.set_message(format!("page {pages}"));
        } else {
            self.step(poll, &format!("page {pages}, {records}{of} records"), false);
        }
    }

    /// Shows what a run waits for. Every fault is a line of its own, because it explains the wait.
    fn waiting(&mut self, poll: &str, what: &str, until: Option<Micros>, failed: bool) {
        let now = self.clock.now().wall;
        let how_long = until.map_or_else(String::new, |until| {
            let left = until.since(now);
            if left < HOUR {
                format!(" {left:.1?}")
            } else {
                format!(" until {until}")
            }
        });
        self.step(poll, &format!("waits{how_long} for {what}"), failed);
    }

    /// Shows a step of a run: beside its bar, or as a line, of which there are not too many unless
    /// `always`.
    fn step(&mut self, poll: &str, text: &str, always: bool) {
        let now = self.clock.now().mono;
        let shown = self.shown(poll);
        let is_due = now.saturating_sub(shown.last_line) >= PLAIN_PAUSE;
        if let Some(bar) = &shown.bar {
            bar.set_message(text.chars().take(MAX_MESSAGE).collect::<String>());
            bar.tick();
            if always {
                self.say(&format!("{poll}  {text}"));
            }
        } else if always || is_due {
            shown.last_line = now;
            out::line(format_args!("{poll}  {text}"));
        }
    }

    fn shown(&mut self, poll: &str) -> &mut Shown {
        let (bars, now) = (&self.bars, self.clock.now().mono);
        self.shown.entry(poll.to_owned()).or_insert_with(|| Shown {
            bar: bars.as_ref().map(|bars| bars.add(new_bar(poll))),
            last_line: now,
        })
    }

    /// Everything has arrived in the lake after all.
    fn take_back(&mut self) {
        for poll in std::mem::take(&mut self.unshipped) {
            self.say(&format!("{poll}  it is in the lake now"));
        }
    }

    fn end(&mut self, poll: &str, text: &str) {
        if let Some(bar) = self.shown.remove(poll).and_then(|shown| shown.bar) {
            bar.finish_and_clear();
        }
        self.say(&format!("{poll}  {text}"));
        self.ended.push(poll.to_owned());
    }

    fn say(&self, text: &str) {
        match &self.bars {
            // Printed above the bars.
            Some(bars) => _ = bars.println(text),
            None => out::line(text),
        }
    }

    /// Whether all polls succeeded; an error if one of them has not ended at all.
    fn finish(&self, polls: &[String]) -> Result<bool, Failure> {
        if let Some(poll) = polls.iter().find(|poll| !self.ended.contains(poll)) {
            return Err(anyhow!("the service went away before {poll} had ended").into());
        }
        Ok(self.failed.is_empty() && self.unshipped.is_empty())
    }
}

fn new_bar(poll: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix}  {bar:30} {pos}/{len} records, {msg} {elapsed}");
    let bar = ProgressBar::new(0).with_prefix(poll.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Describes a run that did not fail.
fn describe(done: &Done) -> String {
    let took = Duration::from_millis(done.took_ms);
    let quarantined = match done.quarantined {
        0 => String::new(),
        count => format!(", {count} quarantined"),
    };
    let duplicates = match done.duplicates {
        0 => String::new(),
        count => format!(", {count} known already"),
    };
    let nulls = match done.nulls.values().sum::<u64>() {
        0 => String::new(),
        count => {
            let columns: Vec<&str> = done.nulls.keys().map(String::as_str).collect();
            format!(", {count} values made null ({})", columns.join(", "))
        }
    };
    let unchanged = done.same_as.as_ref().map_or_else(String::new, |run| {
        format!(", unchanged since run {run}; nothing was written")
    });
    format!(
        "{} records in {took:.1?}{duplicates}{quarantined}{nulls}{unchanged}  run {}",
        done.records, done.run
    )
}
