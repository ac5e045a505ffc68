//! A log directory that was copied, and both copies at work on one lake: the second meets the first's
//! object under its own key. It stops and says so, and overwrites nothing; what the first was told is
//! there, once.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::arrival::STOP_LIMIT;
use crate::http::{PATH, body, click, id};
use crate::support::duckdb::Lake;
use crate::support::http;
use crate::support::process::Setup;
use crate::support::s3::S3Server;

fn config(lake: &str) -> String {
    format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n[server]\nshutdown_grace = \"3s\"\n"
    )
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_file() {
            continue;
        }
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Sends clicks of these numbers, all of one day, so that both logs make batches of the same first LSN.
fn send(setup: &Setup, numbers: Range<u64>) {
    let events: Vec<String> = numbers.clone().map(click).collect();
    let answer = http::post_json(setup.address(), PATH, body(&events).as_bytes()).unwrap();
    assert_eq!(
        answer.json()["accepted"],
        numbers.end - numbers.start,
        "{}",
        answer.text()
    );
}

/// Waits until it says why it takes nothing more.
fn stops_at_what_is_not_its_own(setup: &Setup) {
    let start = Instant::now();
    loop {
        let answer = http::get(setup.address(), "/ready").unwrap();
        if answer.status == 503 && answer.text().contains("not ours") {
            break;
        }
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let refused = http::post_json(setup.address(), PATH, body(&[click(1)]).as_bytes()).unwrap();
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.header("retry-after").is_some());
}

fn wait_until_all_is_shipped(setup: &Setup) {
    let start = Instant::now();
    while http::get(setup.address(), "/health").unwrap().json()["buffer_size"] != 0 {
        assert!(
            start.elapsed() < Duration::from_secs(40),
            "{}",
            setup.stderr()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The original and its copy have both begun with the same log; the original's objects come first.
fn the_copy_stops(
    original: &Setup,
    twin: &Setup,
    lake: &Lake,
    objects: &dyn Fn() -> Vec<(String, Vec<u8>)>,
) {
    // A life of the original, so that the copy has a node id and a log to share.
    let program = original.start();
    send(original, 0..500);
    assert!(program.stop(STOP_LIMIT).success(), "{}", original.stderr());
    let log = original.directory().join("data/wal");
    copy(&log, &twin.directory().join("data/wal"));

    let (first, second) = (original.start(), twin.start());
    send(original, 500..700);
    wait_until_all_is_shipped(original);
    let there = objects();
    // Other events, in the same partition, under the same LSNs.
    send(twin, 10_000..10_300);
    stops_at_what_is_not_its_own(twin);
    let now = objects();
    let differs =
        |(key, bytes): &&(String, Vec<u8>)| !now.iter().any(|(k, b)| k == key && b == bytes);
    let changed: Vec<&String> = there.iter().filter(differs).map(|(key, _)| key).collect();
    assert!(changed.is_empty(), "{changed:?} were changed");
    let differs = |(key, _): &&(String, Vec<u8>)| !there.iter().any(|(k, _)| k == key);
    // But for what the copy was about to put: a name of its own, that is no object's.
    let added = now.iter().filter(differs).map(|(key, _)| key);
    let added: Vec<&String> = added
        .filter(|key| !key.starts_with("_lakehook/tmp/"))
        .collect();
    assert!(added.is_empty(), "{added:?} are new");
    // The original goes on.
    send(original, 700..710);
    assert!(first.stop(STOP_LIMIT).success(), "{}", original.stderr());
    second.stop(STOP_LIMIT);
    let expected: Vec<String> = (0..710).map(id).collect();
    assert_eq!(lake.ids(), expected);
}

fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let keys = lakehook::lake::reader::keys_below(root, "").unwrap();
    let read = |key: String| (key.clone(), std::fs::read(root.join(key)).unwrap());
    keys.into_iter().map(read).collect()
}

#[test]
fn a_copied_log_stops_at_its_twins_object_in_a_directory() {
    let original = Setup::new(&config("url = \"lake\""));
    let root = original.directory().join("lake");
    let twin = Setup::new(&config(&format!("url = \"{}\"", root.display())));
    the_copy_stops(&original, &twin, &Lake::directory(&root), &|| files(&root));
}

#[test]
fn a_copied_log_stops_at_its_twins_object_in_a_bucket() {
    let server = S3Server::start(64);
    let lake = format!("url = \"s3://lake\"\nendpoint = \"{}\"", server.endpoint());
    let (original, twin) = (Setup::new(&config(&lake)), Setup::new(&config(&lake)));
    let objects = || {
        let keys = server.keys("").into_iter();
        keys.map(|key| (key.clone(), server.object(&key).unwrap().bytes.to_vec()))
            .collect()
    };
    the_copy_stops(
        &original,
        &twin,
        &Lake::s3("s3://lake", &server.endpoint()),
        &objects,
    );
    assert_eq!(server.faults().counts().replaced, 0);
}
