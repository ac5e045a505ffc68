//! What a node says that follows the owner of the log: in its console, in its metrics, to commands that only the owner can
//! carry out, and to `lakehook check`.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::config;
use crate::arrival::STOP_LIMIT;
use crate::http::{body, event, post};
use crate::support::api::{Api, page};
use crate::support::http;
use crate::support::process::{Setup, free_address};
use crate::support::s3::S3Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// A machine of a cluster.
struct Machine {
    setup: Setup,
    /// Where other nodes reach it.
    address: SocketAddr,
    console: SocketAddr,
}

impl Machine {
    fn new(config: &str) -> Self {
        let (address, console) = (free_address(), free_address());
        let setup = Setup::new(config)
            .env("LAKEHOOK_CLUSTER__ADDRESS", &address.to_string())
            .env("LAKEHOOK_SERVER__CONSOLE_LISTEN", &console.to_string());
        write_secret(&setup, "00112233445566778899aabbccddeeff");
        fs::create_dir(setup.directory().join("schemas")).unwrap();
        fs::create_dir(setup.directory().join("outbox")).unwrap();
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer","maximum":0}}}"#;
        fs::write(setup.directory().join("schemas/click.json"), schema).unwrap();
        Self {
            setup,
            address,
            console,
        }
    }

    fn standing(&self) -> Value {
        let answer = http::get(self.setup.address(), "/health");
        answer.map_or(Value::Null, |answer| answer.json()["cluster"].clone())
    }

