//! Columns: rules that make them, and dates and decimals in every format.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and write files"
)]

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{lake, poll_well, said, setup};
use crate::support::api::{Api, page};
use crate::support::duckdb::Reading;
use crate::support::process::Setup;

const RULES: &str = r#"
[poll.things.columns]
id = { from = "Claim_ID", type = "integer" }
service_date = { type = "date", formats = ["%Y-%m-%d", "%m/%d/%Y", "%d-%b-%Y", "%Y%m%d"] }
amount = { type = "decimal(12,2)", strip = ["$", "USD"], thousands = "," }
total = { type = "decimal(38,10)" }
email = { trim = true, case = "lower", hash = "hmac-sha256", key_file = "pii.key" }
parent_id = { type = "integer", whole = true }
joined_at = { nulls = ["not-a-date", ""] }
notes = { drop = true }
region = { value = "eu" }
"#;

fn record(id: usize) -> Value {
    json!({
        "Claim_ID": id, "service_date": "01/15/2026", "amount": "$1,234.50", "total": "12345678901234567890.0000000001",
        "email": " A@Example.com", "parent_id": 21.0, "joined_at": "2026-01-01", "notes": "secret", "more": {"a": 1.5},
    })
}

fn records() -> Vec<Value> {
    let mut all: Vec<Value> = (0..20).map(record).collect();
    all[1]["service_date"] = json!("15-Jan-2026");
    all[1]["joined_at"] = json!("not-a-date");
    all[2]["joined_at"] = json!("");
    all[2]["amount"] = json!(-5);
    all[3]["parent_id"] = json!(21.5);
    all
}

fn with_files(url: &str, settings: &str) -> Setup {
    let setup = setup(url, settings);
    std::fs::write(setup.directory().join("pii.key"), "0123456789abcdef0123\n").unwrap();
    setup
}

/// The views over the lake, in a file.
pub(super) fn views(setup: &Setup) -> PathBuf {
    let output = setup.run(&["sql", "duckdb"]);
    assert!(output.status.success(), "{}", said(&output).0);
    let file = setup.directory().join("views.sql");
    std::fs::write(&file, output.stdout).unwrap();
    file
}

#[test]
fn rules_make_typed_columns_in_every_format_with_and_without_a_schema() {
    let api = Api::start(|_, _| page(json!({"things": records()})));
    let schema = json!({"properties": {
        "id": {"type": "integer"}, "service_date": {"type": "string", "format": "date"}, "amount": {"type": "number"},
        "total": {"type": "number"}, "email": {"type": "string", "minLength": 64}, "parent_id": {"type": "integer"},
        "joined_at": {"type": ["string", "null"]}, "region": {"const": "eu"},
    }, "required": ["id", "region"]});
    for (format, has_schema) in [
        ("ndjson", true),
        ("parquet", true),
        ("ndjson", false),
        ("parquet", false),
    ] {
        let named = if has_schema {
            "schema = \"thing.json\""
        } else {
            ""
        };
        let settings = format!("{named}\n{RULES}\n[batch]\nformat = \"{format}\"");
        let setup = with_files(&api.url(), &settings);
        std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
        let (told, runs) = poll_well(&setup);
        assert!(told.contains("2 values made null (joined_at)"), "{told}");
        assert!(told.contains("column_rule at \"/parent_id\""), "{told}");
        assert_eq!((runs.runs[0].rows, runs.runs[0].quarantined), (19, 1));

        let sql = views(&setup);
        let query = "SELECT typeof(service_date), typeof(amount), typeof(total), min(service_date)::VARCHAR, max(service_date)::VARCHAR,
            sum(amount)::VARCHAR, max(total)::VARCHAR, min(typeof(parent_id)), max(parent_id) FROM things GROUP BY 1, 2, 3";
        let found = lake(&setup).query(&sql, query);
        let expected = json!([[
            "DATE",
            "DECIMAL(12,2)",
            "DECIMAL(38,10)",
            "2026-01-15",
            "2026-01-15",
            "22216.00",
            "12345678901234567890.0000000001",
            "BIGINT",
            21
        ]]);
        assert_eq!(found, expected, "{format}");
        if has_schema {
            let query = "SELECT count(joined_at), count(DISTINCT email), min(length(email)), min(region), min(extra)::VARCHAR FROM things";
            let expected = json!([[17, 1, 64, "eu", "{\"more\":{\"a\":1.5}}"]]);
            assert_eq!(lake(&setup).query(&sql, query), expected, "{format}");
        }
        // The quarantine has the record as it was sent.
        let count = lake(&setup).count(Reading::Typed);
        assert_eq!(count.quarantine["invalid_record"], 1);
        let query = "SELECT raw->>'$.email', raw->>'$.notes', errors->0->>'$.detail' FROM (SELECT raw::JSON AS raw, errors FROM quarantine)";
        let found = lake(&setup).query(&sql, query);
        let expected = json!([[
            " A@Example.com",
            "secret",
            "a whole number of 64 bits, for the column parent_id"
        ]]);
        assert_eq!(found, expected);
        let marker = marker(&setup);
        assert_eq!(marker["rules"].as_str().map(str::len), Some(16), "{marker}");
        assert_eq!(marker["nulls"], json!({"joined_at": 2}));
    }
}

