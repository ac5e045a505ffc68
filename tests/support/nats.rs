//! NATS servers of one cluster, each a process with a store of its own, which syncs before it answers.
//!
//! Their routes can lead through proxies, so that a server can be cut off from the others.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::needs::Need;
use super::proxy::{Mode, Proxy};
use super::python;

/// How long a cluster may take until JetStream has leaders.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Three ports of a server: for clients, for other servers, and for whoever watches it.
#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    routes: u16,
    monitor: u16,
}

/// How a cluster is to be.
#[derive(Clone, Debug)]
pub(crate) struct NatsPlan {
    pub(crate) servers: usize,
    pub(crate) sync: &'static str,
    pub(crate) max_payload: u64,
    /// More of each server's configuration: who may connect, and how.
    pub(crate) more: String,
    /// Whether servers reach each other through proxies.
    pub(crate) has_proxies: bool,
    /// Where the stores are, if not beside the configuration.
    pub(crate) stores: Vec<PathBuf>,
}

impl Default for NatsPlan {
    /// Three servers that sync before they answer, and that take messages of a megabyte.
    fn default() -> Self {
        Self {
            servers: 3,
            sync: "always",
            max_payload: 1 << 20,
            more: String::new(),
            has_proxies: false,
            stores: Vec::new(),
        }
    }
}

/// A running cluster; killed when dropped.
#[derive(Debug)]
pub(crate) struct Nats {
    dir: TempDir,
    plan: NatsPlan,
    ports: Vec<Ports>,
    servers: Vec<Option<Child>>,
    /// What leads from one server to another.
    proxies: Vec<(usize, usize, Proxy)>,
}

fn program() -> PathBuf {
    python::python().with_file_name("nats-server")
}

