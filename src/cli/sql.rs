//! `lakehook sql`: prints statements that make the lake queryable.

use std::process::ExitCode;

use chrono::NaiveDate;
use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::cli::columns;
use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::contract::PartitionBy;
use crate::inbox::definition::FilesMode;
use crate::lake::destination::Destination;
use crate::lake::keys::INTERNAL;
use crate::lake::reader::LakeReader;
use crate::out;
use crate::poll::definition::Mode;
use crate::serve::feeds::FeedList;
use crate::serve::tables;
use crate::sql::{Catalogue, Current, Deleted, Engine, Key, Relation, Stream, There, distinct};
use crate::tables::{Table, Tables};
use crate::telemetry::{self, LogFormat};

/// Arguments of `lakehook sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// The engine
    engine: Engine,
    /// Say nothing of credentials; for a session that has a secret already
    #[arg(long)]
    no_secret: bool,
}

/// Prints the statements.
pub fn run(loaded: &Loaded, args: &SqlArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let config = &loaded.config;
    let polled = polled(config)?;
    if let Destination::Directory(root) = config.lake.destination()
        && root.display().to_string().contains(['*', '?', '['])
    {
        let message = format!(
            "lakehook: the path {} holds *, ? or [, which engines take for patterns; give the lake another name",
            root.display()
        );
        return Err(Failure::Usage(message));
    }
    let runtime = runtime()?;
    let looked = runtime.block_on(async {
        let place = LakeReader::open(config.lake.destination()).await;
        columns::learn(&place, &polled).await?;
        let mut relations = relations_of(config, &polled)?;
        let is_bare = look(config, &place, &mut relations).await?;
        Ok::<_, Failure>((relations, is_bare))
    });
    let (relations, is_bare) = looked.map_err(|failure| match failure {
        Failure::Failed(error) => {
            let what = format!("failed to look into the lake {}", config.lake.url);
            Failure::Failed(error.context(what))
        }
        usage @ Failure::Usage(_) => usage,
    })?;
    let endpoint = endpoint(config);
    let catalogue = Catalogue {
        url: match config.lake.destination() {
            Destination::Directory(root) => root.display().to_string(),
            Destination::Bucket(_) => config.lake.url.to_string(),
        },
        path_style: config.lake.path_style.unwrap_or(endpoint.is_some()),
        endpoint,
        region: config.lake.region.clone(),
        writes_columns: config.batch.format.layout().is_typed(),
        with_secret: !args.no_secret,
        is_bare,
        relations,
    };
    out::line(catalogue.statements(args.engine).trim_end());
    if args.engine == Engine::Duckdb {
        let hooks = config.hook.keys().map(String::as_str);
        out::line(format_args!("\n{}", distinct::view(hooks)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The tables of what is pulled.
fn polled(config: &Config) -> Result<Tables, Failure> {
    let polled = FeedList::of(config).tables();
    polled.map_err(|errors| usage(errors.iter().map(ToString::to_string)))
}

/// The streams of a configuration, without knowledge of what the lake holds.
pub(crate) fn relations(config: &Config) -> Result<Vec<Relation>, Failure> {
    relations_of(config, &polled(config)?)
}

fn relations_of(config: &Config, polled: &Tables) -> Result<Vec<Relation>, Failure> {
    let schemas = config.events.read_schemas();
    let schemas = schemas.map_err(|errors| usage(errors.iter().map(ToString::to_string)))?;
    let events = tables::events(config, &schemas)?;
    let days = Key::all("dt=%Y-%m-%d");
    let relation = |name: &str, stream, table, partitions| Relation {
        name: name.to_owned(),
        stream,
        table,
        partitions,
        partitioned_by: None,
        first_day: String::new(),
        there: There::default(),
        in_pieces: false,
        current: None,
    };
    let mut relations = vec![Relation {
        partitioned_by: Some(time_column(config.events.partition_by).to_owned()),
        ..relation(
            "events",
            Stream::Rows,
            events,
            Key::all(&config.events.partition),
        )
    }];
    for (name, table) in polled.streams() {
        let table = table.now();
        if let Some(files) = config.files.get(name) {
            let stream = match files.mode {
                FilesMode::Append => Stream::Files,
                FilesMode::Snapshot => Stream::Runs,
            };
            let keys = days.iter().cloned().chain([Key::run()]).collect();
            relations.push(Relation {
                in_pieces: true,
                ..relation(name, stream, Table::clone(&table), keys)
            });
            continue;
        }
        let poll = config.poll.get(name);
        let is_snapshot = poll.is_some_and(|poll| poll.mode == Mode::Snapshot);
        let (stream, mut keys) = if is_snapshot {
            (Stream::Runs, days.clone())
        } else {
            (Stream::Rows, days.clone())
        };
        if is_snapshot {
            keys.push(Key::run());
        }
        relations.push(Relation {
            current: current(config, name, &table),
            ..relation(name, stream, Table::clone(&table), keys)
        });
    }
    relations.push(relation(
        "quarantine",
        Stream::Quarantine,
        Table::quarantine(),
        days,
    ));
    Ok(relations)
}

/// How the latest row of each record of a stream is found: only if it appends, and its ids are columns.
fn current(config: &Config, name: &str, table: &Table) -> Option<Current> {
    let poll = config
        .poll
        .get(name)
        .filter(|poll| poll.mode == Mode::Append);
    let of_call = config.call.get(name).and_then(|call| call.id.as_ref());
    let id = poll.and_then(|poll| poll.id.as_ref()).or(of_call)?;
    let column = |key: &String| {
        let name = key.strip_prefix('/').unwrap_or(key);
        let column = table.columns.iter().find(|column| column.name == name);
        column.map(|column| column.name.clone())
    };
    let ids: Option<Vec<String>> = id.keys().iter().map(column).collect();
    Some(Current {
        ids: ids.filter(|ids| !ids.is_empty())?,
        deleted: poll
            .and_then(|poll| poll.deleted.as_ref())
            .map(|deleted| Deleted {
                field: deleted.field.clone(),
                value: deleted.value.clone(),
            }),
    })
}

fn usage(errors: impl Iterator<Item = String>) -> Failure {
    let list: Vec<String> = errors.collect();
    Failure::Usage(format!("lakehook: {}", list.join("\n")))
}

/// Finds out which objects each stream has. Returns whether nothing at all is in the lake.
async fn look(
    config: &Config,
    place: &LakeReader,
    relations: &mut [Relation],
) -> anyhow::Result<bool> {
    let mut is_bare = place.keys(&format!("{INTERNAL}/")).await?.is_empty();
    for relation in relations.iter_mut() {
        for key in place.keys(&format!("{}/", relation.name)).await? {
            relation.there.add(&key, &relation.partitions);
            is_bare = false;
        }
    }
    let now = Clock::system().now().wall.to_utc().unwrap_or_default();
    first_days(config, relations, now.date_naive());
    Ok(is_bare)
}

/// Sets the first day that new objects can belong to. Events may be late, and a refused event may be replayed
/// long after its receipt.
fn first_days(config: &Config, relations: &mut [Relation], today: NaiveDate) {
    let late = chrono::Duration::from_std(config.events.max_age.duration());
    let late = late.unwrap_or(chrono::Duration::MAX);
    let refused = relations
        .iter()
        .find(|relation| relation.stream == Stream::Quarantine);
    let refused = refused.and_then(|relation| relation.there.oldest.first()?.clone());
    let refused = refused.and_then(|day| day.parse::<NaiveDate>().ok());
    let received = refused.map_or(today, |refused| refused.min(today));
    let epoch = NaiveDate::default();
    let first = received.checked_sub_signed(late).unwrap_or(epoch);
    for relation in relations {
        let is_by_timestamp = config.events.partition_by == PartitionBy::Timestamp;
        relation.first_day = if is_by_timestamp && relation.partitioned_by.is_some() {
            first.max(epoch).to_string()
        } else {
            today.to_string()
        };
    }
}

/// The column whose time decides about an event's partition.
fn time_column(by: PartitionBy) -> &'static str {
    match by {
        PartitionBy::Timestamp => "timestamp",
        PartitionBy::ReceivedAt => "received_at",
    }
}

/// The address of the store: from the configuration, or from the environment variables that every AWS tool
/// reads.
#[allow(
    clippy::disallowed_methods,
    reason = "the SDK reads the same variables"
)]
pub(crate) fn endpoint(config: &Config) -> Option<String> {
    let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let values = names.iter().filter_map(|name| std::env::var(name).ok());
    let configured = config.lake.endpoint.clone();
    configured.or_else(|| values.into_iter().find(|value| !value.is_empty()))
}
