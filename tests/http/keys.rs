//! Nothing of a payload reaches an object's key but a date that was computed.

use std::path::Path;

use super::{body, post, setup};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};

/// Each leads somewhere else in some path, URL, key or listing; as JSON escapes.
const HOSTILE: [&str; 12] = [
    "../../../../tmp/x",
    "..",
    "/etc/x",
    "a/b=c/d",
    "%2e%2e%2f",
    "..\\\\..\\\\x",
    "dt=2020-01-01",
    "a\\u0000b",
    "a\\nb",
    "_lakehook/runs/x",
    "s3://other/key",
    "\\u202e../x",
];

/// All files below, relative to it, sorted.
fn files(root: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap();
                found.push(name.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort_unstable();
    found
}

/// `events/dt=…/node-lsn.suffix` in either table, and their sidecars.
fn is_ours(key: &str) -> bool {
    let key = key
        .strip_prefix("_lakehook/meta/")
        .and_then(|key| key.strip_suffix(".json"))
        .unwrap_or(key);
    let key = key.strip_prefix("quarantine/").unwrap_or(key);
    let shape = "events/dt=0000-00-00/";
    let rest = key.get(shape.len()..).unwrap_or_default();
    let (name, lsn) = rest.split_once('-').unwrap_or_default();
    let is_partition = key
        .chars()
        .zip(shape.chars())
        .all(|(c, s)| c == s || s == '0' && c.is_ascii_digit());
    is_partition
        && name.len() == 16
        && name.chars().all(|c| c.is_ascii_hexdigit())
        && lsn.len() == 20 + ".ndjson.zst".len()
        && lsn.ends_with(".ndjson.zst")
        && lsn[..20].chars().all(|c| c.is_ascii_digit())
}

/// Every field of the event is hostile, one after the other: it is refused and kept, or a row like any other.
#[test]
fn hostile_fields_reach_no_key() {
    let setup = setup("[events]\non_invalid = \"quarantine\"\n");
    let program = setup.start();
    let now = lakehook::clock::Clock::system().now().wall.to_string();
    let mut sent = 0;
    for (number, hostile) in HOSTILE.iter().enumerate() {
        let id = format!("00000000-0000-4000-9000-{number:012}");
        let good = [
            ("event_id", format!("\"{id}\"")),
            ("user_id", "\"u\"".to_owned()),
            ("event_type", "\"click\"".to_owned()),
            ("source", "\"web\"".to_owned()),
            ("timestamp", format!("\"{now}\"")),
            ("properties", "{}".to_owned()),
        ];
        for field in 0..=good.len() {
            let mut members: Vec<String> = Vec::new();
            for (at, (name, value)) in good.iter().enumerate() {
                let value = match (*name, at == field) {
                    ("properties", true) => {
                        format!("{{\"key\":\"{hostile}\",\"dt\":\"{hostile}\"}}")
                    }
                    (_, true) => format!("\"{hostile}\""),
                    // Another event, so that none is a duplicate.
                    ("event_id", false) => value.replacen("-9000-", &format!("-9{field:03}-"), 1),
                    _ => value.clone(),
                };
                members.push(format!("\"{name}\":{value}"));
            }
            // The last is hostile in a field of its own, by name and by value.
            if field == good.len() {
                members.push(format!(
                    "\"x{}\":\"{hostile}\"",
                    hostile.replace("\\u0000", "")
                ));
            }
            let answer = post(&setup, body(&[format!("{{{}}}", members.join(","))]));
            assert_eq!(answer.status, 200, "{}", answer.text());
            sent += 1;
        }
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lake = setup.directory().join("lake");
    let label = [
        "_lakehook/lake.json",
        "_lakehook/meta/_lakehook/lake.json.json",
    ];
    let foreign: Vec<String> = files(&lake)
        .into_iter()
        .filter(|key| !is_ours(key) && !label.contains(&key.as_str()))
        .collect();
    assert_eq!(foreign, Vec::<String>::new());
    let count = Lake::directory(&lake).count(Reading::Typed);
    let kept: u64 = count.quarantine.values().sum();
    assert_eq!(count.rows + kept, sent);
    // Hostile ids of users, properties and fields of their own are nothing but text.
    assert!(count.rows > 24 && kept > 36, "{} and {kept}", count.rows);
    assert_eq!((count.misplaced, count.by_dt.len()), (0, 1));
    // And nothing beside the lake but what was there.
    let beside = files(setup.directory());
    let strange: Vec<&String> = beside
        .iter()
        .filter(|name| !name.starts_with("lake/") && !name.starts_with("data/wal/"))
        .collect();
    assert_eq!(strange, ["lakehook.toml", "stderr.log"]);
}
