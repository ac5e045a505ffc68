//! Tables for Trino's Hive connector, in a schema named `lake` of a catalog named `hive`.

use std::fmt::Write as _;

use super::{Catalogue, Relation, Stream, identifier, lines, literal};
use crate::columns::ColumnType;
use crate::tables::Source;

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
        let name = literal(&relation.table_name());
        let _memory_takes_it = writeln!(
            out,
            "CALL hive.system.sync_partition_metadata('lake', {name}, 'ADD');"
        );
    }
    out
}

fn type_of(kind: ColumnType, is_line: bool) -> &'static str {
    match kind {
        ColumnType::Time if !is_line => "timestamp(3)",
        ColumnType::Time | ColumnType::Text | ColumnType::Json => "varchar",
        ColumnType::Integer => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
    }
}

fn table(lake: &Catalogue, relation: &Relation) -> String {
    let is_line = !lake.writes_columns;
    let columns = relation.columns().filter_map(|column| {
        // In lines, properties are in `properties`, which is text like any JSON.
        if is_line && matches!(column.source, Source::Property(_)) {
            return None;
        }
        let kind = type_of(column.kind, is_line);
        Some(format!("{} {kind}", identifier(&column.name)))
    });
    let keys = relation.partitions.iter();
    let partitions: Vec<String> = keys.clone().map(|key| literal(&key.name)).collect();
    let keys = keys.map(|key| format!("{} varchar", identifier(&key.name)));
    let format = if is_line { "OPENX_JSON" } else { "PARQUET" };
    format!(
        "\nCREATE TABLE IF NOT EXISTS hive.lake.{} (\n    {}\n) WITH (\n    external_location = {},\n    format = '{format}',\n    \
         partitioned_by = ARRAY[{}]\n);\n",
        identifier(&relation.table_name()),
        lines(columns.chain(keys), 4),
        literal(&format!("{}/", lake.at(&relation.name))),
        partitions.join(", ")
    )
}
