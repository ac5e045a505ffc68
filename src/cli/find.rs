//! `lakehook find`: what became of one event, as a running service remembers it and as the lake has it.

use std::cmp::Reverse;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::{FAILED, Failure};
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::config::{Config, Loaded};
use crate::find::{FoundRow, KnownIds, Search, SearchLimits, Sought, search};
use crate::lake::calendar::ListedObject;
use crate::lake::keys::{holder_of, top_folder};
use crate::lake::reader::LakeReader;
use crate::out;
use crate::quarantine::Reason;
use crate::receive::recall::{Recalled, RecalledRequest, Share};
use crate::replay::talk;
use crate::telemetry::{self, LogFormat};

/// What is read whole, unless all is.
const LIMITS: SearchLimits = SearchLimits {
    objects: 10_000,
    bytes: 2 << 30,
};
const NO_LIMITS: SearchLimits = SearchLimits {
    objects: usize::MAX,
    bytes: u64::MAX,
};

/// Arguments of `lakehook find`.
#[derive(Debug, Args)]
pub struct FindArgs {
    /// The id of the event, the id that its provider gave it, or the `X-Request-Id` of an answer
    #[arg(value_name = "ID")]
    id: String,
    /// Ask the lake alone, and not the service that has the log
    #[arg(long)]
    lake_only: bool,
    /// Read every object that may have it, however many bytes these are
    #[arg(long)]
    whole: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Stored,
    Duplicate,
    Dropped,
    Refused,
    Quarantined,
    /// A request whose events became different things, or an event that was stored now or before.
    Accepted,
    Unknown,
}

#[derive(Serialize)]
struct Report {
    id: String,
    verdict: Verdict,
    rows: Vec<ReportedRow>,
    requests: Vec<ReportedRequest>,
    refusals: Vec<ReportedRefusal>,
    service: Option<ReportedService>,
    /// Whether the id files of the log have it; nothing if there are none, or they were not asked.
    in_id_files: Option<bool>,
    lake: ReportedLake,
}

#[derive(Serialize)]
struct ReportedRow {
    lsn: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    key: String,
    /// The place of the row in the object, from 1.
    place: u64,
    quarantined: bool,
    row: Box<RawValue>,
}

#[derive(Serialize)]
struct ReportedRequest {
    received_at: String,
    client: Option<String>,
    /// What it did with the event.
    event: &'static str,
    stored: u32,
    duplicates: u32,
    dropped: u32,
    quarantined: u32,
}

#[derive(Serialize)]
struct ReportedRefusal {
    at: String,
    client: Option<String>,
    endpoint: String,
    status: u16,
    why: String,
}

#[derive(Serialize)]
struct ReportedService {
    requests: u64,
    remembered: u64,
}

#[derive(Serialize)]
struct ReportedLake {
    objects: usize,
    /// Objects that cannot have it, as their filters or the id files of the log say.
    ruled_out: usize,
    looked_into: usize,
    /// Objects that were not looked into, because nothing more was needed or there are too many.
    left: usize,
    is_cut: bool,
}

/// Looks for an event; exit code 0 only if something is known of it.
pub fn run(loaded: &Loaded, args: &FindArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let report = runtime()?.block_on(find(&loaded.config, args))?;
    if args.json {
        out::line(serde_json::to_string_pretty(&report)?);
    } else {
        print(&report, loaded, args);
    }
    Ok(match report.verdict {
        Verdict::Unknown => ExitCode::from(FAILED),
        _ => ExitCode::SUCCESS,
    })
}

async fn find(config: &Config, args: &FindArgs) -> Result<Report, Failure> {
    let rules = config.rules()?;
    let hooks = config.hook.keys().map(String::as_str);
    let Some(sought) = Sought::id(&args.id, &rules.feed, hooks) else {
        let rule = "an id has 1 to 512 characters, such as 7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";
        return Err(Failure::Usage(format!("lakehook find: {rule}")));
    };
    let recalled = if args.lake_only {
        None
    } else {
        recall(config, &sought).await?
    };
    let of_request = recalled
        .as_ref()
        .and_then(|recalled| recalled.accepted.first().filter(|_| recalled.is_request));
    let known = match of_request {
        None if !args.whole => KnownIds::read(&config.wal.dir, sought.ids()).ok().flatten(),
        _ => None,
    };
    let sought = match of_request {
        Some(request) => sought.or_received_at(request.received_at()),
        None => sought,
    };
    let place = LakeReader::open(config.lake.destination()).await;
    let objects = objects(&place, rules.partition.stream()).await?;
    let progress = bar("objects");
    let limits = if args.whole { NO_LIMITS } else { LIMITS };
    let found = search(
        &place,
        objects,
        &sought,
        (known.as_ref(), limits),
        &|search| {
            progress.set_length(search.of as u64);
            progress.set_position((search.ruled_out + search.objects) as u64);
        },
    )
    .await?;
    progress.finish_and_clear();
    let in_id_files = known.map(|known| known.has_it());
    Ok(report(sought.text(), recalled.as_ref(), in_id_files, found))
}

