//! A stream of NATS that has no space although the log is far below its own bound.

use std::time::Duration;

use serde_json::json;

use super::streams::{STREAM, ask, in_stream};
use super::{config, lose_disk, plan, wait_unready};
use crate::arrival::{STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::load::Load;
use crate::support::nats::Nats;
use crate::support::process::Setup;
use crate::support::s3::S3Server;

const PATIENCE: Duration = Duration::from_secs(60);

/// From now on, the stream takes no more than it has, or so many bytes.
fn bound(nats: &Nats, bytes: Option<u64>) {
    let info = ask(nats, &format!("STREAM.INFO.{STREAM}"), &json!({}));
    let mut config = info["config"].clone();
    let there = info["state"]["bytes"].as_u64().unwrap();
    config["max_bytes"] = bytes.unwrap_or(there + 1000).into();
    ask(nats, &format!("STREAM.UPDATE.{STREAM}"), &config);
}

/// While the lake is away, somebody leaves the stream no space. Requests are refused; once the lake is back,
/// everything is shipped and trimmed by means of the reserve, and that makes room for requests again.
#[test]
fn a_full_stream_refuses_requests_and_loses_nothing() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(251);
    let setup = Setup::new(&in_stream(&nats, &config(&server.endpoint(), "ndjson", "")));
    let program = setup.start();
    let load = Load::start(plan(&setup, 251));
    load.wait_acknowledged(300, PATIENCE);
    server.faults().down();
    let before = load.acknowledged();
    // Once this is trimmed, there is room for the reserve and more.
    load.wait_acknowledged(before + 12_000, PATIENCE);
    bound(&nats, None);
    let said = wait_unready(&setup);
    assert!(said.contains("log-full"), "{said}");
    let said = setup.stderr();
    assert!(said.contains("maximum bytes exceeded"), "{said}");
    let before = load.acknowledged();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(load.acknowledged(), before, "{}", setup.stderr());
    server.faults().up();
    load.wait_acknowledged(before + 300, PATIENCE);
    let said = setup.stderr();
    assert!(said.contains("the replica has room again"), "{said}");
    bound(&nats, Some(128 << 20));
    let report = load.finish(PATIENCE);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
    lose_disk(&setup);
    crate::audit::adds_up(&setup, &["data/wal"]);
}
