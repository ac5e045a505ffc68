//! Tables for Trino's Hive connector, in a schema named `lake` of a catalog named `hive`.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::catalogue::{Catalogue, Engine, Relation, Stream};
use super::current;
use super::text::{identifier, lines, literal};
use crate::columns::ColumnType;
use crate::lake::keys::INTERNAL;
use crate::tables::Source;

pub(super) fn statements(lake: &Catalogue) -> String {
    let mut out = format!(
        "-- Tables over {}, for Trino with the Hive connector.\n-- Made by `lakehook sql trino`. New days are found by \
         the CALLs at the end; run these again for each new day.\n\nCREATE SCHEMA IF NOT EXISTS hive.lake;\n",
        lake.url
    );
    let mut tables = Vec::new();
    let relations = lake.relations.iter();
    for relation in relations.filter(|own| own.stream != Stream::Quarantine) {
        out.push_str(&table(
            lake,
            relation,
            &relation.table_name(),
            &relation.name,
        ));
        tables.push(relation.table_name());
        if matches!(relation.stream, Stream::Runs | Stream::Files) {
            out.push_str(&runs(lake, relation));
        }
        out.push_str(&current::view(relation, Engine::Trino, "hive.lake."));
        if !relation.there.earlier.is_empty() {
            let _memory_takes_it = writeln!(
                out,
                "\n-- {} has objects of an earlier pattern of partitions, such as {}: they are not in the table.",
                relation.name,
                relation.there.earlier.first().map_or("", String::as_str)
            );
        }
    }
    // The quarantine has a directory for each stream. Its name is no partition, so each needs a table of its
    // own.
    let refused = lake
        .relations
        .iter()
        .find(|own| own.stream == Stream::Quarantine);
    for relation in lake
        .relations
        .iter()
        .filter(|own| own.stream != Stream::Quarantine)
    {
        let Some(refused) = refused else { continue };
        let name = format!("quarantine_{}", relation.name);
        out.push_str(&table(
            lake,
            refused,
            &name,
            &format!("quarantine/{}", relation.name),
        ));
        tables.push(name);
    }
    out.push('\n');
    for name in tables {
        let _memory_takes_it = writeln!(
            out,
            "CALL hive.system.sync_partition_metadata('lake', {}, 'ADD');",
            literal(&name)
        );
    }
    out
}

/// The table of markers, and the rows of the latest complete run, or of all complete runs of files.
fn runs(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let runs = format!("hive.lake.{}", identifier(&format!("{name}_runs")));
    let table = format!(
        "\nCREATE TABLE IF NOT EXISTS {runs} (\n    run varchar,\n    same_as varchar,\n    started_at varchar,\n    \
         ended_at varchar,\n    records bigint,\n    quarantined bigint{replaced}\n) WITH (\n    external_location = {location},\n    \
         format = 'OPENX_JSON'\n);\n\n",
        location = literal(&format!("{}/", lake.at(&format!("{INTERNAL}/runs/{name}")))),
        replaced = if relation.stream == Stream::Files {
            ",\n    replaced array(row(file varchar, run varchar))"
        } else {
            ""
        },
    );
    let (latest, all) = (identifier(name), identifier(&relation.table_name()));
    if relation.stream == Stream::Files {
        return format!(
            "{table}CREATE OR REPLACE VIEW hive.lake.{latest} AS\nSELECT a.* FROM hive.lake.{all} AS a\n\
             LEFT JOIN (\n    SELECT DISTINCT t.file, t.run FROM {runs} AS m CROSS JOIN UNNEST(m.replaced) AS t(file, run)\n\
             ) AS r ON r.run = a.run AND r.file = a.file\nWHERE r.run IS NULL AND a.run IN (SELECT run FROM {runs});\n"
        );
    }
    format!(
        "{table}CREATE OR REPLACE VIEW hive.lake.{latest} AS\nWITH latest AS (\n    SELECT coalesce(m.same_as, m.run) AS run\n    \
         FROM {runs} AS m\n    LEFT JOIN {runs} AS e ON e.run = m.same_as\n    \
         WHERE m.same_as IS NULL OR e.run IS NOT NULL\n    ORDER BY m.run DESC LIMIT 1\n)\n\
         SELECT a.* FROM hive.lake.{all} AS a\nWHERE a.run = (SELECT run FROM latest)\n  AND a.dt = (SELECT substr(run, 1, 4) || '-' || \
         substr(run, 5, 2) || '-' || substr(run, 7, 2) FROM latest);\n"
    )
}

fn type_of(kind: ColumnType, is_line: bool) -> Cow<'static, str> {
    let name = match kind {
        ColumnType::Time if !is_line => "timestamp(3)",
        // In lines they are text, which casts read exactly.
        ColumnType::Date | ColumnType::Decimal(_) if is_line => "varchar",
        ColumnType::Time | ColumnType::Text | ColumnType::Json => "varchar",
        ColumnType::Integer => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Decimal(size) => return size.to_string().into(),
    };
    name.into()
}

/// A table over a prefix of the lake.
fn table(lake: &Catalogue, relation: &Relation, name: &str, prefix: &str) -> String {
    let is_line = !lake.writes_columns;
    let columns = relation.columns().filter_map(|column| {
        // In NDJSON, properties are part of `properties`, which is text like any JSON column.
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
        identifier(name),
        lines(columns.chain(keys), 4),
        literal(&format!("{}/", lake.at(prefix))),
        partitions.join(", ")
    )
}
