//! Views for DuckDB.
//!
//! A view is the union by name of a typed relation without rows, of lines, and of Parquet: so it is there
//! before the first object, and a column that only newer objects have is null in older ones.

use std::fmt::Write as _;

use super::{Catalogue, Key, Relation, Stream, identifier, lines, literal};
use crate::columns::{Kind, Source};
use crate::lake::keys::INTERNAL;

pub(super) fn statements(lake: &Catalogue) -> String {
    let mut out = format!(
        "-- Views over {}, for DuckDB 1.3 or later.\n-- Made by `lakehook sql duckdb`; make them again when a \
         stream gets its first object, or when schemas change.\n",
        lake.url
    );
    if lake.is_bucket() && lake.with_secret {
        out.push_str(&secret(lake));
    }
    for relation in &lake.relations {
        out.push_str(&relation_views(lake, relation));
    }
    out.push_str(&watermark(lake));
    out
}

fn secret(lake: &Catalogue) -> String {
    let mut options = vec!["TYPE s3".to_owned(), "PROVIDER credential_chain".to_owned()];
    if let Some(region) = &lake.region {
        options.push(format!("REGION {}", literal(region)));
    }
    if let Some(endpoint) = &lake.endpoint {
        let (scheme, host) = endpoint.split_once("://").unwrap_or(("https", endpoint));
        let host = host.trim_end_matches('/');
        options.push(format!("ENDPOINT {}", literal(host)));
        options.push(format!("USE_SSL {}", scheme == "https"));
    }
    if lake.path_style {
        options.push("URL_STYLE 'path'".to_owned());
    }
    format!(
        "\nINSTALL httpfs; LOAD httpfs;\nINSTALL aws; LOAD aws;\nCREATE OR REPLACE SECRET lakehook (\n    {}\n);\n",
        options.join(",\n    ")
    )
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "VARCHAR",
        Kind::Time => "TIMESTAMPTZ",
        Kind::Integer => "BIGINT",
        Kind::Double => "DOUBLE",
        Kind::Boolean => "BOOLEAN",
        Kind::Json => "JSON",
    }
}

/// Type of a partition key.
fn type_of_key(key: &Key) -> &'static str {
    match key.pattern.as_str() {
        "%Y-%m-%d" => "DATE",
        "%Y" | "%m" | "%d" | "%H" | "%j" => "BIGINT",
        _ => "VARCHAR",
    }
}

fn relation_views(lake: &Catalogue, relation: &Relation) -> String {
    match relation.stream {
        Stream::Rows | Stream::Quarantine => {
            let name = identifier(&relation.name);
            format!(
                "\nCREATE OR REPLACE VIEW {name} AS\n{};\n",
                rows(lake, relation)
            )
        }
        Stream::Runs => runs_views(lake, relation),
    }
}

/// The statement that gives all rows of a stream.
fn rows(lake: &Catalogue, relation: &Relation) -> String {
    let keys = relation.partitions.iter();
    let names = relation.columns().map(|column| identifier(&column.name));
    let selected = lines(names.chain(keys.map(|key| identifier(&key.name))), 7);
    let mut sources = vec![nothing(relation)];
    if relation.there.lines {
        sources.push(from_lines(lake, relation));
    }
    if relation.there.columns {
        sources.push(from_columns(lake, relation));
    }
    let union = sources.join("\n    UNION ALL BY NAME\n    ");
    format!("SELECT {selected}\nFROM (\n    {union}\n)")
}

/// All columns and no rows.
fn nothing(relation: &Relation) -> String {
    let columns = relation.columns().map(|column| {
        format!(
            "NULL::{} AS {}",
            type_of(column.kind),
            identifier(&column.name)
        )
    });
    let keys = relation.partitions.iter();
    let keys = keys.map(|key| format!("NULL::{} AS {}", type_of_key(key), identifier(&key.name)));
    format!("SELECT {} WHERE false", lines(columns.chain(keys), 11))
}

/// Types of the partition keys, as an argument.
fn hive_types(relation: &Relation) -> String {
    let types = relation.partitions.iter();
    let types = types.map(|key| format!("{}: {}", identifier(&key.name), type_of_key(key)));
    format!(
        "hive_partitioning = true, hive_types = {{{}}}",
        types.collect::<Vec<_>>().join(", ")
    )
}

fn from_lines(lake: &Catalogue, relation: &Relation) -> String {
    let members = relation
        .columns()
        .filter_map(|column| match &column.source {
            Source::Property(_) => None,
            Source::Member(_) | Source::Rest => Some(format!(
                "{}: '{}'",
                literal(&column.name),
                type_of(column.kind)
            )),
        });
    let mut computed = String::new();
    for (name, key, kind) in relation.properties() {
        let path = literal(&format!("$.\"{}\"", key.replace('"', "\\\"")));
        let value = match kind {
            Kind::Json => format!("properties->{path}"),
            Kind::Text => format!("properties->>{path}"),
            kind => format!("TRY_CAST(properties->>{path} AS {})", type_of(kind)),
        };
        let _memory_takes_it = write!(computed, ",\n           {value} AS {}", identifier(name));
    }
    let files = literal(&lake.at(&format!("{}/**/*.ndjson*", relation.name)));
    format!(
        "SELECT *{computed}\n    FROM read_json({files}, format = 'newline_delimited', {},\n        \
         columns = {{{}}})",
        hive_types(relation),
        lines(members, 12)
    )
}