    fn page(&self, path: &str) -> String {
        let answer = http::get(self.console, path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// What a command says that must end with this code.
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = self.setup.run(arguments);
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }
}

fn write_secret(setup: &Setup, secret: &str) {
    let file = setup.directory().join("cluster.secret");
    fs::write(&file, secret).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A poll and a call, whose API is never asked for anything that matters here.
fn feeds(api: &Api) -> String {
    let url = api.url();
    format!(
        "[events]\nschemas = \"schemas\"\non_invalid = \"quarantine\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.things]\nurl = \"{url}/things\"\nrecords = \"/things\"\nid = \"id\"\nevery = \"1h\"\n\
         [api.score]\nurl = \"{url}\"\nauth = {{ type = \"header\", header = \"x-api-key\", token = \"s3cret-key\" }}\n\
         [call.score]\napi = \"score\"\nrows = \"outbox/*.ndjson\"\npath = \"/score\"\ngroup = \"id\"\nbody = \"/rows\"\n\
         records = \"/value\"\nid = \"id\"\n[cluster]\nname = \"prod\"\nsecret_file = \"cluster.secret\"\n"
    )
}

fn the_console_shows_what_it_forwards(follower: &Machine, owner: &Machine) {
    let owner_is = owner.address.to_string();
    let overview = follower.page("/");
    for part in [
        format!("Follows {owner_is}"),
        format!("<code>{owner_is}</code>, which owns the log (epoch 1)"),
        "Requests forwarded".to_owned(),
        "1\u{a0}request stored at the owner since the start".to_owned(),
        "0\u{a0}requests since the start, whose senders try again".to_owned(),
    ] {
        assert!(overview.contains(&part), "{part} in {overview}");
    }
    // What would be empty here is at the owner.
    for part in ["Log on disk", "On its way to the lake", "Into the lake"] {
        assert!(!overview.contains(part), "{part} in {overview}");
        assert!(owner.page("/").contains(part), "{part}");
    }
    let live = follower.page("/node");
    assert!(
        live.contains("What it does") && live.contains("Follows"),
        "{live}"
    );
    let polls = follower.page("/polls");
    assert!(
        polls.contains("which owns the log") && !polls.contains("Run now"),
        "{polls}"
    );
    let polls = owner.page("/polls");
    assert!(
        !polls.contains("which owns the log") && polls.contains("Run now"),
        "{polls}"
    );
    assert!(owner.page("/").contains("Owns the log"));
}

fn commands_name_the_owner(follower: &Machine, owner: &Machine) {
    let expected = format!(
        "this node follows {}, which owns the log (epoch 1): do this on that machine",
        owner.address
    );
    for arguments in [
        &["poll"][..],
        &["polls", "state", "show"],
        &["call"],
        &["quarantine", "replay"],
        &["erase", "--stream", "events", "--where", "user_id=u1"],
        &["retain", "--older-than", "400d"],
    ] {
        let said = follower.run(arguments, 1);
        assert!(said.contains(&expected), "{arguments:?}: {said}");
        assert!(!said.contains("in use by process"), "{arguments:?}: {said}");
    }
    // Nothing that was refused keeps the owner from it.
    let said = owner.run(&["retain", "--older-than", "400d"], 0);
    assert!(!said.contains("under way"), "{said}");
    let said = owner.run(&["poll"], 0);
    assert!(said.contains("things"), "{said}");
}

fn check_looks_at_the_cluster(follower: &Machine, owner: &Machine) {
    let said = follower.run(&["check"], 0);
    let fine = format!(
        "ok       cluster prod: {} owns the log (epoch 1), and answers",
        owner.address
    );
    assert!(said.contains(&fine), "{said}");
    let said = owner.run(&["check"], 0);
    assert!(
        said.contains("at the address of this configuration"),
        "{said}"
    );
    // A third machine, with what people get wrong.
    let third = |more: &[(&str, &str)]| {
        let config = fs::read_to_string(follower.setup.directory().join("lakehook.toml")).unwrap();
        let mut machine = Machine::new(&config);
        for (name, value) in more {
            machine.setup = machine.setup.env(name, value);
        }
        machine
    };
    let stranger = third(&[]);
    write_secret(&stranger.setup, "ffeeddccbbaa99887766554433221100");
    let taken = owner.address.to_string();
    for (machine, words) in [
        (
            stranger,
            "cluster.secret_file must hold the same secret on each node",
        ),
        (
            third(&[("LAKEHOOK_CLUSTER__NAME", "test")]),
            "two clusters need two logs",
        ),
        (
            third(&[("LAKEHOOK_CLUSTER__ADDRESS", taken.as_str())]),
            "stop what listens there",
        ),
        (
            third(&[("LAKEHOOK_CLUSTER__ADDRESS", "10.255.255.254:4100")]),
            "it is no address of this machine",
        ),
        (
            third(&[("LAKEHOOK_DEDUP__IGNORE", "[\"/properties/a\"]")]),
            "takes other events for the same",
        ),
        (
            third(&[
                ("LAKEHOOK_CLUSTER__NETWORKS", "[\"10.0.0.0/8\"]"),
                ("LAKEHOOK_CLUSTER__ADDRESS", "10.255.255.254:4100"),
            ]),
            "its address is in none of cluster.networks",
        ),
    ] {
        let said = machine.run(&["check"], 1);
        let problem = said
            .lines()
            .find(|line| line.starts_with("problem") && line.contains(words));
        assert!(problem.is_some(), "{words} in {said}");
    }
    let third = third(&[]);
    let said = third.run(&["check"], 0);
    assert!(
        said.contains(&format!("ok       cluster.address ({})", third.address)),
        "{said}"
    );
}

#[test]
fn a_follower_says_who_owns_the_log_wherever_it_is_asked() {
    let server = S3Server::start(251);
    let api = Api::start(|_, _| page(serde_json::json!({"things": [{"id": 1}]})));
    let config = config(&server.endpoint(), "ndjson", &feeds(&api));
    let (owner, follower) = (Machine::new(&config), Machine::new(&config));
    let owning = owner.setup.start();
    wait("an owner", || owner.standing()["role"] == "owning");
    let following = follower.setup.start();
    wait("a follower", || follower.standing()["role"] == "following");
    // One is stored, one goes to the quarantine.
    let sent = body(&[
        event(1, "click", "{\"n\":0}"),
        event(2, "click", "{\"n\":5}"),
    ]);
    let answer = post(&follower.setup, sent);
    assert_eq!(answer.status, 200, "{}", answer.text());
    the_console_shows_what_it_forwards(&follower, &owner);
    for (machine, owns) in [(&owner, 1), (&follower, 0)] {
        let page = http::get(machine.setup.address(), "/metrics")
            .unwrap()
            .text();
        let line = format!("lakehook_cluster_owner{{cluster=\"prod\",log=\"0\"}} {owns}");
        assert!(page.lines().any(|shown| shown == line), "{line} in {page}");
    }
    wait("a refused event in the lake", || {
        !server.keys("quarantine/events/").is_empty()
    });
    commands_name_the_owner(&follower, &owner);
    check_looks_at_the_cluster(&follower, &owner);
    assert!(following.stop(STOP_LIMIT).success());
    assert!(
        owning.stop(STOP_LIMIT).success(),
        "{}",
        owner.setup.stderr()
    );
}
