//! What stores, and what stands before them, do to a put: nothing that was acknowledged is lost or
//! altered, and the audit agrees without reading a single object.

use crate::arrival::{STOP_LIMIT, check};
use crate::audit::audit;
use crate::support::duckdb::Lake;
use crate::support::load::{Load, Plan};
use crate::support::process::Setup;
use crate::support::s3::{Checksums, Fault, S3Server};

const MODES: [Checksums; 3] = [Checksums::Ignored, Checksums::Compared, Checksums::Refused];

/// Small batches, so that many puts meet the script.
fn setup(server: &S3Server) -> Setup {
    Setup::new(&format!(
        "[lake]\nurl = \"s3://lake\"\nendpoint = \"{}\"\n[batch]\nmax_records = 100\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n",
        server.endpoint()
    ))
}

#[test]
fn what_happens_to_a_put_on_its_way_is_noticed_before_the_commit() {
    for (number, mode) in MODES.into_iter().enumerate() {
        let seed = 70 + number as u64;
        let server = S3Server::start(seed);
        server.faults().checksums(mode);
        server.faults().on_next_puts(
            [
                Some(Fault::Flip),
                Some(Fault::Stranger),
                None,
                Some(Fault::Cut),
                Some(Fault::Stranger),
                Some(Fault::Flip),
                Some(Fault::NotModified),
                Some(Fault::Flip),
            ]
            .into_iter()
            .cycle()
            .take(40),
        );
        let setup = setup(&server);
        let program = setup.start();
        let mut plan = Plan::new(setup.address(), seed);
        plan.max_requests = Some(60);
        let report = Load::start(plan).complete(std::time::Duration::from_secs(60));
        assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
        let counts = server.faults().counts();
        assert!(counts.faults >= 35, "{mode:?}: {counts:?}");
        server.faults().calm();
        assert!(setup.start().stop(STOP_LIMIT).success());
        check(&report, &Lake::s3("s3://lake", &server.endpoint()));
        for more in [&["--wal", "data/wal"][..], &["--deep", "--wal", "data/wal"]] {
            let (said, code) = audit(&setup, more);
            assert_eq!(code, Some(0), "{mode:?}: {said}");
        }
    }
}

/// Where a store compares nothing and names nothing, `check` says what that costs; where it compares, that
/// it does.
#[test]
fn check_says_what_protects_the_transfer() {
    for (mode, says) in [
        (Checksums::Ignored, "each object is read back once"),
        (
            Checksums::Compared,
            "the store checks the CRC-32C of each put",
        ),
        (Checksums::Refused, "each object is read back once"),
    ] {
        let server = S3Server::start(75);
        server.faults().checksums(mode);
        let output = setup(&server).run(&["check"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

/// A store that refuses whatever is put is no store without conditions.
#[test]
fn check_fails_where_every_put_is_refused() {
    let server = S3Server::start(76);
    server.faults().refuse_puts(true);
    let output = setup(&server).run(&["check"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("refuses every put"), "{said}");
    assert!(said.contains("InvalidRequest"), "{said}");
    assert!(!said.contains("If-None-Match"), "{said}");
}
