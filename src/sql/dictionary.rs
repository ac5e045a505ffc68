//! The data dictionary: a page that describes every stream and its columns.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::catalogue::{Catalogue, Relation, Stream};
use crate::columns::ColumnType;
use crate::tables::Source;

pub(super) fn page(lake: &Catalogue) -> String {
    let mut out = "# Data dictionary\n\nMade by `lakehook sql dictionary` from the configuration and its schemas. Types are those of \
                   the views of `lakehook sql duckdb` and of Parquet objects; in NDJSON objects times are text in \
                   RFC 3339, dates and decimals are text, and `p_` columns are found in `properties`.\n"
        .to_owned();
    for relation in &lake.relations {
        let _memory_takes_it = write!(out, "\n## {}\n\n{}\n\n", relation.name, about(relation));
        out.push_str("| column | type | meaning |\n|---|---|---|\n");
        for column in relation.columns() {
            let about = match &column.source {
                Source::Property(key) if column.about.is_empty() => format!("`properties.{key}`"),
                Source::Property(key) => format!("`properties.{key}`: {}", column.about),
                Source::Member(_) | Source::Rest => column.about.clone(),
            };
            let kind = type_of(column.kind);
            let _memory_takes_it = writeln!(out, "| `{}` | {kind} | {about} |", column.name);
        }
        for key in &relation.partitions {
            let meaning = match key.name.as_str() {
                "dt" => "The day, in UTC; from the path",
                "run" => "The run; from the path",
                _ => "From the path",
            };
            let _memory_takes_it = writeln!(out, "| `{}` | partition | {meaning} |", key.name);
        }
    }
    out
}

fn type_of(kind: ColumnType) -> Cow<'static, str> {
    let name = match kind {
        ColumnType::Date => "date",
        ColumnType::Decimal(size) => return format!("{size}, exact").into(),
        ColumnType::Text => "text",
        ColumnType::Time => "time (UTC, microseconds)",
        ColumnType::Integer => "integer (64 bits)",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Json => "JSON",
    };
    name.into()
}

fn about(relation: &Relation) -> String {
    let name = &relation.name;
    match relation.stream {
        Stream::Rows if name == "events" => {
            "One row for each event that was acknowledged, exactly once.".to_owned()
        }
        Stream::Rows => "One row for each record that was new or had changed.".to_owned(),
        Stream::Runs => format!(
            "One row for each record of a run. The view `{name}` shows the latest complete run, `{name}_history` the last one \
             of each day, `{name}_runs` all of them."
        ),
        Stream::Files => "One row for each record of a file that is whole in the lake.".to_owned(),
        Stream::Quarantine => "One row for each thing that was refused, of all streams.".to_owned(),
    }
}
