//! A node of a cluster: what it needs, and where it listens.

use std::net::IpAddr;

use super::cluster::Cluster;
use super::findings::Findings;
use super::replica_url::ReplicaUrl;
use super::rules::MAX_LOGS;
use super::secret_file::{SecretFile, fault_of_token};
use super::sections::Config;
use crate::receive::Networks;

const SECRET_FILE: &str = "cluster.secret_file";

/// Reads the secret of a cluster.
pub(super) fn read_secret(cluster: &mut Cluster, findings: &mut Findings<'_>) {
    let Some(path) = cluster.secret_file.clone() else {
        return;
    };
    let shown = path.display();
    let make =
        format!("\"openssl rand -hex 32 > {shown}\" makes one, which is then copied to each node");
    let file = match SecretFile::read(&path) {
        Ok(file) => file,
        Err(error) => {
            let rule = format!("{shown} cannot be read: {error}; {make}");
            findings.problem(&[SECRET_FILE], rule);
            findings.distrust(SECRET_FILE);
            return;
        }
    };
    file.warn_if_open(SECRET_FILE, &path, findings);
    let fault = match file.secrets.as_slice() {
        [] => Some(format!("{shown} holds no secret; {make}")),
        [(line, secret)] => {
            let fault = fault_of_token(secret);
            fault.map(|rule| format!("{shown}, line {line}: the secret {rule}"))
        }
        [_, ..] => Some(format!(
            "{shown} must hold one secret on one line, which is the same on each node"
        )),
    };
    if let Some(fault) = fault {
        findings.problem(&[SECRET_FILE], fault);
        findings.distrust(SECRET_FILE);
        return;
    }
    cluster.secret = file.secrets.into_iter().next().map(|(_, secret)| secret);
}

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
            &[SECRET_FILE, "cluster.name"],
            "whoever reaches the nodes could write into the log: set cluster.secret_file to a file with one secret, \
             the same on each node (\"openssl rand -hex 32\" makes one)",
        );
    }
    address(config, &networks, findings);
}

fn unused(cluster: &Cluster, findings: &mut Findings<'_>) {
    let set = [
        ("cluster.address", cluster.address.is_some()),
        (SECRET_FILE, cluster.secret_file.is_some()),
        ("cluster.logs", (2..=MAX_LOGS).contains(&cluster.logs)),
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
    if address.ip().to_canonical().is_loopback() && !is_all_on_this_machine(config) {
        findings.warning(
            "cluster.address",
            "only this machine reaches it: nodes on other machines take each other for a former life of their own; set \
             the address of this machine in the network of the nodes, such as \"10.0.0.5:4100\"",
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

/// Whether the replica is on this machine too, as where somebody tries a cluster out.
fn is_all_on_this_machine(config: &Config) -> bool {
    let urls = match &config.wal.replica {
        Some(ReplicaUrl::Nats(servers)) => servers.as_slice(),
        Some(ReplicaUrl::Bucket { .. }) => config.lake.endpoint.as_slice(),
        // That it is missing is said elsewhere.
        None => return true,
    };
    !urls.is_empty() && urls.iter().all(|url| is_of_this_machine(url))
}

fn is_of_this_machine(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
