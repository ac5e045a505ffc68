//! `lakehook check`: finds what is wrong before anything is accepted.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum as _};
use serde_json::Value;
use tracing::level_filters::LevelFilter;

use crate::cli::cluster_check;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::replica_check;
use crate::cli::runtime::runtime;
use crate::cli::sql::usage;
use crate::clock::Clock;
use crate::config::{Config, ConsoleListen, Loaded};
use crate::contract::EVENTS;
use crate::contract::event_schema;
use crate::control::is_listened_to;
use crate::files::Disk;
use crate::ids::Ids;
use crate::lake::Lake;
use crate::lake::destination::Destination;
use crate::lake::proof::Protection;
use crate::out;
use crate::serve::catalogue;
use crate::serve::directories;
use crate::serve::feeds::{FeedList, files_feed, poll_feed};
use crate::serve::known_lake;
use crate::serve::tables;
use crate::serve::{LogRole, ServeError, lake_of, receive_settings, tls_files};
use crate::ship::LakeFinding;
use crate::side_files::SideFiles;
use crate::sql::{Reader, Verdict, Written};
use crate::tables::Tables;
use crate::telemetry::{self, LogFormat};
use crate::wal::inspect::inspect;
use crate::wal::rows::BatchReader;

/// Arguments of `lakehook check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only print the JSON Schema of an event, as this configuration accepts it
    #[arg(long)]
    schema: bool,
    /// Only print the description of the HTTP interface (OpenAPI 3.1), as this configuration serves it
    #[arg(long, conflicts_with = "schema")]
    openapi: bool,
    /// Also say whether this engine can read the lake: spark, athena, bigquery or snowflake
    #[arg(long = "for", value_name = "ENGINE", hide_possible_values = true)]
    reader: Option<Reader>,
}

