//! Columns of polls without a schema: found in records, written down, growing, the same for every reader.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and write files"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::columns::views;
use super::kills::{Gate, kill_at_every_stage, succeed};
use super::{lake, poll_well, said, setup};
use crate::support::api::{Api, number, page};
use crate::support::process::Setup;
use crate::support::python;

/// What the tests ask of a view: names and types of the columns that come from records.
fn columns(setup: &Setup, sql: &Path, view: &str) -> Value {
    let query = format!(
        "SELECT column_name || ' ' || column_type FROM (DESCRIBE {view}) WHERE column_name NOT IN \
         ('received_at', 'lsn', 'dt', 'run', 'started_at', 'extra')"
    );
    let found = lake(setup).query(sql, &query);
    found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].clone())
        .collect()
}

/// An API that answers with the records that a test has put there last.
fn changing(first: Value) -> (Api, Arc<Mutex<Value>>) {
    let records = Arc::new(Mutex::new(first));
    let answered = Arc::clone(&records);
    let api = Api::start(move |_, _| page(json!({"things": *answered.lock().unwrap()})));
    (api, records)
}

fn well(setup: &Setup, arguments: &[&str]) -> String {
    let (told, code) = said(&setup.run(arguments));
    assert_eq!(code, Some(0), "{arguments:?}: {told}");
    told
}

#[test]
fn the_example_of_the_readme_can_be_queried_by_its_columns() {
    let readme = std::fs::read_to_string(python::repository().join("README.md")).unwrap();
    let (_, example) = readme.split_once("```toml\n[poll.users]").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let api = Api::start(|request, _| {
        let offset = number(request, "offset");
        let users: Vec<Value> = (offset..(offset + 200).min(300))
            .map(|id| json!({"user_id": format!("u-{id}"), "age": id, "signed_up": "2026-11-20T10:00:00Z"}))
            .collect();
        page(json!({"users": users, "has_more": offset + 200 < 300}))
    });
    let example = example.replace("https://api.example.com", &api.url());
    assert!(example.contains(&api.url()), "{example}");
    let setup = Setup::new(&format!("[lake]\nurl = \"lake\"\n[poll.users]{example}"));
    well(&setup, &["poll"]);
    let sql = views(&setup);
    let query =
        "SELECT count(*), max(age), min(user_id), count(signed_up), count(extra) FROM users";
    assert_eq!(
        lake(&setup).query(&sql, query),
        json!([[300, 299, "u-0", 300, 0]])
    );
}

#[test]
fn columns_grow_keep_their_types_and_hold_what_fits() {
    for format in ["ndjson.zst", "parquet"] {
        let (api, records) = changing(json!([
            {"id": 1, "at": "2026-11-20T10:00:00Z", "day": "2026-11-20", "price": 1, "flag": true, "odd~/name": "a",
             "none": null, "LSN": 5},
            {"id": 2, "at": "2026-11-20T11:00:00Z", "day": "2026-11-21", "price": 2.5, "more": {"a": [1]}, "FLAG": "x"},
        ]));
        let settings = format!("[batch]\nformat = \"{format}\"");
        let setup = setup(&api.url(), &settings);
        poll_well(&setup);
        let sql = views(&setup);
        let first = json!([
            "at TIMESTAMP WITH TIME ZONE",
            "day DATE",
            "flag BOOLEAN",
            "id BIGINT",
            "odd~/name VARCHAR",
            "price DOUBLE",
            "more JSON"
        ]);
        assert_eq!(columns(&setup, &sql, "things"), first, "{format}");
        let query = "SELECT id, price, flag, \"odd~/name\", more::VARCHAR, extra::VARCHAR FROM things ORDER BY id";
        let expected = json!([
            [1, 1.0, true, "a", null, "{\"none\":null,\"LSN\":5}"],
            [2, 2.5, null, null, "{\"a\":[1]}", "{\"FLAG\":\"x\"}"]
        ]);
        assert_eq!(
            unordered(&lake(&setup).query(&sql, query)),
            unordered(&expected),
            "{format}"
        );

        // A new member is a new column; a value that does not fit stands under `extra`, and the run says so.
        *records.lock().unwrap() = json!([
            {"id": 1, "price": "much", "none": "at last", "flag": true}, {"id": 2, "price": 7, "day": "2026-11-22"},
        ]);
        let (told, _) = poll_well(&setup);
        assert!(
            told.contains("1 values of price do not fit its column, which holds double"),
            "{told}"
        );
        let sql = views(&setup);
        let mut grown = first.clone();
        grown.as_array_mut().unwrap().push("none VARCHAR".into());
        assert_eq!(columns(&setup, &sql, "things"), grown, "{format}");
        let query = "SELECT id, price, none, day::VARCHAR, extra::VARCHAR FROM things ORDER BY id";
        let expected = json!([
            [1, null, "at last", null, "{\"price\":\"much\"}"],
            [2, 7.0, null, "2026-11-22", null]
        ]);
        assert_eq!(lake(&setup).query(&sql, query), expected, "{format}");
        let query = "SELECT count(*), count(none), count(price) FROM things_all_runs";
        assert_eq!(
            lake(&setup).query(&sql, query),
            json!([[4, 1, 3]]),
            "{format}"
        );
        let (told, _) = poll_well(&setup);
        assert!(told.contains("unchanged"), "{told}");
        for engine in ["athena", "trino", "dictionary"] {
            let statements = well(&setup, &["sql", engine]);
            assert!(statements.contains("none"), "{engine}: {statements}");
        }
        well(&setup, &["audit"]);
    }
}