fn marker(setup: &Setup) -> Value {
    let dir = setup.directory().join("lake/_lakehook/runs/things");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    serde_json::from_slice(&std::fs::read(files.last().unwrap()).unwrap()).unwrap()
}

#[test]
fn other_rules_make_another_snapshot_of_the_same_records() {
    let api = Api::start(|_, _| page(json!({"things": [{"id": 1, "a": " x "}]})));
    let setup = setup(&api.url(), "");
    poll_well(&setup);
    let text = super::config(&api.url(), "[poll.things.columns]\na = { trim = true }");
    setup.configure(&text);
    let (told, runs) = poll_well(&setup);
    assert!(!told.contains("unchanged"), "{told}");
    assert_eq!(runs.runs.len(), 2);
    let (told, _) = poll_well(&setup);
    assert!(told.contains("unchanged"), "{told}");
    let sql = views(&setup);
    let found = lake(&setup).query(&sql, "SELECT a FROM things");
    assert_eq!(found, json!([["x"]]));
}

#[test]
fn wrong_rules_are_found_by_check() {
    let columns = r#"
[poll.things.columns]
a = { type = "date", formats = ["%d/%m/%Y", "%m/%d/%Y"] }
b = { type = "number" }
c = { hash = "hmac-sha256" }
d = { drop = true, trim = true }
e = { type = "decimal(39,2)" }
f = { hash = "md5" }
"#;
    let setup = setup("http://localhost", columns);
    let (told, code) = said(&setup.run(&["check"]));
    assert_eq!(code, Some(2), "{told}");
    // What has the wrong shape is told first.
    assert!(told.contains("must be one of \"hmac-sha256\""), "{told}");
    setup.configure(&super::config(
        "http://localhost",
        &columns.replace("f = { hash = \"md5\" }", ""),
    ));
    let (told, code) = said(&setup.run(&["check"]));
    assert_eq!(code, Some(2), "{told}");
    for words in [
        "\"%d/%m/%Y\" and \"%m/%d/%Y\" both fit",
        "poll.things.columns.b.type",
        "key_file must name the file",
        "leaves the member out",
        "poll.things.columns.e.type",
    ] {
        assert!(told.contains(words), "{words:?} is missing in: {told}");
    }
    let rules = "schema = \"thing.json\"\n[poll.things.columns]\na = { type = \"decimal(5,2)\" }";
    setup.configure(&super::config("http://localhost", rules));
    let schema = json!({"properties": {"a": {"type": "string"}}});
    std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
    let (told, code) = said(&setup.run(&["check"]));
    assert_ne!(code, Some(0), "{told}");
    assert!(told.contains("the schema wants text"), "{told}");
}

#[test]
fn a_schema_declares_dates_and_decimals_and_what_was_text_stays_text() {
    let api = Api::start(|_, _| {
        let day = |id: usize| format!("2026-01-{:02}", id + 1);
        let record = |id| json!({"id": id, "day": day(id), "price": 12.5, "late": day(id)});
        let mut all: Vec<Value> = (0..20).map(record).collect();
        all[7]["price"] = json!(12.505);
        page(json!({"things": all}))
    });
    let schema = |day: Value| {
        json!({"properties": {"id": {"type": "integer"}, "day": day,
            "price": {"type": "number", "x-lakehook-type": "decimal(9,2)"}}})
    };
    let date = json!({"type": "string", "format": "date"});
    for format in ["ndjson.zst", "parquet"] {
        let settings = format!("schema = \"thing.json\"\n[batch]\nformat = \"{format}\"");
        let setup = setup(&api.url(), &settings);
        let file = setup.directory().join("thing.json");
        // Before there were dates, this column was text.
        std::fs::write(&file, schema(json!({"type": "string"})).to_string()).unwrap();
        let (told, _) = poll_well(&setup);
        assert!(
            told.contains("column at \"/price\": a number that fits decimal(9,2) exactly"),
            "{told}"
        );
        let mut declared = schema(date.clone());
        declared["properties"]["late"] = date.clone();
        std::fs::write(&file, declared.to_string()).unwrap();
        poll_well(&setup);
        let sql = views(&setup);
        let query = "SELECT typeof(day), typeof(late), typeof(price), count(*), count(day), count(late), sum(price)::VARCHAR,
            max(day)::VARCHAR FROM things GROUP BY 1, 2, 3";
        let day = if format == "parquet" {
            "VARCHAR"
        } else {
            "DATE"
        };
        let expected = json!([[
            day,
            "DATE",
            "DECIMAL(9,2)",
            19,
            19,
            19,
            "237.50",
            "2026-01-20"
        ]]);
        assert_eq!(lake(&setup).query(&sql, query), expected, "{format}");
        // The first run is still read, too.
        let query = "SELECT count(*), count(day), sum(price)::VARCHAR FROM things_all_runs";
        assert_eq!(
            lake(&setup).query(&sql, query),
            json!([[38, 38, "475.00"]]),
            "{format}"
        );
        // Another type is still refused.
        if format == "parquet" {
            std::fs::write(&file, schema(json!({"type": "integer"})).to_string()).unwrap();
            let (told, code) = said(&setup.run(&["poll"]));
            assert_ne!(code, Some(0), "{told}");
            let (told, code) = said(&setup.run(&["check"]));
            assert_ne!(code, Some(0), "{told}");
            assert!(told.contains("things.day is text in objects"), "{told}");
        }
    }
}
