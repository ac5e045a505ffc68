//! `lakehook demo`: everything at once in one process, with no set-up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::summary::{StreamCount, count, last_snapshot, objects};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::runtime::runtime;
use crate::cli::signals::Signals;
use crate::clock::Clock;
use crate::config::{ByteSize, Config, IdKeys, LakeUrl, Pagination, Poll, Span};
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
    /// End by itself after this time, such as 30s
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

fn demo_config(dir: &Path, upstream: std::net::SocketAddr) -> Config {
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
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
    let upstream = Upstream::new(
        upstream_options(&webhook, args.rate),
        Clock::system(),
        &Ids::System,
    )?;
    introduce(
        &service,
        listener.local_addr()?,
        &webhook,
        dir,
        args.duration,
    );
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, upstream.clone(), stop.clone()));

    watch(args.duration, &mut signals, &service, &upstream, dir).await?;

    out::line("stopping: the sender first, then what is open goes to the lake …");
    upstream.stop().await;
    let polled = polled(&service).await;
    stop.cancel();
    serving.await??;
    let stopped = service.stop(
        config.server.shutdown_grace.duration(),
        CancellationToken::new(),
    );
    let stopped = stopped.await;
    let lake = dir.join("lake");
    let events = count(&lake.join("events"))?;
    let quarantine = count(&lake.join("quarantine"))?;
    let sent = upstream.sent();
    let mut problems = conclude(&sent, &events, &quarantine, stopped);
    let snapshots = snapshots(&lake, &polled, &mut problems)?;
    print_summary(&sent, &events, &quarantine, &snapshots);
    print_conclusion(&problems);
    print_query(&lake);
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
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
        broken_requests: 0.005,
        start_generator: true,
        ..Options::default()
    }
}

fn introduce(
    service: &Service,
    upstream: std::net::SocketAddr,
    webhook: &str,
    dir: &Path,
    duration: Option<Duration>,
) {
    out::line(format_args!(
        "sample system  http://{upstream} (pushes events; users and content are polled)"
    ));
    out::line(format_args!("webhook        {webhook}"));
    out::line(format_args!(
        "metrics        http://{}/metrics",
        service.address()
    ));
    out::line(format_args!(
        "lake           {}",
        dir.join("lake").display()
    ));
    let end = match duration {
        Some(duration) => format!(
            "ends after {} s; Ctrl-C ends it earlier",
            duration.as_secs()
        ),
        None => "Ctrl-C ends it".to_owned(),
    };
    out::line(format_args!(
        "batches go to the lake after {BATCH_AGE_SECONDS} s; every answer is durable at once; {end}"
    ));
}

/// Shows once a second how many events go in and how many land.
async fn watch(
    duration: Option<Duration>,
    signals: &mut Signals,
    service: &Service,
    upstream: &Upstream,
    dir: &Path,
) -> Result<(), Failure> {
    let mut seconds = 0;
    let end = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let mut end = std::pin::pin!(end);
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    interval.tick().await;
    loop {
        tokio::select! {
            _ = interval.tick() => {}
            () = &mut end => return Ok(()),
            () = signals.next() => return Ok(()),
            reason = service.failed() => return Err(anyhow::anyhow!(reason).into()),
        }
        seconds += 1;
        let sent = upstream.sent();
        let core = service.app().core.get();
        let waiting = core.map_or(0, |core| {
            core.log.gauges().uncommitted_rows.load(Ordering::Relaxed)
        });
        let landed = objects(&dir.join("lake"))?.len();
        out::line(format_args!(
            "{seconds:>4} s  sent {:>7}  accepted {:>7}  dropped {:>5}  duplicates {:>4}  refused {:>3}  \
             | in the log {waiting:>6}  objects in the lake {landed:>4}",
            sent.events, sent.accepted, sent.dropped, sent.duplicates, sent.refused
        ));
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

fn reason(quarantine: &StreamCount, reason: &str) -> u64 {
    quarantine.reasons.get(reason).copied().unwrap_or(0)
}

fn print_summary(
    sent: &Sent,
    events: &StreamCount,
    quarantine: &StreamCount,
    snapshots: &[(String, StreamCount)],
) {
    let row = |name: &str, value: u64, note: &str| {
        out::line(format_args!("{name:<26}{value:>10}  {note}"));
    };
    out::line("");
    row("events sent", sent.events, "");
    row(
        "  accepted",
        sent.accepted,
        "new, durable before the answer",
    );
    row(
        "  dropped",
        sent.dropped,
        "valid, taken by the rule that drops signups",
    );
    row("  duplicates", sent.duplicates, "known already");
    row(
        "  quarantined",
        sent.quarantined,
        "kept aside, with the reason",
    );
    row(
        "  refused",
        sent.refused,
        "in requests that were answered 400",
    );
    row("  unanswered", sent.unanswered, "");
    row(
        "records in the lake",
        events.rows,
        "counted by reading the objects back",
    );
    row(
        "  in objects",
        events.objects,
        &format!("{} bytes", events.bytes),
    );
    let copies = reason(quarantine, "refused_request");
    row(
        "refused requests kept",
        copies,
        "in the quarantine, as they were sent",
    );
    for (name, snapshot) in snapshots {
        let note = format!("in the last run that is visible, {} bytes", snapshot.bytes);
        row(&format!("{name} polled"), snapshot.rows, &note);
    }
}

fn print_conclusion(problems: &[String]) {
    out::line("");
    if problems.is_empty() {
        out::line(
            "It adds up: every accepted event is in the lake exactly once, and every poll as a whole.",
        );
    }
    for problem in problems {
        out::line(format_args!("It does not add up: {problem}"));
    }
}

fn print_query(lake: &Path) {
    out::line("Query it with DuckDB, through the views that `lakehook sql duckdb` prints:");
    let config = lake.with_file_name("lakehook.toml");
    out::line(format_args!(
        "  lakehook sql duckdb --config {0} > views.sql && duckdb -init views.sql -c \"SELECT country, count(*) FROM users \
         GROUP BY 1 ORDER BY 1\"",
        config.display()
    ));
    out::line("or without them:");
    out::line(format_args!(
        "  duckdb -c \"SELECT dt, event_type, count(*) FROM read_json('{}/events/*/*.ndjson.zst', \
         format='newline_delimited', hive_partitioning=true, columns={{event_id:'UUID', \
         event_type:'VARCHAR', user_id:'VARCHAR', timestamp:'TIMESTAMPTZ', properties:'JSON'}}) \
         GROUP BY ALL ORDER BY ALL\"",
        lake.display()
    ));
}
