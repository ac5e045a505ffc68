//! HTTP/2: connections that begin with its preface, or that agreed upon it in their TLS handshake.
//!
//! One connection carries many requests, so a limit of connections does not bound them. Instead each request takes a
//! share of the memory for requests in flight, for its head, for its own state and for its answer, until the answer has
//! been sent; if none is left, it is answered 503. Besides, a connection costs a window of [`WINDOW`] bytes at most, and
//! only one of eight connections may speak HTTP/2. So all of them cost what as many heads of HTTP/1 may.
//!
//! A sender whose body was refused may still be sending. If the rest were refused too, some clients (curl before 8.0)
//! would forget the answer, so for a short time it is read and discarded.
//!
//! Floods of resets, of frames that continue a head, of settings and of pings are ended by the library within the limits
//! that are set here.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answering::Answering;
use super::budget::{Budget, NoMemory, Share};
use super::gate::Peer;
use super::multiplexed::{Multiplexed, Underway};
use super::replies::Problem;

/// How a connection begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// One of so many connections may speak HTTP/2.
const OF_CONNECTIONS: usize = 8;
/// Bytes of bodies that a connection may send before they are read.
const WINDOW: u32 = 256 << 10;
/// The same of one request.
const WINDOW_OF_STREAM: u32 = 64 << 10;
const MAX_FRAME: u32 = 16 << 10;
/// Requests of one connection at a time.
const MAX_STREAMS: u32 = 100;
/// What is kept of an answer until the client takes it.
const MAX_SEND: usize = 64 << 10;
/// Streams that the client opened and reset before they were looked at; more end the connection.
const MAX_RESETS: usize = 20;
/// Streams that were reset because of what the client sent; more end the connection.
const MAX_FAULTS: usize = 64;
/// What a request costs besides its head, body and answer.
const REQUEST_BYTES: usize = 8 << 10;
/// What each header costs besides its name and value.
const HEADER_BYTES: usize = 32;
/// Settings without a value, and the end: ENHANCE_YOUR_CALM.
const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";
/// How long at most the rest of a body is read that nobody wants.
const LINGER: Duration = Duration::from_secs(5);
/// It ends earlier once the sender has been silent for this long.
const LINGER_SILENCE: Duration = Duration::from_millis(500);
/// How long sending that may take.
const GO_AWAY_TIME: Duration = Duration::from_secs(1);

/// What all connections that speak HTTP/2 share.
#[derive(Clone)]
pub(super) struct Http2 {
    /// Places of connections; `None` if nobody may speak HTTP/2.
    places: Option<Arc<Semaphore>>,
    tasks: TaskTracker,
}

/// A connection whose client speaks HTTP/2.
pub(super) struct Speaker<A> {
    pub(super) peer: SocketAddr,
    pub(super) front: A,
    pub(super) max_head: usize,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) stop: CancellationToken,
}

impl Http2 {
    /// Of so many connections, some may speak HTTP/2, if any.
    pub(super) fn new(is_on: bool, max_connections: usize, tasks: TaskTracker) -> Self {
        let places = (max_connections / OF_CONNECTIONS).max(1);
        Self {
            places: is_on.then(|| Arc::new(Semaphore::new(places))),
            tasks,
        }
    }

    /// Whether anybody may speak HTTP/2.
    pub(super) fn is_on(&self) -> bool {
        self.places.is_some()
    }

