//! `lakehook erase` for what was polled: records leave the run that holds them and its quarantine.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests may fail, and write files"
)]

use serde_json::json;

use super::{lake, poll, setup};
use crate::audit::adds_up;
use crate::support::api::{Api, page, things};

#[test]
fn a_record_leaves_the_snapshot_and_the_quarantine_of_its_poll() {
    for format in ["ndjson.zst", "parquet"] {
        let api = Api::start(|_, _| {
            let mut things = things(0..300);
            // Without an id it is refused.
            things.push(json!({"name": "thing 7"}));
            page(json!({"things": things}))
        });
        let settings = format!("schema = \"thing.json\"\n[batch]\nformat = \"{format}\"");
        let setup = setup(&api.url(), &settings);
        let schema = json!({"type": "object", "properties": {
            "id": {"type": "integer"}, "name": {"type": "string"}}});
        std::fs::write(setup.directory().join("thing.json"), schema.to_string()).unwrap();
        assert_eq!(poll(&setup).1, Some(0));
        let rows = || lake(&setup).stream("things", "id").rows;
        let all = rows();
        assert!(all >= 300);
        let erase = ["erase", "--stream", "things", "--where", "name=thing 7"];
        let output = setup.run(&erase);
        let (said, code) = super::said(&output);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("2 rows were erased from 2 objects"), "{said}");
        let left = lake(&setup).stream("things", "id");
        assert_eq!((left.rows, left.ids), (299, 299));
        adds_up(&setup, &["data/polls"]);
        // The next run finds nothing new, and the erased one stays the one that holds the records.
        assert_eq!(poll(&setup).1, Some(0));
        assert_eq!(rows(), 299);
        adds_up(&setup, &["data/polls"]);
        let (said, code) = super::said(&setup.run(&erase));
        assert_eq!(
            (code, said.contains("0 rows were erased")),
            (Some(0), true),
            "{said}"
        );
    }
}