/// Objects of JSON text as JSON, whose members have no order.
fn unordered(rows: &Value) -> Value {
    let parsed = |value: &Value| match value.as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        None => value.clone(),
    };
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        row.as_array()
            .unwrap()
            .iter()
            .map(parsed)
            .collect::<Value>()
    })
    .collect()
}

#[test]
fn types_widen_until_the_first_object_is_written() {
    for mode in ["snapshot", "append"] {
        let api = Api::start(|request, _| {
            let offset = number(request, "offset");
            let price = if offset < 200 {
                json!(offset)
            } else {
                json!(0.5)
            };
            let at = if offset < 300 {
                "2026-11-20T10:00:00Z"
            } else {
                "soon"
            };
            let things: Vec<Value> = (offset..offset + 100)
                .map(|id| json!({"id": id, "price": price, "at": at}))
                .collect();
            page(json!({"things": things, "more": offset < 300}))
        });
        let pagination = "pagination = { type = \"offset\", limit = 100, more = \"/more\" }";
        let settings = format!("mode = \"{mode}\"\n{pagination}\n[batch]\nformat = \"parquet\"");
        let setup = setup(&api.url(), &settings);
        well(&setup, &["poll"]);
        let sql = views(&setup);
        let expected = json!(["at VARCHAR", "id BIGINT", "price DOUBLE"]);
        assert_eq!(columns(&setup, &sql, "things"), expected, "{mode}");
        let query = "SELECT count(price), count(\"at\"), sum(price), count(extra) FROM things";
        assert_eq!(
            lake(&setup).query(&sql, query),
            json!([[400, 400, 10100.0, 0]]),
            "{mode}"
        );
        if mode == "append" {
            let query = "SELECT count(*) FROM things_current";
            assert_eq!(lake(&setup).query(&sql, query), json!([[400]]));
        }
    }
}

#[test]
fn another_machine_and_a_new_log_know_the_columns_from_the_lake() {
    let (api, records) = changing(json!([{"id": 1, "price": 1, "old": "x"}]));
    let setup = setup(
        &api.url(),
        "mode = \"append\"\n[batch]\nformat = \"parquet\"",
    );
    well(&setup, &["poll"]);
    let own = columns(&setup, &views(&setup), "things");
    assert_eq!(own, json!(["id BIGINT", "old VARCHAR", "price BIGINT"]));

    let text = super::config(
        &api.url(),
        "mode = \"append\"\n[batch]\nformat = \"parquet\"",
    );
    let at = setup.directory().join("lake");
    let text = text.replace("url = \"lake\"", &format!("url = \"{}\"", at.display()));
    let other = Setup::new(&text);
    assert_eq!(columns(&setup, &views(&other), "things"), own);
    let schema: Value = serde_json::from_str(&well(&other, &["schema", "things"])).unwrap();
    assert_eq!(
        schema["properties"]["price"],
        json!({"type": ["integer", "null"]})
    );

    // It has no log of the first one: the type stays what objects have all the same.
    *records.lock().unwrap() = json!([{"id": 2, "price": 2.5, "new": true}, {"id": 3, "price": 3}]);
    well(&other, &["poll"]);
    for reader in [&other, &setup] {
        let sql = views(reader);
        // Each machine has its own order.
        let found = columns(&setup, &sql, "things");
        let mut found: Vec<&str> = found
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        found.sort_unstable();
        let grown = ["id BIGINT", "new BOOLEAN", "old VARCHAR", "price BIGINT"];
        assert_eq!(found, grown);
        let query = "SELECT id, price, new, extra::VARCHAR FROM things ORDER BY id";
        let expected = json!([
            [1, 1, null, null],
            [2, null, true, "{\"price\":2.5}"],
            [3, 3, null, null]
        ]);
        assert_eq!(lake(&setup).query(&sql, query), expected);
    }
    // The first one goes on with what it did not find itself.
    *records.lock().unwrap() = json!([{"id": 4, "price": 4, "new": "no"}]);
    well(&setup, &["poll"]);
    let query = "SELECT id, price, new, extra::VARCHAR FROM things WHERE id = 4";
    let found = lake(&setup).query(&views(&other), query);
    assert_eq!(found, json!([[4, 4, null, "{\"new\":\"no\"}"]]));
    well(&other, &["audit"]);
    let notes = std::fs::read_dir(at.join("_lakehook/columns/things")).unwrap();
    assert_eq!(notes.count(), 2);
}

