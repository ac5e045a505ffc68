//! Views for DuckDB.
//!
//! A view is the union by name of a typed relation without rows, of lines, and of Parquet: so it is there
//! before the first object, and a column that only newer objects have is null in older ones.

use std::fmt::Write as _;

use super::{Catalogue, Key, Relation, Stream, identifier, lines, literal};
use crate::columns::ColumnType;
use crate::lake::keys::INTERNAL;
use crate::tables::Source;

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

fn type_of(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "VARCHAR",
        ColumnType::Time => "TIMESTAMPTZ",
        ColumnType::Integer => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Json => "JSON",
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
    // One read for each layout of partitions: they cannot be mixed in one.
    for pattern in &relation.there.lines {
        let files = lake.at(&format!("{pattern}/*.ndjson*"));
        sources.push(match relation.stream {
            Stream::Quarantine => from_own_lines(&files, relation, pattern),
            Stream::Rows if relation.name == "events" => from_own_lines(&files, relation, pattern),
            Stream::Rows | Stream::Runs => from_foreign_lines(&files, relation, pattern),
        });
    }
    for pattern in &relation.there.columns {
        let files = lake.at(&format!("{pattern}/*.parquet"));
        sources.push(from_columns(&files, relation, pattern));
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

/// Types of the partition keys of a layout, as an argument.
fn hive_types(relation: &Relation, pattern: &str) -> String {
    let keys = pattern.split('/').filter_map(|part| part.split_once('='));
    let types = keys.map(|(name, _)| {
        let own = relation.partitions.iter().find(|key| key.name == name);
        format!(
            "{}: {}",
            identifier(name),
            own.map_or("VARCHAR", type_of_key)
        )
    });
    format!(
        "hive_partitioning = true, hive_types = {{{}}}",
        types.collect::<Vec<_>>().join(", ")
    )
}

/// Lines whose members are ours, and of the types that they are written with.
fn from_own_lines(files: &str, relation: &Relation, pattern: &str) -> String {
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
        let value = value_of("properties", key, kind);
        let _memory_takes_it = write!(computed, ",\n           {value} AS {}", identifier(name));
    }
    format!(
        "SELECT *{computed}\n    FROM read_json({}, format = 'newline_delimited', {},\n        \
         columns = {{{}}})",
        literal(files),
        hive_types(relation, pattern),
        lines(members, 12)
    )
}

/// Lines whose members are those of an API: what has no column, or does not fit it, is in `extra`.
fn from_foreign_lines(files: &str, relation: &Relation, pattern: &str) -> String {
    let mut selected = Vec::new();
    let mut known = Vec::new();
    for column in relation.columns() {
        match &column.source {
            Source::Member(name) => {
                let value = value_of("json", name, column.kind);
                selected.push(format!("{value} AS {}", identifier(&column.name)));
                known.push(name.as_str());
            }
            Source::Property(_) | Source::Rest => {}
        }
    }
    let fits = |name: &str| {
        let column = relation.columns().find(|column| column.name == name);
        let kind = column.map_or(ColumnType::Json, |column| column.kind);
        format!("{} IS NOT NULL", value_of("json", name, kind))
    };
    // A merge patch removes what is null in it: so what fits is removed, and the rest stays.
    let patches = known.iter().map(|name| {
        let (key, at) = (literal(name), pointer(name));
        let goes = format!("{} OR json_type(json, {at}) = 'NULL'", fits(name));
        format!("CASE WHEN {goes} THEN json_object({key}, NULL) ELSE '{{}}'::JSON END")
    });
    let rest = format!(
        "nullif(json_merge_patch(json, {},\n               json_object('extra', NULL),\n               \
         CASE json_type(json, '/extra') WHEN 'OBJECT' THEN json->'/extra' ELSE '{{}}'::JSON END)::VARCHAR, '{{}}')::JSON AS extra",
        lines(patches, 15)
    );
    selected.push(rest);
    let keys = pattern.split('/').filter_map(|part| part.split_once('='));
    selected.extend(keys.map(|(name, _)| identifier(name)));
    format!(
        "SELECT {}\n    FROM read_ndjson_objects({}, {})",
        lines(selected.into_iter(), 11),
        literal(files),
        hive_types(relation, pattern)
    )
}

/// The JSON Pointer (RFC 6901) of a key, as a literal.
fn pointer(key: &str) -> String {
    literal(&format!("/{}", key.replace('~', "~0").replace('/', "~1")))
}

/// The value of a key of a JSON column, if it is one that the column can hold; as in Parquet.
fn value_of(json: &str, key: &str, kind: ColumnType) -> String {
    const TIME: &str =
        "'\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d{1,9})?(Z|[+-]\\d\\d:\\d\\d)'";
    let at = pointer(key);
    let is = |types: &str| format!("json_type({json}, {at}) IN ({types})");
    let text = format!("{json}->>{at}");
    match kind {
        ColumnType::Json => format!("CASE WHEN NOT {} THEN {json}->{at} END", is("'NULL'")),
        ColumnType::Text => format!("CASE WHEN {} THEN {text} END", is("'VARCHAR'")),
        ColumnType::Boolean => format!(
            "CASE WHEN {} THEN TRY_CAST({text} AS BOOLEAN) END",
            is("'BOOLEAN'")
        ),
        ColumnType::Time => format!(
            "CASE WHEN {} AND regexp_full_match({text}, {TIME}) THEN TRY_CAST({text} AS TIMESTAMPTZ) END",
            is("'VARCHAR'")
        ),
        // A whole number whose digits a double cannot hold is none.
        ColumnType::Double => format!(
            "CASE WHEN {} OR ({} AND TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT) = TRY_CAST({text} AS HUGEINT)) THEN \
             TRY_CAST({text} AS DOUBLE) END",
            is("'DOUBLE'"),
            is("'UBIGINT', 'BIGINT'")
        ),
        ColumnType::Integer => format!(
            "CASE WHEN {} THEN TRY_CAST({text} AS BIGINT) WHEN {} AND trunc(TRY_CAST({text} AS DOUBLE)) = \
             TRY_CAST({text} AS DOUBLE) AND abs(TRY_CAST({text} AS DOUBLE)) < 9007199254740992 THEN \
             TRY_CAST(TRY_CAST({text} AS DOUBLE) AS BIGINT) END",
            is("'UBIGINT', 'BIGINT'"),
            is("'DOUBLE'")
        ),
    }
}

fn from_columns(files: &str, relation: &Relation, pattern: &str) -> String {
    // JSON is text in Parquet.
    let json = relation
        .columns()
        .filter(|column| column.kind == ColumnType::Json);
    let json = json.map(|column| {
        let name = identifier(&column.name);
        format!("{name}::JSON AS {name}")
    });
    let base = format!(
        "read_parquet({}, {}, union_by_name = true)",
        literal(files),
        hive_types(relation, pattern)
    );
    // Where no object has a column yet, it cannot be cast: so the cast is around a union.
    let empty = relation
        .columns()
        .filter(|column| column.kind == ColumnType::Json);
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
        let there = &relation.there;
        relation.name == "events" && !(there.lines.is_empty() && there.columns.is_empty())
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
