//! The compose file of three servers of NATS, and their configuration, which the real server reads.

use super::{parsed, repository, text_of};
use crate::support::nats::Nats;
use crate::support::needs::Need;

#[test]
fn three_servers_with_disks_of_their_own_are_one_cluster() {
    let compose = parsed(&repository().join("deploy/nats/compose.yml"));
    let compose = &compose[0];
    let servers = compose["services"].as_object().unwrap();
    assert_eq!(servers.len(), 3);
    let config = text_of("deploy/nats/nats.conf");
    for (name, server) in servers {
        assert_eq!(server["environment"]["NATS_NAME"], name.as_str());
        assert!(
            config.contains(&format!("\"nats://{name}:6222\"")),
            "{name}"
        );
        let volumes = server["volumes"].as_array().unwrap();
        assert!(
            volumes.contains(&format!("{name}:/data").into()),
            "{volumes:?}"
        );
        assert!(compose["volumes"].get(name).is_some(), "{name}");
        for port in server["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
        }
    }
    for line in [
        "sync_interval: always",
        "store_dir: /data",
        "max_payload: 8MB",
    ] {
        assert!(config.contains(line), "{line}");
    }
}

#[test]
fn the_server_takes_the_configuration() {
    let file = repository().join("deploy/nats/nats.conf");
    let Some(mut server) = Nats::program() else {
        return Need::NatsServer.skip("nats-server is not installed");
    };
    let output = server
        .args(["-t", "-c"])
        .arg(file)
        .env("NATS_NAME", "n1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
