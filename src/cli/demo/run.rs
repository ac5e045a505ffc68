//! `lakehook demo`: everything at once in one process, with no set-up.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::screen::{self, Now, Place, Screen};
use super::summary::{StreamCount, count, last_snapshot, objects};
use super::verdict::{Verdict, reason};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{ByteSize, Config, ConsoleListen, IdKeys, LakeUrl, Pagination, Poll, Span};
use crate::ids::Ids;
use crate::out;
use crate::poll::definition::PaginationKind;
use crate::serve::{Service, Stopped};
use crate::telemetry::{self, LogFormat};
use crate::upstream::{Options, Sent, Upstream, serve};

/// Marks the directory of a demo, so that the next demo may remove it.
const MARKER: &str = ".lakehook-demo";
const BATCH_AGE_SECONDS: u64 = 5;
const POLL_SECONDS: u64 = 300;
const CONSOLE_PORT: u16 = 4002;
/// How long the sample system sends.
const SENDS_FOR: Duration = Duration::from_secs(30);
/// How long the demo waits for the last batches, which close after a few seconds.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// How long the demo waits at its end for runs that are under way.
const POLLS_LIMIT: Duration = Duration::from_secs(30);
/// The part of the demo's configuration that describes its lake, for `lakehook sql` and other commands.
const CONFIG_TEXT: &str = r#"# The lake of the demo, for: lakehook sql duckdb --config lakehook-demo/lakehook.toml
[lake]
url = "lake"

[wal]
dir = "wal"

[polls]
dir = "polls"

[poll.users]
url = "http://localhost:9090/api/users"
records = "/users"
total = "/total_users"
id = "user_id"
schema = "user.json"
pagination = { type = "offset", limit = 200, more = "/has_more" }

[poll.content]
url = "http://localhost:9090/api/content"
records = "/content"
total = "/total_content"
id = "content_id"
schema = "content.json"
"#;
/// The names and the text of the schemas of polled records.
const USER_SCHEMA: (&str, &str) = ("user.json", include_str!("../../../schemas/user.json"));
const CONTENT_SCHEMA: (&str, &str) = (
    "content.json",
    include_str!("../../../schemas/content.json"),
);

/// Arguments of `lakehook demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Send for this time, and then end [default: 30s, and on a terminal go on serving until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Where the lake and the log go; what an earlier demo left there is removed
    #[arg(long, value_name = "DIR", default_value = "./lakehook-demo")]
    dir: PathBuf,
    /// Events a second, about
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    rate: f64,
}

pub(in crate::cli) fn parse_duration(text: &str) -> Result<Duration, String> {
    Span::parse(text)
        .map(Span::duration)
        .map_err(|error| error.to_string())
}

/// Runs the demo; exit code 1 unless its summary adds up.
pub fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::WARN, LogFormat::Auto);
    let dir = std::path::absolute(&args.dir)?;
    start_afresh(&dir)?;
    let runtime = runtime()?;
    let code = runtime.block_on(demo(args, &dir));
    runtime.shutdown_background();
    code
}