/// Checks configuration, schemas, log and lake, and reports every problem.
pub fn run(loaded: &Loaded, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let config = &loaded.config;
    if args.schema {
        out::line(serde_json::to_string_pretty(&event_schema(
            &config.rules()?,
        ))?);
        return Ok(ExitCode::SUCCESS);
    }
    if args.openapi {
        let settings = receive_settings(config, &config.rules()?);
        let document: Value = serde_json::from_slice(&settings.openapi)?;
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let source = loaded
        .source
        .as_ref()
        .map_or("defaults".into(), |path| path.display().to_string());
    out::line(format_args!("ok       configuration ({source})"));
    for warning in &loaded.warnings {
        out::line(format_args!("warning  {warning}"));
    }
    let mut all_right = true;
    match config.events.read_schemas() {
        Ok(schemas) => {
            let types: Vec<_> = schemas.types().collect();
            out::line(format_args!("ok       schemas for {}", types.join(", ")));
        }
        Err(errors) => {
            all_right = false;
            for error in errors {
                out::line(format_args!("problem  `events.schemas`: {error}"));
            }
        }
    }
    for (name, hook) in &config.hook {
        out::line(format_args!("ok       hook {name}: {}", hook.summary(name)));
    }
    all_right &= check_tls(config);
    all_right &= check_addresses(config);
    all_right &= check_polls(loaded);
    all_right &= check_files(config);
    all_right &= check_columns(config)?;
    for own in config.of_logs() {
        let name = match own.wal.number {
            0 => "write-ahead log".to_owned(),
            number => format!("write-ahead log {number}"),
        };
        all_right &= check_log(&own, &name, LogRole::Events);
    }
    if !(config.poll.is_empty() && config.call.is_empty() && config.files.is_empty()) {
        all_right &= check_log(config, "write-ahead log of polls", LogRole::Feeds);
    }
    all_right &= cluster_check::check(config)?;
    if let Some(reader) = args.reader {
        all_right &= check_reader(config, reader)?;
    }
    all_right &= check_lake(loaded)?;
    Ok(if all_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

/// Checks that every column that objects have already would keep its type.
fn check_columns(config: &Config) -> Result<bool, Failure> {
    let mut changed = Vec::new();
    if let Ok(schemas) = config.events.read_schemas() {
        let events = tables::events(config, &schemas)?;
        let events = Tables::new([(EVENTS.to_owned(), events)].into_iter());
        changed.extend(tables::changed(&config.wal.dir, &events)?);
    }
    if let Ok(polls) = FeedList::of(config).tables() {
        changed.extend(tables::changed(&config.polls.dir, &polls)?);
    }
    for changed in &changed {
        out::line(format_args!("problem  {changed}"));
    }
    Ok(changed.is_empty())
}

/// Checks whether an engine can read what this configuration writes.
fn check_reader(config: &Config, reader: Reader) -> Result<bool, Failure> {
    let relations = catalogue::relations(config).map_err(|error| usage(&error))?;
    let endpoint = catalogue::endpoint(config);
    let verdicts = reader.judge(&Written {
        format: config.batch.format,
        is_bucket: matches!(config.lake.destination(), Destination::Bucket(_)),
        endpoint: endpoint.as_deref(),
        relations: &relations,
    });
    let name = reader.to_possible_value();
    let name = name.as_ref().map_or("the engine", |value| value.get_name());
    let mut can_read = true;
    for verdict in &verdicts {
        match verdict {
            Verdict::Problem(message) => {
                can_read = false;
                out::line(format_args!("problem  {name}: {message}"));
            }
            Verdict::Warning(message) => out::line(format_args!("warning  {name}: {message}")),
        }
    }
    if can_read {
        out::line(format_args!(
            "ok       {name} can read {}",
            config.batch.format.as_str()
        ));
    }
    Ok(can_read)
}

fn check_tls(config: &Config) -> bool {
    let Some(files) = tls_files(&config.server) else {
        return true;
    };
    match files.check(Clock::system().now().wall) {
        Ok(warnings) => {
            let path = files.cert.display();
            out::line(format_args!("ok       certificate ({path})"));
            for warning in warnings {
                out::line(format_args!("warning  {warning}"));
            }
            true
        }
        Err(error) => {
            out::line(format_args!("problem  {error}"));
            false
        }
    }
}

/// Checks that nobody else listens where a service of this configuration would.
fn check_addresses(config: &Config) -> bool {
    // The service that has the log listens there itself.
    if is_listened_to(&config.wal.dir) {
        return true;
    }
    let server = &config.server;
    let console = match server.console_listen {
        Some(ConsoleListen::At(address)) => Some(address),
        Some(ConsoleListen::Off) | None => None,
    };
    let addresses = [
        ("server.listen", Some(server.listen)),
        ("server.metrics_listen", server.metrics_listen),
        ("server.console_listen", console),
    ];
    let mut all_free = true;
    for (key, address) in addresses {
        let Some(address) = address else { continue };
        if let Err(error) = std::net::TcpListener::bind(address) {
            all_free = false;
            out::line(format_args!(
                "problem  `{key}`: nothing can listen on {address}: {error}; stop what does, or set another address"
            ));
        }
    }
    all_free
}

fn check_files(config: &Config) -> bool {
    if config.files.is_empty() {
        return true;
    }
    let plans = files_feed(config).dry_plans();
    let names = plans.map(|plans| plans.into_iter().map(|plan| plan.name.clone()));
    tell_plans("files", names, "lakehook files --dry-run reads them")
}

fn check_polls(loaded: &Loaded) -> bool {
    if loaded.config.poll.is_empty() {
        return true;
    }
    let plans = poll_feed(&loaded.config).dry_plans(None);
    let names = plans.map(|plans| plans.into_iter().map(|plan| plan.name.clone()));
    tell_plans("polls", names, "lakehook poll --dry-run asks the APIs")
}

/// Tells which streams have a plan, or why some have none.
fn tell_plans<E: Display>(
    what: &str,
    names: Result<impl Iterator<Item = String>, Vec<E>>,
    next: &str,
) -> bool {
    match names {
        Ok(names) => {
            let names: Vec<String> = names.collect();
            out::line(format_args!(
                "ok       {what} {} ({next})",
                names.join(", ")
            ));
            true
        }
        Err(errors) => {
            for error in errors {
                out::line(format_args!("problem  {error}"));
            }
            false
        }
    }
}

fn check_log(config: &Config, name: &str, role: LogRole) -> bool {
    let dir = role.section(config).dir;
    if config.wal.replica.is_some() {
        let copies = check_dir(&format!("copies of the {name}"), &dir);
        return replica_check::check(config, name, role) && copies;
    }
    check_dir(name, &dir)
}

fn check_dir(name: &str, dir: &Path) -> bool {
    if let Some(why) = directories::try_out(dir) {
        out::line(format_args!("problem  {name}: {why}"));
        return false;
    }
    if !dir.exists() {
        out::line(format_args!(
            "ok       {name} ({} will be made)",
            dir.display()
        ));
        return true;
    }
    let problems = match inspect(&Disk, dir) {
        Ok(inspection) => inspection.problems,
        Err(error) => vec![format!("failed to list {}: {error}", dir.display())],
    };
    for problem in &problems {
        out::line(format_args!("problem  {problem}"));
    }
    if problems.is_empty() {
        out::line(format_args!("ok       {name} ({})", dir.display()));
    }
    problems.is_empty()
}

/// What a start would say of the lake, by what the logs know.
fn is_known(config: &Config, lake: &Lake<Disk>) -> bool {
    let mut is_known = true;
    // Of a log in a bucket, a start says it.
    let roles = [LogRole::Events, LogRole::Feeds].into_iter();
    for role in roles.filter(|_| config.wal.replica.is_none()) {
        let dir = &role.section(config).dir;
        let Ok(inspection) = inspect(&Disk, dir) else {
            continue;
        };
        let Some(node) = inspection.node.filter(|_| inspection.problems.is_empty()) else {
            continue;
        };
        let state = &inspection.state;
        let configured = lake.identity();
        if let Ok(Some(other)) =
            known_lake::waits_for_another(&BatchReader::new(Disk, dir), state, configured)
        {
            let configured = configured.to_owned();
            let error = ServeError::OtherLake { other, configured };
            out::line(format_args!("problem  {error}"));
            is_known = false;
        }
        let check =
            known_lake::lake_check(SideFiles::within(dir), node, state, false, &Ids::System);
        match check.look(lake) {
            // A lake that cannot be read is named by the probe that follows.
            Ok(LakeFinding::Fine) | Err(_) => {}
            Ok(LakeFinding::Changed(what)) => out::line(format_args!("warning  {what}")),
            Ok(LakeFinding::Refused(why)) => {
                out::line(format_args!(
                    "problem  {why}; if this lake is meant, start once with `lakehook serve --new-lake`"
                ));
                is_known = false;
            }
        }
    }
    is_known
}

fn check_lake(loaded: &Loaded) -> Result<bool, Failure> {
    let config = &loaded.config;
    let url = &config.lake.url;
    let runtime = runtime()?;
    let lake =
        Arc::new(runtime.block_on(lake_of(config, &config.wal.dir, runtime.handle().clone())));
    if !is_known(config, &lake) {
        return Ok(false);
    }
    if let Err(error) = lake.probe() {
        out::line(format_args!("problem  lake {url}: {error}"));
        return Ok(false);
    }
    out::line(format_args!("ok       lake {url}"));
    match lake.protection() {
        Some(Protection::ReadBack) => out::line(
            "warning  this store neither checks nor names a checksum: each object is read back once \
             before its batch is committed, which costs a GET and its transfer for each object",
        ),
        Some(protection) => {
            out::line(format_args!("ok       transfer: {}", protection.as_str()));
        }
        None => {}
    }
    if lake.honours_conditions() == Some(false) {
        out::line(
            "warning  this store ignores If-None-Match: two log directories that are copies of each \
             other could overwrite each other's objects",
        );
    }
    Ok(true)
}