    /// Whether these bytes begin a connection that may speak HTTP/2.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.is_on() && bytes.starts_with(PREFACE)
    }

    /// Serves a connection; `read_before` are bytes that were read from it already.
    pub(super) async fn serve(
        &self,
        speaker: Speaker<impl Answering>,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        read_before: Bytes,
    ) {
        let Some(_place) = self.place() else {
            let _too_late = tokio::time::timeout(GO_AWAY_TIME, say_enough(&mut stream)).await;
            tracing::debug!(peer = %speaker.peer, "too many connections speak HTTP/2");
            return;
        };
        let Speaker {
            peer,
            front,
            max_head,
            header_timeout,
            idle_timeout,
            stop,
        } = speaker;
        let requests = Arc::new(Underway::default());
        let stream = Multiplexed::new(
            stream,
            read_before,
            Arc::clone(&requests),
            header_timeout,
            idle_timeout,
        );
        let (rests, stopped) = (self.tasks.clone(), stop.clone());
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (under_way, front) = (requests.begin(), front.clone());
            let request = request.map(|body| Received {
                body: Some(body),
                tasks: rests.clone(),
                stop: stopped.clone(),
            });
            async move {
                let answer = Box::pin(answer(front, peer, request)).await;
                drop(under_way);
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = http2::Builder::new(Tracked(self.tasks.clone()));
        builder
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW_OF_STREAM)
            .max_frame_size(MAX_FRAME)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
            .max_send_buf_size(MAX_SEND)
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(MAX_FAULTS);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection of HTTP/2 ended early");
        }
    }

    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(self.places.as_ref()?);
        places.try_acquire_owned().ok()
    }
}

async fn say_enough(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(GO_AWAY).await?;
    stream.shutdown().await
}

/// Answers a request, within the memory for requests in flight.
async fn answer(
    front: impl Answering,
    peer: SocketAddr,
    mut request: hyper::Request<Received>,
) -> Response<Charged> {
    let mut share = front.memory().map(Budget::share);
    let bytes = REQUEST_BYTES + head_bytes(request.headers());
    if let Err(error) = charge(share.as_mut(), bytes) {
        return refused(&front, Problem::unavailable("busy", error.to_string()));
    }
    if let Err(problem) = name_host(&mut request) {
        return refused(&front, problem);
    }
    request.extensions_mut().insert(Peer(peer));
    let answered = front.clone().answer(request.map(Body::new)).await;
    // A page may be large, and the client may take its time.
    let bytes = answered.size_hint().upper().unwrap_or_default();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Err(error) = charge(share.as_mut(), bytes) {
        return refused(&front, Problem::unavailable("busy", error.to_string()));
    }
    charged(answered, share)
}

fn charge(share: Option<&mut Share>, bytes: usize) -> Result<(), NoMemory> {
    share.map_or(Ok(()), |share| share.grow(bytes))
}

fn refused(front: &impl Answering, problem: Problem) -> Response<Charged> {
    front.count(problem.status());
    charged(problem.into_response(), None)
}

fn charged(mut response: Response, share: Option<Share>) -> Response<Charged> {
    // Headers of the connection do not exist in HTTP/2.
    response.headers_mut().remove(CONNECTION);
    response.map(|body| Charged {
        body,
        _until_it_is_sent: share,
    })
}

fn head_bytes(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    fields
        .map(|(name, value)| HEADER_BYTES + name.as_str().len() + value.len())
        .sum()
}

/// HTTP/2 names the host in a field of its own, which counts as `Host` (RFC 9113, 8.3.1).
fn name_host<B>(request: &mut hyper::Request<B>) -> Result<(), Problem> {
    let authority = request.uri().authority();
    let authority = authority.and_then(|name| HeaderValue::from_str(name.as_str()).ok());
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next(), authority) {
        (None, _, Some(authority)) => {
            request.headers_mut().insert(HOST, authority);
            Ok(())
        }
        (Some(host), None, Some(authority)) if *host == authority => Ok(()),
        (Some(_), None, None) => Ok(()),
        _ => Err(Problem::bad_request(
            "a request has exactly one :authority or Host, and not two that differ",
        )),
    }
}

/// The body of a request. If it is dropped before its end, the rest is read and discarded for a while.
struct Received {
    body: Option<Incoming>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.as_ref().map(HttpBody::size_hint);
        hint.unwrap_or_default()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let rest = self.body.take().filter(|body| !body.is_end_stream());
        if let Some(rest) = rest {
            let stop = self.stop.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    _ended = tokio::time::timeout(LINGER, discard(rest)) => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }
}

async fn discard(mut body: Incoming) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(LINGER_SILENCE, body.frame()).await {}
}

/// The body of an answer with the memory that is charged for it.
struct Charged {
    body: Body,
    _until_it_is_sent: Option<Share>,
}

impl HttpBody for Charged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs the tasks of requests so that the server can wait for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
