//! `lakehook files`: looks into the inboxes once, or until it is stopped, and exits.
//!
//! If a service runs, it does the work and this command follows it; otherwise this process opens the log of feeds
//! itself. A dry run needs neither.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::chosen;
use crate::cli::elsewhere;
use crate::cli::ending;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{Config, Loaded, Span};
use crate::feeds::feed::Feed;
use crate::ids::Ids;
use crate::inbox::control::{FilesLine, FilesRequest, ask_files, ask_files_of_service};
use crate::inbox::dry::dry_look;
use crate::inbox::feed::FilesFeed;
use crate::inbox::probe::propose;
use crate::inbox::report::PassReport;
use crate::out;
use crate::serve::feeds::{FeedList, OpenFeeds, files_feed};
use crate::serve::{Process, ServeError};
use crate::telemetry::{self, LogFormat};
use crate::wal::node::LockError;

/// Minimum time between two lines of progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(2);

/// Arguments of `lakehook files`.
#[derive(Debug, Args)]
pub struct FilesArgs {
    /// The streams whose inboxes are looked into [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Read and validate every file that is there, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on looking, as the configuration says, until it is stopped
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// Take files as they are, whatever the guards say, and try those again that were refused
    #[arg(long, conflicts_with = "follow")]
    accept: bool,
    /// Read the beginning of a file, and print a section and a schema to edit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "dry_run", "follow", "accept"])]
    probe: Option<PathBuf>,
}

/// Looks into inboxes; exit code 1 if a look or a file failed, or is not visible.
pub fn run(loaded: &Loaded, args: FilesArgs) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.probe {
        return probe(file);
    }
    let config = &loaded.config;
    // Progress and failures go to standard output; the log has everything else.
    let level = config.log.level.min(tracing::Level::WARN);
    telemetry::start(level.into(), config.log.format);
    let names = chosen(config, args.names)?;
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let mut telling = Telling {
            follows: args.follow,
            ..Telling::default()
        };
        let request = FilesRequest {
            streams: names.clone(),
            accept: args.accept,
            replay: None,
        };
        if args.dry_run {
            dry_looks(config, &request, &mut telling).await?;
        } else {
            looks(config, &request, args.follow, &mut telling).await?;
        }
        Ok(if telling.finish(&names)? {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    });
    runtime.shutdown_background();
    code
}

