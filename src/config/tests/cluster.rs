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
        (
            "cluster.logs = 2",
            "cluster.logs",
            "nothing uses it without cluster.name",
        ),
        ("cluster.logs = 0", "cluster.logs", "between 1 and 64"),
        ("cluster.logs = 65", "cluster.logs", "between 1 and 64"),
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
        "cluster.address = \"10.0.0.5:4100\"",
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
        ("", "holds no secret"),
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

/// A mistake: what stands in the place of the address, or what is changed in the rest; where it is, what is wrong, and
/// what to do.
type Mistake = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    ("cluster.address = \"10.0.0.5\"", "cluster.address (line 3)", "must be an IP address of this machine with a port", "\"10.0.0.5:4100\""),
    ("cluster.address = \"node-a:4100\"", "cluster.address (line 3)", "must be an IP address of this machine with a port", "names of machines are not looked up"),
    ("cluster.address = \"fd00::5:4100\"", "cluster.address (line 3)", "must be an IP address of this machine with a port", "\"[fd00::5]:4100\""),
    ("cluster.address = 4100", "cluster.address (line 3)", "must be text in quotes", "text in quotes"),
    ("cluster.address = \"0.0.0.0:4100\"", "cluster.address (line 3)", "must be the address and the port", "such as \"10.0.0.5:4100\""),
    ("", "cluster.name (line 4)", "a node of a cluster is reached by the others", "set cluster.address"),
    ("cluster.address = \"10.0.0.5:4000\"\nserver.listen = \"0.0.0.0:4000\"\nserver.allow_unauthenticated = true", "cluster.address (line 3)", "which server.listen has", "choose another port"),
    ("cluster.address = \"198.51.100.7:4100\"", "cluster.address (line 3)", "none of cluster.networks", "add its network there"),
    ("cluster.address = \"10.0.0.5:4100\"\ncluster.networks = \"10.0.0.0/8\"", "cluster.networks (line 4)", "must be a list", "such as [\"a\", \"b\"]"),
    ("cluster.address = \"10.0.0.5:4100\"\ncluster.networks = [\"10.0.0.0/33\"]", "cluster.networks (line 4)", "must be a network", "\"10.0.0.0/8\""),
    ("cluster.address = \"10.0.0.5:4100\"\ncluster.takeover_after = 5000", "cluster.takeover_after (line 4)", "must be between", "\"5m\""),
    ("cluster.address = \"10.0.0.5:4100\"\ncluster.takeover_after = \"5 sec\"", "cluster.takeover_after (line 4)", "is not a duration", "such as \"300s\""),
    ("cluster.peers = [\"10.0.0.6:4100\"]", "cluster.peers (line 3)", "unknown key", "they are not listed"),
    ("cluster.nodes = 3", "cluster.nodes (line 3)", "unknown key", "they are not listed"),
    ("cluster.listen = \"0.0.0.0:4100\"", "cluster.listen (line 3)", "unknown key", "address = \"10.0.0.5:4100\""),
    ("cluster.secret = \"0123456789abcdef\"", "cluster.secret (line 3)", "unknown key", "secret_file = \"cluster.secret\""),
    ("cluster.replica = \"nats://n1\"", "cluster.replica (line 3)", "unknown key", "wal.replica"),
    ("cluster.node_id = 1", "cluster.node_id (line 3)", "unknown key", "known by its address"),
    ("cluster.heartbeat = \"1s\"", "cluster.heartbeat (line 3)", "unknown key", "takeover_after = \"5s\""),
    ("nodes = [\"a\"]", "nodes (line 3)", "unknown key", "with [cluster]"),
];

#[test]
fn typical_mistakes_of_a_cluster_are_answered_with_place_rule_and_way_out() {
    let mut wrong = Vec::new();
    for (text, place, rule, way_out) in MISTAKES {
        let said = loaded(&node(text), SECRET).expect_err(text);
        for part in [place, rule, way_out] {
            if !said.contains(part) {
                wrong.push(format!("{text}: no {part:?} in {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the settings of one node cannot show to be wrong, but probably is.
#[test]
fn an_address_that_no_other_machine_reaches_is_warned_of() {
    let warned = |replica: &str, address: &str| {
        let text = node(&format!("cluster.address = \"{address}\""));
        let loaded = loaded(&text.replace("nats://n1,n2,n3", replica), SECRET).unwrap();
        loaded.warnings.join("\n")
    };
    for address in ["127.0.0.1:4100", "[::1]:4100"] {
        let said = warned("nats://n1,n2,n3", address);
        assert!(said.contains("only this machine reaches it"), "{said}");
        let said = warned("s3://my-log/prod", address);
        assert!(said.contains("only this machine reaches it"), "{said}");
    }
    for replica in ["nats://127.0.0.1:4222,localhost:4223", "nats://[::1]:4222"] {
        assert_eq!(warned(replica, "127.0.0.1:4100"), "");
    }
    assert_eq!(warned("nats://n1,n2,n3", "10.0.0.5:4100"), "");
}

#[test]
fn the_secret_is_in_a_file_that_only_its_owner_reads() {
    let text = node("cluster.address = \"10.0.0.5:4100\"");
    let dir = tempfile::TempDir::new().unwrap();
    let said = load_from(dir.path(), &text, &[]).expect_err("no file");
    for part in [
        "cluster.secret_file (line 5)",
        "cannot be read",
        "openssl rand -hex 32",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let file = dir.path().join("cluster.secret");
    std::fs::write(&file, SECRET).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load_from(dir.path(), &text, &[]).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
}

#[test]
fn each_log_has_a_directory_of_its_own() {
    let one = node("cluster.address = \"10.0.0.5:4100\"");
    let config = loaded(&one, SECRET).unwrap().config;
    let [only] = &config.of_logs()[..] else {
        panic!("there is one log");
    };
    assert_eq!((&only.wal.dir, only.wal.number), (&config.wal.dir, 0));
    let config = loaded(&format!("{one}cluster.logs = 3\n"), SECRET);
    let config = config.unwrap().config;
    let dirs = config.of_logs().into_iter().map(|own| own.wal.dir);
    let names = ["", "log-1", "log-2"].map(|name| config.wal.dir.join(name));
    assert_eq!(dirs.collect::<Vec<_>>(), names);
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
