//! A kill at each operation on files, and power cuts: afterwards every file is visible once, and whole.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::{Inbox, SCHEMA};
use crate::support::process::Setup;
use crate::support::random::Random;
use crate::support::strace::{can_trace, killed_at};
use crate::support::volume::Volume;

/// Rows of each file that are new.
const ROWS: u64 = 10;

/// A file with new rows, one that the file before has too, and one that is refused.
fn body(number: u64) -> String {
    let first = number * ROWS;
    let rows = (first..first + ROWS).map(|id| format!("{id},n{id}\n"));
    let before = first.saturating_sub(1);
    format!(
        "id,name\nx,refused\n{}{before},n{before}\n",
        rows.collect::<String>()
    )
}

/// All files are there once.
fn check(inbox: &Inbox, files: u64) {
    let found = inbox.query(
        "SELECT count(*), count(DISTINCT id), count(DISTINCT file), min(id), max(id) FROM claims",
    );
    let rows = files * ROWS;
    assert_eq!(found, json!([[rows, rows, files, 0, rows - 1]]));
    let refused = inbox.query("SELECT count(*), count(DISTINCT file) FROM quarantine");
    assert_eq!(refused, json!([[files, files]]));
    inbox.audit();
}

#[test]
fn every_file_is_visible_once_whichever_operation_is_the_last() {
    if !can_trace() {
        return;
    }
    let every = std::env::var("LAKEHOOK_KILLS").is_ok();
    let inbox = Inbox::new(
        "id = \"id\"\nworkers = 4\nafter = \"move\"\nguards = { max_refused = \"50 %\" }",
    );
    let (mut files, mut kills) = (0, 0);
    for calls in [
        "rename,renameat,renameat2",
        "fsync,fdatasync",
        "link,linkat,unlink,unlinkat",
    ] {
        let mut n = 1;
        loop {
            for _ in 0..3 {
                inbox.put(&format!("{files:04}.csv"), body(files));
                files += 1;
            }
            if !killed_at(&inbox.setup, &["files"], calls, n) {
                break;
            }
            kills += 1;
            n = if every { n + 1 } else { n * 2 };
        }
    }
    inbox.take_well();
    println!("killed at {kills} operations");
    assert!(kills >= 8, "only {kills} operations");
    check(&inbox, files);
    assert_eq!(
        std::fs::read_dir(inbox.path("done")).unwrap().count() as u64,
        files
    );
}

#[test]
fn every_file_is_visible_once_through_power_cuts() {
    let Some(mut volume) = Volume::new_or_skip(512) else {
        return;
    };
    let path = volume.path().display().to_string();
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"{path}/lake\"\n[wal]\ndir = \"{path}/wal\"\nmax_bytes = \"64 MiB\"\n\
         [polls]\ndir = \"{path}/polls\"\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson\"\n\
         [files.claims]\npath = \"inbox/*.csv\"\nschema = \"claim.json\"\nid = \"id\"\nsettle = \"0s\"\n\
         guards = {{ max_refused = \"50 %\" }}\n"
    ));
    std::fs::create_dir(setup.directory().join("inbox")).unwrap();
    std::fs::write(setup.directory().join("claim.json"), SCHEMA).unwrap();
    let inbox = Inbox { setup };
    let cuts = std::env::var("LAKEHOOK_CUTS").ok();
    let cuts: u64 = cuts.map_or(6, |cuts| cuts.parse().unwrap());
    let random = Random::new(77);
    for number in 0..cuts {
        inbox.put(&format!("{number:04}.csv"), body(number));
        let look = inbox
            .setup
            .command(&["files"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut look = look.unwrap();
        std::thread::sleep(Duration::from_millis(random.below(400)));
        volume.cut();
        look.kill().unwrap();
        look.wait().unwrap();
        volume.unmount();
        assert!(volume.mount(), "the file system did not come back");
    }
    let (said, code) = inbox.take();
    assert_eq!(code, Some(0), "{said}");
    let views = inbox.setup.run(&["sql", "duckdb", "--no-secret"]);
    let file = inbox.setup.directory().join("views.sql");
    std::fs::write(&file, views.stdout).unwrap();
    let lake = crate::support::duckdb::Lake::directory(&volume.path().join("lake"));
    let found = lake.query(
        &file,
        "SELECT count(*), count(DISTINCT id), count(DISTINCT file) FROM claims",
    );
    assert_eq!(found, json!([[cuts * ROWS, cuts * ROWS, cuts]]), "{said}");
    volume.unmount();
}
