//! The compose file of a cluster: what it mounts is there, its addresses fit together, and the program and the shell take
//! what is theirs. There is no Docker here, so nothing starts it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use serde_json::Value;

use super::{parsed, repository, said, sh, text_of};
use crate::support::process::Setup;

const DIR: &str = "deploy/cluster";
const NODES: [&str; 3] = ["node1", "node2", "node3"];
const SERVERS: [&str; 3] = ["n1", "n2", "n3"];

fn compose() -> Value {
    parsed(&repository().join(DIR).join("compose.yml"))[0].clone()
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap()).collect()
}

fn address_of(node: &Value) -> SocketAddr {
    let address = &node["environment"]["LAKEHOOK_CLUSTER__ADDRESS"];
    address.as_str().unwrap().parse().unwrap()
}

/// The words that follow a first word on a line of the balancer's configuration.
fn lines_of(first: &str) -> Vec<String> {
    let text = text_of(&format!("{DIR}/haproxy.cfg"));
    let lines = text.lines().map(str::trim);
    let own = lines.filter_map(|line| line.strip_prefix(first)?.strip_prefix(' '));
    own.map(str::to_owned).collect()
}

#[test]
fn what_the_cluster_mounts_is_there_and_is_published_on_this_machine_alone() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let expected = NODES.iter().chain(&SERVERS);
    let expected = expected.chain(&["balancer", "prepare", "localstack"]);
    let expected: BTreeSet<&str> = expected.copied().collect();
    let names: BTreeSet<&str> = services.keys().map(String::as_str).collect();
    assert_eq!(names, expected);
    let mut published = BTreeSet::new();
    for (name, service) in services {
        for mount in texts(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let is_there = if source.starts_with('.') {
                repository().join(DIR).join(source).is_file()
            } else {
                compose["volumes"].get(source).is_some()
            };
            assert!(is_there, "{name}: {mount}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            assert!(published.insert(port.rsplit_once(':').unwrap().0.to_owned()));
        }
        let image = service["image"].as_str().unwrap();
        let is_pinned = image == "lakehook"
            || image
                .split_once(':')
                .is_some_and(|(_, tag)| tag != "latest");
        assert!(is_pinned, "{name}: {image}");
        let needed = &service["depends_on"];
        let needed: Vec<&str> = match needed.as_object() {
            Some(needed) => needed.keys().map(String::as_str).collect(),
            None => texts(needed),
        };
        assert!(needed.iter().all(|other| names.contains(other)), "{name}");
    }
    assert_eq!(published.len(), 4);
    // The servers keep the log as those of deploy/nats do.
    let alone = parsed(&repository().join("deploy/nats/compose.yml"))[0]["services"].clone();
    for name in SERVERS {
        for key in ["image", "command", "environment", "stop_grace_period"] {
            assert_eq!(services[name][key], alone[name][key], "{name}: {key}");
        }
        assert!(texts(&services[name]["volumes"]).contains(&format!("{name}:/data").as_str()));
    }
}

#[test]
fn the_balancer_asks_each_node_where_it_listens() {
    let compose = compose();
    let config: Value = parsed(&repository().join(DIR).join("lakehook.toml"));
    let listen: SocketAddr = config["server"]["listen"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let subnet = &compose["networks"]["nodes"]["ipam"]["config"][0]["subnet"];
    assert_eq!(
        texts(&config["server"]["trusted_proxies"]),
        [subnet.as_str().unwrap()]
    );
    let mut expected = Vec::new();
    for name in NODES {
        let node = &compose["services"][name];
        let address = address_of(node);
        let own = &node["networks"]["nodes"]["ipv4_address"];
        assert_eq!(address.ip().to_string(), own.as_str().unwrap(), "{name}");
        let (network, _) = subnet.as_str().unwrap().split_once(".0/24").unwrap();
        assert!(
            own.as_str().unwrap().starts_with(&format!("{network}.")),
            "{name}"
        );
        let inside = format!(":{}", listen.port());
        assert!(texts(&node["ports"])[0].ends_with(&inside), "{name}");
        expected.push(format!("{name} {}{inside}", address.ip()));
    }
    assert_eq!(lines_of("server"), expected);
    let port = texts(&compose["services"]["balancer"]["ports"])[0].to_owned();
    let bound = lines_of("bind").remove(0);
    assert_eq!(
        port.rsplit_once(':').unwrap().1,
        bound.trim_start_matches(':')
    );
    assert_eq!(lines_of("option httpchk"), ["GET /ready"]);
    assert_eq!(lines_of("http-check"), ["expect status 200"]);
    // A request that may have been stored is never sent to another node by the balancer itself.
    assert_eq!(lines_of("retry-on"), ["conn-failure"]);
    // It notices before a node that stops refuses.
    let delay = config["server"]["drain_delay"].as_str().unwrap();
    let delay: u32 = delay.trim_end_matches('s').parse().unwrap();
    assert!(lines_of("default-server")[0].contains("inter 1s fall 2"));
    assert!(delay > 4, "{delay} s");
    let grace = config["server"]["shutdown_grace"].as_str().unwrap();
    let grace: u32 = grace.trim_end_matches('s').parse().unwrap();
    for name in NODES {
        let stop = compose["services"][name]["stop_grace_period"]
            .as_str()
            .unwrap();
        let stop: u32 = stop.trim_end_matches('s').parse().unwrap();
        assert!(stop > delay + grace, "{name}");
    }
}

/// The script that makes the secret, and the configuration of each node with it. The lake and the replica are not there.
#[test]
fn each_node_has_a_configuration_that_holds() {
    let compose = compose();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("cluster.secret");
    let metadata = dir.path().metadata().unwrap();
    let owner = format!("{}:{}", metadata.uid(), metadata.gid());
    let script = format!("{DIR}/prepare.sh");
    let make = || {
        let made = sh(&[script.as_str(), secret.to_str().unwrap(), owner.as_str()]);
        assert!(made.status.success(), "{}", said(&made));
        std::fs::read_to_string(&secret).unwrap()
    };
    let first = make();
    assert_eq!(first.len(), 64, "{first}");
    assert_eq!(
        secret.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    // Another start leaves it as it is.
    assert_eq!(make(), first);
    let prepare = &compose["services"]["prepare"];
    let config = text_of(&format!("{DIR}/lakehook.toml"));
    let mounted = texts(&prepare["command"])[2].to_owned();
    assert!(
        config.contains(&format!("secret_file = \"{mounted}\"")),
        "{mounted}"
    );
    for name in NODES {
        let node = &compose["services"][name];
        let mounts = texts(&node["volumes"]);
        assert!(mounts.contains(&"secret:/run/lakehook:ro"), "{mounts:?}");
        let mut setup = Setup::new("")
            .env("LAKEHOOK_CLUSTER__SECRET_FILE", secret.to_str().unwrap())
            .env("LAKEHOOK_SERVER__LISTEN", "0.0.0.0:4000");
        for (name, value) in node["environment"].as_object().unwrap() {
            if name.contains("__") {
                setup = setup.env(name, value.as_str().unwrap());
            }
        }
        setup.configure(&config);
        let shown = setup.run(&["config", "--set"]);
        assert!(shown.status.success(), "{}", said(&shown));
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(!shown.contains("# warning"), "{shown}");
        let address = address_of(node).to_string();
        assert!(shown.contains(&address), "{shown}");
        for server in SERVERS {
            assert!(shown.contains(&format!("{server}:4222")), "{shown}");
        }
    }
}
