//! `lakehook serve`: runs the service until a signal, or until its log cannot go on.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::{FAILED, Failure};
use super::runtime::runtime;
use super::signals::Signals;
use crate::clock::Clock;
use crate::config::{Argument, Config, ConfigPlace, ContractKind, Loaded};
use crate::ids::Ids;
use crate::out;
use crate::receive::sample::SampleEvent;
use crate::serve::{ServeError, Service, shown_settings, tls_files};
use crate::telemetry;
use crate::traces;

/// Arguments of `lakehook serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The lake is another one than at the last start, and that is meant
    #[arg(long)]
    new_lake: bool,
    /// Take a log in a bucket back from the process that has taken it from this service
    #[arg(long)]
    take_over: bool,
    /// The address to listen on [default: `server.listen`]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// What events must look like: typed, or open for any JSON [default: `events.contract`]
    #[arg(long, value_name = "KIND")]
    contract: Option<String>,
    /// The lake: a directory, or s3://BUCKET/PREFIX [default: `lake.url`]
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
}

impl ServeArgs {
    /// The settings that arguments overrule.
    pub fn settings(&self) -> Vec<Argument> {
        let argument = |name, key, value: &Option<String>| {
            let value = value.clone()?;
            Some(Argument { name, key, value })
        };
        let settings = [
            argument("--listen", "server.listen", &self.listen),
            argument("--lake", "lake.url", &self.lake),
            argument("--contract", "events.contract", &self.contract),
        ];
        settings.into_iter().flatten().collect()
    }
}

/// Runs the service.
pub fn run(loaded: &mut Loaded, args: &ServeArgs) -> Result<ExitCode, Failure> {
    loaded.config.lake.accepts_new = args.new_lake;
    loaded.config.wal.takes_over = args.take_over;
    let config = &loaded.config;
    telemetry::start(config.log.level.into(), config.log.format);
    let _until_the_end = traces::start().map_err(anyhow::Error::msg)?;
    for warning in &loaded.warnings {
        tracing::warn!(warning, "configuration");
    }
    let files = tls_files(&config.server);
    let checked = files.map(|files| files.check(Clock::system().now().wall));
    for warning in checked.into_iter().flatten().flatten() {
        tracing::warn!(warning, "configuration");
    }
    let overruled = overruled(loaded);
    if !overruled.is_empty() {
        tracing::info!(
            keys = overruled.join(", "),
            "these keys are set by the environment or by arguments"
        );
    }
    let runtime = runtime()?;
    let code = runtime.block_on(serve(loaded))?;
    // A connection that hangs must not delay the exit.
    runtime.shutdown_background();
    Ok(code)
}

/// Lets balancers notice that this service will stop, for `server.drain_delay`. Returns why the log cannot go on, if
/// that happens meanwhile.
async fn leave(service: &Service, config: &Config, signals: &mut Signals) -> Option<String> {
    let delay = config.server.drain_delay.duration();
    if delay.is_zero() {
        return None;
    }
    service.leave();
    tracing::info!(
        delay_seconds = delay.as_secs_f64(),
        "about to stop: /ready says so, and requests are still accepted; a second signal ends that"
    );
    tokio::select! {
        reason = service.failed() => Some(reason),
        () = signals.next() => None,
        () = tokio::time::sleep(delay) => None,
    }
}

/// The keys that the environment or an argument sets, whatever the file says.
fn overruled(loaded: &Loaded) -> Vec<String> {
    let is_outside = |origin: &ConfigPlace| {
        matches!(origin, ConfigPlace::Variable(_) | ConfigPlace::Argument(_))
    };
    let settings = loaded.effective.iter();
    let settings = settings.filter(|setting| is_outside(&setting.origin));
    settings
        .map(|setting| format!("{}.{}", setting.section, setting.key))
        .collect()
}

/// Tells who sits at a terminal what to send, and when the first object comes.
fn greet(config: &Config, address: SocketAddr) {
    let events = &config.events;
    let is_open = events.contract == ContractKind::Open;
    let sample = SampleEvent::new(is_open, &events.types, &events.drop, &events.sources);
    let is_tls = config.server.tls_cert_file.is_some();
    let scheme = if is_tls { "https" } else { "http" };
    let url = format!("{scheme}://{address}{}", events.path);
    let needs_token = !config.server.tokens.is_empty();
    let now = Clock::system().wall();
    out::line("To send an event, type in another terminal:");
    out::line(sample.command(&url, needs_token, now));
    out::line(format_args!(
        "It is in the lake after {:?} at most (batch.max_age), or at once if you stop this with Ctrl-C.",
        config.batch.max_age
    ));
}

async fn serve(loaded: &Loaded) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    let mut signals = Signals::new()?;
    // Certificates are looked at on SIGHUP, if there are any. Without them it must not end the service.
    let _hangups_are_taken = signal(SignalKind::hangup())?;
    let service = tokio::select! {
        started = Service::start_showing(config, shown_settings(&loaded.effective), Clock::system(), Ids::System) => match started {
            Ok(service) => service,
            Err(
                error @ (ServeError::Schemas(_)
                | ServeError::Polls(_)
                | ServeError::Columns(_)
                | ServeError::Tls(_)),
            ) => return Err(Failure::Usage(error.to_string())),
            Err(error) => return Err(error.into()),
        },
        // Nothing has been accepted yet, and the log is as it was found.
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(
        address = %service.address(),
        tls = config.server.tls_cert_file.is_some(),
        path = config.events.path.as_str(),
        lake = %config.lake.url,
        wal = %config.wal.dir.display(),
        "ready"
    );
    if let Some(address) = service.console_address() {
        let scheme = if config.server.tls_cert_file.is_some() {
            "https"
        } else {
            "http"
        };
        tracing::info!(
            url = format!("{scheme}://{address}/"),
            "the console, for people"
        );
    }
    if std::io::stdout().is_terminal() {
        greet(config, service.address());
    }
    let failure = tokio::select! {
        reason = service.failed() => Some(reason),
        () = signals.next() => leave(&service, config, &mut signals).await,
    };
    let hurry = CancellationToken::new();
    let stop = service.stop(config.server.shutdown_grace.duration(), hurry.clone());
    let mut stop = std::pin::pin!(stop);
    tracing::info!("stopping; a second signal leaves the rest to the log");
    let stopped = tokio::select! {
        stopped = &mut stop => stopped,
        () = signals.next() => {
            hurry.cancel();
            stop.await
        }
    };
    if stopped.all_shipped {
        tracing::info!("stopped; everything is in the lake");
    } else {
        tracing::info!(
            left = stopped.left_rows,
            "stopped; the rest is safe in the log"
        );
    }
    Ok(if failure.is_some() {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}
