//! The connections to one node, and a request and its answer on one of them.
//!
//! A request whose connection turns out to be closed before any of it was written is sent on another one. Once something may
//! have been written it is never sent again: nobody knows what became of it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::answer::Answer;
use super::error::ForwardError;
use super::head::{ANSWER_HEADER, Head, REQUEST_HEADER, is_answer};
use super::limits::{MAX_ANSWER, Timing};
use super::secret::ClusterSecret;
use super::target::Target;
use crate::clock::Clock;
use crate::ids::Ids;

/// Most connections that are kept while no request is on them.
const MAX_KEPT: usize = 8;

/// The connections to one node.
pub(super) struct Line {
    address: SocketAddr,
    secret: ClusterSecret,
    timing: Timing,
    clock: Clock,
    ids: Ids,
    kept: Mutex<Vec<Kept>>,
    tasks: TaskTracker,
}

struct Kept {
    sender: SendRequest<Parts>,
    since: Instant,
}

impl Line {
    pub(super) fn new(
        address: SocketAddr,
        secret: ClusterSecret,
        timing: Timing,
        (clock, ids): (Clock, Ids),
        tasks: TaskTracker,
    ) -> Self {
        Self {
            address,
            secret,
            timing,
            clock,
            ids,
            kept: Mutex::default(),
            tasks,
        }
    }

    /// Asks, and returns the authentic answer.
    pub(super) async fn ask(
        &self,
        target: Target,
        ask: (&str, &str),
        parts: VecDeque<Bytes>,
        patience: Duration,
    ) -> Result<Answer, ForwardError> {
        let (request, nonce) = self.request(target, ask, parts)?;
        let exchange = self.exchange(request, nonce);
        match tokio::time::timeout(patience, exchange).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.unknown(&format!(
                "no answer within {} seconds",
                patience.as_secs_f32()
            ))),
        }
    }

    /// Forgets the connections that are not in use.
    pub(super) fn close(&self) {
        self.kept().clear();
    }

    fn request(
        &self,
        target: Target,
        ask: (&str, &str),
        parts: VecDeque<Bytes>,
    ) -> Result<(Request<Parts>, u128), ForwardError> {
        let mut hash = Sha256::new();
        for part in &parts {
            hash.update(part);
        }
        let nonce = self.ids.next_u128();
        let head = Head {
            target,
            time: self.clock.wall(),
            nonce: nonce.map_err(|error| self.unsent(&error))?,
            body: hash.finalize().into(),
        };
        let request = Request::builder()
            .method(ask.0)
            .uri(ask.1)
            .header(HOST, self.address.to_string())
            .header(REQUEST_HEADER, head.sign(&self.secret, ask))
            .body(Parts(parts))
            .map_err(|error| self.unsent(&error))?;
        Ok((request, head.nonce))
    }

    async fn exchange(&self, request: Request<Parts>, nonce: u128) -> Result<Answer, ForwardError> {
        let (sender, mut response) = self.send(request).await?;
        let body = collect(response.body_mut()).await;
        let body = body.ok_or_else(|| self.unknown(&"the answer broke off or is too long"))?;
        let status = response.status().as_u16();
        let mac = response.headers().get(ANSWER_HEADER);
        let mac = mac.and_then(|mac| mac.to_str().ok()).unwrap_or_default();
        if !is_answer(&self.secret, nonce, (status, &body), mac) {
            return Err(self.unknown(&format!(
                "an answer with status {status} is not signed with the secret of this cluster"
            )));
        }
        self.keep(sender);
        Answer::decode(&body).map_err(|error| self.unknown(&error))
    }

    /// Sends a request on a kept connection, or on a new one.
    async fn send(
        &self,
        mut request: Request<Parts>,
    ) -> Result<(SendRequest<Parts>, Response<Incoming>), ForwardError> {
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.unknown(&error.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok((sender, response)),
            Err(mut error) => Err(match error.take_message() {
                Some(_unsent) => self.unsent(&error.into_error()),
                None => self.unknown(&error.into_error()),
            }),
        }
    }

    async fn connect(&self) -> Result<SendRequest<Parts>, ForwardError> {
        let connecting = TcpStream::connect(self.address);
        let stream = match tokio::time::timeout(self.timing.connect, connecting).await {
            Ok(connected) => connected.map_err(|error| self.unsent(&error))?,
            Err(_elapsed) => return Err(self.unsent(&"the connection takes too long")),
        };
        let _small_packets_wait = stream.set_nodelay(true);
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| self.unsent(&error))?;
        self.tasks.spawn(async move {
            // Whoever waits for an answer gets the error too.
            let _ended = connection.await;
        });
        Ok(sender)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<SendRequest<Parts>> {
        let mut kept = self.kept();
        while let Some(Kept { sender, since }) = kept.pop() {
            if sender.is_ready() && since.elapsed() < self.timing.idle {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Parts>) {
        let mut kept = self.kept();
        if kept.len() < MAX_KEPT && !sender.is_closed() {
            let since = Instant::now();
            kept.push(Kept { sender, since });
        }
    }

    fn unsent(&self, why: &dyn std::fmt::Display) -> ForwardError {
        ForwardError::Unsent(self.text(why))
    }

    fn unknown(&self, why: &dyn std::fmt::Display) -> ForwardError {
        ForwardError::Unknown(self.text(why))
    }

    fn text(&self, why: &dyn std::fmt::Display) -> Arc<str> {
        format!("{}: {why}", self.address).into()
    }
}

/// The body of an answer; `None` if it breaks off, or is longer than any answer.
async fn collect(body: &mut Incoming) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        if all.len() + data.len() > MAX_ANSWER {
            return None;
        }
        all.extend_from_slice(&data);
    }
    Some(all)
}

/// A body of parts, which are sent as they are.
struct Parts(VecDeque<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes: usize = self.0.iter().map(Bytes::len).sum();
        SizeHint::with_exact(bytes as u64)
    }
}
