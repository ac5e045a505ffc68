//! The nodes of a cluster: a process each, with a directory and addresses of its own.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::errors::TortureError;
use super::faults::GRACE;
use super::server::{
    LOOK_EVERY, Place, ServerProcess, Settings, free_address, refuse_used, remove,
};
use super::sharing::Sharing;
use crate::clock::Clock;
use crate::config::{Config, ReplicaUrl};
use crate::encode::Format;
use crate::ids::Ids;
use crate::lake::reader::{LakeReadError, LakeReader};
use crate::replica::LogEngine;
use crate::serve::LogRole;
use crate::serve::home::place_of;
use crate::serve::inspection::{in_replica, inspect_log};
use crate::wal::inspect::Inspection;

/// An owner that is silent for so long may be replaced. It is shorter than usual, so that there are more takeovers.
const TAKEOVER_AFTER: Duration = Duration::from_secs(2);

/// A node.
struct Node {
    place: Place,
    /// Where the others reach it.
    address: SocketAddr,
    server: ServerProcess,
}

/// The nodes of a cluster.
pub struct Nodes {
    sharing: Sharing,
    program: PathBuf,
    clock: Clock,
    all: Vec<Node>,
}

impl Nodes {
    /// Prepares a new or empty directory for all of them; refuses any other. Fails if they could not run.
    pub fn set(
        dir: &Path,
        program: &Path,
        sharing: &Sharing,
        clock: &Clock,
    ) -> Result<Self, TortureError> {
        refuse_used(dir)?;
        let secret = format!(
            "{:032x}{:032x}\n",
            Ids::System.next_u128()?,
            Ids::System.next_u128()?
        );
        let mut taken = Vec::new();
        let mut nodes = Vec::new();
        for number in 1..=sharing.nodes {
            let mut place = Place::make(dir.join(format!("node-{number}")))?;
            place.environment.clone_from(&sharing.environment);
            place.address = free_address(&taken)?;
            taken.push(place.address);
            let address = free_address(&taken)?;
            taken.push(address);
            keep_secret(&place.dir.join("cluster.secret"), &secret)?;
            let server = ServerProcess::new(program, place.clone(), clock.clone())?;
            nodes.push(Node {
                place,
                address,
                server,
            });
        }
        let nodes = Self {
            sharing: sharing.clone(),
            program: program.to_owned(),
            clock: clock.clone(),
            all: nodes,
        };
        for node in 0..nodes.count() {
            nodes.configure(node, GRACE, Format::default())?;
        }
        if let Err(error) = nodes.check() {
            remove(dir)?;
            return Err(error);
        }
        Ok(nodes)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The process of a node.
    pub fn server(&mut self, node: usize) -> &mut ServerProcess {
        &mut self.all[node].server
    }

    /// Where the nodes take events.
    pub fn urls(&self) -> Vec<String> {
        let url = |node: &Node| format!("http://{}/webhook/events", node.place.address);
        self.all.iter().map(url).collect()
    }

    /// Writes the configuration of a node's next lives.
    pub fn configure(
        &self,
        node: usize,
        grace: Duration,
        format: Format,
    ) -> Result<(), TortureError> {
        let Sharing {
            name,
            lake,
            replica,
            endpoint,
            ..
        } = &self.sharing;
        let endpoint = endpoint.as_ref().map(|endpoint| line("endpoint", endpoint));
        let lake = line("url", &lake.to_string()) + &endpoint.unwrap_or_default();
        let wal = line("replica", &replica.to_string())
            + &line("replica_name", name)
            + "replica_interval = \"50ms\"\n";
        let more = format!(
            "[cluster]\nname = \"torture\"\naddress = \"{}\"\nsecret_file = \"cluster.secret\"\ntakeover_after = \
             \"{}ms\"\n",
            self.all[node].address,
            TAKEOVER_AFTER.as_millis()
        );
        self.all[node].place.configure(Settings {
            grace,
            format,
            lake: &lake,
            wal: &wal,
            more: &more,
        })
    }

    /// Has the program check whether a node could run with its configuration.
    fn check(&self) -> Result<(), TortureError> {
        let output = self.all[0].server.command("check").output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(TortureError::Check(
            String::from_utf8_lossy(&said).trim().to_owned(),
        ))
    }

    /// Ends all processes that run.
    pub fn end(&mut self) -> Result<(), TortureError> {
        for node in &mut self.all {
            let (place, clock) = (node.place.clone(), self.clock.clone());
            // Dropping the old value ends the process.
            node.server = ServerProcess::new(&self.program, place, clock)?;
        }
        Ok(())
    }

    /// Starts all of them.
    pub fn start(&mut self) -> Result<(), TortureError> {
        let mut nodes = self.all.iter_mut();
        nodes.try_for_each(|node| node.server.start())
    }

    /// Waits until each of them is ready; returns the longest time that one took.
    pub async fn ready(&mut self, limit: Duration) -> Result<Duration, String> {
        let mut longest = Duration::ZERO;
        for (number, node) in self.all.iter_mut().enumerate() {
            let ready = node.server.ready(limit).await;
            let ready = ready.map_err(|found| format!("node {}: {found}", number + 1))?;
            longest = longest.max(ready);
        }
        Ok(longest)
    }

    /// Waits until one of the nodes, but for `except`, owns the log.
    pub async fn owner(&self, except: Option<usize>, limit: Duration) -> Result<usize, String> {
        let start = self.clock.now().mono;
        loop {
            for (number, node) in self.all.iter().enumerate() {
                let is_asked = except != Some(number);
                if is_asked && node.server.role().await.as_deref() == Some("owning") {
                    return Ok(number);
                }
            }
            if self.clock.now().mono.saturating_sub(start) > limit {
                let seconds = limit.as_secs();
                return Err(format!("no other node owned the log after {seconds} s"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until a node knows that it does not own the log.
    pub async fn follows(&self, node: usize, limit: Duration) -> Result<(), String> {
        let start = self.clock.now().mono;
        while self.all[node].server.role().await.as_deref() != Some("following") {
            if self.clock.now().mono.saturating_sub(start) > limit {
                let seconds = limit.as_secs();
                return Err(format!("it did not follow after {seconds} s"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Deletes everything that a node has written, as if its disk were lost.
    #[allow(
        clippy::disallowed_methods,
        reason = "is the fault, and no part of the service"
    )]
    pub fn lose_disk(&self, node: usize) -> std::io::Result<()> {
        for dir in ["wal", "polls"] {
            match fs::remove_dir_all(self.all[node].place.dir.join(dir)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// The lake, and what the log says. Nothing runs any more.
    pub async fn look(&self) -> Result<(LakeReader, Inspection), TortureError> {
        let config = self.config()?;
        let lake = LakeReader::open(config.lake.destination()).await;
        let log = inspect_log(&config, LogRole::Events)?;
        let log = log.ok_or_else(|| std::io::Error::other("there is no log"))?;
        Ok((lake, log))
    }

    /// Removes the lake and the log of this run.
    pub async fn remove(&self, lake: &LakeReader) -> Result<(), TortureError> {
        let config = self.config()?;
        if let LakeReader::Bucket(store) = lake {
            for key in lake.keys("").await? {
                let removed = store.remove_object(&key).await;
                removed.map_err(LakeReadError::from)?;
            }
        }
        if let (ReplicaUrl::Nats(_), Some(place)) =
            (&self.sharing.replica, place_of(&config, LogRole::Events))
        {
            in_replica(&place, |engine, _| match engine {
                LogEngine::Stream(stream) => stream.remove().map_err(std::io::Error::other),
                LogEngine::Bucket(_) => Ok(()),
            })?;
        }
        Ok(())
    }

    fn config(&self) -> Result<Config, TortureError> {
        let place = &self.all[0].place;
        let loaded = Config::load_as(&place.config_file(), &place.environment);
        let loaded = loaded.map_err(|error| TortureError::Check(error.to_string()))?;
        Ok(loaded.config)
    }
}

/// A line of TOML. JSON writes texts as TOML reads them.
fn line(key: &str, value: &str) -> String {
    format!("{key} = {}\n", serde_json::Value::from(value))
}

#[allow(clippy::disallowed_methods, reason = "sets the stage")]
fn keep_secret(file: &Path, secret: &str) -> Result<(), TortureError> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    options.open(file)?.write_all(secret.as_bytes())?;
    Ok(())
}