/// What the service that has the log remembers; `None` if there is none.
async fn recall(config: &Config, sought: &Sought) -> anyhow::Result<Option<Recalled>> {
    match talk::recall(&config.wal.dir, sought.text()).await {
        Ok(recalled) => Ok(Some(serde_json::from_value(recalled)?)),
        Err(error) => {
            use std::io::ErrorKind::{ConnectionRefused, NotFound};
            match error.kind() {
                NotFound | ConnectionRefused => Ok(None),
                _ => Err(anyhow::anyhow!(
                    "failed to ask the service that has the log in {}: {error}; `--lake-only` does not ask it",
                    config.wal.dir.display()
                )),
            }
        }
    }
}

/// The objects of events and of what was refused, the newest first; of a day, what was refused comes first, since that
/// is less.
async fn objects(place: &LakeReader, stream: &str) -> anyhow::Result<Vec<ListedObject>> {
    let mut objects = Vec::new();
    for prefix in [format!("{stream}/"), format!("quarantine/{stream}/")] {
        let listed = place.sizes(&prefix, usize::MAX).await?;
        let ours = listed
            .into_iter()
            .filter(|(key, _)| holder_of(key).is_some());
        objects.extend(ours.map(|(key, bytes)| ListedObject { key, bytes }));
    }
    let order = |object: &ListedObject| {
        let key = &object.key;
        let day = key.split('/').find_map(|part| part.strip_prefix("dt="));
        let is_refused = top_folder(key) == Some("quarantine");
        let lsn = holder_of(key).map(|(_, lsn)| lsn);
        Reverse((day.unwrap_or_default().to_owned(), is_refused, lsn))
    };
    objects.sort_by_cached_key(order);
    Ok(objects)
}

fn report(
    id: &str,
    recalled: Option<&Recalled>,
    in_id_files: Option<bool>,
    found: Search,
) -> Report {
    let left = found.of - found.objects - found.ruled_out;
    Report {
        id: id.to_owned(),
        verdict: verdict(recalled, in_id_files, &found),
        in_id_files,
        requests: recalled
            .map(|recalled| requests(recalled, &found))
            .unwrap_or_default(),
        refusals: recalled.map(refusals).unwrap_or_default(),
        service: recalled.map(|recalled| ReportedService {
            requests: recalled.requests,
            remembered: recalled.remembered,
        }),
        lake: ReportedLake {
            objects: found.of,
            ruled_out: found.ruled_out,
            looked_into: found.objects,
            left,
            is_cut: found.is_cut,
        },
        rows: found.rows.into_iter().map(reported_row).collect(),
    }
}

fn verdict(recalled: Option<&Recalled>, in_id_files: Option<bool>, found: &Search) -> Verdict {
    if let Some(request) =
        recalled.and_then(|recalled| recalled.accepted.first().filter(|_| recalled.is_request))
    {
        return of_request(request);
    }
    if found.has_stored() {
        return Verdict::Stored;
    }
    let recalled = recalled.filter(|recalled| !recalled.is_nothing());
    match recalled {
        Some(recalled) if !recalled.accepted.is_empty() => {
            match recalled.share(recalled.accepted.len() - 1, None) {
                Share::Stored => Verdict::Stored,
                Share::Duplicate => Verdict::Duplicate,
                Share::Conflict => Verdict::Quarantined,
                Share::Unclear | Share::Whole => Verdict::Accepted,
            }
        }
        _ if found.rows.iter().any(is_copy_of_request) => Verdict::Refused,
        _ if !found.rows.is_empty() => Verdict::Quarantined,
        Some(_) => Verdict::Refused,
        None if in_id_files == Some(true) => Verdict::Accepted,
        None => Verdict::Unknown,
    }
}

/// Whether a row is the copy of a request that was refused as a whole.
fn is_copy_of_request(row: &FoundRow) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(&row.row).ok();
    let refused = Reason::RefusedRequest.as_str();
    row.is_refused() && value.is_some_and(|value| value["reason"] == refused)
}

/// What became of all events of a request.
fn of_request(request: &RecalledRequest) -> Verdict {
    let all = request.events();
    let kinds = [
        (request.accepted, Verdict::Stored),
        (request.duplicates, Verdict::Duplicate),
        (request.dropped, Verdict::Dropped),
        (request.quarantined, Verdict::Quarantined),
    ];
    let kind = kinds
        .into_iter()
        .find(|(number, _)| *number == all && all > 0);
    kind.map_or(Verdict::Accepted, |(_, verdict)| verdict)
}

