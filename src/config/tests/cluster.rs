//! What a node of a cluster needs, and where it listens.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::rules::{refused, taken};
use super::{errors, load_from};

const SHARED: &str = "lake.url = \"s3://my-lake/raw\"\nwal.replica = \"nats://n1,n2,n3\"\n";

/// A node, with these lines in place of its own address.
fn node(address: &str) -> String {
    format!(
        "{SHARED}{address}\ncluster.name = \"prod\"\ncluster.secret_file = \"cluster.secret\"\n"
    )
}

/// Loads this in a directory that has the secret.
fn loaded(text: &str, secret: &str) -> Result<super::Loaded, String> {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("cluster.secret");
    std::fs::write(&file, secret).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    load_from(dir.path(), text, &[])
}

const SECRET: &str = "0123456789abcdef0123456789abcdef\n";

#[test]
fn what_a_node_lacks_is_named() {
    refused(&[
        (
            "cluster.address = \"10.0.0.5:4100\"",
            "cluster.address",
            "nothing uses it without cluster.name",
        ),
        (
            "cluster.takeover_after = \"10ms\"",
            "cluster.takeover_after",
            "between \"1s\" and \"5m\"",
        ),
        (
            "cluster.networks = [\"10.0.0.0/8\", \"everywhere\"]",
            "cluster.networks",
            "\"everywhere\" must be a network",
        ),
        ("cluster.logs = 2", "cluster.logs", "unknown"),
    ]);
    let misspelt = errors("cluster.name = \"Prod\"", &[]);
    assert!(misspelt.contains("lower-case letters"), "{misspelt}");
    let lacking = errors("cluster.name = \"prod\"", &[]);
    for words in ["wal.replica", "cluster.secret_file", "cluster.address"] {
        assert!(lacking.contains(words), "{words} in {lacking}");
    }
}

#[test]
fn a_node_listens_where_the_others_reach_it() {
    let cases = [
        ("", "is reached by the others"),
        ("cluster.address = \"0.0.0.0:4100\"", "they are told of it"),
        ("cluster.address = \"10.0.0.5:0\"", "they are told of it"),
        (
            "cluster.address = \"127.0.0.1:4000\"",
            "which server.listen has",
        ),
        (
            "cluster.address = \"127.0.0.1:4001\"\nserver.metrics_listen = \"0.0.0.0:4001\"",
            "which server.metrics_listen has",
        ),
        (
            "cluster.address = \"127.0.0.1:4009\"\nserver.console_listen = \"127.0.0.1:4009\"",
            "which server.console_listen has",
        ),
        (
            "cluster.address = \"203.0.113.5:4100\"",
            "none of cluster.networks",
        ),
    ];
    for (address, words) in cases {
        let said = loaded(&node(address), SECRET).expect_err(address);
        assert!(said.contains(words), "{words} in {said}");
    }
    for address in [
        "cluster.address = \"127.0.0.1:4100\"",
        "cluster.address = \"[fd00::5]:4100\"",
        "cluster.address = \"203.0.113.5:4100\"\ncluster.networks = [\"203.0.113.0/24\"]",
    ] {
        let loaded = loaded(&node(address), SECRET).unwrap();
        assert_eq!(loaded.warnings, Vec::<String>::new());
        assert!(loaded.config.cluster.membership().is_some());
    }
}

#[test]
fn a_cluster_has_one_secret() {
    let text = node("cluster.address = \"10.0.0.5:4100\"");
    let membership = loaded(&text, SECRET).unwrap().config.cluster.membership();
    let secret = membership.unwrap().secret;
    assert_eq!(secret.expose(), SECRET.trim());
    for (secret, words) in [
        ("", "holds no token"),
        ("short\n", "at least 16 characters"),
        (
            "0123456789abcdef\nfedcba9876543210\n",
            "one secret on one line",
        ),
    ] {
        let said = loaded(&text, secret).expect_err(secret);
        assert!(said.contains(words), "{words} in {said}");
    }
}

#[test]
fn without_a_name_there_is_no_cluster() {
    taken(&["", SHARED, "cluster.takeover_after = \"10s\""]);
    let config = super::load("", &[]).unwrap().config;
    assert!(config.cluster.membership().is_none());
    let after = config.cluster.takeover_after.duration();
    assert_eq!(after, Duration::from_secs(5));
}

/// Nodes of two versions compare this text: another one for the same settings would part them.
#[test]
fn what_decides_is_written_as_before() {
    let config = super::load("", &[]).unwrap().config;
    insta::assert_snapshot!(config.deciding(), @r#"{"contract":"typed","hooks":[],"ignore":[],"partition":"dt=%Y-%m-%d","partition_by":"timestamp"}"#);
    let text = "dedup.ignore = [\"/properties/attempt\"]\n[hook.github]\nsecrets = [\"0123456789abcdef\"]\nid = \"/n\"\n\
                on_conflict = \"duplicate\"\nuser = [\"/a\", \"/b\"]";
    let config = super::load(text, &[]).unwrap().config;
    insta::assert_snapshot!(config.deciding(), @r#"{"contract":"typed","hooks":[{"id":["/n"],"name":"github","on_conflict":"duplicate","scheme":null,"time":[],"type":[],"user":["/a","/b"]}],"ignore":["/properties/attempt"],"partition":"dt=%Y-%m-%d","partition_by":"timestamp"}"#);
}
