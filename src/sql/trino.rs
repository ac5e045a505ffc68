//! Tables for Trino's Hive connector, in a schema named `lake` of a catalog named `hive`.

use std::fmt::Write as _;

use super::{Catalogue, Relation, Stream, identifier, lines, literal};
use crate::columns::{Kind, Source};

pub(super) fn statements(lake: &Catalogue) -> String {
    let mut out = format!(
        "-- Tables over {}, for Trino with the Hive connector.\n-- Made by `lakehook sql trino`. New days are found by \
         the CALLs at the end; run these again for each new day.\n\nCREATE SCHEMA IF NOT EXISTS hive.lake;\n",
        lake.url
    );
    let relations = || {
        lake.relations
            .iter()
            .filter(|own| own.stream != Stream::Quarantine)
    };
    for relation in relations() {
        out.push_str(&table(lake, relation));
    }
    out.push('\n');
    for relation in relations() {
        let name = literal(&relation.name);
        let _memory_takes_it = writeln!(
            out,
            "CALL hive.system.sync_partition_metadata('lake', {name}, 'ADD');"
        );
    }
    out
}

fn type_of(kind: Kind, is_line: bool) -> &'static str {
    match kind {
        Kind::Time if !is_line => "timestamp(6)",
        Kind::Time | Kind::Text | Kind::Json => "varchar",
        Kind::Integer => "bigint",
        Kind::Double => "double",
        Kind::Boolean => "boolean",
    }
}

fn table(lake: &Catalogue, relation: &Relation) -> String {
    let is_line = !lake.writes_columns;
    let columns = relation.columns().filter_map(|column| {
        let kind = match (&column.source, column.name.as_str()) {
            (Source::Property(_) | Source::Rest, _) if is_line => return None,
            (_, "properties") if is_line => {
                let fields = relation.properties();
                let fields = fields
                    .map(|(_, key, kind)| format!("{} {}", identifier(key), type_of(kind, true)));
                let fields: Vec<String> = fields.collect();
                if fields.is_empty() {
                    return None;
                }
                format!("row({})", fields.join(", "))
            }
            (_, "user") if is_line => "row(user_id varchar)".to_owned(),
            _ => type_of(column.kind, is_line).to_owned(),
        };
        Some(format!("{} {kind}", identifier(&column.name)))
    });
    let keys = relation.partitions.iter();
    let partitions: Vec<String> = keys.clone().map(|key| literal(&key.name)).collect();
    let keys = keys.map(|key| format!("{} varchar", identifier(&key.name)));
    let format = if is_line { "JSON" } else { "PARQUET" };
    format!(
        "\nCREATE TABLE IF NOT EXISTS hive.lake.{} (\n    {}\n) WITH (\n    external_location = {},\n    format = '{format}',\n    \
         partitioned_by = ARRAY[{}]\n);\n",
        identifier(&relation.name),
        lines(columns.chain(keys), 4),
        literal(&format!("{}/", lake.at(&relation.name))),
        partitions.join(", ")
    )
}
