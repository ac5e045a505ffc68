//! A bucket as an inbox: objects by key and ETag, and answers that are lost or late.

use super::{SCHEMA, said};
use crate::support::duckdb::Lake;
use crate::support::process::Setup;
use crate::support::s3::{BUCKET, Chances, Object, S3Server};

fn setup(server: &S3Server, settings: &str) -> Setup {
    let config = format!(
        "[lake]\nurl = \"s3://{BUCKET}/lake\"\nendpoint = \"{}\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson\"\n[files.claims]\npath = \"s3://{BUCKET}/in/*.csv\"\nid = \"id\"\n{settings}\n",
        server.endpoint()
    );
    Setup::new(&config)
}

fn put(server: &S3Server, key: &str, body: &str) {
    let object = Object::new(body.to_owned());
    server.store().put(BUCKET, key, object, false);
}

fn take(setup: &Setup) -> (String, Option<i32>) {
    said(&setup.run(&["files"]))
}

/// Rows that are visible.
fn count(setup: &Setup, server: &S3Server) -> u64 {
    let output = setup.run(&["sql", "duckdb", "--no-secret"]);
    let path = setup.directory().join("views.sql");
    std::fs::write(&path, output.stdout).unwrap();
    let lake = Lake::s3(&format!("s3://{BUCKET}/lake"), &server.endpoint());
    lake.query(&path, "SELECT count(*) FROM claims")[0][0]
        .as_u64()
        .unwrap()
}

#[test]
fn objects_are_taken_once_by_key_and_etag() {
    let server = S3Server::start(181);
    let setup = setup(&server, "changed = \"take\"");
    put(&server, "in/a.csv", "id,name\n1,A\n2,B\n");
    put(&server, "in/../../etc/b.csv", "id,name\n9,X\n");
    put(&server, "in/sub/c.csv", "id,name\n8,Y\n");
    put(&server, "other/d.csv", "id,name\n7,Z\n");
    let (told, code) = take(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(count(&setup, &server), 2, "{told}");
    let (told, _) = take(&setup);
    assert!(told.contains("1 files known already"), "{told}");
    put(&server, "in/a.csv", "id,name\n1,A\n3,C\n");
    let (told, code) = take(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(count(&setup, &server), 3, "{told}");
}

#[test]
fn objects_are_moved_once_their_rows_are_visible_and_nothing_is_replaced() {
    let server = S3Server::start(183);
    let setup = setup(&server, "after = \"move\"");
    put(&server, "in/done/a.csv", "another one");
    put(&server, "in/a.csv", "id,name\n1,A\n");
    put(&server, "in/bad.csv", "");
    server.faults().set(Chances::storm(0.03));
    for _ in 0..10 {
        take(&setup);
    }
    server.faults().calm();
    let (told, _) = take(&setup);
    let keys = server.store().keys(BUCKET, "in/");
    let expected = ["in/done/a.csv", "in/done/a.csv.1", "in/failed/bad.csv"];
    assert_eq!(keys, expected, "{told}");
    assert_eq!(count(&setup, &server), 1, "{told}");
}

#[test]
fn lost_answers_and_errors_neither_lose_nor_repeat() {
    for (port, workers) in [(182, ""), (183, "\nschema = \"claim.json\"\nworkers = 4")] {
        storm(&S3Server::start(port), workers);
    }
}

fn storm(server: &S3Server, settings: &str) {
    let setup = setup(server, &format!("after = \"delete\"{settings}"));
    std::fs::write(setup.directory().join("claim.json"), SCHEMA).unwrap();
    for number in 0..20 {
        let body = format!("id,name\n{number},A\n{},B\n", 100 + number);
        put(server, &format!("in/{number}.csv"), &body);
    }
    server.faults().set(Chances::storm(0.03));
    for _ in 0..10 {
        let (_, code) = take(&setup);
        if code == Some(0) {
            break;
        }
    }
    server.faults().calm();
    let (told, code) = take(&setup);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(count(&setup, server), 40, "{told}");
    assert_eq!(server.store().keys(BUCKET, "in/"), Vec::<String>::new());
    let (audit, code) = said(&setup.run(&["audit", "--deep"]));
    assert_eq!(code, Some(0), "{audit}");
}