fn from_columns(lake: &Catalogue, relation: &Relation) -> String {
    let files = literal(&lake.at(&format!("{}/**/*.parquet", relation.name)));
    // JSON is text in Parquet.
    let json = relation
        .columns()
        .filter(|column| column.kind == Kind::Json);
    let json = json.map(|column| {
        let name = identifier(&column.name);
        format!("{name}::JSON AS {name}")
    });
    let base = format!(
        "read_parquet({files}, {}, union_by_name = true)",
        hive_types(relation)
    );
    // Where no object has a column yet, it cannot be cast: so the cast is around a union.
    let empty = relation
        .columns()
        .filter(|column| column.kind == Kind::Json);
    let empty = empty.map(|column| format!("NULL::VARCHAR AS {}", identifier(&column.name)));
    let empty: Vec<String> = empty.collect();
    let replaced: Vec<String> = json.collect();
    if replaced.is_empty() {
        return format!("SELECT * FROM {base}");
    }
    format!(
        "SELECT * REPLACE ({})\n    FROM (SELECT {} WHERE false UNION ALL BY NAME SELECT * FROM {base})",
        replaced.join(", "),
        empty.join(", ")
    )
}

/// A snapshot: its runs, the rows of the last run of each day, and those of the latest run.
fn runs_views(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let (runs, all) = (format!("{name}_runs"), format!("{name}_all_runs"));
    let (runs, all) = (identifier(&runs), identifier(&all));
    let columns = relation
        .columns()
        .map(|column| format!("a.{}", identifier(&column.name)));
    let columns = lines(columns, 7);
    format!(
        "\nCREATE OR REPLACE VIEW {runs} AS\n{};\n\
         \nCREATE OR REPLACE VIEW {all} AS\n{};\n\
         \n-- The last run of each day.\nCREATE OR REPLACE VIEW {history} AS\n\
         SELECT {columns},\n       r.dt, r.run, r.started_at\n\
         FROM (SELECT * FROM {runs} QUALIFY row_number() OVER (PARTITION BY dt ORDER BY run DESC) = 1) AS r\n\
         JOIN {all} AS a ON a.run = r.rows_of_run;\n\
         \n-- The latest complete run, whatever its day.\nCREATE OR REPLACE VIEW {latest} AS\n\
         SELECT {columns},\n       r.dt, r.run, r.started_at\n\
         FROM (SELECT * FROM {runs} ORDER BY run DESC LIMIT 1) AS r\n\
         JOIN {all} AS a ON a.run = r.rows_of_run;\n",
        markers(lake, relation),
        rows(lake, relation),
        history = identifier(&format!("{name}_history")),
        latest = identifier(name),
    )
}

/// The runs that are visible: those that have a marker, and whose rows are of a run that has one.
fn markers(lake: &Catalogue, relation: &Relation) -> String {
    const COLUMNS: &str = "SELECT run, dt, started_at, ended_at, records, quarantined, rows_of_run";
    if !relation.there.markers {
        return "SELECT NULL::VARCHAR AS run, NULL::DATE AS dt, NULL::TIMESTAMPTZ AS started_at,\n       \
                NULL::TIMESTAMPTZ AS ended_at, NULL::BIGINT AS records, NULL::BIGINT AS quarantined,\n       \
                NULL::VARCHAR AS rows_of_run\nWHERE false"
            .to_owned();
    }
    let files = literal(&lake.at(&format!("{INTERNAL}/runs/{}/*.json", relation.name)));
    format!(
        "WITH markers AS (\n    SELECT marker->>'run' AS run, (marker->>'started_at')::TIMESTAMPTZ AS started_at,\n        \
         (marker->>'ended_at')::TIMESTAMPTZ AS ended_at, (marker->>'records')::BIGINT AS records,\n        \
         (marker->>'quarantined')::BIGINT AS quarantined, marker->>'same_as' AS same_as\n    \
         FROM (SELECT content::JSON AS marker FROM read_text({files}))\n), resolved AS (\n    \
         SELECT m.run, strptime(left(m.run, 8), '%Y%m%d')::DATE AS dt, m.started_at, m.ended_at,\n        \
         coalesce(e.records, m.records) AS records, coalesce(e.quarantined, m.quarantined) AS quarantined,\n        \
         coalesce(m.same_as, m.run) AS rows_of_run, m.same_as IS NULL OR e.run IS NOT NULL AS is_whole\n    \
         FROM markers AS m LEFT JOIN markers AS e ON e.run = m.same_as\n)\n{COLUMNS}\nFROM resolved WHERE is_whole"
    )
}

/// The time before which everything that a node acknowledged is in the lake. Objects in a bucket carry it
/// in their metadata, which SQL does not reach: there it is null.
fn watermark(lake: &Catalogue) -> String {
    let has_events = lake.relations.iter().any(|relation| {
        relation.name == "events" && (relation.there.lines || relation.there.columns)
    });
    let body = if has_events && !lake.is_bucket() {
        let files = literal(&lake.at(&format!("{INTERNAL}/meta/events/**/*.json")));
        format!(
            "SELECT metadata->>'lakehook-node' AS node,\n       \
             max((metadata->>'lakehook-as-of-watermark')::TIMESTAMPTZ) AS watermark\n\
             FROM (SELECT content::JSON->'metadata' AS metadata FROM read_text({files}))\nGROUP BY 1"
        )
    } else {
        "SELECT NULL::VARCHAR AS node, NULL::TIMESTAMPTZ AS watermark WHERE false".to_owned()
    };
    format!("\nCREATE OR REPLACE VIEW lake_watermark AS\n{body};\n")
}
