//! Tables for Athena. Partitions are projected, so that no partition has to be registered.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::catalogue::{Catalogue, Engine, Relation, Stream};
use super::current;
use super::layout::Key;
use crate::columns::ColumnType;
use crate::lake::keys::INTERNAL;
use crate::sql::text::lines;
use crate::tables::{Column, Source};

/// A statement may have 256 KiB, which is enough for this many partitions.
const PARTITIONS_AT_ONCE: usize = 100;

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
        out.push_str(&earlier(lake, relation));
        if matches!(relation.stream, Stream::Runs | Stream::Files) {
            out.push_str(&runs(lake, relation));
        }
        out.push_str(&current::view(relation, Engine::Athena, ""));
    }
    out
}

fn type_of(kind: ColumnType, is_line: bool) -> Cow<'static, str> {
    let name = match kind {
        // Times, dates and decimals in lines are text: from_iso8601_timestamp() and casts read them. As numbers,
        // decimals would pass through a double.
        ColumnType::Time | ColumnType::Date | ColumnType::Decimal(_) if is_line => "string",
        ColumnType::Time => "timestamp",
        ColumnType::Text | ColumnType::Json => "string",
        ColumnType::Integer => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::Decimal(size) => return size.to_string().into(),
    };
    name.into()
}

/// Quotes the name of a table, a column or a field of a struct, since many common names are reserved words.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Text as a literal of Hive, in which backslashes escape.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Whether a name can be that of a struct's field: Hive reads types back without quotes.
pub(super) fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether Athena can compute the values of a partition key.
pub(super) fn is_projected(key: &Key) -> bool {
    !projection(key, None, "").contains("injected")
}

/// The definition of a column in NDJSON. Objects become structs of the members that the schema declares.
fn line_column(relation: &Relation, column: &Column) -> Option<String> {
    let declared: Vec<String> = relation
        .properties()
        .filter(|(_, key, _)| is_plain(key))
        .map(|(_, key, kind)| format!("{}:{}", quoted(key), type_of(kind, true)))
        .collect();
    let kind = match (&column.source, column.name.as_str()) {
        (Source::Property(_), _) => return None,
        (_, "properties") if !declared.is_empty() => format!("struct<{}>", declared.join(",")),
        (_, "user") if relation.name == "events" => "struct<`user_id`:string>".to_owned(),
        (_, "errors") if relation.stream == Stream::Quarantine => {
            "array<struct<`pointer`:string,`code`:string,`detail`:string>>".to_owned()
        }
        // Members that are not declared have no type that the SerDe could map.
        (Source::Rest, _) => return None,
        _ => type_of(column.kind, true).into_owned(),
    };
    Some(format!("{} {kind}", quoted(&column.name)))
}

/// The columns of a table, and the clauses that say how its objects are read.
fn columns_and_form(lake: &Catalogue, relation: &Relation) -> (String, &'static str) {
    if lake.writes_columns {
        let columns = relation.columns();
        let columns = columns
            .map(|column| format!("{} {}", quoted(&column.name), type_of(column.kind, false)));
        (lines(columns, 4), "STORED AS PARQUET")
    } else {
        let columns = relation
            .columns()
            .filter_map(|column| line_column(relation, column));
        (
            lines(columns, 4),
            "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'",
        )
    }
}

fn table(lake: &Catalogue, relation: &Relation) -> String {
    let there = &relation.there;
    let mut keys: Vec<(&str, String)> = relation
        .partitions
        .iter()
        .enumerate()
        .filter(|(_, key)| !key.pattern.is_empty())
        .map(|(at, key)| {
            let oldest = there.oldest.get(at).and_then(Option::as_deref);
            (
                key.name.as_str(),
                projection(key, oldest, &relation.first_day),
            )
        })
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
    let (columns, form) = columns_and_form(lake, relation);
    let location = lake.at(&relation.name);
    format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS {} (\n    {columns}\n)\nPARTITIONED BY ({})\n{form}\nLOCATION {}\n\
         TBLPROPERTIES (\n    'projection.enabled' = 'true',\n    {},\n    \
         'storage.location.template' = {}\n);\n",
        quoted(&relation.table_name()),
        partitioned.join(", "),
        literal(&format!("{location}/")),
        projections.join(",\n    "),
        literal(&format!("{location}/{}/", template.join("/"))),
    )
}

/// Tables for objects whose partition keys follow an earlier pattern. Projection does not find them, so these
/// tables list their partitions.
fn earlier(lake: &Catalogue, relation: &Relation) -> String {
    let mut by_keys: BTreeMap<Vec<&str>, Vec<&String>> = BTreeMap::new();
    let mut out = String::new();
    for dir in &relation.there.earlier {
        let keys: Vec<&str> = dir
            .split('/')
            .filter_map(|part| Some(part.split_once('=')?.0))
            .collect();
        if keys.is_empty() {
            let _memory_takes_it = writeln!(
                out,
                "\n-- {dir} has no partition key: its objects are in no table."
            );
        } else {
            by_keys.entry(keys).or_default().push(dir);
        }
    }
    for (number, (keys, dirs)) in by_keys.iter().enumerate() {
        let table = match number {
            0 => format!("{}_earlier", relation.table_name()),
            more => format!("{}_earlier_{}", relation.table_name(), more + 1),
        };
        out.push_str(&about_earlier(relation, &table, keys, dirs));
        out.push_str(&earlier_table(lake, relation, &table, keys));
        for some in dirs.chunks(PARTITIONS_AT_ONCE) {
            let partitions: Vec<String> = some.iter().map(|dir| partition_at(lake, dir)).collect();
            let _memory_takes_it = writeln!(
                out,
                "\nALTER TABLE {} ADD IF NOT EXISTS\n    {};",
                quoted(&table),
                partitions.join("\n    ")
            );
        }
    }
    out
}

