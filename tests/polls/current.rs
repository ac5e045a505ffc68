//! The view of current records of an appending poll: the latest row of each, without deleted ones.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::{lake, poll, said, setup};
use crate::support::api::{Api, page};
use crate::support::process::Setup;

const SCHEMA: &str = r#"{"properties":{"id":{"type":"integer"},"name":{"type":["string","null"]},
    "gone":{"type":["boolean","null"]}}}"#;

fn current(setup: &Setup) -> Value {
    let output = setup.run(&["sql", "duckdb"]);
    assert!(output.status.success(), "{}", said(&output).0);
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, output.stdout).unwrap();
    lake(setup).query(&path, "SELECT id, name FROM things_current ORDER BY id")
}

#[test]
fn the_latest_row_of_each_record_that_is_not_deleted() {
    for (deleted, gone) in [
        (
            "deleted = { field = \"gone\", value = \"true\" }",
            json!({"id": 2, "gone": true}),
        ),
        (
            "deleted = { field = \"@removed\" }",
            json!({"id": 2, "@removed": {"reason": "x"}}),
        ),
    ] {
        let things = Arc::new(Mutex::new(json!([
            {"id": 1, "name": "a", "gone": false}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}
        ])));
        let known = Arc::clone(&things);
        let api = Api::start(move |_, _| page(json!({"things": known.lock().unwrap().clone()})));
        for format in ["ndjson.zst", "parquet"] {
            *things.lock().unwrap() = json!([
                {"id": 1, "name": "a", "gone": false}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}
            ]);
            let settings = format!(
                "mode = \"append\"\nschema = \"thing.json\"\n{deleted}\n[batch]\nformat = \"{format}\""
            );
            let setup = setup(&api.url(), &settings);
            std::fs::write(setup.directory().join("thing.json"), SCHEMA).unwrap();
            let (told, code) = poll(&setup);
            assert_eq!(code, Some(0), "{told}");
            assert_eq!(current(&setup), json!([[1, "a"], [2, "b"], [3, "c"]]));
            *things.lock().unwrap() = json!([{"id": 1, "name": "A"}, gone.clone()]);
            assert_eq!(poll(&setup).1, Some(0));
            assert_eq!(
                current(&setup),
                json!([[1, "A"], [3, "c"]]),
                "{deleted} {format}"
            );
        }
    }
}

#[test]
fn deleted_records_need_a_view_that_leaves_them_out() {
    let setup = setup("http://localhost:9", "deleted = { field = \"gone\" }");
    let (told, code) = said(&setup.run(&["check"]));
    assert_ne!(code, Some(0), "{told}");
    assert!(told.contains("poll.things.deleted"), "{told}");
}
