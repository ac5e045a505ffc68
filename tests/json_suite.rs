//! nst/JSONTestSuite (MIT licence): each of its files is sent as a value inside `properties`. What must be
//! accepted is accepted, except for keys that engines cannot have; what must be refused is answered 400;
//! nothing crashes; and DuckDB reads what was accepted.
//!
//! The files are not part of this repository: `$JSON_TEST_SUITE` names their directory, and
//! `../shared/jsontestsuite` is tried without it. If neither is there, the test is skipped
//! (`Need::JsonSuite`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::Connection;
use crate::support::needs::Need;
use crate::support::process::Setup;

/// Valid JSON that is refused all the same: to engines, equal keys of one object are the same column twice,
/// and DuckDB cuts names at U+0000 (docs/adr/0007).
const REFUSED_ALL_THE_SAME: [&str; 3] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_escaped_null_in_key.json",
];

fn suite() -> Option<PathBuf> {
    let given = std::env::var_os("JSON_TEST_SUITE").map(PathBuf::from);
    let near = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/jsontestsuite");
    let root = given.unwrap_or(near);
    let nested = root.join("test_parsing");
    let dirs = [nested, root];
    dirs.into_iter()
        .find(|dir| dir.join("y_array_empty.json").exists())
}

#[test]
fn every_file_is_taken_or_refused_as_it_must_be() {
    let Some(dir) = suite() else {
        return Need::JsonSuite
            .skip("JSONTestSuite is not here; set JSON_TEST_SUITE to its directory");
    };
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson\"\n",
    );
    let program = setup.start();
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    names.sort();
    assert!(names.len() > 300, "only {} files", names.len());
    let (mut accepted, mut refused) = (0, 0);
    for (number, name) in names.iter().enumerate() {
        let value = std::fs::read(dir.join(name)).unwrap();
        let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
        let head = format!(
            "{{\"events\":[{{\"event_id\":\"00000000-0000-4000-8000-{number:012}\",\"user_id\":null,\"event_type\":\"click\",\
             \"source\":\"web\",\"timestamp\":\"{}\",\"properties\":{{\"v\":",
            now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        );
        let body = [head.as_bytes(), &value, b"}}]}"].concat();
        let mut connection = Connection::open(setup.address(), Duration::from_secs(10)).unwrap();
        let answer = connection.post_json("/webhook/events", &body).unwrap();
        let must = match name.as_bytes()[0] {
            b'y' if REFUSED_ALL_THE_SAME.contains(&name.as_str()) => Some(400),
            b'y' => Some(200),
            b'n' => Some(400),
            _ => None,
        };
        // A file that is longer than the limits may be refused for that.
        let is_right = must.map_or(matches!(answer.status, 200 | 400), |must| {
            answer.status == must
        });
        assert!(is_right, "{name}: {} {}", answer.status, answer.text());
        if answer.status == 200 {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    assert!(program.stop(STOP_LIMIT).success());
    let lake = Lake::directory(&setup.directory().join("lake"));
    for reading in [Reading::Typed, Reading::Auto] {
        assert_eq!(lake.count(reading).rows, accepted, "{reading:?}");
    }
    println!(
        "{} files: {accepted} accepted, {refused} refused",
        names.len()
    );
}
