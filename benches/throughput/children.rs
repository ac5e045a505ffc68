//! The processes: the real program with a directory of its own, and the bench's own helpers.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::support::http;
use crate::support::process::{cpu_time, free_address, peak_rss_bytes};
use crate::support::s3::{BUCKET, aws_env};

/// Below `target`, so on a real disk where `/tmp` may be memory.
pub(crate) const DIRECTORY: &str = env!("CARGO_TARGET_TMPDIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_lakehook");
const SECRET_FILE: &str = "cluster.secret";
const READY_LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// The oldest that a batch becomes.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(2);

/// Kinds of lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lake {
    /// Beside the log.
    Directory,
    /// An S3 server in another process, in memory.
    Bucket,
}

impl Lake {
    /// Its name in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Bucket => "S3",
        }
    }
}

/// What differs from the defaults.
#[derive(Clone, Copy, Debug)]
struct Settings<'a> {
    format: &'a str,
    endpoint: Option<SocketAddr>,
    pattern: &'a str,
    max_age: Duration,
    /// Lines of `[wal]`.
    wal: &'a str,
    /// Lines of `[batch]`.
    batch: &'a str,
    /// The prefix of a bucket that several nodes share; otherwise each has its own.
    prefix: Option<&'a str>,
    /// Further sections.
    sections: &'a str,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            format: "ndjson.zst",
            endpoint: None,
            pattern: "dt=%Y-%m-%d",
            max_age: MAX_AGE,
            wal: "",
            batch: "",
            prefix: None,
            sections: "",
        }
    }
}

/// The program; killed, and its directory removed, when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    address: SocketAddr,
    directory: Arc<TempDir>,
}

impl Service {
    /// Starts it with the defaults, but for a short age of batches, and waits until it is ready.
    ///
    /// The lake is the bucket of the S3 server at `endpoint`, or a directory.
    pub(crate) fn start(format: &str, endpoint: Option<SocketAddr>) -> Result<Self> {
        Self::partitioned(format, endpoint, "dt=%Y-%m-%d", MAX_AGE)
    }

    /// The same with a directory on a disk whose syncs take so much longer. `strace` delays them, and stops
    /// the program at no other call.
    pub(crate) fn on_slow_disk(format: &str, delay: Duration) -> Result<Self> {
        let mut strace = Command::new("strace");
        let calls = format!("inject=fsync,fdatasync:delay_exit={}", delay.as_micros());
        strace
            .args(["-D", "-qq", "-f", "--seccomp-bpf", "-o", "/dev/null"])
            .args(["-e", "trace=fsync,fdatasync", "-e", &calls])
            .arg(PROGRAM);
        let settings = Settings {
            format,
            ..Settings::default()
        };
        Self::run(strace, &settings)
    }

    /// Does the same with a log somewhere else. `wal` has the lines of the section `[wal]` that say where; `PREFIX` in
    /// them stands for the prefix of the lake.
    /// Nothing is shipped while a bench lasts.
    pub(crate) fn unshipped(endpoint: SocketAddr, wal: &str) -> Result<Self> {
        let settings = Settings {
            endpoint: Some(endpoint),
            max_age: Duration::from_hours(1),
            wal,
            batch: "max_bytes = \"512 MiB\"\n",
            ..Settings::default()
        };
        Self::run(Command::new(PROGRAM), &settings)
    }

    /// A node whose log is somewhere else, and that ships into a prefix of the bucket: alone, or one of a
    /// cluster. `PREFIX` in `wal` stands for the prefix.
    pub(crate) fn node(
        endpoint: SocketAddr,
        prefix: &str,
        wal: &str,
        in_cluster: bool,
    ) -> Result<Self> {
        let cluster = format!(
            "\n[cluster]\nname = \"bench\"\naddress = \"{}\"\nsecret_file = \"{SECRET_FILE}\"\n",
            free_address()
        );
        let settings = Settings {
            endpoint: Some(endpoint),
            wal,
            prefix: Some(prefix),
            sections: if in_cluster { &cluster } else { "" },
            ..Settings::default()
        };
        Self::run(Command::new(PROGRAM), &settings)
    }

