//! The server under test: a child process of this program, and the directory that it works in.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::errors::TortureError;
use super::plan::Instead;
use crate::clock::Clock;
use crate::encode::Format;
use crate::ids::Ids;

/// Time between two checks whether the server is ready or has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A request for `/ready` fails after this time.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The directory of the server, which outlives a crash: configuration, log and lake.
#[derive(Clone, Debug)]
pub struct Stage {
    dir: PathBuf,
    /// The address of the server in every life.
    pub address: SocketAddr,
}

impl Stage {
    /// Prepares a new or empty directory; refuses any other.
    #[allow(
        clippy::disallowed_methods,
        reason = "sets the stage, before anything durable happens"
    )]
    pub fn set(dir: &Path) -> Result<Self, TortureError> {
        if dir.exists() && fs::read_dir(dir)?.next().is_some() {
            return Err(TortureError::NotEmpty(dir.to_owned()));
        }
        let stage = Self {
            dir: dir.to_owned(),
            address: free_address()?,
        };
        fs::create_dir_all(dir.join("lake-itself"))?;
        symlink("lake-itself", stage.lake())?;
        fs::write(dir.join("a-file"), "no directory\n")?;
        Ok(stage)
    }

    /// Writes the configuration of the next lives. Segments and batches are small, so that faults hit rolls, seals,
    /// puts, commits and trims; the log is small, so that it fills up.
    #[allow(clippy::disallowed_methods, reason = "sets the stage")]
    pub fn configure(&self, grace: Duration, format: Format) -> Result<(), TortureError> {
        let text = format!(
            "# What `lakehook torture` runs the server with.\n\
             [server]\nlisten = \"{}\"\nconsole_listen = \"off\"\nshutdown_grace = \"{}ms\"\n\
             [lake]\nurl = \"lake\"\n\
             [wal]\ndir = \"wal\"\nmax_bytes = \"16 MiB\"\nsegment_bytes = \"1 MiB\"\n\
             [batch]\nformat = \"{}\"\nmax_records = 1500\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n\
             [polls]\ndir = \"polls\"\n\
             [log]\nformat = \"text\"\n",
            self.address,
            grace.as_millis(),
            format.as_str()
        );
        fs::write(self.dir.join("lakehook.toml"), text)?;
        Ok(())
    }

    /// The path of the lake in the configuration.
    pub fn lake(&self) -> PathBuf {
        self.dir.join("lake")
    }

    /// The directory of the log.
    pub fn wal(&self) -> PathBuf {
        self.dir.join("wal")
    }

    /// Replaces the lake by something else.
    pub fn take_lake_away(&self, instead: Instead) -> Result<(), TortureError> {
        self.point_lake_at(match instead {
            Instead::File => "a-file",
            Instead::Nothing => "not-there",
        })
    }

    /// Whether something else is in the place of the lake.
    pub fn lake_is_away(&self) -> bool {
        !fs::read_link(self.lake()).is_ok_and(|target| target == Path::new("lake-itself"))
    }

    /// Restores the lake.
    pub fn heal(&self) -> Result<(), TortureError> {
        self.point_lake_at("lake-itself")
    }

    /// Atomic: the name exists at every moment.
    #[allow(
        clippy::disallowed_methods,
        reason = "is the fault, and no part of the service"
    )]
    fn point_lake_at(&self, target: &str) -> Result<(), TortureError> {
        let new = self.dir.join("lake-new");
        symlink(target, &new)?;
        fs::rename(&new, self.lake())?;
        Ok(())
    }

    /// Removes the directory.
    #[allow(clippy::disallowed_methods, reason = "the run has ended")]
    pub fn remove(&self) -> Result<(), TortureError> {
        Ok(fs::remove_dir_all(&self.dir)?)
    }
}

/// Finds an address on which nothing listens. Its port lies outside the range from which the kernel picks ports for
/// clients: a client that reconnects while the server is down could otherwise get that port, and connect to itself.
fn free_address() -> Result<SocketAddr, TortureError> {
    const FIRST: u64 = 10_000;
    const PORTS: u64 = 22_000;
    let start = Ids::System.next()?;
    for offset in 0..PORTS {
        let port = FIRST + start.wrapping_add(offset) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(TortureError::NoPort)
}

/// The server, running or not. Dropping the value ends its process.
#[derive(Debug)]
pub struct ServerProcess {
    program: PathBuf,
    stage: Stage,
    clock: Clock,
    http: reqwest::Client,
    child: Option<Child>,
}

impl ServerProcess {
    /// A server of that program, not started yet.
    pub fn new(program: &Path, stage: Stage, clock: Clock) -> Result<Self, TortureError> {
        let http = reqwest::Client::builder()
            .timeout(READY_TIMEOUT)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            program: program.to_owned(),
            stage,
            clock,
            http,
            child: None,
        })
    }

    /// Starts the server. It does not inherit this environment, and a Ctrl-C on the terminal does not reach it.
    #[allow(
        clippy::disallowed_methods,
        reason = "the log of a child process is not the service's"
    )]
    pub fn start(&mut self) -> Result<(), TortureError> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.stage.dir.join("server.log"))?;
        let child = Command::new(&self.program)
            .args(["serve", "--config"])
            .arg(self.stage.dir.join("lakehook.toml"))
            .current_dir(&self.stage.dir)
            .env_clear()
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the server is ready, and returns how long that took. Fails, with a message, if it ends or takes too
    /// long.
    pub async fn ready(&mut self, limit: Duration) -> Result<Duration, String> {
        let start = self.clock.now().mono;
        let url = format!("http://{}/ready", self.stage.address);
        loop {
            let answer = self.http.get(&url).send().await;
            let took = self.clock.now().mono.saturating_sub(start);
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(took);
            }
            if let Some(status) = self.ended() {
                return Err(format!("it ended by itself with {status}"));
            }
            if took > limit {
                return Err(format!("it was not ready after {} s", limit.as_secs()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends a signal; fails if the server has ended.
    fn signal(&mut self, signal: Signal) -> Result<(), String> {
        if let Some(status) = self.ended() {
            return Err(format!("it ended by itself with {status}"));
        }
        let id = self
            .child
            .as_ref()
            .and_then(|child| i32::try_from(child.id()).ok());
        let id = id.and_then(Pid::from_raw).ok_or("it was not started")?;
        kill_process(id, signal).map_err(|error| format!("a signal could not be sent: {error}"))
    }

    /// Sends SIGKILL, and waits until the server has ended.
    pub async fn kill(&mut self) -> Result<(), String> {
        self.signal(Signal::KILL)?;
        self.gone(Duration::from_secs(60)).await.map(|_| ())
    }

    /// Pauses the server for that long (SIGSTOP, then SIGCONT).
    pub async fn pause(&mut self, lasts: Duration) -> Result<(), String> {
        self.signal(Signal::STOP)?;
        tokio::time::sleep(lasts).await;
        self.signal(Signal::CONT)
    }

    /// Sends SIGTERM; fails, with a message, unless the server ends with exit code 0 in time.
    pub async fn stop(&mut self, limit: Duration) -> Result<(), String> {
        self.signal(Signal::TERM)?;
        let status = self.gone(limit).await?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("it ended on SIGTERM with {status}"))
        }
    }

    async fn gone(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let start = self.clock.now().mono;
        loop {
            if let Some(status) = self.ended() {
                self.child = None;
                return Ok(status);
            }
            if self.clock.now().mono.saturating_sub(start) > limit {
                return Err(format!("it had not ended after {} s", limit.as_secs()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone_already = child.kill();
            let _gone_already = child.wait();
        }
    }
}
