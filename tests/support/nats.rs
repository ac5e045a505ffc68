//! Three NATS servers of one cluster, each a process with a store of its own, which syncs before it answers.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::needs::Need;
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

/// A running cluster; killed when dropped.
#[derive(Debug)]
pub(crate) struct Nats {
    dir: TempDir,
    ports: Vec<Ports>,
    servers: Vec<Option<Child>>,
    max_payload: u64,
    sync: &'static str,
}

fn program() -> PathBuf {
    python::python().with_file_name("nats-server")
}

impl Nats {
    /// Starts three servers and waits until they keep streams; `None` where there is no server, so that the test is
    /// skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::with(3, "always", 1 << 20)
    }

    /// The same with so many servers, with that `sync_interval`, which take messages of so many bytes.
    pub(crate) fn with(servers: usize, sync: &'static str, max_payload: u64) -> Option<Self> {
        if !program().exists() {
            Need::NatsServer.skip("nats-server is not installed");
            return None;
        }
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
        let mut nats = Self {
            dir: TempDir::new().unwrap(),
            ports: ports.collect(),
            servers: Vec::new(),
            max_payload,
            sync,
        };
        drop(held);
        for number in 0..servers {
            let server = nats.spawn(number);
            nats.servers.push(Some(server));
        }
        nats.wait_ready();
        Some(nats)
    }

    fn spawn(&self, number: usize) -> Child {
        let Ports {
            clients,
            routes,
            monitor,
        } = self.ports[number];
        let (dir, sync, max_payload) = (self.dir.path(), self.sync, self.max_payload);
        let all = self
            .ports
            .iter()
            .map(|ports| format!("nats://127.0.0.1:{}", ports.routes));
        let all = all.collect::<Vec<_>>().join(", ");
        let cluster = if self.ports.len() > 1 {
            format!("cluster {{ name: test, listen: \"127.0.0.1:{routes}\", routes: [{all}] }}\n")
        } else {
            String::new()
        };
        let config = format!(
            "server_name: n{number}\nlisten: \"127.0.0.1:{clients}\"\nhttp: \"127.0.0.1:{monitor}\"\n\
             max_payload: {max_payload}\njetstream {{ store_dir: \"{}\", sync_interval: {sync}, max_file_store: 4GB }}\n\
             {cluster}",
            dir.join(format!("store-{number}")).display()
        );
        let file = dir.join(format!("n{number}.conf"));
        fs::write(&file, config).unwrap();
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("n{number}.log")));
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
        let all = self
            .ports
            .iter()
            .map(|ports| format!("127.0.0.1:{}", ports.clients));
        format!("nats://{}", all.collect::<Vec<_>>().join(","))
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

    /// The server that leads a stream.
    pub(crate) fn leader_of(&self, stream: &str) -> Option<usize> {
        (0..self.servers.len()).find(|number| {
            let Some(says) = self.says(*number, "/jsz?accounts=true&streams=true") else {
                return false;
            };
            let streams = says["account_details"].as_array().into_iter().flatten();
            let mut streams = streams
                .flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
            streams.any(|one| {
                one["name"] == stream && one["cluster"]["leader"] == format!("n{number}").as_str()
            })
        })
    }
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
