//! Refused records of files are judged again, and stored once with their place.

use std::time::Duration;

use serde_json::json;

use super::{Inbox, SCHEMA, said};

#[test]
fn refused_records_are_replayed_once_the_schema_takes_them() {
    for id in ["", "id = \"id\"\n"] {
        let inbox = Inbox::new(&format!("{id}guards = {{ max_refused = \"80 %\" }}"));
        inbox.put("a.csv", "name,id\nA,1\nB,two\nC,3\nD,\n");
        inbox.take_well();
        assert_eq!(inbox.rows(), json!([["a.csv", 2, 1], ["a.csv", 4, 3]]));
        let replay = || {
            said(
                &inbox
                    .setup
                    .run(&["quarantine", "replay", "--stream", "claims"]),
            )
        };
        let (told, code) = replay();
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(inbox.rows().as_array().unwrap().len(), 2);
        // Now an id may be missing.
        let schema = SCHEMA.replace("\"type\": \"integer\"", "\"type\": [\"integer\", \"null\"]");
        std::fs::write(inbox.setup.directory().join("claim.json"), schema).unwrap();
        let has_id = !id.is_empty();
        for _ in 0..2 {
            let (told, code) = replay();
            assert_eq!(code, Some(0), "{told}");
            let rows = if has_id {
                json!([["a.csv", 2, 1], ["a.csv", 4, 3]])
            } else {
                json!([["a.csv", 2, 1], ["a.csv", 4, 3], ["a.csv", 5, null]])
            };
            assert_eq!(inbox.rows(), rows, "{told}");
        }
        // By a service too.
        let program = inbox.setup.start();
        let (told, code) = replay();
        assert_eq!(code, Some(0), "{told}");
        assert!(program.stop(Duration::from_secs(30)).success());
        inbox.audit();
    }
}
