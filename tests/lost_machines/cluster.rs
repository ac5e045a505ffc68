//! Three nodes on one log, all of them under load: the owner is killed with its disk, paused and stopped, and every event
//! is there once, whichever node was asked, or asked again.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::streams::in_stream;
use super::{TAKEOVER, config, lose_disk, losses, polled, signal};
use crate::arrival::{DROPPED, STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::http::{self, Connection};
use crate::support::load::{Load, Plan, Report};
use crate::support::nats::Nats;
use crate::support::process::{Program, Setup, free_address};
use crate::support::s3::S3Server;

pub(super) const NODES: usize = 3;
/// Within this time, all that is under way has an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long an owner may be silent for nodes in haste.
pub(super) const HASTE: Duration = Duration::from_secs(2);
/// The secret of the cluster.
pub(super) const SECRET: &str = "00112233445566778899aabbccddeeff";

/// The machines of a cluster.
pub(super) struct Machines {
    pub(super) setups: Vec<Setup>,
    /// Where the nodes reach each other.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) seed: u64,
}

/// The nodes that run; `None` for a machine that is lost.
pub(super) type Running<'a> = Vec<Option<Program<'a>>>;

impl Machines {
    pub(super) fn new(config: &str, seed: u64) -> Self {
        Self::sharing(config, "", seed)
    }

    /// With these lines in the section of the cluster.
    pub(super) fn sharing(config: &str, cluster: &str, seed: u64) -> Self {
        let config = Self::config(config, cluster);
        Self::with(free_addresses(), &config, seed, |_, setup| setup)
    }

    /// Nodes that replace a silent owner soon.
    pub(super) fn hasty(config: &str, seed: u64) -> Self {
        Self::at(free_addresses(), config, seed, |_, setup| in_haste(setup))
    }

    /// Nodes that reach each other at these addresses; `change` may change each of them.
    pub(super) fn at(
        addresses: Vec<SocketAddr>,
        config: &str,
        seed: u64,
        change: impl Fn(usize, Setup) -> Setup,
    ) -> Self {
        Self::with(addresses, &Self::config(config, ""), seed, change)
    }

    fn with(
        addresses: Vec<SocketAddr>,
        config: &str,
        seed: u64,
        change: impl Fn(usize, Setup) -> Setup,
    ) -> Self {
        let setup = |node: usize| {
            let address = addresses[node].to_string();
            let setup = Setup::new(config).env("LAKEHOOK_CLUSTER__ADDRESS", &address);
            let secret = setup.directory().join("cluster.secret");
            fs::write(&secret, format!("{SECRET}\n")).unwrap();
            fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
            change(node, setup)
        };
        let setups = (0..NODES).map(setup).collect();
        Self {
            setups,
            addresses,
            seed,
        }
    }

    /// The configuration of each of them, but for their addresses.
    pub(super) fn config(config: &str, cluster: &str) -> String {
        format!("{config}\n[cluster]\nname = \"prod\"\nsecret_file = \"cluster.secret\"\n{cluster}")
    }

    pub(super) fn start(&self) -> Running<'_> {
        let spawned: Vec<_> = self.setups.iter().map(Setup::spawn).collect();
        let mut running = Vec::new();
        for mut program in spawned {
            program.wait_ready(PATIENCE);
            running.push(Some(program));
        }
        running
    }

    pub(super) fn load(&self) -> Load {
        let mut plan = Plan::new(self.setups[0].address(), self.seed);
        plan.others = self.setups[1..].iter().map(Setup::address).collect();
        plan.connections = 6;
        // So many that their rows are packed before they are forwarded.
        plan.events_per_request = 120;
        plan.repeats = 0.05;
        plan.think = Duration::from_millis(10);
        plan.timeout = Duration::from_secs(5);
        Load::start(plan)
    }

    /// What a node says of its place in the cluster; null if it does not answer.
    pub(super) fn standing(&self, node: usize) -> Value {
        let answer = http::get(self.setups[node].address(), "/health");
        answer.map_or(Value::Null, |answer| answer.json()["cluster"].clone())
    }

    fn is(&self, node: usize, role: &str) -> bool {
        self.standing(node)["role"] == role
    }

    /// Waits until one of these nodes owns the log.
    pub(super) fn wait_owner(&self, among: &[usize], limit: Duration) -> usize {
        let began = Instant::now();
        loop {
            if let Some(owner) = among.iter().find(|node| self.is(**node, "owning")) {
                return *owner;
            }
            assert!(began.elapsed() < limit, "no owner:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn wait_role(&self, node: usize, role: &str) {
        let began = Instant::now();
        while !self.is(node, role) {
            let standing = self.standing(node);
            assert!(
                began.elapsed() < PATIENCE,
                "{node} is {standing}:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn others(node: usize) -> Vec<usize> {
        (0..NODES).filter(|other| *other != node).collect()
    }

    pub(super) fn said(&self) -> String {
        let said = self.setups.iter().enumerate();
        let said = said.map(|(node, setup)| format!("--- node {node}\n{}", setup.stderr()));
        said.collect::<Vec<_>>().join("\n")
    }

    /// Waits until the owner has shipped everything.
    pub(super) fn wait_shipped(&self, owner: usize) {
        let began = Instant::now();
        loop {
            let answer = http::get(self.setups[owner].address(), "/health");
            let answer = answer.unwrap().json();
            if answer["buffer_size"] == 0 {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{answer}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops all nodes, the owner last, so that nobody takes over what it ships.
    pub(super) fn stop(&self, mut running: Running<'_>) {
        let owner = self.wait_owner(&[0, 1, 2], PATIENCE);
        for node in Self::others(owner).into_iter().chain([owner]) {
            if let Some(program) = running[node].take() {
                assert!(program.stop(STOP_LIMIT).success(), "{}", self.said());
            }
        }
        let said = self.setups[owner].stderr();
        assert!(said.contains("everything is in the lake"), "{said}");
    }
}

fn free_addresses() -> Vec<SocketAddr> {
    (0..NODES).map(|_| free_address()).collect()
}

/// A node that replaces an owner that has been silent for [`HASTE`].
pub(super) fn in_haste(setup: Setup) -> Setup {
    let after = format!("{}s", HASTE.as_secs());
    setup.env("LAKEHOOK_CLUSTER__TAKEOVER_AFTER", &after)
}

/// Whichever node took an event, each of them knows it.
pub(super) fn is_known_everywhere(machines: &Machines, report: &Report) {
    let mut kept = report
        .acknowledged()
        .filter(|event| !DROPPED.contains(&event.kind));
    let mut body = b"{\"events\":[".to_vec();
    kept.next().unwrap().write(&mut body);
    body.extend_from_slice(b"]}");
    for setup in &machines.setups {
        let mut connection = Connection::open(setup.address(), PATIENCE).unwrap();
        let answer = connection.post_json("/webhook/events", &body).unwrap();
        let said = answer.text();
        assert_eq!(answer.status, 200, "{said}\n{}", machines.said());
        assert_eq!(answer.json()["duplicates"], 1, "{said}");
    }
}

/// What was acknowledged is in the lake, once, and a machine that has never seen the log can prove it.
pub(super) fn all_is_there(machines: &Machines, report: &Report, lake: &Lake) {
    let count = check(report, lake);
    assert!(count.rows > 300, "only {} events", count.rows);
    let setup = &machines.setups[0];
    lose_disk(setup);
    crate::audit::adds_up(setup, &["data/wal"]);
}

/// Waits until some more events are acknowledged.
pub(super) fn goes_on(load: &Load) {
    let before = load.acknowledged();
    load.wait_acknowledged(before + 200, PATIENCE);
}

/// SIGKILL of the owner under load, its disk deleted, again and again.
fn owners_are_lost(machines: &Machines, lake: &Lake) {
    let mut running = machines.start();
    let load = machines.load();
    goes_on(&load);
    let mut slowest = Duration::ZERO;
    for _ in 0..losses().min(3) {
        let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
        let began = Instant::now();
        running[owner].take().unwrap().kill();
        lose_disk(&machines.setups[owner]);
        machines.wait_owner(&Machines::others(owner), PATIENCE);
        slowest = slowest.max(began.elapsed());
        goes_on(&load);
        running[owner] = Some(machines.setups[owner].start());
        machines.wait_role(owner, "following");
        goes_on(&load);
    }
    let report = load.finish(PATIENCE);
    for program in running.iter_mut().flatten() {
        // A bystander needs a second to find the new owner.
        program.wait_ready(PATIENCE);
    }
    is_known_everywhere(machines, &report);
    machines.stop(running);
    let events = report.acknowledged().count();
    println!("{events} events acknowledged; the slowest takeover took {slowest:?}");
    all_is_there(machines, &report, lake);
    assert!(slowest < TAKEOVER, "a takeover took {slowest:?}");
}

/// The owner is paused under load until another node has taken over and shipped everything. When it wakes up, it puts
/// nothing and follows; then that one is told to stop, and hands over at once.
fn owners_are_paused_and_stopped(machines: &Machines, lake: &Lake, server: &S3Server) {
    let mut running = machines.start();
    let load = machines.load();
    load.wait_acknowledged(300, PATIENCE);
    let first = machines.wait_owner(&[0, 1, 2], PATIENCE);
    let paused = running[first].as_ref().unwrap();
    signal(paused, Signal::STOP);
    let second = machines.wait_owner(&Machines::others(first), PATIENCE);
    let before = load.acknowledged();
    load.wait_acknowledged(before + 300, PATIENCE);
    // Whatever the paused node still has to do is known by now.
    let report = load.finish(PATIENCE);
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    machines.wait_shipped(second);
    let objects = server.keys("events/");
    let before = machines.setups[first].stderr().len();
    signal(paused, Signal::CONT);
    machines.wait_role(first, "following");
    let said = machines.setups[first].stderr().split_off(before);
    assert!(
        said.contains("another node has taken the log over"),
        "{said}"
    );
    is_known_everywhere(machines, &report);
    machines.wait_shipped(second);
    let now = server.keys("events/");
    assert_eq!(now, objects, "the former owner has put something");
    // A planned end is no loss.
    let began = Instant::now();
    let stopping = running[second].take().unwrap();
    stopping.terminate();
    let third = machines.wait_owner(&Machines::others(second), PATIENCE);
    let took = began.elapsed();
    assert!(stopping.stop(STOP_LIMIT).success(), "{}", machines.said());
    assert!(took < Duration::from_secs(5), "the hand-over took {took:?}");
    running[second] = Some(machines.setups[second].start());
    assert_eq!(machines.wait_owner(&[0, 1, 2], PATIENCE), third);
    machines.stop(running);
    let ids = lake.ids();
    for event in report.acknowledged() {
        let times = ids.iter().filter(|id| **id == event.id).count();
        let expected = usize::from(!DROPPED.contains(&event.kind));
        assert_eq!(times, expected, "{}", event.id);
    }
    crate::audit::adds_up(&machines.setups[third], &["data/wal"]);
}

#[test]
fn owners_are_lost_and_other_nodes_go_on_with_a_bucket() {
    let server = S3Server::start(241);
    let (_api, more) = polled();
    let config = config(&server.endpoint(), "ndjson.zst", &more);
    let machines = Machines::new(&config, 241);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    owners_are_lost(&machines, &lake);
    lake.runs("things", "id").check();
}

#[test]
fn owners_are_lost_and_other_nodes_go_on_with_a_stream() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(242);
    let config = in_stream(&nats, &config(&server.endpoint(), "ndjson", ""));
    let machines = Machines::new(&config, 242);
    owners_are_lost(&machines, &Lake::s3("s3://lake", &server.endpoint()));
}

#[test]
fn an_owner_that_was_paused_follows_and_one_that_stops_hands_over_with_a_bucket() {
    let server = S3Server::start(243);
    let machines = Machines::new(&config(&server.endpoint(), "ndjson", ""), 243);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    owners_are_paused_and_stopped(&machines, &lake, &server);
}

#[test]
fn an_owner_that_was_paused_follows_and_one_that_stops_hands_over_with_a_stream() {
    let Some(nats) = Nats::start() else { return };
    let server = S3Server::start(244);
    let config = in_stream(&nats, &config(&server.endpoint(), "ndjson", ""));
    let machines = Machines::new(&config, 244);
    let lake = Lake::s3("s3://lake", &server.endpoint());
    owners_are_paused_and_stopped(&machines, &lake, &server);
}
