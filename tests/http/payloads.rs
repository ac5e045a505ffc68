//! Public collections of payloads, such as octokit/webhooks: every body of a directory that is given becomes one event,
//! byte by byte, and the same again is a duplicate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::connect;
use super::signed::{SECRET, hex};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::needs::Need;
use crate::support::process::Setup;

/// Names the directory.
const VARIABLE: &str = "LAKEHOOK_PAYLOADS";

fn payloads(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            payloads(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_payload_of_a_collection_is_one_event() {
    let Some(dir) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        Need::Payloads.skip("LAKEHOOK_PAYLOADS names no directory");
        return;
    };
    let mut paths = Vec::new();
    payloads(&dir, &mut paths);
    paths.sort();
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"256 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\n"
    ));
    let program = setup.start();
    let mut connection = connect(&setup);
    let mut sent: BTreeMap<String, Value> = BTreeMap::new();
    for (number, path) in paths.iter().enumerate() {
        let body = std::fs::read(path).unwrap();
        // Schemas and lists lie between the payloads.
        let Ok(value @ Value::Object(_)) = serde_json::from_slice(&body) else {
            continue;
        };
        let id = format!("delivery-{number}");
        let signature = format!("sha256={}", hex(&body));
        let headers = [
            ("content-type", "application/json"),
            ("x-hub-signature-256", &*signature),
            ("x-github-event", "payload"),
            ("x-github-delivery", &*id),
        ];
        for counted in ["accepted", "duplicates"] {
            let answer = connection
                .request("POST", "/webhook/github", &headers, &body)
                .unwrap();
            assert_eq!(
                answer.json()[counted],
                1,
                "{}: {}",
                path.display(),
                answer.text()
            );
        }
        sent.insert(id, value);
    }
    assert!(!sent.is_empty(), "{} holds no payloads", dir.display());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let parsed = |value: &Value| match value {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        other => other.clone(),
    };
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), sent.len());
    for row in rows {
        let id = parsed(&row["extra"])["provider_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(parsed(&row["properties"]), sent[&id], "{id}");
    }
    println!("{} payloads", sent.len());
}
