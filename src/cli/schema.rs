//! `lakehook schema`: prints the columns that were found in the records of a poll or of files, as a JSON Schema to
//! edit.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

use crate::cli::exit::Failure;
use crate::cli::poll::chosen;
use crate::cli::runtime::runtime;
use crate::columns::{ColumnType, TYPE_KEYWORD};
use crate::config::Loaded;
use crate::inbox::plan::RESERVED as PLACE;
use crate::lake::reader::LakeReader;
use crate::out;
use crate::serve::catalogue::learn;
use crate::serve::feeds::FeedList;
use crate::tables::{Column, RESERVED, StreamTable, Table};
use crate::telemetry::{self, LogFormat};

/// Arguments of `lakehook schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The poll, or the stream of files
    #[arg(value_name = "NAME")]
    name: String,
}

/// Prints the schema.
pub fn run(loaded: &Loaded, args: SchemaArgs) -> Result<ExitCode, Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let config = &loaded.config;
    let name = args.name;
    if !config.files.contains_key(&name) {
        chosen(config, vec![name.clone()])?;
    }
    let tables = FeedList::of(config).tables().map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::Usage(format!("lakehook: {}", errors.join("\n")))
    })?;
    let of_files = config.files.get(&name).map(|files| &files.schema);
    let of_poll = config.poll.get(&name).map(|poll| &poll.schema);
    if let Some(Some(file)) = of_files.or(of_poll) {
        return Err(Failure::Usage(format!(
            "lakehook: {name} has a schema: {}",
            file.display()
        )));
    }
    let runtime = runtime()?;
    let learned = runtime.block_on(async {
        let place = LakeReader::open(config.lake.destination()).await;
        learn(&place, &tables).await
    });
    let found = tables.streams().find(|(stream, _)| *stream == name);
    let table = found.map(|(_, table)| table.now());
    let own: Vec<&Column> = table
        .iter()
        .flat_map(|table| own_columns(table, of_files.is_some()))
        .collect();
    let Some(StreamTable::Growing(_)) = found.map(|(_, table)| table).filter(|_| !own.is_empty())
    else {
        learned.with_context(|| format!("failed to look into the lake {}", config.lake.url))?;
        return Err(anyhow!(
            "no column of {name} is known yet: they are found by `lakehook {} {name}`",
            if of_files.is_some() { "files" } else { "poll" }
        )
        .into());
    };
    out::line(schema(&name, &own));
    Ok(ExitCode::SUCCESS)
}

/// The columns that come from records.
fn own_columns(table: &Table, of_files: bool) -> impl Iterator<Item = &Column> {
    let columns = table.columns.iter();
    let is_place = move |name: &str| of_files && PLACE.contains(&name);
    let is_own = move |name: &str| !RESERVED.contains(&name) && !is_place(name);
    columns.filter(move |column| is_own(&column.name))
}

/// A schema with these columns, in this order.
fn schema(name: &str, columns: &[&Column]) -> String {
    let comment = format!(
        "The columns that lakehook found in the records of {name}. Edit it: say what is required, and which bounds hold. \
         With poll.{name}.schema, what breaks it goes to the quarantine, and what it does not declare stands under extra."
    );
    let mut out = format!(
        "{{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"$comment\": {},\n  \"type\": \
         \"object\",\n  \"properties\": {{",
        Value::from(comment)
    );
    for (number, column) in columns.iter().enumerate() {
        let separator = if number == 0 { "" } else { "," };
        let name = Value::from(column.name.as_str());
        let _memory_takes_it = write!(out, "{separator}\n    {name}: {}", property(column.kind));
    }
    out.push_str("\n  }\n}");
    out
}

/// A property whose column has this type.
fn property(kind: ColumnType) -> Value {
    match kind {
        ColumnType::Text => json!({"type": ["string", "null"]}),
        ColumnType::Time => json!({"type": ["string", "null"], "format": "date-time"}),
        ColumnType::Date => json!({"type": ["string", "null"], "format": "date"}),
        ColumnType::Integer => json!({"type": ["integer", "null"]}),
        ColumnType::Double => json!({"type": ["number", "null"]}),
        ColumnType::Boolean => json!({"type": ["boolean", "null"]}),
        ColumnType::Decimal(size) => {
            json!({"type": ["number", "string", "null"], (TYPE_KEYWORD): size.to_string()})
        }
        ColumnType::Json => json!({}),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::columns::{Dates, Decimal, declared};
    use crate::tables::Source;

    #[test]
    fn a_schema_declares_the_columns_that_it_was_made_of() {
        let kinds = [
            ColumnType::Text,
            ColumnType::Time,
            ColumnType::Date,
            ColumnType::Integer,
            ColumnType::Double,
            ColumnType::Boolean,
            ColumnType::Decimal(Decimal::new(12, 2).unwrap()),
            ColumnType::Json,
        ];
        let columns: Vec<Column> = kinds
            .iter()
            .enumerate()
            .map(|(number, kind)| Column {
                name: format!("\"{}", 9 - number),
                kind: *kind,
                source: Source::Rest,
                about: String::new(),
                field_id: None,
            })
            .collect();
        let text = schema("orders", &columns.iter().collect::<Vec<_>>());
        let found = declared(&text, Dates::Typed).unwrap();
        let found: Vec<_> = found.into_iter().map(|own| (own.name, own.kind)).collect();
        let expected: Vec<_> = columns
            .into_iter()
            .map(|own| (own.name, own.kind))
            .collect();
        assert_eq!(found, expected);
    }
}
