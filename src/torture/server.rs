//! The server under test: a child process of this program, and the place that it works in.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::errors::TortureError;
use crate::clock::Clock;
use crate::encode::Format;
use crate::ids::Ids;

/// Time between two checks whether the server is ready or has ended.
pub const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A question to the server fails after this time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What outlives a crash of a server: its directory, with configuration and log, and its address.
#[derive(Clone, Debug)]
pub struct Place {
    /// The directory.
    pub dir: PathBuf,
    /// The address in every life.
    pub address: SocketAddr,
    /// Its environment; it does not inherit ours.
    pub environment: Vec<(OsString, OsString)>,
}

/// The part of a configuration that is not the same for all servers.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// How long a server that is asked to stop may ship.
    pub grace: Duration,
    /// The format of objects.
    pub format: Format,
    /// The lines of the section `lake`.
    pub lake: &'a str,
    /// More lines of the section `wal`.
    pub wal: &'a str,
    /// More sections.
    pub more: &'a str,
}

impl Place {
    /// A place in that directory, which is made if it is not there.
    #[allow(
        clippy::disallowed_methods,
        reason = "sets the stage, before anything durable happens"
    )]
    pub fn make(dir: PathBuf) -> Result<Self, TortureError> {
        fs::create_dir_all(&dir)?;
        Ok(Self {
            dir,
            address: free_address(&[])?,
            environment: Vec::new(),
        })
    }

    /// The configuration of the server.
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("lakehook.toml")
    }

    /// Writes the configuration of the next lives. Segments and batches are small, so that faults hit rolls, seals,
    /// puts, commits and trims; the log is small, so that it fills up.
    #[allow(clippy::disallowed_methods, reason = "sets the stage")]
    pub fn configure(&self, settings: Settings<'_>) -> Result<(), TortureError> {
        let Settings {
            grace,
            format,
            lake,
            wal,
            more,
        } = settings;
        let text = format!(
            "# What `lakehook torture` runs the server with.\n\
             [server]\nlisten = \"{}\"\nconsole_listen = \"off\"\nshutdown_grace = \"{}ms\"\n\
             [lake]\n{lake}\
             [wal]\ndir = \"wal\"\nmax_bytes = \"16 MiB\"\nsegment_bytes = \"1 MiB\"\n{wal}\
             [batch]\nformat = \"{}\"\nmax_records = 1500\nmax_age = \"1s\"\nlate_max_age = \"1s\"\n\
             [polls]\ndir = \"polls\"\n\
             [log]\nformat = \"text\"\n{more}",
            self.address,
            grace.as_millis(),
            format.as_str()
        );
        fs::write(self.config_file(), text)?;
        Ok(())
    }
}

/// Refuses a directory that is not new or empty.
#[allow(clippy::disallowed_methods, reason = "sets the stage")]
pub fn refuse_used(dir: &Path) -> Result<(), TortureError> {
    if dir.exists() && fs::read_dir(dir)?.next().is_some() {
        return Err(TortureError::NotEmpty(dir.to_owned()));
    }
    Ok(())
}

/// Removes the directory of a run.
#[allow(clippy::disallowed_methods, reason = "the run has ended")]
pub fn remove(dir: &Path) -> Result<(), TortureError> {
    Ok(fs::remove_dir_all(dir)?)
}

/// Finds an address on which nothing listens, and which is none of these. Its port lies outside the range from which the
/// kernel picks ports for clients: a client that reconnects while the server is down could otherwise get that port, and
/// connect to itself.
pub fn free_address(taken: &[SocketAddr]) -> Result<SocketAddr, TortureError> {
    const FIRST: u64 = 10_000;
    const PORTS: u64 = 22_000;
    let start = Ids::System.next()?;
    for offset in 0..PORTS {
        let port = FIRST + start.wrapping_add(offset) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port as u16));
        if !taken.contains(&address) && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(TortureError::NoPort)
}

/// The server, running or not. Dropping the value ends its process.
#[derive(Debug)]
pub struct ServerProcess {
    program: PathBuf,
    place: Place,
    clock: Clock,
    http: reqwest::Client,
    child: Option<Child>,
}

impl ServerProcess {
    /// A server of that program, not started yet.
    pub fn new(program: &Path, place: Place, clock: Clock) -> Result<Self, TortureError> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self {
            program: program.to_owned(),
            place,
            clock,
            http,
            child: None,
        })
    }

    /// A command of the program with the configuration of the server. It does not inherit this environment, and a Ctrl-C
    /// on the terminal does not reach it.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args([name, "--config"])
            .arg(self.place.config_file())
            .current_dir(&self.place.dir)
            .env_clear()
            .envs(self.place.environment.iter().cloned())
            .process_group(0)
            .stdin(Stdio::null());
        command
    }

    /// Starts the server.
    #[allow(
        clippy::disallowed_methods,
        reason = "the log of a child process is not the service's"
    )]
    pub fn start(&mut self) -> Result<(), TortureError> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.place.dir.join("server.log"))?;
        let child = self
            .command("serve")
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
        let url = format!("http://{}/ready", self.place.address);
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

    /// What it does in its cluster, by its own word; `None` if it does not answer.
    pub async fn role(&self) -> Option<String> {
        let url = format!("http://{}/health", self.place.address);
        let answer = self.http.get(&url).send().await.ok()?;
        let health: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        health["cluster"]["role"].as_str().map(str::to_owned)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// Sends a signal; fails if the server has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<(), String> {
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
        self.stopped(limit).await
    }

    /// Waits until a server that was sent SIGTERM has ended; fails, with a message, unless that is in time and with exit
    /// code 0.
    pub async fn stopped(&mut self, limit: Duration) -> Result<(), String> {
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
