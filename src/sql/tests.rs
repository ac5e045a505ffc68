use super::*;
use crate::tables::Table;

fn lake(url: &str, there: fn(&str) -> There, writes_columns: bool) -> Catalogue {
    let purchase = r#"{"properties":{"amount":{"type":"number"},"it's":{"type":"string"}}}"#;
    let user = r#"{"properties":{"user_id":{"type":"string"},"age":{"type":"integer"}}}"#;
    let relation = |name: &str, stream, table, partitions| Relation {
        name: name.to_owned(),
        stream,
        table,
        partitions,
        there: there(name),
    };
    let days = Key::all("dt=%Y-%m-%d");
    let runs = [days.clone(), vec![Key::run()]].concat();
    let events = Table::events([purchase].into_iter()).unwrap_or_else(|_| Table::quarantine());
    let users = Table::entities(Some(user), Some("user_id"));
    Catalogue {
        url: url.to_owned(),
        endpoint: None,
        region: Some("eu-central-1".to_owned()),
        path_style: false,
        writes_columns,
        with_secret: true,
        relations: vec![
            relation(
                "events",
                Stream::Rows,
                events,
                Key::all("dt=%Y-%m-%d/hour=%H"),
            ),
            relation(
                "users",
                Stream::Runs,
                users.unwrap_or_else(|_| Table::quarantine()),
                runs,
            ),
            relation("quarantine", Stream::Quarantine, Table::quarantine(), days),
        ],
    }
}

/// Objects of both kinds and of two layouts.
fn all(stream: &str) -> There {
    let mut there = There {
        markers: true,
        ..There::default()
    };
    for key in [
        "dt=2026-11-25/a.ndjson.zst",
        "dt=2026-11-25/hour=07/a.ndjson",
        "dt=2026-11-25/hour=07/a.parquet",
    ] {
        there.add(&format!("{stream}/{key}"));
    }
    there
}

#[test]
fn statements_are_these() {
    let bucket = lake("s3://my-lake/raw", all, false);
    insta::assert_snapshot!("duckdb", bucket.statements(Engine::Duckdb));
    insta::assert_snapshot!("athena_lines", bucket.statements(Engine::Athena));
    let columns = lake("s3://my-lake/raw", all, true);
    insta::assert_snapshot!("athena_columns", columns.statements(Engine::Athena));
    insta::assert_snapshot!("trino", columns.statements(Engine::Trino));
    let empty = lake("/data/lake", |_| There::default(), false);
    insta::assert_snapshot!("duckdb_empty", empty.statements(Engine::Duckdb));
}
