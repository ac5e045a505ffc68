//! The real program as a child process: started, watched, stopped, killed, started again.
//!
//! A [`Setup`] survives crashes: the directory, the configuration, the port. A [`Program`] is one life of it,
//! killed when dropped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::http;
use super::s3::aws_env;

/// How long a start may take until the service is ready, including the recovery of a large log.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Ticks per second of the times in `/proc/<pid>/stat`: 100 on every current Linux.
const TICKS_PER_SECOND: u64 = 100;

/// An address on which nothing listens, outside the ports that the kernel gives to clients.
///
/// Otherwise a client that reconnects while the service is down could be given the service's own port,
/// connect to itself, and keep the service from coming back.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 22_000;
    // Test processes run side by side: spread them, by a multiplicative hash of the process id.
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    for _ in 0..PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(FIRST + offset).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

/// What the lives of one service share.
#[derive(Debug)]
pub(crate) struct Setup {
    directory: TempDir,
    address: SocketAddr,
    env: Vec<(String, String)>,
    program: PathBuf,
}

impl Setup {
    /// Uses this TOML as configuration; the address is set by the environment.
    ///
    /// Relative paths in it are relative to [`Setup::directory`].
    pub(crate) fn new(config: &str) -> Self {
        let address = free_address();
        let mut setup = Self {
            directory: TempDir::new().unwrap(),
            address,
            env: vec![
                ("LAKEHOOK_SERVER__LISTEN".into(), address.to_string()),
                // Services run side by side, and only one could have the usual address.
                ("LAKEHOOK_SERVER__CONSOLE_LISTEN".into(), "off".into()),
            ],
            program: env!("CARGO_BIN_EXE_lakehook").into(),
        };
        for (name, value) in aws_env() {
            setup = setup.env(name, value);
        }
        setup.configure(config);
        setup
    }

    /// Adds an environment variable. Of the tests' own variables, only `PATH` is passed on.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses a program of another version, which may not know the console.
    #[must_use]
    pub(crate) fn program(mut self, program: &Path) -> Self {
        if program != self.program {
            self.env.retain(|(name, _)| !name.contains("CONSOLE"));
        }
        program.clone_into(&mut self.program);
        self
    }

    /// Replaces the configuration for later lives.
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.config_file(), config).unwrap();
    }

    /// Its own directory, with the configuration, the log and everything else.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the service listens in every life.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What all lives so far have written to stderr.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.stderr_file()).unwrap_or_default()).into_owned()
    }

    /// Starts the service and waits until it is ready.
    pub(crate) fn start(&self) -> Program<'_> {
        let mut program = self.spawn();
        program.wait_ready(READY_LIMIT);
        program
    }

    /// Starts the service without waiting.
    pub(crate) fn spawn(&self) -> Program<'_> {
        self.spawn_with(&["serve"])
    }

    /// The same with these arguments.
    pub(crate) fn spawn_with(&self, arguments: &[&str]) -> Program<'_> {
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(self.stderr_file())
            .unwrap();
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Program { child, setup: self }
    }

    /// Runs another command with the same configuration to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The program with these arguments, the configuration and the environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.directory())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.directory())
            .env("LAKEHOOK_CONFIG", self.config_file())
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn config_file(&self) -> PathBuf {
        self.directory().join("lakehook.toml")
    }

    fn stderr_file(&self) -> PathBuf {
        self.directory().join("stderr.log")
    }
}

/// One life of the service.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    child: Child,
    setup: &'a Setup,
}

impl Program<'_> {
    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/ready` answers 200; panics with its stderr when it ends or `limit` passes.
    pub(crate) fn wait_ready(&mut self, limit: Duration) {
        let start = Instant::now();
        while !http::get(self.setup.address, "/ready").is_ok_and(|answer| answer.status == 200) {
            let ended = self.child.try_wait().unwrap();
            let said = || self.setup.stderr();
            assert!(
                ended.is_none(),
                "ended with {ended:?} before it was ready:\n{}",
                said()
            );
            assert!(
                start.elapsed() < limit,
                "not ready after {limit:?}:\n{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and its exit status; panics when that takes longer than `limit`.
    pub(crate) fn stop(mut self, limit: Duration) -> ExitStatus {
        self.terminate();
        let status = self.wait(limit);
        status.unwrap_or_else(|| panic!("not gone after {limit:?}:\n{}", self.setup.stderr()))
    }

    /// Its exit status, if it ends by itself within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            let status = self.child.try_wait().unwrap();
            if status.is_some() || start.elapsed() > limit {
                return status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The peak of resident memory so far.
    pub(crate) fn peak_rss_bytes(&self) -> u64 {
        peak_rss_bytes(self.child.id())
    }

    /// The current resident memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        memory(self.child.id(), "VmRSS:")
    }

    /// Sockets that it has open.
    pub(crate) fn sockets(&self) -> usize {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        descriptors
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// User and system time of all its threads, so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time(self.child.id())
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // It may be gone already: stopped, or killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `VmHWM` of a process.
pub(crate) fn peak_rss_bytes(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

/// A value of a process's memory status, by its name.
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    let kib: u64 = line
        .trim()
        .trim_end_matches("kB")
        .trim_end()
        .parse()
        .unwrap();
    kib * 1024
}

/// User and system time of a process.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The second field is the name in parentheses, and may hold anything, spaces too.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // utime and stime are the fields 14 and 15, counted from 1; `rest` begins with field 3.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}
