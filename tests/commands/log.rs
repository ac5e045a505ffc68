//! `lakehook wal` on a log that was used, on a damaged one, and on one with a torn tail.

use std::path::PathBuf;

use super::{said, stderr, stdout};
use crate::http::{body, event, post, unavailable::damage};
use crate::support::http;
use crate::support::process::{Setup, free_address};

/// A log whose rows are not in the lake, because the lake is away.
fn used_log() -> Setup {
    let endpoint = format!("http://{}", free_address());
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{endpoint}\"\n[wal]\nmax_bytes = \"64 MiB\"\n"
    ));
    let program = setup.start();
    for number in 0..3 {
        let marked = event(
            number,
            "click",
            &format!("{{\"mark\":\"number {number}\"}}"),
        );
        assert_eq!(
            post(&setup, body(&[marked, event(9, "signup", "{}")])).status,
            200
        );
    }
    assert_eq!(post(&setup, "oops").status, 400);
    program.kill();
    setup
}

fn segments(setup: &Setup) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(setup.directory().join("data/wal")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "wal"))
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn a_used_log_tells_what_it_holds() {
    let setup = used_log();
    let info = setup.run(&["wal", "info"]);
    let text = stdout(&info);
    assert_eq!(info.status.code(), Some(0), "{}", said(&info));
    let received = "received 6 = stored 3 + dropped 3 + duplicate 0 + quarantined 0; copies of refused requests 1";
    assert!(text.contains(received), "{text}");
    assert!(text.contains("4 rows not yet in the lake"), "{text}");
    let verify = setup.run(&["wal", "verify", "--dir", "data/wal"]);
    assert!(
        stdout(&verify).ends_with("no damage found\n"),
        "{}",
        said(&verify)
    );
    assert!(stdout(&verify).contains("4 rows"), "{}", said(&verify));
    assert_eq!(verify.status.code(), Some(0));
    let nothing = setup.run(&["wal", "verify", "--dir", "nowhere"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(stderr(&nothing).contains("nowhere"), "{}", said(&nothing));
}

#[test]
fn damage_is_named_and_nothing_is_deleted() {
    let setup = used_log();
    let path = damage(&setup, "number 1").display().to_string();
    let before = segments(&setup);
    let verify = setup.run(&["wal", "verify"]);
    let serve = setup.run(&["serve"]);
    let check = setup.run(&["check"]);
    let name = path.rsplit('/').next().unwrap();
    for output in [&verify, &serve, &check] {
        let text = said(output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for word in [name, "byte ", "LSN"] {
            assert!(text.contains(word), "no {word}: {text}");
        }
    }
    assert!(segments(&setup) == before);
}

#[test]
fn a_torn_tail_is_told_and_does_not_matter() {
    let setup = used_log();
    // The last frame, as a crash in the middle of its write could leave it.
    damage(&setup, "oops");
    let verify = setup.run(&["wal", "verify"]);
    assert_eq!(verify.status.code(), Some(0), "{}", said(&verify));
    assert!(
        stdout(&verify).contains("a write that nobody was told of"),
        "{}",
        said(&verify)
    );
    let program = setup.start();
    assert!(
        setup.stderr().contains("cut off the last write"),
        "{}",
        setup.stderr()
    );
    assert_eq!(
        http::get(setup.address(), "/health").unwrap().json()["buffer_size"],
        3
    );
    program.kill();
}
