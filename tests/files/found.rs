//! Files without a schema: their columns are found in the records, and settled with the first object that has them.

use serde_json::{Value, json};

use super::Inbox;

fn kinds(inbox: &Inbox) -> Value {
    inbox.query(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'claims' \
         AND column_name NOT IN ('received_at', 'lsn', 'dt', 'run', 'extra') ORDER BY ALL",
    )
}

#[test]
fn columns_are_found_and_grow_from_file_to_file() {
    for format in ["ndjson", "parquet"] {
        let inbox = Inbox::with(
            "*.ndjson",
            format,
            "format = \"ndjson\"\nsettle = \"0s\"\nid = \"id\"",
        );
        inbox.put(
            "a.ndjson",
            "{\"id\":1,\"name\":\"Ann\",\"price\":1}\n{\"id\":2,\"price\":1.5,\"file\":\"mine\"}\n",
        );
        inbox.take_well();
        let place = [json!(["file", "VARCHAR"]), json!(["line", "BIGINT"])];
        let first = [
            json!(["id", "BIGINT"]),
            json!(["name", "VARCHAR"]),
            json!(["price", "DOUBLE"]),
        ];
        let mut expected = [place.as_slice(), &first].concat();
        expected.sort_by_key(Value::to_string);
        assert_eq!(kinds(&inbox), json!(expected), "{format}");
        // A new member is a new column, and a value that does not fit stands under `extra`.
        inbox.put(
            "b.ndjson",
            "{\"id\":3,\"name\":4,\"day\":\"2026-01-31\",\"tags\":[1]}\n",
        );
        let said = inbox.take_well();
        assert!(
            said.contains("b.ndjson: 1 values of name do not fit its column, which holds text"),
            "{said}"
        );
        let rows = inbox.query(
            "SELECT id, name, price, day::VARCHAR, tags::VARCHAR, extra->>'name', extra->>'file', file, line FROM claims ORDER BY id",
        );
        let expected = json!([
            [1, "Ann", 1.0, null, null, null, null, "a.ndjson", 1],
            [2, null, 1.5, null, null, null, "mine", "a.ndjson", 2],
            [3, null, null, "2026-01-31", "[1]", "4", null, "b.ndjson", 1],
        ]);
        assert_eq!(rows, expected, "{format}");
        let schema = inbox.setup.run(&["schema", "claims"]);
        let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
        let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["day", "id", "name", "price", "tags"]);
        inbox.audit();
    }
}

#[test]
fn a_table_without_a_schema_has_columns_of_text() {
    let inbox = Inbox::with(
        "*.csv",
        "parquet",
        "settle = \"0s\"\nguards = { max_refused = \"100 %\" }",
    );
    let lines = (0..60_000).map(|line| format!("0{line},x,2026-01-{:02}\n", line % 28 + 1));
    let lines = lines.collect::<Vec<_>>().concat();
    inbox.put("a.csv", format!("zip,Name,day\n{lines}"));
    // Columns of the last row only are columns of the object.
    inbox.put("b.csv", "zip,late\n00501,\n00502,z\n");
    inbox.take_well();
    let found = inbox
        .query("SELECT count(*), min(zip), max(Name), min(day)::VARCHAR, max(late) FROM claims");
    assert_eq!(found, json!([[60_002, "00", "x", "2026-01-01", "z"]]));
    inbox.audit();
}