/// A comment that says which directories a table of earlier objects has, and how to query it together with
/// the current table.
fn about_earlier(relation: &Relation, table: &str, keys: &[&str], dirs: &[&String]) -> String {
    // Athena also reads nested directories, and some of them may follow the current pattern.
    let below = relation.partitions.iter().map(|key| key.name.as_str());
    let below = below.filter(|name| !keys.contains(name));
    let unless = below.map(|name| format!("\"$path\" NOT LIKE '%/{name}=%'"));
    let unless = match unless.collect::<Vec<_>>().join(" AND ") {
        unless if unless.is_empty() => unless,
        unless => format!(" WHERE {unless}"),
    };
    let count = match dirs.len() {
        1 => "1 directory".to_owned(),
        more => format!("{more} directories"),
    };
    format!(
        "\n-- Objects in {count}, such as {first}, were written with another pattern of partitions.\n\
         -- They are not in {name}, but in {table}:\n\
         -- SELECT … FROM {name} UNION ALL SELECT … FROM {table}{unless}.",
        first = dirs.first().map_or("", |dir| dir.as_str()),
        name = relation.table_name(),
    )
}

/// A table whose partitions are added one by one.
fn earlier_table(lake: &Catalogue, relation: &Relation, table: &str, keys: &[&str]) -> String {
    let (columns, form) = columns_and_form(lake, relation);
    let keys: Vec<String> = keys
        .iter()
        .map(|key| format!("{} string", quoted(key)))
        .collect();
    format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS {} (\n    {columns}\n)\nPARTITIONED BY ({})\n{form}\nLOCATION {};\n",
        quoted(table),
        keys.join(", "),
        literal(&format!("{}/", lake.at(&relation.name))),
    )
}

/// The clause that adds a directory as a partition.
fn partition_at(lake: &Catalogue, dir: &str) -> String {
    let keys = dir.split('/').filter_map(|part| part.split_once('='));
    let keys: Vec<String> = keys
        .map(|(key, value)| format!("{} = {}", quoted(key), literal(value)))
        .collect();
    format!(
        "PARTITION ({}) LOCATION {}",
        keys.join(", "),
        literal(&format!("{}/", lake.at(dir)))
    )
}

/// How Athena computes the values of a partition key. They begin at the oldest value in the lake, or at the
/// first day that new objects can belong to.
fn projection(key: &Key, oldest: Option<&str>, first_day: &str) -> String {
    let name = &key.name;
    let since = |first: String| {
        oldest
            .filter(|oldest| **oldest < *first)
            .map_or(first.clone(), str::to_owned)
    };
    let integer = |range: &str, digits: &str| {
        format!(
            "'projection.{name}.type' = 'integer',\n    'projection.{name}.range' = '{range}',\n    \
             'projection.{name}.digits' = '{digits}'"
        )
    };
    let date = |format: &str, since: &str, unit: &str| {
        format!(
            "'projection.{name}.type' = 'date',\n    'projection.{name}.format' = '{format}',\n    \
             'projection.{name}.range' = '{since},NOW+1DAYS',\n    'projection.{name}.interval' = '1',\n    \
             'projection.{name}.interval.unit' = '{unit}'"
        )
    };
    match key.pattern.as_str() {
        "%Y-%m-%d" => date("yyyy-MM-dd", &since(first_day.to_owned()), "DAYS"),
        "%Y-%m-%d-%H" => date("yyyy-MM-dd-HH", &since(format!("{first_day}-00")), "HOURS"),
        "%Y" => {
            let year = first_day.get(..4).unwrap_or(first_day).to_owned();
            integer(&format!("{},2100", since(year)), "4")
        }
        "%m" => integer("1,12", "2"),
        "%d" => integer("1,31", "2"),
        "%H" => integer("0,23", "2"),
        "%j" => integer("1,366", "3"),
        // A value that cannot be computed must be given by each query: WHERE key = '…'.
        _ => format!("'projection.{name}.type' = 'injected'"),
    }
}

/// The table of markers, and the view of the latest run, or of all runs of files. The run of a row is part of its object's path.
fn runs(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let runs = quoted(&format!("{name}_runs"));
    let mut out = format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS {runs} (\n    `run` string, `same_as` string, `started_at` string, \
         `ended_at` string, `records` bigint, `quarantined` bigint{replaced}\n)\n\
         ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'\nLOCATION {};\n",
        literal(&format!("{}/", lake.at(&format!("{INTERNAL}/runs/{name}")))),
        replaced = if relation.stream == Stream::Files {
            ", `replaced` array<struct<`file`:string,`run`:string>>"
        } else {
            ""
        },
    );
    if relation.stream == Stream::Files {
        let _memory_takes_it = write!(
            out,
            "\nCREATE OR REPLACE VIEW \"{name}\" AS\nSELECT a.* FROM \"{name}_all_runs\" AS a\n\
             LEFT JOIN (\n    SELECT DISTINCT t.file, t.run FROM \"{name}_runs\" AS m CROSS JOIN UNNEST(m.replaced) AS t(file, run)\n\
             ) AS r ON r.run = regexp_extract(a.\"$path\", 'run=([^/]+)/', 1) AND r.file = a.file\n\
             WHERE r.run IS NULL AND regexp_extract(a.\"$path\", 'run=([^/]+)/', 1) IN (SELECT run FROM \"{name}_runs\")\n   \
             OR a.\"$path\" NOT LIKE '%/run=%';\n"
        );
        return out;
    }
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
