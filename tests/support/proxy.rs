//! A TCP proxy with switches: a bad network between the program and its lake.
//!
//! Switches apply to open connections as well as to new ones, within some milliseconds. The proxy knows
//! nothing of what it carries.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How often an idle connection checks the switches.
const LOOK: Duration = Duration::from_millis(10);

/// What happens to connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Bytes go through.
    #[default]
    Pass,
    /// New connections are reset, open ones go on.
    Refuse,
    /// All connections are reset.
    Reset,
    /// Connections are accepted and kept open, but no byte goes through until the mode changes.
    Stall,
    /// The proxy is gone.
    Closed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    mode: Mode,
    delay: Duration,
    cut_after_bytes: Option<u64>,
    up_bytes_per_second: Option<u64>,
    loses_answers: bool,
}

/// A running proxy; its connections are reset when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    switches: Arc<Mutex<Switches>>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts one in front of `target`.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::on(listener, target)
    }

    /// The same, with a receive buffer so small that a client sees how slowly its bytes are taken. To be
    /// used with [`Proxy::throttle`].
    pub(crate) fn start_narrow(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
        Self::on(listener, target)
    }

    fn on(listener: TcpListener, target: SocketAddr) -> Self {
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            switches: Arc::default(),
            connections: Arc::default(),
        };
        let (switches, connections) = (Arc::clone(&proxy.switches), Arc::clone(&proxy.connections));
        thread::spawn(move || accept(&listener, target, &switches, &connections));
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were accepted so far, including those that were reset.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// From now on, this happens to connections.
    pub(crate) fn set(&self, mode: Mode) {
        self.change(|switches| switches.mode = mode);
    }

    /// From now on, each chunk is delayed by this long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.change(|switches| switches.delay = delay);
    }

    /// From now on, a connection is reset when it has carried this many bytes to the target.
    pub(crate) fn cut_after(&self, bytes: Option<u64>) {
        self.change(|switches| switches.cut_after_bytes = bytes);
    }

    /// From now on, a connection is reset instead of carrying back what the target answers, or no more.
    pub(crate) fn lose_answers(&self, on: bool) {
        self.change(|switches| switches.loses_answers = on);
    }

    /// From now on, a connection carries no more than this to the target.
    pub(crate) fn throttle(&self, up_bytes_per_second: Option<u64>) {
        self.change(|switches| switches.up_bytes_per_second = up_bytes_per_second);
    }

    fn change(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches.lock().expect("no holder of the lock panics"));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Closed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn look(switches: &Mutex<Switches>) -> Switches {
    *switches.lock().expect("no holder of the lock panics")
}

fn accept(
    listener: &TcpListener,
    target: SocketAddr,
    switches: &Arc<Mutex<Switches>>,
    connections: &AtomicU64,
) {
    loop {
        let Ok((client, _)) = listener.accept() else {
            continue;
        };
        match look(switches).mode {
            Mode::Closed => return,
            Mode::Refuse | Mode::Reset => reset(&client),
            Mode::Pass | Mode::Stall => match TcpStream::connect(target) {
                Ok(server) => join(&client, &server, switches),
                Err(_) => reset(&client),
            },
        }
        connections.fetch_add(1, Ordering::SeqCst);
    }
}

/// One direction of one connection.
struct Way {
    from: TcpStream,
    to: TcpStream,
    is_up: bool,
    switches: Arc<Mutex<Switches>>,
    /// Shared by both directions: whether the connection must be reset.
    broken: Arc<AtomicBool>,
}

/// Carries bytes in both directions, each on a thread of its own.
fn join(client: &TcpStream, server: &TcpStream, switches: &Arc<Mutex<Switches>>) {
    let broken = Arc::new(AtomicBool::new(false));
    for (from, to, is_up) in [(client, server, true), (server, client, false)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        let (switches, broken) = (Arc::clone(switches), Arc::clone(&broken));
        let way = Way {
            from,
            to,
            is_up,
            switches,
            broken,
        };
        thread::spawn(move || {
            if way.carry().is_err() {
                way.broken.store(true, Ordering::SeqCst);
                // When both directions have dropped the socket, its close is a reset.
                reset(&way.from);
                reset(&way.to);
            }
        });
    }
}

impl Way {
    /// Carries bytes until the end. After an error, both sides must be reset.
    fn carry(&self) -> io::Result<()> {
        self.from.set_read_timeout(Some(LOOK))?;
        self.to.set_write_timeout(Some(LOOK))?;
        let mut buffer = vec![0; 64 * 1024];
        let mut carried_bytes = 0;
        loop {
            let now = self.wait_while_stalled()?;
            let limit = now
                .cut_after_bytes
                .filter(|_| self.is_up)
                .unwrap_or(u64::MAX);
            let room = limit.saturating_sub(carried_bytes);
            if room == 0 {
                return Err(ErrorKind::ConnectionReset.into());
            }
            let most = usize::try_from(room)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            // What a tenth of a second may carry.
            let rate = now.up_bytes_per_second.filter(|_| self.is_up);
            let most = rate.map_or(most, |rate| {
                most.min(usize::try_from(rate / 10).unwrap_or(1))
            });
            match (&self.from).read(&mut buffer[..most]) {
                Ok(0) => return self.to.shutdown(Shutdown::Write),
                Ok(read) => {
                    // They may have been set while this waited for bytes.
                    let now = look(&self.switches);
                    if now.loses_answers && !self.is_up {
                        return Err(ErrorKind::ConnectionReset.into());
                    }
                    thread::sleep(now.delay);
                    if rate.is_some() {
                        thread::sleep(Duration::from_millis(100));
                    }
                    self.send(&buffer[..read])?;
                    carried_bytes += read as u64;
                }
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes all of it, however slowly the other side reads.
    fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.wait_while_stalled()?;
            match (&self.to).write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the switches let bytes through; an error if the connection must be reset.
    fn wait_while_stalled(&self) -> io::Result<Switches> {
        loop {
            let now = look(&self.switches);
            let is_broken = self.broken.load(Ordering::SeqCst);
            match now.mode {
                _ if is_broken => return Err(ErrorKind::ConnectionReset.into()),
                Mode::Reset | Mode::Closed => return Err(ErrorKind::ConnectionReset.into()),
                Mode::Stall => thread::sleep(LOOK),
                Mode::Pass | Mode::Refuse => return Ok(now),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Makes the close of this connection a reset, so that the other side sees no orderly end.
fn reset(stream: &TcpStream) {
    // It may be closed already; then there is nothing to reset.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