/// Prints how files like this one could be taken.
#[allow(
    clippy::disallowed_methods,
    reason = "reads a file that the person who calls has named"
)]
fn probe(path: &Path) -> Result<ExitCode, Failure> {
    telemetry::start(tracing::level_filters::LevelFilter::OFF, LogFormat::Text);
    let context = || format!("failed to read {}", path.display());
    let file = std::fs::File::open(path).with_context(context)?;
    let stem = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("files");
    let stem = stem.split('.').next().unwrap_or_default().to_lowercase();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let name: String = stem
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let name = match name.trim_matches('_') {
        name if name.starts_with(|c: char| c.is_ascii_lowercase()) => name.to_owned(),
        name => format!("files_{name}"),
    };
    let like = match path.extension().and_then(|ending| ending.to_str()) {
        Some(ending) => path.with_file_name(format!("*.{ending}")),
        None => path.to_owned(),
    };
    let proposal =
        propose(&file, &name, &like).map_err(|what| anyhow!("{}: {what}", path.display()))?;
    out::line(proposal.section);
    out::line(format_args!("# schemas/{name}.json:"));
    for line in proposal.schema.lines() {
        out::line(format_args!("# {line}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(config: &Config, names: Vec<String>) -> Result<Vec<String>, Failure> {
    let none = "lakehook: no files are configured; add a section [files.NAME] with a path to the configuration";
    chosen::chosen(&config.files, names, ("stream of files", none))
}

/// Looks here, or has the service look that holds the log.
async fn looks(
    config: &Config,
    request: &FilesRequest,
    follows: bool,
    telling: &mut Telling,
) -> Result<(), Failure> {
    let process = Process::new(config, Clock::system(), Ids::System)?;
    let files = Arc::new(files_feed(config));
    let feeds = FeedList::with(config, &[Arc::clone(&files) as Arc<dyn Feed>]);
    match OpenFeeds::open(config, feeds, process).await {
        Ok(feeds) => looks_here(config, feeds, &files, (request, follows), telling).await,
        Err(ServeError::Polls(errors)) => {
            let error = ServeError::Polls(errors);
            Err(Failure::Usage(format!("lakehook: {error}")))
        }
        Err(ServeError::Lock(held @ LockError::Held { .. })) => {
            let looked = looks_of_service(config, request, follows, telling).await;
            if let Err(error) = looked {
                return Err(elsewhere::explained(config, &held, "for files", error)
                    .await
                    .into());
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Has the service look that holds the log.
async fn looks_of_service(
    config: &Config,
    request: &FilesRequest,
    follows: bool,
    telling: &mut Telling,
) -> anyhow::Result<()> {
    let dir = &config.polls.dir;
    let mut show = |line| telling.show(line);
    if !follows {
        return Ok(ask_files_of_service(dir, request, &mut show).await?);
    }
    let mut signals = Signals::new()?;
    loop {
        tokio::select! {
            asked = ask_files_of_service(dir, request, &mut show) => asked?,
            () = signals.next() => return Ok(()),
        }
        if is_over(config, request, &mut signals).await {
            return Ok(());
        }
    }
}

/// Waits until the next look. Returns whether a signal came instead.
async fn is_over(config: &Config, request: &FilesRequest, signals: &mut Signals) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause_of(config, &request.streams)) => false,
        () = signals.next() => true,
    }
}

async fn looks_here(
    config: &Config,
    feeds: OpenFeeds,
    files: &FilesFeed,
    (request, follows): (&FilesRequest, bool),
    telling: &mut Telling,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let feeds = feeds.start(false)?;
    let keepers = files
        .keepers()
        .context("the feed of files is not started")?;
    let ended = loop {
        let mut lines = ask_files(keepers, request);
        let broken = loop {
            tokio::select! {
                line = lines.recv() => match line {
                    Some(line) => telling.show(line),
                    None => break None,
                },
                reason = feeds.failed() => {
                    break Some(Err(anyhow!("the log of feeds cannot go on: {reason}")));
                }
                () = signals.next() => {
                    let interrupted = Err(anyhow!("interrupted; no file is visible in part"));
                    break Some(if follows { Ok(()) } else { interrupted });
                }
            }
        };
        if let Some(broken) = broken {
            break broken;
        }
        if !follows || is_over(config, request, &mut signals).await {
            break Ok(());
        }
    };
    let stopped = ending::stop(config, feeds, &mut signals).await;
    ended?;
    if stopped.all_shipped {
        telling.unshipped.clear();
    }
    Ok(())
}

/// The time between two looks: the shortest one that is configured.
fn pause_of(config: &Config, names: &[String]) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(10);
    let configured = names
        .iter()
        .filter_map(|name| config.files.get(name)?.every);
    configured.map(Span::duration).min().unwrap_or(DEFAULT)
}

/// Reads and validates every file without a log.
async fn dry_looks(
    config: &Config,
    request: &FilesRequest,
    telling: &mut Telling,
) -> Result<(), Failure> {
    let plans = files_feed(config).dry_plans().map_err(|errors| {
        let error = ServeError::Polls(errors);
        Failure::Usage(format!("lakehook: {error}"))
    })?;
    let cancel = CancellationToken::new();
    let mut signals = Signals::new()?;
    let plans: Vec<_> = plans
        .into_iter()
        .filter(|plan| request.streams.contains(&plan.name))
        .collect();
    for plan in plans {
        let (stop, accept) = (cancel.clone(), request.accept);
        let stream = plan.name.clone();
        let runtime = tokio::runtime::Handle::current();
        let mut looking = tokio::task::spawn_blocking(move || {
            dry_look(&plan, accept, runtime, stop, Clock::system(), &Ids::System)
        });
        let result = tokio::select! {
            result = &mut looking => result,
            () = signals.next() => {
                cancel.cancel();
                looking.await
            }
        };
        telling.show(match result.map_err(anyhow::Error::from)? {
            Ok(report) => FilesLine::Done {
                stream,
                report: Box::new(report),
                took_ms: 0,
                shipped: true,
            },
            Err(error) => FilesLine::Failed {
                stream,
                error: error.to_string(),
            },
        });
    }
    Ok(())
}

/// Tells how looks go, and remembers how they have ended.
#[derive(Default)]
struct Telling {
    /// Whether looks follow each other, so that one that finds nothing new is not told.
    follows: bool,
    ended: BTreeSet<String>,
    /// What the last look at each stream has warned of.
    warned: BTreeMap<String, Vec<String>>,
    failed: bool,
    unshipped: BTreeSet<String>,
    last: Option<Duration>,
}

impl Telling {
    fn show(&mut self, line: FilesLine) {
        match line {
            FilesLine::Progress {
                stream,
                files,
                lines,
                total,
            } => {
                let of = total.map_or_else(String::new, |total| format!(" of {total}"));
                self.step(&format!("{stream}  {files}{of} files, {lines} lines"));
            }
            FilesLine::Waiting { stream, what } => {
                out::line(format_args!("{stream}  waits for {what}"));
            }
            FilesLine::Shipping { stream, left } => {
                self.step(&format!(
                    "{stream}  {left} batches on their way to the lake"
                ));
            }
            FilesLine::Done {
                stream,
                report,
                took_ms,
                shipped,
            } => {
                self.done(&stream, &report, Duration::from_millis(took_ms));
                if !shipped {
                    self.unshipped.insert(stream.clone());
                }
                self.ended.insert(stream);
            }
            FilesLine::Replayed(_) => {}
            FilesLine::Failed { stream, error } => {
                out::line(format_args!("{stream}  failed: {error}"));
                self.failed = true;
                self.ended.insert(stream);
            }
        }
    }

    fn step(&mut self, text: &str) {
        let now = Clock::system().now().wall.since(crate::clock::Micros(0));
        if self
            .last
            .is_none_or(|last| now.saturating_sub(last) >= PROGRESS_PAUSE)
        {
            self.last = Some(now);
            out::line(text);
        }
    }

    fn done(&mut self, stream: &str, report: &PassReport, took: Duration) {
        for sample in &report.samples {
            out::line(format_args!("{stream}  quarantined: {sample}"));
        }
        if self.warned.get(stream) != Some(&report.warnings) {
            for warning in &report.warnings {
                out::line(format_args!("{stream}  warning: {warning}"));
            }
            let warnings = report.warnings.clone();
            self.warned.insert(stream.to_owned(), warnings);
        }
        for failed in &report.failed {
            out::line(format_args!(
                "{stream}  failed: {}: {}",
                failed.name, failed.why
            ));
        }
        let more = report.failed_total - report.failed.len() as u64;
        if more > 0 {
            out::line(format_args!("{stream}  {more} more files failed"));
        }
        self.failed |= report.failed_total > 0;
        if self.follows && report.files == 0 && report.failed_total == 0 {
            return;
        }
        out::line(format_args!("{stream}  {}", described(report, took)));
    }

    /// Whether all looks went well; an error if one of them has not ended at all.
    fn finish(&self, streams: &[String]) -> Result<bool, Failure> {
        if let Some(stream) = streams.iter().find(|stream| !self.ended.contains(*stream)) {
            return Err(anyhow!("the service went away before {stream} had ended").into());
        }
        for stream in &self.unshipped {
            out::line(format_args!(
                "{stream}  it is safe in the log, but was not visible in time; the next run or service goes on"
            ));
        }
        Ok(!self.failed && self.unshipped.is_empty())
    }
}

/// Describes a look.
fn described(report: &PassReport, took: Duration) -> String {
    let counts = &report.counts;
    let some = |count: u64, what: &str| match count {
        0 => String::new(),
        count => format!(", {count} {what}"),
    };
    let nulls = match report.nulls.values().sum::<u64>() {
        0 => String::new(),
        count => {
            let columns: Vec<&str> = report.nulls.keys().map(String::as_str).collect();
            format!(", {count} values made null ({})", columns.join(", "))
        }
    };
    let runs = match report.runs.as_slice() {
        [] => String::new(),
        [run] => format!("  run {run}"),
        runs => format!("  {} runs", runs.len()),
    };
    format!(
        "{} files in {took:.1?}: {} rows{}{}{}{}{}{}{nulls}{runs}",
        report.files,
        counts.rows,
        some(counts.repeats, "repeats"),
        some(counts.quarantined, "quarantined"),
        some(counts.blank, "blank lines"),
        some(report.known, "files known already"),
        some(report.waiting, "files not complete yet"),
        some(report.failed_total, "files failed"),
    )
}