impl Nats {
    /// Starts three servers and waits until they keep streams; `None` where there is no server, so that the test is
    /// skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::planned(NatsPlan::default())
    }

    /// The server, if it is installed.
    pub(crate) fn program() -> Option<Command> {
        program().exists().then(|| Command::new(program()))
    }

    /// The same as it is planned.
    pub(crate) fn planned(plan: NatsPlan) -> Option<Self> {
        if !program().exists() {
            Need::NatsServer.skip("nats-server is not installed");
            return None;
        }
        let ports = free_ports(plan.servers);
        let mut nats = Self {
            dir: TempDir::new().unwrap(),
            proxies: Vec::new(),
            servers: Vec::new(),
            ports,
            plan,
        };
        if nats.plan.has_proxies {
            nats.proxies = nats.lead_through_proxies();
        }
        for number in 0..nats.plan.servers {
            let server = nats.spawn(number);
            nats.servers.push(Some(server));
        }
        nats.wait_ready();
        Some(nats)
    }

    fn lead_through_proxies(&self) -> Vec<(usize, usize, Proxy)> {
        let all = 0..self.ports.len();
        let pairs = all
            .clone()
            .flat_map(|from| all.clone().map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to);
        let to_proxy = |(from, to): (usize, usize)| {
            let target = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[to].routes));
            (from, to, Proxy::start(target))
        };
        pairs.map(to_proxy).collect()
    }

    /// The ports by which a server reaches the others.
    fn ways_from(&self, number: usize) -> Vec<u16> {
        if !self.plan.has_proxies {
            return self.ports.iter().map(|ports| ports.routes).collect();
        }
        let own = self.proxies.iter().filter(|(from, _, _)| *from == number);
        own.map(|(_, _, proxy)| proxy.address().port()).collect()
    }

    fn spawn(&self, number: usize) -> Child {
        let Ports {
            clients,
            routes,
            monitor,
        } = self.ports[number];
        let NatsPlan {
            sync,
            max_payload,
            more,
            has_proxies,
            ..
        } = &self.plan;
        let ways = self.ways_from(number).into_iter();
        let ways: Vec<_> = ways
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let ways = ways.join(", ");
        // Otherwise servers would tell each other the addresses behind the proxies. Nobody listens there.
        let telling = if *has_proxies {
            "advertise: \"127.0.0.1:1\""
        } else {
            ""
        };
        let cluster = if self.ports.len() > 1 {
            format!(
                "cluster {{ name: test, listen: \"127.0.0.1:{routes}\", routes: [{ways}]\n{telling}\n}}\n"
            )
        } else {
            String::new()
        };
        let beside = self.dir.path().join(format!("store-{number}"));
        let store = self.plan.stores.get(number).unwrap_or(&beside).display();
        let config = format!(
            "server_name: n{number}\nlisten: \"127.0.0.1:{clients}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
             max_payload: {max_payload}\n\
             jetstream {{ store_dir: \"{store}\", sync_interval: {sync}, max_file_store: 4GB }}\n{cluster}{more}"
        );
        let file = self.dir.path().join(format!("n{number}.conf"));
        fs::write(&file, config).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("n{number}.log")));
        Command::new(program())
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn()
            .unwrap()
    }

    /// `nats://127.0.0.1:P1,127.0.0.1:P2,127.0.0.1:P3`.
    pub(crate) fn url(&self) -> String {
        self.url_of("nats")
    }

    /// The same with another scheme.
    pub(crate) fn url_of(&self, scheme: &str) -> String {
        let all = self
            .ports
            .iter()
            .map(|ports| format!("127.0.0.1:{}", ports.clients));
        format!("{scheme}://{}", all.collect::<Vec<_>>().join(","))
    }

    /// The URLs of the servers, each by itself.
    pub(crate) fn urls(&self) -> Vec<String> {
        let all = self.ports.iter();
        all.map(|ports| format!("nats://127.0.0.1:{}", ports.clients))
            .collect()
    }

    /// The URLs at which the servers say how they are, as TOML.
    pub(crate) fn monitors(&self) -> String {
        let all = self
            .ports
            .iter()
            .map(|ports| format!("\"http://127.0.0.1:{}\"", ports.monitor));
        format!("[{}]", all.collect::<Vec<_>>().join(", "))
    }

    /// What a server says of itself.
    fn says(&self, number: usize, path: &str) -> Option<serde_json::Value> {
        use std::io::{Read as _, Write as _};
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[number].monitor));
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let body = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        serde_json::from_slice(&answer[body..]).ok()
    }

    /// Waits until the cluster has a leader, and all servers are with it.
    pub(crate) fn wait_ready(&mut self) {
        let began = Instant::now();
        loop {
            let running = (0..self.servers.len()).filter(|number| self.servers[*number].is_some());
            let ready = running.filter(|number| {
                let health = self.says(*number, "/healthz");
                let jetstream = self.says(*number, "/jsz");
                let has_leader = jetstream.is_some_and(|says| {
                    self.ports.len() == 1
                        || says["meta_cluster"]["leader"]
                            .as_str()
                            .is_some_and(|name| !name.is_empty())
                });
                health.is_some_and(|says| says["status"] == "ok") && has_leader
            });
            if ready.count() == self.running() {
                return;
            }
            assert!(
                began.elapsed() < READY_LIMIT,
                "NATS does not get ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn running(&self) -> usize {
        self.servers.iter().flatten().count()
    }

    fn log(&self) -> String {
        let logs = (0..self.ports.len()).map(|number| {
            fs::read_to_string(self.dir.path().join(format!("n{number}.log"))).unwrap_or_default()
        });
        logs.collect()
    }

    /// Kills a server; its store stays.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut server) = self.servers[number].take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts a server again that was killed.
    pub(crate) fn revive(&mut self, number: usize) {
        if self.servers[number].is_none() {
            self.servers[number] = Some(self.spawn(number));
        }
    }

    /// Stops a server for a while, or lets it go on.
    pub(crate) fn pause(&self, number: usize, is_paused: bool) {
        let server = self.servers[number].as_ref().unwrap();
        let pid = Pid::from_raw(i32::try_from(server.id()).unwrap()).unwrap();
        let signal = if is_paused {
            Signal::STOP
        } else {
            Signal::CONT
        };
        kill_process(pid, signal).unwrap();
    }

    /// From now on, this happens to what a server and the others send each other.
    pub(crate) fn between(&self, number: usize, mode: Mode) {
        let ways = self.proxies.iter();
        let ways = ways.filter(|(from, to, _)| *from == number || *to == number);
        for (_, _, proxy) in ways {
            proxy.set(mode);
        }
    }

    /// The server that leads a stream, by its own word.
    pub(crate) fn leader_of(&self, stream: &str) -> Option<usize> {
        (0..self.servers.len()).find(|number| {
            let own = format!("n{number}");
            self.leader_by(*number, stream).as_deref() == Some(&own)
        })
    }

    /// The leader of a stream, as one of the servers knows it.
    pub(crate) fn leader_by(&self, number: usize, stream: &str) -> Option<String> {
        let says = self.stream_by(number, stream)?;
        says["cluster"]["leader"].as_str().map(str::to_owned)
    }

    /// Bytes of the messages of a stream.
    pub(crate) fn bytes_of(&self, stream: &str) -> Option<u64> {
        let leader = self.leader_of(stream)?;
        self.stream_by(leader, stream)?["state"]["bytes"].as_u64()
    }

    /// What a server says of a stream.
    fn stream_by(&self, number: usize, stream: &str) -> Option<serde_json::Value> {
        let says = self.says(number, "/jsz?accounts=true&streams=true")?;
        let accounts = says["account_details"].as_array()?.iter();
        let mut streams = accounts
            .filter_map(|account| account["stream_detail"].as_array())
            .flatten();
        streams.find(|one| one["name"] == stream).cloned()
    }
}

/// Ports that nobody uses, three for each server.
fn free_ports(servers: usize) -> Vec<Ports> {
    // Held until all are known, so that none is given twice.
    let held: Vec<TcpListener> = (0..servers * 3)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap())
        .collect();
    let free: Vec<u16> = held
        .iter()
        .map(|held| held.local_addr().unwrap().port())
        .collect();
    let ports = free.chunks(3).map(|three| Ports {
        clients: three[0],
        routes: three[1],
        monitor: three[2],
    });
    ports.collect()
}

impl Drop for Nats {
    fn drop(&mut self) {
        for server in self.servers.iter_mut().flatten() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}
