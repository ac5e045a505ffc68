//! The server: connections, their limits, and their end.
//!
//! HTTP/1 only, by hyper's own connection builder, on streams that bound slow heads and idle times
//! ([`slow`]): without that a few slow connections make a service unavailable. Every connection is a
//! tracked task.
//!
//! With [`tls`], a connection begins with a handshake: in its task, so that nobody waits for it, in its place
//! among the connections, and within the time that a head may take.
//!
//! [`slow`]: super::slow
//! [`tls`]: super::tls

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::gate::Peer;
use super::router::Front;
use super::slow::{Progress, Timed};
use super::tls::Tls;

/// Longest request head, in bytes.
const MAX_HEAD: usize = 32 << 10;

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// At once; more wait in the system's queue.
    pub max_connections: usize,
    /// For a request's head, from its first byte; and for a TLS handshake.
    pub header_timeout: Duration,
    /// For the next request on a connection.
    pub idle_timeout: Duration,
}

/// A listening server.
pub struct Server {
    address: SocketAddr,
    /// A server that is dropped stops too.
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Server {
    /// Serves a router on a listener until stopped; with TLS, its certificate follows its files, and SIGHUP
    /// has them looked at.
    pub fn start(
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        front: Front,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(tls) = &tls {
            let signal = signal(SignalKind::hangup())?;
            tasks.spawn(Arc::clone(tls).watch(signal, stop.clone()));
        }
        let accepting = Accepting {
            listener,
            tls,
            front,
            limits,
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        tasks.spawn(accepting.run());
        Ok(Self {
            address,
            stop: stop.drop_guard(),
            tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, lets requests that are under way end, and waits so long for them.
    pub async fn stop(self, patience: Duration) {
        self.stop.disarm().cancel();
        self.tasks.close();
        if tokio::time::timeout(patience, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some connections did not end in time");
        }
    }
}

struct Accepting {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    front: Front,
    limits: ConnectionLimits,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Accepting {
    async fn run(self) {
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        loop {
            let next = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, self.listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                (Ok(slot), accepted) = next => (slot, accepted),
                else => return,
            };
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer, slot),
                Err(error) => {
                    // Out of descriptors, mostly: those that are open must end first.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let _small_packets_wait = stream.set_nodelay(true);
        let connection = Connection {
            peer,
            front: self.front.clone(),
            limits: self.limits,
            stop: self.stop.clone(),
            _slot: slot,
        };
        let Some(tls) = self.tls.clone() else {
            self.tasks.spawn(connection.serve(stream));
            return;
        };
        self.tasks.spawn(async move {
            let handshake = tls.accept(stream, connection.limits.header_timeout);
            let shaken = tokio::select! {
                shaken = handshake => shaken,
                () = connection.stop.cancelled() => return,
            };
            match shaken {
                Ok(stream) => connection.serve(stream).await,
                Err(error) => tracing::debug!(%error, %peer, "a TLS handshake failed"),
            }
        });
    }
}

/// One connection, in its own place among all.
struct Connection {
    peer: SocketAddr,
    front: Front,
    limits: ConnectionLimits,
    stop: CancellationToken,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Self {
            peer,
            front,
            limits,
            stop,
            _slot,
        } = self;
        let progress = Arc::new(Progress::default());
        let stream = Timed::new(
            stream,
            Arc::clone(&progress),
            limits.header_timeout,
            limits.idle_timeout,
        );
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let (turn, front) = (progress.begin(), front.clone());
            async move {
                let answer = front.answer(request.map(Body::new)).await;
                turn.answered(!answer.status().is_success());
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            // An answer is owed though the client has closed its side. To see that it has, hyper would read while each
            // request is under way, into another buffer of 8 KiB.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection ended early");
        }
    }
}
