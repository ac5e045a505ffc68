//! A log knows its lake again: something else in its place is not taken for it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::arrival::STOP_LIMIT;
use crate::support::http;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, S3Server};

const LIMIT: Duration = Duration::from_secs(30);

fn fill(setup: &Setup, seed: u64) {
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), seed);
    plan.max_requests = Some(3);
    let report = Load::start(plan).complete(LIMIT);
    assert!(report.violations.is_empty());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

/// A start and `check` both refuse, with these words.
fn assert_refused(setup: &Setup, words: &str) {
    let output = setup.run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(words) && said.contains("--new-lake"),
        "{said}"
    );
    let mut refused = setup.spawn();
    let status = refused.wait(LIMIT);
    let said = setup.stderr();
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
    let last = said.lines().last().unwrap();
    assert!(
        last.contains(words) && last.contains("--new-lake"),
        "{last}"
    );
}

fn starts(setup: &Setup) {
    assert!(
        setup.start().stop(STOP_LIMIT).success(),
        "{}",
        setup.stderr()
    );
}

/// The way that docs/operations.md describes.
#[test]
fn a_lake_that_is_copied_goes_on_adding_up() {
    let at = |lake: &str| format!("[lake]\nurl = \"{lake}\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let setup = Setup::new(&at("old"));
    fill(&setup, 41);
    setup.configure(&at("new"));
    fill(&setup, 42);
    let audit = || setup.run(&["audit", "--wal", "data/wal"]);
    // Without the copy it does not.
    let before = audit();
    assert_eq!(
        before.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&before.stdout)
    );
    let (old, new) = (
        setup.directory().join("old/."),
        setup.directory().join("new"),
    );
    let copied = Command::new("cp")
        .arg("-an")
        .args([&old, &new])
        .status()
        .unwrap();
    assert!(copied.success());
    let after = audit();
    let said = String::from_utf8_lossy(&after.stdout);
    assert_eq!(after.status.code(), Some(0), "{said}");
    assert!(said.contains("add up"), "{said}");
    starts(&setup);
}

/// Runs the service with `--new-lake` until it is ready.
fn start_with_a_new_lake(setup: &Setup) {
    let mut command = setup.command(&["serve", "--new-lake"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while !http::get(setup.address(), "/ready").is_ok_and(|answer| answer.status == 200) {
        assert!(start.elapsed() < LIMIT && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn forget_the_label(lake: &Path) {
    fs::remove_file(lake.join("_lakehook/lake.json")).unwrap();
    fs::remove_file(lake.join("_lakehook/meta/_lakehook/lake.json.json")).unwrap();
}

#[test]
fn a_directory_whose_volume_is_not_mounted_is_refused() {
    let setup = Setup::new("[lake]\nurl = \"mount/lake\"\n");
    let at = |path: &str| setup.directory().join(path);
    fs::create_dir(at("mount")).unwrap();
    fill(&setup, 91);
    assert!(at("mount/lake/_lakehook/lake.json").exists());
    starts(&setup);

    // The volume is away, and the directory beneath the mount point is empty.
    fs::rename(at("mount"), at("away")).unwrap();
    fs::create_dir(at("mount")).unwrap();
    assert_refused(&setup, "is a volume not mounted?");
    assert!(!at("mount/lake").exists(), "nothing was made there");
    fs::remove_dir(at("mount")).unwrap();
    fs::rename(at("away"), at("mount")).unwrap();
    starts(&setup);

    // A log and a lake of an earlier version, which had no label.
    fs::remove_file(at("data/wal/lake")).unwrap();
    forget_the_label(&at("mount/lake"));
    starts(&setup);
    assert!(at("mount/lake/_lakehook/lake.json").exists());

    // Such a log, with the volume away.
    fs::remove_file(at("data/wal/lake")).unwrap();
    fs::rename(at("mount"), at("away")).unwrap();
    assert_refused(&setup, "is a volume not mounted?");

    // Another lake, which is meant.
    start_with_a_new_lake(&setup);
    starts(&setup);
    fs::remove_dir_all(at("mount")).unwrap();
    fs::rename(at("away"), at("mount")).unwrap();
    assert_refused(&setup, "its label has another id");
}

#[test]
fn a_bucket_without_its_label_is_refused() {
    let server = S3Server::start(92);
    let config = |url: &str| {
        format!(
            "[lake]\nurl = \"{url}\"\nendpoint = \"{}\"\n",
            server.endpoint()
        )
    };
    let setup = Setup::new(&config("s3://lake/a"));
    fill(&setup, 92);
    assert!(server.object("a/_lakehook/lake.json").is_some());
    starts(&setup);
    for key in server.keys("") {
        server.store().delete(BUCKET, &key);
    }
    assert_refused(&setup, "its label _lakehook/lake.json is gone");
    assert_eq!(server.keys(""), [""; 0], "nothing was put");

    // While the store is away, it cannot be known: events are accepted, and nothing is put later either.
    server.faults().down();
    let program = setup.start();
    let mut plan = Plan::new(setup.address(), 93);
    plan.max_requests = Some(1);
    Load::start(plan).complete(LIMIT);
    server.faults().up();
    program.stop(STOP_LIMIT);
    assert_eq!(server.keys(""), [""; 0], "nothing was put");
    assert!(setup.stderr().contains("is gone"), "{}", setup.stderr());
    start_with_a_new_lake(&setup);
    starts(&setup);
    assert!(!server.keys("a/events/").is_empty());

    setup.configure(&config("s3://lake/b"));
    let output = setup.run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let words = format!(
        "the lake was s3://lake/a at {0} at the last start, and is s3://lake/b at {0} now",
        server.endpoint()
    );
    assert!(output.status.success() && said.contains(&words), "{said}");
    starts(&setup);
    assert!(setup.stderr().contains(&words), "{}", setup.stderr());
}
