//! `lakehook sql`: statements that make the lake queryable.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tracing::level_filters::LevelFilter;

use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::config::{Config, Loaded};
use crate::lake::destination::Destination;
use crate::lake::keys::INTERNAL;
use crate::lake::reader::LakeReader;
use crate::out;
use crate::poll::definition::Mode;
use crate::serve::feeds::FeedList;
use crate::serve::tables;
use crate::sql::{Catalogue, Engine, Key, Relation, Stream, There, distinct};
use crate::tables::Table;
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
    let mut relations = relations(config)?;
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
    let listed = runtime.block_on(look(config, &mut relations));
    listed.with_context(|| format!("failed to look into the lake {}", config.lake.url))?;
    let catalogue = Catalogue {
        url: match config.lake.destination() {
            Destination::Directory(root) => root.display().to_string(),
            Destination::Bucket(_) => config.lake.url.to_string(),
        },
        endpoint: config.lake.endpoint.clone(),
        region: config.lake.region.clone(),
        path_style: config
            .lake
            .path_style
            .unwrap_or(config.lake.endpoint.is_some()),
        writes_columns: config.batch.format.layout().is_typed(),
        with_secret: !args.no_secret,
        relations,
    };
    out::line(catalogue.statements(args.engine).trim_end());
    if args.engine == Engine::Duckdb {
        let hooks = config.hook.keys().map(String::as_str);
        out::line(format_args!("\n{}", distinct::view(hooks)));
    }
    Ok(ExitCode::SUCCESS)
}

/// The streams of a configuration; nothing is known of what is there.
fn relations(config: &Config) -> Result<Vec<Relation>, Failure> {
    let schemas = config.events.read_schemas();
    let schemas = schemas.map_err(|errors| usage(errors.iter().map(ToString::to_string)))?;
    let events = tables::events(config, &schemas)?;
    let polled = FeedList::of(config).tables();
    let polled = polled.map_err(|errors| usage(errors.iter().map(ToString::to_string)))?;
    let days = Key::all("dt=%Y-%m-%d");
    let relation = |name: &str, stream, table, partitions| Relation {
        name: name.to_owned(),
        stream,
        table,
        partitions,
        there: There::default(),
    };
    let mut relations = vec![relation(
        "events",
        Stream::Rows,
        events,
        Key::all(&config.events.partition),
    )];
    for (name, table) in polled.streams() {
        let is_snapshot = config.poll[name].mode == Mode::Snapshot;
        let (stream, mut keys) = if is_snapshot {
            (Stream::Runs, days.clone())
        } else {
            (Stream::Rows, days.clone())
        };
        if is_snapshot {
            keys.push(Key::run());
        }
        relations.push(relation(name, stream, table.clone(), keys));
    }
    relations.push(relation(
        "quarantine",
        Stream::Quarantine,
        Table::quarantine(),
        days,
    ));
    Ok(relations)
}

fn usage(errors: impl Iterator<Item = String>) -> Failure {
    let list: Vec<String> = errors.collect();
    Failure::Usage(format!("lakehook: {}", list.join("\n")))
}

/// Looks which objects each stream has.
async fn look(config: &Config, relations: &mut [Relation]) -> anyhow::Result<()> {
    let place = LakeReader::open(config.lake.destination()).await;
    for relation in relations {
        let rows = format!("{}/", relation.name);
        let markers = format!("{INTERNAL}/runs/{}/", relation.name);
        for key in place.keys(&rows).await? {
            relation.there.add(&key);
        }
        let is_run = relation.stream == Stream::Runs;
        relation.there.markers = is_run && !place.keys(&markers).await?.is_empty();
    }
    Ok(())
}
