//! A node of a cluster: what it needs, and where it listens.

use super::cluster::Cluster;
use super::findings::Findings;
use super::sections::Config;
use crate::receive::Networks;

/// Checks a node of a cluster.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let cluster = &config.cluster;
    let networks = match Networks::parse(&cluster.networks) {
        Ok(networks) => networks,
        Err(text) => {
            let rule = format!("{text:?} must be a network such as \"10.0.0.0/8\", or an address");
            findings.problem(&["cluster.networks"], rule);
            return;
        }
    };
    if cluster.name.is_none() {
        unused(cluster, findings);
        return;
    }
    if config.wal.replica.is_none() {
        findings.problem(
            &["cluster.name", "wal.replica"],
            "nodes of a cluster share a log that all of them reach: set wal.replica = \"s3://bucket/prefix\" or \
             \"nats://…\" too, or leave cluster.name out",
        );
    }
    if cluster.secret_file.is_none() {
        findings.problem(
            &["cluster.secret_file", "cluster.name"],
            "whoever reaches the nodes could write into the log: set cluster.secret_file to a file with one secret, \
             the same on each node (\"openssl rand -hex 32\" makes one)",
        );
    }
    address(config, &networks, findings);
}

fn unused(cluster: &Cluster, findings: &mut Findings<'_>) {
    let set = [
        ("cluster.address", cluster.address.is_some()),
        ("cluster.secret_file", cluster.secret_file.is_some()),
    ];
    for (key, _) in set.iter().filter(|(_, is_set)| *is_set) {
        findings.problem(
            &[key, "cluster.name"],
            "nothing uses it without cluster.name, the same on each node of the cluster; set that, or leave this out",
        );
    }
}

fn address(config: &Config, networks: &Networks, findings: &mut Findings<'_>) {
    let Some(address) = config.cluster.address else {
        findings.problem(
            &["cluster.address", "cluster.name"],
            "a node of a cluster is reached by the others: set cluster.address to an address of this machine, such as \
             \"10.0.0.5:4100\"",
        );
        return;
    };
    if address.ip().is_unspecified() || address.port() == 0 {
        findings.problem(
            &["cluster.address"],
            "must be the address and the port at which the other nodes reach this one, since they are told of it; \
             such as \"10.0.0.5:4100\"",
        );
        return;
    }
    let server = &config.server;
    let console = server.console_address();
    let console = console.filter(|(_, is_asked_for)| *is_asked_for);
    let others = [
        ("server.listen", Some(server.listen)),
        ("server.metrics_listen", server.metrics_listen),
        ("server.console_listen", console.map(|(address, _)| address)),
    ];
    let same = others.iter().find(|(_, other)| {
        other.is_some_and(|other| {
            let is_same = other.ip() == address.ip() || other.ip().is_unspecified();
            is_same && other.port() == address.port()
        })
    });
    if let Some((key, _)) = same {
        findings.problem(
            &["cluster.address", key],
            format!("nodes need an address of their own, which {key} has; choose another port"),
        );
    }
    if !networks.have(address.ip()) {
        findings.problem(
            &["cluster.address", "cluster.networks"],
            "the other nodes would not believe it: it is in none of cluster.networks, which must be the same on each \
             node; add its network there",
        );
    }
}
