//! The control socket of a running service: a Unix socket in the directory of a log, on which
//! commands ask the process that owns the log.
//!
//! Both sides send one JSON value per line; each protocol defines its own values. The socket's mode
//! is 0600, so only the user that runs the service can connect.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use lakehook_base::files::{Disk, remove_if_there};

const FILE: &str = "control.sock";
/// Most bytes of a socket address; a longer path is reached through the open directory.
const MAX_ADDRESS: usize = 100;
const MAX_CLIENTS: usize = 16;
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// One side of a conversation.
pub struct Talk {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
}

impl Talk {
    fn new(stream: UnixStream) -> Self {
        let (input, output) = stream.into_split();
        Self {
            input: BufReader::new(input),
            output,
        }
    }

    /// Connects to the process that listens in a directory.
    pub fn connect(dir: &Path) -> io::Result<Self> {
        let stream = with_address(dir, |address| {
            std::os::unix::net::UnixStream::connect(address)
        })?;
        stream.set_nonblocking(true)?;
        Ok(Self::new(UnixStream::from_std(stream)?))
    }

    /// Sends a value.
    pub async fn say(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(what)?;
        text.push(b'\n');
        tokio::time::timeout(WRITE_LIMIT, self.output.write_all(&text)).await?
    }

    /// Receives the next value, of at most `max_bytes` bytes; `None` once the other side has ended.
    pub async fn hear<T: DeserializeOwned>(&mut self, max_bytes: u64) -> io::Result<Option<T>> {
        let mut text = Vec::new();
        let mut input = (&mut self.input).take(max_bytes);
        input.read_until(b'\n', &mut text).await?;
        if text.is_empty() {
            return Ok(None);
        }
        if !text.ends_with(b"\n") {
            let message = format!("a line breaks off, or has more than {max_bytes} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Some(serde_json::from_slice(&text)?))
    }

    /// Ends this side of the conversation.
    pub async fn end(&mut self) -> io::Result<()> {
        self.output.shutdown().await
    }
}

/// The service's side of the socket.
pub struct Control {
    stop: CancellationToken,
    tasks: TaskTracker,
    path: PathBuf,
}

impl Control {
    /// Listens in a directory whose lock is held; a socket left by an earlier service is replaced. `serve` is
    /// called for each client, with a token that is cancelled when the service stops.
    pub fn start<S, F>(dir: &Path, serve: S) -> io::Result<Self>
    where
        S: Fn(Talk, CancellationToken) -> F + Send + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let path = dir.join(FILE);
        remove_if_there(&Disk, &path)?;
        let listener = with_address(dir, UnixListener::bind)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let control = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            path,
        };
        let (stop, tasks) = (control.stop.clone(), control.tasks.clone());
        let permits = Arc::new(Semaphore::new(MAX_CLIENTS));
        control.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let (Ok((stream, _)), Ok(permit)) =
                    (accepted, Arc::clone(&permits).acquire_owned().await)
                else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let serving = serve(Talk::new(stream), stop.clone());
                tasks.spawn(async move {
                    if let Err(error) = serving.await {
                        tracing::debug!(%error, "a client of the control socket is gone");
                    }
                    drop(permit);
                });
            }
        });
        control.tasks.close();
        Ok(control)
    }

    /// Accepts no more clients, and waits until the connected ones are answered. The work they
    /// asked for must have been stopped before.
    pub async fn stop(self) {
        self.stop.cancel();
        let _hung = tokio::time::timeout(WRITE_LIMIT, self.tasks.wait()).await;
        let _left_for_the_next = remove_if_there(&Disk, &self.path);
    }
}

/// Whether a process listens in a directory.
pub fn is_listened_to(dir: &Path) -> bool {
    with_address(dir, std::os::unix::net::UnixStream::connect).is_ok()
}

/// Calls `call` with an address of the socket that is short enough.
#[allow(
    clippy::disallowed_methods,
    reason = "opens a directory for its number alone"
)]
fn with_address<T>(dir: &Path, call: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let path = dir.join(FILE);
    if path.as_os_str().len() <= MAX_ADDRESS {
        return call(path);
    }
    let open = std::fs::File::open(dir)?;
    call(PathBuf::from(format!(
        "/proc/self/fd/{}/{FILE}",
        open.as_raw_fd()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo(mut talk: Talk, stop: CancellationToken) -> io::Result<()> {
        loop {
            let heard = tokio::select! {
                heard = talk.hear::<String>(16) => heard?,
                () = stop.cancelled() => return talk.say(&"stopping").await,
            };
            match heard {
                Some(text) => talk.say(&text).await?,
                None => return talk.end().await,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn lines_are_heard_up_to_a_bound_and_a_stop_is_told() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let deep = dir.path().join("d".repeat(120));
        lakehook_base::files::create_dir_durably(&Disk, &deep, true)?;
        let control = Control::start(&deep, echo)?;
        let mut talk = Talk::connect(&deep)?;
        for text in ["a", "b"] {
            talk.say(&text).await?;
            assert_eq!(talk.hear::<String>(99).await?.as_deref(), Some(text));
        }
        let mut long = Talk::connect(&deep)?;
        long.say(&"x".repeat(99)).await?;
        assert_eq!(long.hear::<String>(99).await?, None);
        let mut ends = Talk::connect(&deep)?;
        ends.end().await?;
        assert_eq!(ends.hear::<String>(99).await?, None);
        control.stop().await;
        assert_eq!(talk.hear::<String>(99).await?.as_deref(), Some("stopping"));
        assert!(Talk::connect(&deep).is_err());
        Ok(())
    }
}