    /// What it says of its place in a cluster.
    pub(crate) fn role(&self) -> Result<String> {
        let health = http::get(self.address, "/health")?.json();
        Ok(health["cluster"]["role"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// The same with that pattern of partitions and that age of batches.
    pub(crate) fn partitioned(
        format: &str,
        endpoint: Option<SocketAddr>,
        pattern: &str,
        max_age: Duration,
    ) -> Result<Self> {
        let settings = Settings {
            format,
            endpoint,
            pattern,
            max_age,
            ..Settings::default()
        };
        Self::run(Command::new(PROGRAM), &settings)
    }

    fn run(mut program: Command, settings: &Settings<'_>) -> Result<Self> {
        let Settings {
            format,
            endpoint,
            pattern,
            max_age,
            wal,
            batch,
            prefix,
            sections,
        } = *settings;
        let mut wal = wal.to_owned();
        let directory = Arc::new(TempDir::new_in(DIRECTORY)?);
        let address = free_address();
        let lake = match endpoint {
            Some(address) => {
                // A prefix of its own each time: the server outlives the service.
                let own = directory.path().file_name().unwrap_or_default();
                let own = own.to_string_lossy();
                let prefix = prefix.unwrap_or(&own);
                wal = wal.replace("PREFIX", prefix);
                format!("url = \"s3://{BUCKET}/{prefix}\"\nendpoint = \"http://{address}\"")
            }
            None => "url = \"lake\"".to_owned(),
        };
        let config = format!(
            "[server]\nlisten = \"{address}\"\n\n[lake]\n{lake}\n\n[wal]\ndir = \"wal\"\n{wal}\n\
             [batch]\n{batch}max_age = \"{age}s\"\nlate_max_age = \"{age}s\"\nformat = \"{format}\"\n\n[log]\nlevel = \"warn\"\n\n\
             [events]\npartition = \"{pattern}\"\n{sections}",
            age = max_age.as_secs()
        );
        write_secret(directory.path())?;
        let file = directory.path().join("lakehook.toml");
        std::fs::write(&file, config)?;
        let child = program
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .envs(aws_env())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {program:?}"))?;
        let mut service = Self {
            child,
            address,
            directory,
        };
        service.wait_until_ready()?;
        Ok(service)
    }

    /// Kills it, and keeps its directory.
    pub(crate) fn stop(self) -> Arc<TempDir> {
        Arc::clone(&self.directory)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time(self.child.id())
    }

    /// The most memory that was resident at once.
    pub(crate) fn peak_rss_bytes(&self) -> u64 {
        peak_rss_bytes(self.child.id())
    }

    /// Waits until every acknowledged row is in the lake; tells how long that took.
    pub(crate) fn wait_until_shipped(&self, limit: Duration) -> Result<Duration> {
        let start = Instant::now();
        loop {
            let health = http::get(self.address, "/health")?.json();
            if health["buffer_size"] == 0 {
                return Ok(start.elapsed());
            }
            if start.elapsed() > limit {
                bail!("not everything is in the lake after {limit:?}: {health}");
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !http::get(self.address, "/ready").is_ok_and(|answer| answer.status == 200) {
            if let Some(status) = self.child.try_wait()? {
                let directory = self.directory.path().display();
                bail!("lakehook ended with {status} in {directory}");
            }
            if start.elapsed() > READY_LIMIT {
                bail!("lakehook is not ready after {READY_LIMIT:?}");
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The secret of all clusters of the bench, which nobody else may read.
fn write_secret(directory: &Path) -> Result<()> {
    let file = directory.join(SECRET_FILE);
    std::fs::write(&file, "00112233445566778899aabbccddeeff\n")?;
    std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    Ok(())
}

/// This binary in another role; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    address: SocketAddr,
}

impl Helper {
    /// Starts it and learns its address.
    pub(crate) fn start(role: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--role", role])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start the role {role}"))?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.trim().parse();
        let address = address.with_context(|| format!("the role {role} told no address"))?;
        Ok(Self { child, address })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time(self.child.id())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
