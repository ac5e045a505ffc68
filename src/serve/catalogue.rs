//! The lake as engines see it: its streams with their tables, and which objects they have.

use std::sync::Arc;

use chrono::NaiveDate;

use super::feeds::FeedList;
use super::tables;
use crate::clock::{Clock, Micros};
use crate::config::Config;
use crate::console::MakeStatements;
use crate::contract::PartitionBy;
use crate::inbox::definition::FilesMode;
use crate::lake::destination::Destination;
use crate::lake::keys::{self, INTERNAL};
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::poll::definition::Mode;
use crate::ship::ColumnsNote;
use crate::sql::{Catalogue, Current, Deleted, Engine, Key, Relation, Stream, There, distinct};
use crate::tables::{StreamTable, Table, Tables};

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Settings that cannot be used.
    #[error("{}", .0.join("\n"))]
    Settings(Vec<String>),
    /// The lake cannot be looked into.
    #[error(transparent)]
    Lake(#[from] LakeReadError),
}

/// Looks into the lake, and describes it. At most about `max_objects` of each stream are looked at.
pub async fn catalogue(
    config: &Config,
    place: &LakeReader,
    max_objects: usize,
    now: Micros,
) -> Result<Catalogue, CatalogueError> {
    if let Destination::Directory(root) = config.lake.destination()
        && root.display().to_string().contains(['*', '?', '['])
    {
        return Err(CatalogueError::Settings(vec![format!(
            "the path {} holds *, ? or [, which engines take for patterns; give the lake another name",
            root.display()
        )]));
    }
    let polled = polled(config)?;
    learn(place, &polled).await?;
    let mut relations = relations_of(config, &polled)?;
    let is_bare = look(config, place, &mut relations, (max_objects, now)).await?;
    let endpoint = endpoint(config);
    Ok(Catalogue {
        url: match config.lake.destination() {
            Destination::Directory(root) => root.display().to_string(),
            Destination::Bucket(_) => config.lake.url.to_string(),
        },
        path_style: config.lake.path_style.unwrap_or(endpoint.is_some()),
        endpoint,
        region: config.lake.region.clone(),
        writes_columns: config.batch.format.layout().is_typed(),
        with_secret: true,
        is_bare,
        relations,
    })
}

/// The statements for an engine, with the view of distinct events where it has one.
pub fn statements(config: &Config, catalogue: &Catalogue, engine: Engine) -> String {
    let mut text = catalogue.statements(engine).trim_end().to_owned();
    if engine == Engine::Duckdb {
        let hooks = config.hook.keys().map(String::as_str);
        text = format!("{text}\n\n{}", distinct::view(hooks));
    }
    text
}

/// At most so many objects of a stream are looked at for the console.
const MAX_OBJECTS: usize = 20_000;

/// Makes the statements of the console, whenever somebody asks for them.
pub(super) fn for_people(config: &Config) -> MakeStatements {
    let config = Arc::new(config.clone());
    Box::new(move || {
        let config = Arc::clone(&config);
        Box::pin(async move {
            let place = LakeReader::open(config.lake.destination()).await;
            let now = Clock::system().now().wall;
            let looked = catalogue(&config, &place, MAX_OBJECTS, now).await;
            let looked = looked.map_err(|error| error.to_string())?;
            let engines = [
                ("DuckDB", Engine::Duckdb),
                ("Athena", Engine::Athena),
                ("Trino", Engine::Trino),
            ];
            let of = |(name, engine)| (name, statements(&config, &looked, engine));
            Ok(engines.map(of).to_vec())
        })
    })
}

/// Adds the columns that notes in the lake name: another machine may have found them.
pub async fn learn(place: &LakeReader, tables: &Tables) -> Result<(), LakeReadError> {
    for (stream, table) in tables.streams() {
        let StreamTable::Growing(growing) = table else {
            continue;
        };
        for key in place.keys(&keys::columns_prefix(stream)).await? {
            let text = place.read(&key).await?.unwrap_or_default();
            let note = serde_json::from_slice::<ColumnsNote>(&text).ok();
            match note.filter(ColumnsNote::is_whole) {
                Some(note) => growing.live.adopt(&note.columns),
                // Its columns stand under `extra`, which is better than no answer at all.
                None => tracing::warn!(key, "a note of columns cannot be read, and is passed over"),
            }
        }
    }
    Ok(())
}

/// The tables of what is pulled.
fn polled(config: &Config) -> Result<Tables, CatalogueError> {
    let polled = FeedList::of(config).tables();
    polled.map_err(|errors| settings(errors.iter().map(ToString::to_string)))
}

/// The streams of a configuration, without knowledge of what the lake holds.
pub fn relations(config: &Config) -> Result<Vec<Relation>, CatalogueError> {
    relations_of(config, &polled(config)?)
}

fn relations_of(config: &Config, polled: &Tables) -> Result<Vec<Relation>, CatalogueError> {
    let schemas = config.events.read_schemas();
    let schemas = schemas.map_err(|errors| settings(errors.iter().map(ToString::to_string)))?;
    let events = tables::events(config, &schemas);
    let events = events.map_err(|error| settings(std::iter::once(error.to_string())))?;
    let days = Key::all("dt=%Y-%m-%d");
    let relation = |name: &str, stream, table, partitions| Relation {
        name: name.to_owned(),
        stream,
        table,
        partitions,
        partitioned_by: None,
        first_day: String::new(),
        there: There::default(),
        in_parcels: false,
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
                in_parcels: true,
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

fn settings(errors: impl Iterator<Item = String>) -> CatalogueError {
    CatalogueError::Settings(errors.collect())
}

/// Finds out which objects each stream has. Returns whether nothing at all is in the lake.
async fn look(
    config: &Config,
    place: &LakeReader,
    relations: &mut [Relation],
    (max_objects, now): (usize, Micros),
) -> Result<bool, LakeReadError> {
    let mut is_bare = place
        .keys_up_to(&format!("{INTERNAL}/"), 1)
        .await?
        .is_empty();
    for relation in relations.iter_mut() {
        for key in place
            .keys_up_to(&format!("{}/", relation.name), max_objects)
            .await?
        {
            relation.there.add(&key, &relation.partitions);
            is_bare = false;
        }
    }
    let now = now.to_utc().unwrap_or_default();
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
pub fn endpoint(config: &Config) -> Option<String> {
    let names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    let values = names.iter().filter_map(|name| std::env::var(name).ok());
    let configured = config.lake.endpoint.clone();
    configured.or_else(|| values.into_iter().find(|value| !value.is_empty()))
}
