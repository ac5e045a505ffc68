//! The statements: a secret, and the views of each stream.

use std::fmt::Write as _;

use super::exact::MACROS;
use super::sources::{OBJECT, rows};
use crate::lake::keys::INTERNAL;
use crate::sql::catalogue::{Catalogue, Engine, Relation, Stream};
use crate::sql::current;
use crate::sql::text::{identifier, lines, literal};

pub(in crate::sql) fn statements(lake: &Catalogue) -> String {
    let mut out = format!(
        "-- Views over {}, for DuckDB 1.3 or later.\n-- Made by `lakehook sql duckdb`; make them again when the \
         configuration or its schemas change.\n",
        lake.url
    );
    if lake.is_bare {
        out.push_str(
            "-- Nothing is in the lake yet, so these views stay empty: make them again once something is.\n",
        );
    }
    if lake.is_bucket() && lake.with_secret {
        out.push_str(&secret(lake));
    }
    if lake.relations.iter().any(has_records) {
        out.push_str(MACROS);
    }
    for relation in &lake.relations {
        if relation.there.is_empty() && !lake.is_bare {
            let _memory_takes_it = write!(
                out,
                "\n-- {} has no object yet: until these statements are made again, each query of it lists the whole lake.",
                relation.name
            );
        }
        out.push_str(&relation_views(lake, relation));
    }
    out.push_str(&watermark(lake));
    out
}

/// Whether lines of a stream are the records of an API.
fn has_records(relation: &Relation) -> bool {
    matches!(relation.stream, Stream::Runs | Stream::Files)
        || (relation.stream == Stream::Rows && relation.name != "events")
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

fn relation_views(lake: &Catalogue, relation: &Relation) -> String {
    match relation.stream {
        Stream::Rows | Stream::Quarantine => {
            let name = identifier(&relation.name);
            let rows = rows(lake, relation, false);
            let current = current::view(relation, Engine::Duckdb, "");
            format!("\nCREATE OR REPLACE VIEW {name} AS\n{rows};\n{current}")
        }
        Stream::Runs => runs_views(lake, relation),
        Stream::Files => files_views(lake, relation),
    }
}

/// The views of files: their runs, the rows of all runs, and the rows that are visible: those of runs with a
/// marker, and those that were replayed, which belong to no run.
fn files_views(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let columns = relation.columns().map(|column| identifier(&column.name));
    let keys = relation.partitions.iter().map(|key| identifier(&key.name));
    format!(
        "\nCREATE OR REPLACE VIEW {runs} AS\n{};\n\
         \nCREATE OR REPLACE VIEW {all} AS\n{};\n\
         \n-- The rows of files that are whole in the lake, and replayed rows.\nCREATE OR REPLACE VIEW {visible} AS\n\
         SELECT {columns}\nFROM (\n{rows}\n) AS a\nWHERE {OBJECT} IN (\n    SELECT {prefix} || unnest(objects) FROM (\n{markers}\n    )\n)\n\
         AND NOT EXISTS (\n    SELECT 1 FROM (SELECT unnest(content::JSON->'$.replaced[*]') AS r FROM read_text({notes}))\n    \
         WHERE (r->>'run') = a.run AND (r->>'file') = a.file\n) OR run IS NULL;\n",
        markers(lake, relation, ""),
        rows(lake, relation, false),
        runs = identifier(&format!("{name}_runs")),
        all = identifier(&format!("{name}_all_runs")),
        visible = identifier(name),
        columns = lines(columns.chain(keys), 7),
        rows = rows(lake, relation, true),
        prefix = literal(&lake.at("")),
        markers = markers(lake, relation, ", objects"),
        notes = literal(&lake.at(&format!("{INTERNAL}/runs/{name}/*.json"))),
    )
}

/// The views of a snapshot: its runs, the rows of all runs, those of each day's last run, and those of the
/// latest run.
fn runs_views(lake: &Catalogue, relation: &Relation) -> String {
    let name = &relation.name;
    let (runs, all) = (format!("{name}_runs"), format!("{name}_all_runs"));
    let (runs, all) = (identifier(&runs), identifier(&all));
    let columns = relation
        .columns()
        .map(|column| format!("a.{}", identifier(&column.name)));
    let columns = lines(columns, 7);
    // Rows are joined by the names of their objects, which DuckDB compares before it opens any object.
    let of_runs = |last: &str| {
        format!(
            "SELECT {columns},\n       r.dt, r.run, r.started_at\n\
             FROM (\n    SELECT dt, run, started_at, {lake} || unnest(objects) AS object\n    FROM (SELECT * FROM (\n{markers}\n) {last})\n) AS r\n\
             JOIN (\n{rows}\n) AS a ON a.{OBJECT} = r.object",
            lake = literal(&lake.at("")),
            markers = markers(lake, relation, ", objects"),
            rows = rows(lake, relation, true),
        )
    };
    format!(
        "\nCREATE OR REPLACE VIEW {runs} AS\n{};\n\
         \nCREATE OR REPLACE VIEW {all} AS\n{};\n\
         \n-- The last run of each day.\nCREATE OR REPLACE VIEW {history} AS\n{};\n\
         \n-- The latest complete run, whatever its day.\nCREATE OR REPLACE VIEW {latest} AS\n{};\n",
        markers(lake, relation, ""),
        rows(lake, relation, false),
        of_runs("QUALIFY row_number() OVER (PARTITION BY dt ORDER BY run DESC) = 1"),
        of_runs("ORDER BY run DESC LIMIT 1"),
        history = identifier(&format!("{name}_history")),
        latest = identifier(name),
    )
}

/// The visible runs: those with a marker. If the marker names an earlier run, that run must have one, too.
fn markers(lake: &Catalogue, relation: &Relation, more: &str) -> String {
    let files = literal(&lake.at(&format!("{INTERNAL}/runs/{}/*.json", relation.name)));
    let objects = if relation.in_parcels {
        "parcels"
    } else {
        "objects"
    };
    format!(
        "WITH markers AS (\n    SELECT marker->>'run' AS run, (marker->>'started_at')::TIMESTAMPTZ AS started_at,\n        \
         (marker->>'ended_at')::TIMESTAMPTZ AS ended_at, (marker->>'records')::BIGINT AS records,\n        \
         (marker->>'quarantined')::BIGINT AS quarantined, marker->>'same_as' AS same_as,\n        \
         marker->>'$.{objects}[*].key' AS objects\n    \
         FROM (SELECT content::JSON AS marker FROM read_text({files}))\n), resolved AS (\n    \
         SELECT m.run, strptime(left(m.run, 8), '%Y%m%d')::DATE AS dt, m.started_at, m.ended_at,\n        \
         coalesce(e.records, m.records) AS records, coalesce(e.quarantined, m.quarantined) AS quarantined,\n        \
         coalesce(m.same_as, m.run) AS rows_of_run, m.same_as IS NULL OR e.run IS NOT NULL AS is_whole,\n        \
         coalesce(e.objects, m.objects) AS objects\n    \
         FROM markers AS m LEFT JOIN markers AS e ON e.run = m.same_as\n)\n\
         SELECT run, dt, started_at, ended_at, records, quarantined, rows_of_run{more}\nFROM resolved WHERE is_whole"
    )
}

/// The watermark of each node: everything that it acknowledged before is in the lake. Objects in a bucket
/// have it in their metadata, which SQL cannot read, so the view is empty there.
fn watermark(lake: &Catalogue) -> String {
    let has_events = lake
        .relations
        .iter()
        .any(|relation| relation.name == "events");
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
