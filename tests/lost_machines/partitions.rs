//! The network between the nodes of a cluster is bad: black holes, cut connections, late and lost answers. Whoever cannot
//! reach the owner says so and refuses; the owner stays the owner, and nothing is lost or stored twice.

use std::time::Duration;

use super::cluster::{HASTE, Machines, NODES, PATIENCE, all_is_there, goes_on, in_haste};
use super::config;
use crate::support::duckdb::Lake;
use crate::support::http::{self, Answer};
use crate::support::load::Source;
use crate::support::process::free_address;
use crate::support::proxy::{Mode, Proxy};
use crate::support::s3::S3Server;
use crate::support::ways::Ways;

struct Network {
    machines: Machines,
    ways: Ways,
    server: S3Server,
}

impl Network {
    fn new(seed: u64) -> Self {
        let server = S3Server::start(seed);
        let config = config(&server.endpoint(), "ndjson", "");
        let addresses: Vec<_> = (0..NODES).map(|_| free_address()).collect();
        let ways = Ways::between(&addresses);
        let machines = Machines::at(addresses.clone(), &config, seed, |node, setup| {
            in_haste(ways.lead(node, &addresses, setup))
        });
        Self {
            machines,
            ways,
            server,
        }
    }

    fn get(&self, node: usize, path: &str) -> Answer {
        http::get(self.machines.setups[node].address(), path).unwrap()
    }

    fn post(&self, node: usize, body: &[u8]) -> Answer {
        let address = self.machines.setups[node].address();
        http::post_json(address, "/webhook/events", body).unwrap()
    }

    /// How many requests a node could not have stored by the owner.
    fn forward_errors(&self, node: usize) -> f64 {
        let metrics = self.get(node, "/metrics").text();
        let lines = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("lakehook_cluster_forward_errors_total{"));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    }

    /// Waits until a node has noticed that it does not reach the owner, and checks that it says so and takes nothing.
    fn is_cut_off(&self, node: usize, owner: usize, event: &[u8]) {
        self.machines.wait_role(node, "looking");
        let ready = self.get(node, "/ready");
        let said = ready.text();
        let owner = self.machines.addresses[owner].to_string();
        assert_eq!(ready.status, 503, "{said}");
        let words = ["no-owner", &format!("{owner} does not answer for it")];
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        let why = self.machines.standing(node)["why"].to_string();
        assert!(why.contains(&owner), "{why}");
        let refused = self.post(node, event);
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("no-owner"), "{}", refused.text());
    }

    fn is_well(&self, node: usize) {
        self.machines.wait_role(node, "following");
        let ready = self.get(node, "/ready");
        assert_eq!(ready.status, 200, "{}", ready.text());
    }
}

/// One event that nobody else sends.
pub(super) fn event(seed: u64, number: u64) -> Vec<u8> {
    let now = lakehook::clock::Clock::system().now().wall;
    let source = Source { seed, now, days: 1 };
    // Every seventh is of a type that is dropped.
    source.body(number * 7..number * 7 + 1)
}

#[test]
fn an_owner_that_others_do_not_reach_stays_the_owner_while_it_stores() {
    let network = Network::new(251);
    let machines = &network.machines;
    let running = machines.start();
    let load = machines.load();
    goes_on(&load);
    let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
    let epoch = machines.standing(owner)["epoch"].clone();
    let [first, second] = Machines::others(owner)[..] else {
        panic!("there are three nodes");
    };
    let (to_first, to_second) = (
        network.ways.way(first, owner),
        network.ways.way(second, owner),
    );
    let is_owner_still = || {
        let standing = machines.standing(owner);
        assert_eq!(standing["role"], "owning", "{standing}");
        assert_eq!(standing["epoch"], epoch, "{standing}");
    };
    let refused = event(1251, 0);

    // Answers come late or never, and requests break off, while senders still ask each node: whoever is refused goes
    // on to the next one.
    to_second.delay(Duration::from_millis(150));
    goes_on(&load);
    let errors = network.forward_errors(second);
    to_second.lose_answers(true);
    // Acknowledgements alone could all come from the others.
    let is_lost = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        network.forward_errors(second) > errors
    });
    assert!(is_lost, "no answer was lost");
    goes_on(&load);
    to_second.lose_answers(false);
    to_first.cut_after(Some(20_000));
    for _ in 0..3 {
        goes_on(&load);
    }
    to_first.cut_after(None);
    to_second.delay(Duration::ZERO);
    for node in [first, second] {
        network.is_well(node);
    }
    is_owner_still();

    // A black hole on one way: the other node goes on.
    to_first.set(Mode::Stall);
    network.is_cut_off(first, owner, &refused);
    std::thread::sleep(HASTE);
    // It has been silent for longer than that.
    goes_on(&load);
    network.is_well(second);
    is_owner_still();
    to_first.set(Mode::Pass);
    network.is_well(first);

    // Connections are reset, on both ways: the owner takes what it is asked itself.
    for way in [to_first, to_second] {
        way.set(Mode::Reset);
    }
    for node in [first, second] {
        network.is_cut_off(node, owner, &refused);
    }
    std::thread::sleep(HASTE);
    // It has been silent for longer than that.
    goes_on(&load);
    is_owner_still();
    for way in [to_first, to_second] {
        way.set(Mode::Pass);
    }
    for node in [first, second] {
        network.is_well(node);
    }
    is_owner_still();
    goes_on(&load);

    let report = load.finish(PATIENCE);
    machines.stop(running);
    let lake = Lake::s3("s3://lake", &network.server.endpoint());
    all_is_there(machines, &report, &lake);
}

/// The owner has stored a request, and the other node never hears of it. Its sender asks again, and gets the truth.
#[test]
fn a_request_whose_answer_is_lost_is_a_duplicate_when_it_comes_again() {
    let network = Network::new(252);
    let machines = &network.machines;
    let running = machines.start();
    let owner = machines.wait_owner(&[0, 1, 2], PATIENCE);
    let others = Machines::others(owner);
    for node in &others {
        network.is_well(*node);
    }
    let way: &Proxy = network.ways.way(others[0], owner);
    let once = event(1252, 1);
    way.lose_answers(true);
    let unknown = network.post(others[0], &once);
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    way.lose_answers(false);
    for node in [owner, others[1]] {
        let again = network.post(node, &once);
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(again.json()["duplicates"], 1, "{}", again.text());
    }
    network.is_well(others[0]);
    machines.stop(running);
    let ids = Lake::s3("s3://lake", &network.server.endpoint()).ids();
    assert_eq!(ids.len(), 1, "{ids:?}");
}
