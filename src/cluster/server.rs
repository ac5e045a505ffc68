//! The listener for other nodes.
//!
//! It has bounds for everything that somebody may do who can reach it and does not know the secret: such connections have
//! few places of their own, and little time. A connection that has shown that it knows the secret leaves those places, so a
//! flood delays new connections and never those that are in use.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handling::Handler;
use super::limits::WireLimits;
use super::owner::Owner;
use super::secret::ClusterSecret;

/// Longest head of a request, and how much of a body is read at once.
const MAX_HEAD: usize = 64 << 10;
/// Pause after a connection could not be accepted: usually there are no free descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves a listener for other nodes until it is stopped, and then ends the connections.
pub async fn serve(
    listener: TcpListener,
    secret: ClusterSecret,
    owner: Arc<dyn Owner>,
    limits: WireLimits,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let serving = Serving {
        handler: Arc::new(Handler::new(owner, secret, limits)),
        places: Arc::new(Semaphore::new(limits.connections)),
        strangers: Arc::new(Semaphore::new(limits.strangers)),
        limits,
        stop: stop.clone(),
    };
    loop {
        let next = async {
            let place = Arc::clone(&serving.places).acquire_owned().await;
            let stranger = Arc::clone(&serving.strangers).acquire_owned().await;
            (place, stranger, listener.accept().await)
        };
        let (place, stranger, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            (Ok(place), Ok(stranger), accepted) = next => (place, stranger, accepted),
            else => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection = Connection {
                    handler: Arc::clone(&serving.handler),
                    stranger: Arc::new(Stranger::new(stranger)),
                    address,
                    limits: serving.limits,
                    stop: serving.stop.clone(),
                    _place: place,
                };
                tasks.spawn(connection.serve(stream));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection of another node");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

struct Serving {
    handler: Arc<Handler>,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    limits: WireLimits,
    stop: CancellationToken,
}

/// A place among the connections that have not shown yet that they know the secret.
struct Stranger {
    place: Mutex<Option<OwnedSemaphorePermit>>,
    is_known: AtomicBool,
}

impl Stranger {
    fn new(place: OwnedSemaphorePermit) -> Self {
        Self {
            place: Mutex::new(Some(place)),
            is_known: AtomicBool::new(false),
        }
    }

    /// Gives the place back: it has shown that it knows the secret.
    fn introduce(&self) {
        if !self.is_known.swap(true, Ordering::Relaxed) {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            drop(place.take());
        }
    }

    /// Resolves if the time for that is over.
    async fn overdue(&self, introduction: Duration) {
        tokio::time::sleep(introduction).await;
        if self.is_known.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

struct Connection {
    handler: Arc<Handler>,
    stranger: Arc<Stranger>,
    address: SocketAddr,
    limits: WireLimits,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let _small_packets_wait = stream.set_nodelay(true);
        let (handler, stranger) = (Arc::clone(&self.handler), Arc::clone(&self.stranger));
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (handler, stranger) = (Arc::clone(&handler), Arc::clone(&stranger));
            async move {
                let answer = handler.handle(request, || stranger.introduce()).await;
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.idle)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stranger.overdue(self.limits.introduction) => return,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let Ok(ended) = tokio::time::timeout(self.limits.body, connection).await else {
                    return;
                };
                ended
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, address = %self.address, "a connection of another node ended early");
        }
    }
}
