//! Tables for Athena: partitions are projected, so nothing has to be registered.

use std::fmt::Write as _;

use super::{Catalogue, Key, Relation, Stream};
use crate::columns::ColumnType;
use crate::lake::keys::INTERNAL;
use crate::tables::{Column, Source};

pub(super) fn statements(lake: &Catalogue) -> String {
    let mut out = format!(
        "-- Tables over {}, for Athena engine version 3.\n-- Made by `lakehook sql athena`; run them one by one.\n",
        lake.url
    );
    if !lake.is_bucket() {
        out.push_str(
            "-- The lake is a directory: put it into a bucket, and set lake.url to that.\n",
        );
    }
    for relation in &lake.relations {
        if relation.there.is_mixed() {
            let _memory_takes_it = writeln!(
                out,
                "\n-- {} has objects of both formats: this table reads those of the configured one, and fails on days \
                 with others.",
                relation.name
            );
        }
        out.push_str(&table(lake, relation));
        if relation.stream == Stream::Runs {
            out.push_str(&runs(lake, relation));
        }
    }
    out
}

fn type_of(kind: ColumnType, is_line: bool) -> &'static str {
    match kind {
        // Times in lines are text: from_iso8601_timestamp() reads them.
        ColumnType::Time if is_line => "string",
        ColumnType::Time => "timestamp",
        ColumnType::Text | ColumnType::Json => "string",
        ColumnType::Integer => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A column of lines: objects are structs of what is declared in them.
fn line_column(relation: &Relation, column: &Column) -> Option<String> {
    // Names of fields have no quotes.
    let is_plain = |key: &str| key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let declared: Vec<String> = relation
        .properties()
        .filter(|(_, key, _)| is_plain(key))
        .map(|(_, key, kind)| format!("{key}:{}", type_of(kind, true)))
        .collect();
    let kind = match (&column.source, column.name.as_str()) {
        (Source::Property(_), _) => return None,
        (_, "properties") if !declared.is_empty() => format!("struct<{}>", declared.join(",")),
        (_, "user") => "struct<user_id:string>".to_owned(),
        (_, "errors") => "array<struct<pointer:string,code:string,detail:string>>".to_owned(),
        // What is not declared has no type that the SerDe could map.
        (Source::Rest, _) => return None,
        _ => type_of(column.kind, true).to_owned(),
    };
    Some(format!("{} {kind}", quoted(&column.name)))
}

fn table(lake: &Catalogue, relation: &Relation) -> String {
    let columns: Vec<String> = if lake.writes_columns {
        let columns = relation.columns();
        columns
            .map(|column| format!("{} {}", quoted(&column.name), type_of(column.kind, false)))
            .collect()
    } else {
        let columns = relation.columns();
        columns
            .filter_map(|column| line_column(relation, column))
            .collect()
    };
    let mut keys: Vec<(&str, String)> = relation
        .partitions
        .iter()
        .filter(|key| !key.pattern.is_empty())
        .map(|key| (key.name.as_str(), projection(key)))
        .collect();
    if relation.stream == Stream::Quarantine {
        let injected = "'projection.stream_name.type' = 'injected'".to_owned();
        keys.insert(0, ("stream_name", injected));
    }
    let partitioned: Vec<String> = keys
        .iter()
        .map(|(key, _)| format!("{} string", quoted(key)))
        .collect();
    let projections: Vec<&str> = keys
        .iter()
        .map(|(_, projection)| projection.as_str())
        .collect();
    let template: Vec<String> = keys
        .iter()
        .map(|(key, _)| match *key {
            "stream_name" => "${stream_name}".to_owned(),
            key => format!("{key}=${{{key}}}"),
        })
        .collect();
    let form = if lake.writes_columns {
        "STORED AS PARQUET"
    } else {
        "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'"
    };
    let location = lake.at(&relation.name);
    format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS {} (\n    {}\n)\nPARTITIONED BY ({})\n{form}\nLOCATION '{location}/'\n\
         TBLPROPERTIES (\n    'projection.enabled' = 'true',\n    {},\n    \
         'storage.location.template' = '{location}/{}/'\n);\n",
        quoted(&relation.table_name()),
        columns.join(",\n    "),
        partitioned.join(", "),
        projections.join(",\n    "),
        template.join("/"),
    )
}

/// How the values of a partition key are computed.
fn projection(key: &Key) -> String {
    let name = &key.name;
    let integer = |range: &str, digits: &str| {
        format!(
            "'projection.{name}.type' = 'integer',\n    'projection.{name}.range' = '{range}',\n    \
             'projection.{name}.digits' = '{digits}'"
        )
    };
    let date = |format: &str, unit: &str| {
        format!(
            "'projection.{name}.type' = 'date',\n    'projection.{name}.format' = '{format}',\n    \
             'projection.{name}.range' = '{},NOW+1DAYS',\n    'projection.{name}.interval' = '1',\n    \
             'projection.{name}.interval.unit' = '{unit}'",
            if unit == "DAYS" {
                "2025-01-01"
            } else {
                "2025-01-01-00"
            }
        )
    };
    match key.pattern.as_str() {
        "%Y-%m-%d" => date("yyyy-MM-dd", "DAYS"),
        "%Y-%m-%d-%H" => date("yyyy-MM-dd-HH", "HOURS"),
        "%Y" => integer("2025,2100", "4"),
        "%m" => integer("1,12", "2"),
        "%d" => integer("1,31", "2"),
        "%H" => integer("0,23", "2"),
        "%j" => integer("1,366", "3"),
        // What cannot be computed is asked for in each query: WHERE key = '…'.
        _ => format!("'projection.{name}.type' = 'injected'"),
    }
}

/// The markers, and the rows of the latest run. The run of a row is in the path of its object.
fn runs(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let mut out = format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS `{name}_runs` (\n    `run` string, `same_as` string, `started_at` string, \
         `ended_at` string, `records` bigint, `quarantined` bigint\n)\n\
         ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nLOCATION '{}/';\n",
        lake.at(&format!("{INTERNAL}/runs/{name}"))
    );
    let _memory_takes_it = write!(
        out,
        "\nCREATE OR REPLACE VIEW \"{name}\" AS\nWITH latest AS (\n    \
         SELECT coalesce(m.same_as, m.run) AS run\n    FROM \"{name}_runs\" AS m\n    \
         LEFT JOIN \"{name}_runs\" AS e ON e.run = m.same_as\n    \
         WHERE m.same_as IS NULL OR e.run IS NOT NULL\n    ORDER BY m.run DESC LIMIT 1\n)\n\
         SELECT a.* FROM \"{name}_all_runs\" AS a\n\
         WHERE a.dt = (SELECT format_datetime(parse_datetime(substr(run, 1, 8), 'yyyyMMdd'), 'yyyy-MM-dd') FROM latest)\n  \
         AND regexp_extract(a.\"$path\", 'run=([^/]+)/', 1) = (SELECT run FROM latest);\n"
    );
    out
}
