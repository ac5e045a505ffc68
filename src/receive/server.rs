//! The server: connections, their limits, and their end.
//!
//! HTTP/1 by hyper's own connection builder, on streams that limit slow heads and idle times ([`deadlines`]): without
//! those limits a few slow connections would make the service unavailable. A connection that begins with the preface of
//! HTTP/2 goes on in `http2`; the others pay nothing for that. Every connection is a tracked task.
//!
//! With [`tls`], a connection begins with a handshake. It runs in the connection's own task, so that it delays nobody
//! else; it counts as a connection, and must be complete within the time that a head may take.
//!
//! [`deadlines`]: super::deadlines
//! [`tls`]: super::tls

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics::Gauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::answering::Answering;
use super::deadlines::{Refuse, Requests, Timed};
use super::gate::Peer;
use super::http2::{Http2, Speaker};
use super::tls::{HTTP2, Tls};

/// Longest request head, in bytes.
const MAX_HEAD: usize = 32 << 10;
/// Connections that cannot be accepted are told of again after this time.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// The most connections at a time; more wait in the system's queue.
    pub max_connections: usize,
    /// How long the head of a request may take, from its first byte; also the limit of a TLS handshake.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// Whether clients may speak HTTP/2.
    pub http2: bool,
}

/// A listening server.
pub struct Server {
    address: SocketAddr,
    /// The server stops when this is dropped.
    stop: DropGuard,
    tasks: TaskTracker,
}

impl Server {
    /// Serves a listener until the server is stopped. With TLS, changed certificate files are reloaded, and
    /// checked at once on SIGHUP.
    pub fn start(
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        front: impl Answering,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        if let Some(tls) = &tls {
            let signal = signal(SignalKind::hangup())?;
            tasks.spawn(Arc::clone(tls).watch(signal, stop.clone()));
        }
        let speaks_http2 = limits.http2 && front.memory().is_some();
        let own = front.clone();
        let accepting = Accepting {
            refuse: Arc::new(move |status, date| own.refuse_head(status, date, MAX_HEAD)),
            http2: Http2::new(speaks_http2, limits.max_connections, tasks.clone()),
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

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting connections, and waits at most `patience` for requests under way to end.
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

struct Accepting<A> {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    front: A,
    http2: Http2,
    refuse: Arc<Refuse>,
    limits: ConnectionLimits,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl<A: Answering> Accepting<A> {
    async fn run(self) {
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        let mut told: Option<Instant> = None;
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
                    // Usually there are no free descriptors, and some connection must end first.
                    if told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN_AFTER) {
                        told = Some(Instant::now());
                        tracing::warn!(
                            %error,
                            "failed to accept a connection; if too many files are open, raise the limit (LimitNOFILE \
                             of a unit), or lower server.max_connections"
                        );
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        let _small_packets_wait = stream.set_nodelay(true);
        let connection = Connection {
            _open: OpenConnection::new(self.front.connections()),
            peer,
            front: self.front.clone(),
            http2: self.http2.clone(),
            refuse: Arc::clone(&self.refuse),
            limits: self.limits,
            stop: self.stop.clone(),
            _slot: slot,
        };
        let Some(tls) = self.tls.clone() else {
            self.tasks.spawn(connection.serve(stream));
            return;
        };
        self.tasks.spawn(async move {
            let (limit, offers_http2) =
                (connection.limits.header_timeout, connection.http2.is_on());
            let handshake = tls.accept(stream, limit, offers_http2);
            let shaken = tokio::select! {
                shaken = handshake => shaken,
                () = connection.stop.cancelled() => return,
            };
            match shaken {
                Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
                    connection.serve_http2(stream, Bytes::new()).await;
                }
                Ok(stream) => connection.serve(stream).await,
                Err(error) => tracing::debug!(%error, %peer, "a TLS handshake failed"),
            }
        });
    }
}

/// A connection and its place among the connections that are allowed.
struct Connection<A> {
    peer: SocketAddr,
    front: A,
    http2: Http2,
    refuse: Arc<Refuse>,
    limits: ConnectionLimits,
    stop: CancellationToken,
    _slot: OwnedSemaphorePermit,
    _open: OpenConnection,
}

/// Counts as an open connection until it is dropped.
struct OpenConnection(Gauge);

impl OpenConnection {
    fn new(connections: &Gauge) -> Self {
        connections.increment(1.0);
        Self(connections.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl<A: Answering> Connection<A> {
    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (peer, limits) = (self.peer, self.limits);
        let requests = Arc::new(Requests::default());
        let stream = Timed::new(
            stream,
            Arc::clone(&requests),
            limits.header_timeout,
            limits.idle_timeout,
            Arc::clone(&self.refuse),
        );
        let (front, own) = (self.front.clone(), Arc::clone(&requests));
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            let (under_way, front) = (own.begin(), front.clone());
            async move {
                let answer = front.answer(request.map(Body::new)).await;
                under_way.answered(!answer.status().is_success());
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD)
            // A client that has closed its side still gets its answer. To notice that it has, hyper would read during
            // each request, into another buffer of 8 KiB.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = self.stop.cancelled() => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                (&mut connection).await
            }
        };
        let Err(error) = ended else { return };
        if requests.are_none() {
            let parts = connection.into_parts();
            if self.http2.begins_with(&parts.read_buf) {
                let stream = parts.io.into_inner().into_inner();
                self.serve_http2(stream, parts.read_buf).await;
                return;
            }
        }
        tracing::debug!(%error, %peer, "a connection ended early");
    }

    async fn serve_http2(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        read_before: Bytes,
    ) {
        let speaker = Speaker {
            peer: self.peer,
            front: self.front.clone(),
            max_head: MAX_HEAD,
            header_timeout: self.limits.header_timeout,
            idle_timeout: self.limits.idle_timeout,
            stop: self.stop.clone(),
        };
        // Few connections need this future, which is large.
        Box::pin(self.http2.serve(speaker, stream, read_before)).await;
    }
}