/// Removes what an earlier demo left in the directory, and nothing else.
#[allow(
    clippy::disallowed_methods,
    reason = "sets the stage, before anything durable happens"
)]
fn start_afresh(dir: &Path) -> Result<(), Failure> {
    let there = dir.exists() && fs::read_dir(dir)?.next().is_some();
    if there && !dir.join(MARKER).exists() {
        let message = format!(
            "{} is there and is not a demo's; choose another place with --dir",
            dir.display()
        );
        return Err(Failure::Usage(message));
    }
    if there {
        fs::remove_dir_all(dir).with_context(|| format!("failed to remove {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("failed to make {}", dir.display()))?;
    fs::write(
        dir.join(MARKER),
        "the next `lakehook demo` may remove this directory\n",
    )?;
    for (name, text) in [USER_SCHEMA, CONTENT_SCHEMA] {
        fs::write(dir.join(name), text)?;
    }
    fs::write(dir.join("lakehook.toml"), CONFIG_TEXT)?;
    Ok(())
}

fn demo_config(dir: &Path, upstream: SocketAddr) -> Config {
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.console_listen = Some(ConsoleListen::At(console_address()));
    // They are invented.
    config.server.console_show_values = true;
    config.lake.url = LakeUrl::Directory(dir.join("lake"));
    config.wal.dir = dir.join("wal");
    config.wal.max_bytes = ByteSize::mib(1024);
    config.batch.max_age = Span::seconds(BATCH_AGE_SECONDS);
    config.batch.late_max_age = Some(config.batch.max_age);
    config.polls.dir = dir.join("polls");
    config.polls.max_bytes = ByteSize::mib(256);
    let users = Poll {
        url: format!("http://{upstream}/api/users"),
        records: "/users".to_owned(),
        total: Some("/total_users".to_owned()),
        id: Some(IdKeys::one("user_id")),
        pagination: Pagination {
            r#type: PaginationKind::Offset,
            limit: Some(200),
            more: Some("/has_more".to_owned()),
            ..Pagination::default()
        },
        ..poll(&dir.join(USER_SCHEMA.0))
    };
    let content = Poll {
        url: format!("http://{upstream}/api/content"),
        records: "/content".to_owned(),
        total: Some("/total_content".to_owned()),
        id: Some(IdKeys::one("content_id")),
        ..poll(&dir.join(CONTENT_SCHEMA.0))
    };
    config.poll = [("users", users), ("content", content)]
        .map(|(name, poll)| (name.to_owned(), poll))
        .into();
    config
}

/// The usual address of the console, or any other if that is taken.
fn console_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], CONSOLE_PORT));
    let is_free = std::net::TcpListener::bind(usual).is_ok();
    if is_free {
        usual
    } else {
        ([127, 0, 0, 1], 0).into()
    }
}

fn poll(schema: &Path) -> Poll {
    Poll {
        every: Some(Span::seconds(POLL_SECONDS)),
        schema: Some(schema.to_owned()),
        ..Poll::default()
    }
}