fn requests(recalled: &Recalled, found: &Search) -> Vec<ReportedRequest> {
    let requests = recalled.accepted.iter().enumerate();
    requests
        .map(|(at, request)| {
            let time = request.received_at().to_string();
            let stored = found.rows.iter().filter(|row| !row.is_refused());
            let stores_it = stored
                .map(|row| row.row.contains(&time))
                .reduce(|a, b| a || b);
            ReportedRequest {
                event: match recalled.share(at, stores_it) {
                    Share::Whole => "request",
                    Share::Stored => "stored",
                    Share::Duplicate => "duplicate",
                    Share::Conflict => "conflict",
                    Share::Unclear => "stored or duplicate",
                },
                received_at: time,
                client: request.client.map(|client| client.to_string()),
                stored: request.accepted,
                duplicates: request.duplicates,
                dropped: request.dropped,
                quarantined: request.quarantined,
            }
        })
        .collect()
}

fn refusals(recalled: &Recalled) -> Vec<ReportedRefusal> {
    let refused = recalled.refused.iter();
    refused
        .map(|refused| ReportedRefusal {
            at: refused.at().to_string(),
            client: refused.client.map(|client| client.to_string()),
            endpoint: refused.endpoint.clone(),
            status: refused.status,
            why: refused.why.clone(),
        })
        .collect()
}

fn reported_row(row: FoundRow) -> ReportedRow {
    ReportedRow {
        quarantined: row.is_refused(),
        node: holder_of(&row.key).map(|(node, _)| node.to_string()),
        lsn: row.lsn,
        batch: row.batch,
        place: row.place,
        row: RawValue::from_string(row.row).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        key: row.key,
    }
}

fn print(report: &Report, loaded: &Loaded, args: &FindArgs) {
    out::line(format_args!("{}: {}", report.id, words(report)));
    for row in &report.rows {
        let place = if row.quarantined {
            "in the quarantine"
        } else {
            "in the lake"
        };
        let batch = row
            .batch
            .map(|batch| format!(", batch {batch}"))
            .unwrap_or_default();
        let node = row.node.as_ref().map(|node| format!(" of node {node}"));
        out::line(format_args!(
            "{place}: LSN {}{batch}{}, row {} of {}",
            row.lsn,
            node.unwrap_or_default(),
            row.place,
            row.key
        ));
        out::line(format_args!("  {}", row.row));
    }
    let from = |client: &Option<String>| {
        let client = client.as_ref();
        client
            .map(|client| format!(" from {client}"))
            .unwrap_or_default()
    };
    for request in &report.requests {
        let event = match request.event {
            "request" => String::new(),
            event => format!("{event}; "),
        };
        out::line(format_args!(
            "received at {}{}: {event}its request had {} stored, {} duplicates, {} dropped, {} in the quarantine",
            request.received_at,
            from(&request.client),
            request.stored,
            request.duplicates,
            request.dropped,
            request.quarantined
        ));
    }
    for refused in &report.refusals {
        out::line(format_args!(
            "refused at {}{} with {} by {}: {}",
            refused.at,
            from(&refused.client),
            refused.status,
            refused.endpoint,
            refused.why
        ));
    }
    print_reach(report, loaded, args);
}

fn words(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Stored if report.rows.is_empty() => {
            "stored; its row is in the log, and gets to the lake with its batch"
        }
        Verdict::Stored => "stored",
        Verdict::Duplicate => "a duplicate of what was received before",
        Verdict::Dropped => "dropped by a rule (`events.drop`)",
        Verdict::Refused => "refused with its request; nothing of it is stored",
        Verdict::Quarantined => "in the quarantine",
        Verdict::Accepted if report.requests.is_empty() => {
            "accepted by this node; its row was not found: it is in the log, in an object that was left, or no longer there"
        }
        Verdict::Accepted => "accepted",
        Verdict::Unknown => "nothing is known of it",
    }
}

/// How far was looked, where that matters.
fn print_reach(report: &Report, loaded: &Loaded, args: &FindArgs) {
    let lake = &report.lake;
    out::line(format_args!(
        "of {} objects {} cannot have it, {} were looked into, {} were left",
        lake.objects, lake.ruled_out, lake.looked_into, lake.left
    ));
    if lake.is_cut {
        out::line(
            "older objects were left, because reading them takes long; `--whole` reads them, too",
        );
    }
    match &report.service {
        Some(service) if service.requests > service.remembered => out::line(format_args!(
            "the service remembers the last {} of {} requests",
            service.remembered, service.requests
        )),
        None if !args.lake_only => out::line(format_args!(
            "no service answers in {}: requests, and what is not in the lake yet, are not known",
            loaded.config.wal.dir.display()
        )),
        _ => {}
    }
}
