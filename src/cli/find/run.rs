//! Looks for it: asks the service, reads the id files, searches the lake.

use std::cmp::Reverse;
use std::process::ExitCode;

use clap::Args;
use tracing::level_filters::LevelFilter;

use super::print::print;
use super::report::{Report, report};
use super::verdict::{FromIdFiles, Verdict};
use crate::cli::exit::{FAILED, Failure};
use crate::cli::progress::bar;
use crate::cli::runtime::runtime;
use crate::config::{Config, Loaded};
use crate::find::{KnownIds, SearchLimits, Sought, UnreadIdFile, log_of_ids, search};
use crate::lake::calendar::ListedObject;
use crate::lake::keys::{holder_of, top_folder};
use crate::lake::reader::LakeReader;
use crate::out;
use crate::receive::recall::Recalled;
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

/// Looks for an event; exit code 0 only if something is known of it.
pub fn run(loaded: &Loaded, args: &FindArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let report = runtime()?.block_on(find(&loaded.config, args))?;
    if args.json {
        out::line(serde_json::to_string_pretty(&report)?);
    } else {
        let asked = (!args.lake_only).then_some(loaded.config.wal.dir.as_path());
        print(&report, asked);
    }
    Ok(match report.verdict {
        Verdict::Unknown | Verdict::Undecided => ExitCode::from(FAILED),
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
    let (known, from_files) = match of_request {
        None if !args.whole => ask_id_files(config, &sought),
        _ => (None, FromIdFiles::default()),
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
    Ok(report(sought.text(), recalled.as_ref(), &from_files, found))
}

/// What the id files of the log say that knows the id, if there are any.
fn ask_id_files(config: &Config, sought: &Sought) -> (Option<KnownIds>, FromIdFiles) {
    let dir = config.wal.dir.as_path();
    let mut configs = config.of_logs();
    let of_logs = configs.len();
    let read = log_of_ids(dir, sought.ids(), of_logs).and_then(|number| {
        let own = number.filter(|number| *number < of_logs);
        let own = own.map(|number| configs.swap_remove(number));
        own.map_or(Ok(None), |own| KnownIds::read(&own.wal.dir, sought.ids()))
    });
    match read {
        Ok(Some(known)) => {
            let from_files = FromIdFiles {
                has_it: known.has_it(),
                unread: known.unread().to_vec(),
            };
            (Some(known), from_files)
        }
        Ok(None) => (None, FromIdFiles::default()),
        Err(error) => {
            let unread = UnreadIdFile {
                path: dir.to_owned(),
                why: error.to_string(),
            };
            let from_files = FromIdFiles {
                has_it: None,
                unread: vec![unread],
            };
            (None, from_files)
        }
    }
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