async fn demo(args: &DemoArgs, dir: &Path) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let config = demo_config(dir, listener.local_addr()?);
    let service = Service::start(&config, Clock::system(), Ids::System).await?;
    let webhook = format!("http://{}{}", service.address(), config.events.path);
    let options = upstream_options(&webhook, args.rate);
    let upstream = Upstream::new(options, Clock::system(), &Ids::System)?;
    let place = Place {
        dir: &args.dir,
        address: service.address(),
        console: service.console_address(),
        webhook: &webhook,
    };
    let sends_for = args.duration.unwrap_or(SENDS_FOR);
    place.introduce(listener.local_addr()?, sends_for, BATCH_AGE_SECONDS);
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, upstream.clone(), stop.clone()));

    let enough = watch(sends_for, &mut signals, &service, &upstream, dir).await?;
    let stays = enough == Enough::Time && args.duration.is_none() && screen::is_terminal();

    out::line("The sender stops, and what is open goes to the lake …");
    upstream.stop().await;
    let polled = polled(&service).await;
    let grace = config.server.shutdown_grace.duration();
    let (stopped, service) = if stays {
        (settle(&service).await, Some(service))
    } else {
        stop.cancel();
        (service.stop(grace, CancellationToken::new()).await, None)
    };
    let verdict = judge(dir, &upstream.sent(), stopped, &polled)?;
    verdict.print();
    place.say_how_to_query();
    if let Some(service) = service {
        place.say_how_to_send(Clock::system().now().wall);
        tokio::select! {
            () = signals.next() => {}
            reason = service.failed() => return Err(anyhow::anyhow!(reason).into()),
        }
        stop.cancel();
        let stopped = service.stop(grace, CancellationToken::new()).await;
        screen::say_left(stopped.left_rows);
    }
    serving.await??;
    Ok(if verdict.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Reads the lake back, and compares it with what was sent.
fn judge(
    dir: &Path,
    sent: &Sent,
    stopped: Stopped,
    polled: &[(String, u64)],
) -> Result<Verdict, Failure> {
    let lake = dir.join("lake");
    let events = count(&lake.join("events"))?;
    let quarantine = count(&lake.join("quarantine"))?;
    let mut problems = conclude(sent, &events, &quarantine, stopped);
    let snapshots = snapshots(&lake, polled, &mut problems)?;
    Ok(Verdict {
        sent: *sent,
        events,
        quarantine,
        snapshots,
        problems,
    })
}

/// Waits for the runs that are under way, and returns how many records the last run of each poll read.
async fn polled(service: &Service) -> Vec<(String, u64)> {
    let Some(feeds) = service.feeds() else {
        return Vec::new();
    };
    let states = async {
        loop {
            let states = feeds.figures();
            let all_idle = states.values().all(|state| state.running.is_none());
            if all_idle {
                return states;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let states = tokio::time::timeout(POLLS_LIMIT, states).await;
    let states = states.unwrap_or_default().into_iter();
    let read = states.map(|(name, state)| {
        let records = state.last_success.map_or(0, |(_, _, records)| records);
        (name, records)
    });
    read.collect()
}

/// Reads the last run of each poll from the lake, and adds differences to `problems`.
fn snapshots(
    lake: &Path,
    polled: &[(String, u64)],
    problems: &mut Vec<String>,
) -> Result<Vec<(String, StreamCount)>, Failure> {
    let mut snapshots = Vec::new();
    for (name, records) in polled {
        let snapshot = last_snapshot(lake, name)?.unwrap_or_default();
        if snapshot.rows != *records || snapshot.rows == 0 {
            problems.push(format!(
                "{records} {name} polled, {} in the last visible run",
                snapshot.rows
            ));
        }
        snapshots.push((name.clone(), snapshot));
    }
    Ok(snapshots)
}

fn upstream_options(webhook: &str, rate: f64) -> Options {
    Options {
        webhook_url: Some(webhook.to_owned()),
        rate: Some(rate),
        // So that something is in the quarantine after a few seconds.
        broken_requests: 0.02,
        start_generator: true,
        ..Options::default()
    }
}

/// Why the sample system sends no more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Enough {
    /// The time is over.
    Time,
    /// Somebody asks for the end.
    Signal,
}

/// Shows how many events go in and how many land, until the time is over.
async fn watch(
    sends_for: Duration,
    signals: &mut Signals,
    service: &Service,
    upstream: &Upstream,
    dir: &Path,
) -> Result<Enough, Failure> {
    let screen = Screen::new();
    let begun = tokio::time::Instant::now();
    let end = tokio::time::sleep(sends_for);
    let mut end = std::pin::pin!(end);
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.tick().await;
    loop {
        let enough = tokio::select! {
            _ = interval.tick() => None,
            () = &mut end => Some(Enough::Time),
            () = signals.next() => Some(Enough::Signal),
            reason = service.failed() => return Err(anyhow::anyhow!(reason).into()),
        };
        let now = Now {
            seconds: begun.elapsed().as_secs(),
            of: sends_for.as_secs(),
            sent: upstream.sent(),
            unshipped: service.unshipped_rows(),
            objects: objects(&dir.join("lake/events"))?.len(),
        };
        screen.show(&now);
        if let Some(enough) = enough {
            screen.end();
            return Ok(enough);
        }
    }
}

/// Waits until everything that was acknowledged is in the lake, while the service goes on.
async fn settle(service: &Service) -> Stopped {
    let shipped = async {
        while service.unshipped_rows() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let all_shipped = tokio::time::timeout(SETTLE_LIMIT, shipped).await.is_ok();
    Stopped {
        all_shipped,
        left_rows: service.unshipped_rows(),
    }
}

/// Lists what does not add up.
fn conclude(
    sent: &Sent,
    events: &StreamCount,
    quarantine: &StreamCount,
    stopped: Stopped,
) -> Vec<String> {
    let mut problems = Vec::new();
    if sent.accounted() != sent.events {
        problems.push(format!(
            "{} events sent, {} accounted for",
            sent.events,
            sent.accounted()
        ));
    }
    // A push whose answer was lost at the stop may be stored although the sender does not know it.
    let most = sent.accepted + sent.unanswered;
    if events.rows < sent.accepted || events.rows > most {
        problems.push(format!(
            "{} accepted, {} records in the lake",
            sent.accepted, events.rows
        ));
    }
    if events.repeated > 0 {
        problems.push(format!("{} records are in the lake twice", events.repeated));
    }
    let in_quarantine = quarantine.rows - reason(quarantine, "refused_request");
    if in_quarantine != sent.quarantined {
        problems.push(format!(
            "{} quarantined, {in_quarantine} in the quarantine",
            sent.quarantined
        ));
    }
    if !stopped.all_shipped {
        problems.push(format!(
            "{} records are still in the log",
            stopped.left_rows
        ));
    }
    problems
}
