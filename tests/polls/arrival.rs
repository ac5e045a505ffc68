//! The sample system: 10 000 users page by page and 1 000 pieces of content arrive once, in a directory and
//! in S3, as counted by DuckDB.

use super::said;
use crate::support::duckdb::Lake;
use crate::support::process::{Setup, free_address};
use crate::support::s3::S3Server;

/// Both polls of the sample system.
pub(super) fn config(lake: &str, upstream: &str, more: &str) -> String {
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
    format!(
        "[lake]\n{lake}\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.users]\nurl = \"http://{upstream}/api/users\"\nrecords = \"/users\"\n\
         total = \"/total_users\"\nid = \"user_id\"\nschema = \"{schemas}/user.json\"\n\
         pagination = {{ type = \"offset\", limit = 200, more = \"/has_more\" }}\n{more}\n\
         [poll.content]\nurl = \"http://{upstream}/api/content\"\nrecords = \"/content\"\n\
         total = \"/total_content\"\nid = \"content_id\"\nschema = \"{schemas}/content.json\"\n{more}\n"
    )
}

/// The sample system as a process, killed when dropped.
pub(super) struct Upstream(std::process::Child);

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn upstream(setup: &Setup) -> (Upstream, String) {
    let address = free_address().to_string();
    let mut command = setup.command(&["upstream", "--listen", &address]);
    let child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let upstream = Upstream(child);
    for _ in 0..500 {
        if std::net::TcpStream::connect(&address).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    (upstream, address)
}

/// Polls twice; at the second time, nothing has changed.
fn arrives(setup: &Setup, lake: &Lake) {
    for round in 0..2 {
        let (said, code) = said(&setup.run(&["poll"]));
        assert_eq!(code, Some(0), "{said}");
        for (stream, id, records) in [
            ("users", "user_id", 10_000),
            ("content", "content_id", 1000),
        ] {
            let runs = lake.runs(stream, id);
            runs.check();
            assert_eq!(runs.runs.len(), round + 1, "{runs:?}");
            assert_eq!(runs.runs[0].rows, records);
            assert_eq!(runs.runs[round].same_as.is_some(), round == 1);
            let totals = lake.stream(stream, id);
            assert_eq!(
                (totals.rows, totals.ids, totals.lsns),
                (records, records, records)
            );
        }
    }
    let forced = setup.run(&["poll", "--force", "content"]);
    assert!(forced.status.success(), "{}", said(&forced).0);
    let runs = lake.runs("content", "content_id");
    runs.check();
    assert_eq!((runs.runs[2].rows, &runs.runs[2].same_as), (1000, &None));
}

#[test]
fn a_directory_holds_each_user_and_each_content_once() {
    let setup = Setup::new("");
    let (_upstream, address) = upstream(&setup);
    setup.configure(&config("url = \"lake\"", &address, ""));
    arrives(&setup, &Lake::directory(&setup.directory().join("lake")));
}

#[test]
fn s3_holds_each_user_and_each_content_once() {
    let server = S3Server::start(21);
    let setup = Setup::new("");
    let (_upstream, address) = upstream(&setup);
    let lake = format!(
        "url = \"s3://lake/raw\"\nendpoint = \"{}\"",
        server.endpoint()
    );
    setup.configure(&config(&lake, &address, ""));
    arrives(&setup, &Lake::s3("s3://lake/raw", &server.endpoint()));
    assert_eq!(server.faults().counts().replaced, 0);
}