#[test]
fn a_schema_may_come_later_and_go_again() {
    for format in ["ndjson", "parquet"] {
        let (api, records) = changing(json!([{"id": 1, "name": "a", "price": 1}]));
        let settings = format!("[batch]\nformat = \"{format}\"");
        let setup = setup(&api.url(), &settings);
        poll_well(&setup);
        let schema = well(&setup, &["schema", "things"]);
        let file = setup.directory().join("thing.json");
        std::fs::write(&file, &schema).unwrap();
        let with_schema = format!("schema = \"thing.json\"\n{settings}");
        setup.configure(&super::config(&api.url(), &with_schema));
        let (told, _) = poll_well(&setup);
        assert!(!told.contains("unchanged"), "{told}");
        assert!(
            said(&setup.run(&["schema", "things"]))
                .0
                .contains("has a schema")
        );
        // Another type than objects have.
        let other = schema.replace("[\"integer\",\"null\"]", "\"string\"");
        assert_ne!(other, schema);
        std::fs::write(&file, other).unwrap();
        let (told, code) = said(&setup.run(&["check"]));
        if format == "parquet" {
            assert_ne!(code, Some(0), "{told}");
            assert!(
                told.contains("things.price is integer in objects"),
                "{told}"
            );
        } else {
            assert_eq!(code, Some(0), "{told}");
        }
        // Without a schema again, the columns that objects have go on.
        setup.configure(&super::config(&api.url(), &settings));
        *records.lock().unwrap() = json!([{"id": 1, "name": "b", "price": 2, "new": 1.5}]);
        poll_well(&setup);
        let sql = views(&setup);
        let expected = json!(["id BIGINT", "name VARCHAR", "price BIGINT", "new DOUBLE"]);
        assert_eq!(columns(&setup, &sql, "things"), expected, "{format}");
        let query = "SELECT name, price, new FROM things";
        assert_eq!(lake(&setup).query(&sql, query), json!([["b", 2, 1.5]]));
    }
}

#[test]
fn a_broken_file_of_columns_is_named_and_nothing_is_stored() {
    let (api, _) = changing(json!([{"id": 1}]));
    let setup = setup(&api.url(), "");
    poll_well(&setup);
    let file = setup.directory().join("data/polls/shapes/things.json");
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"id\""));
    std::fs::write(&file, "{\"columns\":[").unwrap();
    let (told, code) = said(&setup.run(&["poll"]));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("shapes/things.json cannot be read"), "{told}");
}

#[test]
fn kills_leave_no_row_without_its_columns() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let api = Api::start(move |request, n| {
        passing.pass();
        let offset = number(request, "offset");
        // Each request brings a column that is new.
        let things: Vec<Value> = (offset..offset + 50)
            .map(|id| json!({"id": n * 1000 + id, (format!("c{}", n % 40)): n}))
            .collect();
        page(json!({"things": things, "more": offset < 100}))
    });
    let settings = "every = \"1s\"\nmode = \"append\"\npagination = { type = \"offset\", limit = 50, more = \"/more\" }\n\
                    [polls.batch]\nmax_records = 70\n[batch]\nformat = \"parquet\"";
    let setup = setup(&api.url(), settings);
    kill_at_every_stage(&setup, &gate, 4);
    succeed(&setup);
    let sql = views(&setup);
    // Nothing is under `extra`: each object was written with all columns of its rows.
    let query = "SELECT count(*) > 0, count(*) - count(id), count(extra) FROM things";
    assert_eq!(lake(&setup).query(&sql, query), json!([[true, 0, 0]]));
    well(&setup, &["audit"]);
}
