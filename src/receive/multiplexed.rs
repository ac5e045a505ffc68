//! The stream of a connection that carries many requests at once, and its deadlines.
//!
//! The first request must begin within `header_timeout`. While no request is under way, the connection lives for
//! `idle_timeout`, whatever else the client sends; then it ends. While one is under way nothing is limited here, because
//! its body has a limit of its own. A client that does not take what is written within `idle_timeout` is disconnected.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::deadlines::Stuck;

/// The requests of one connection. They run in tasks of their own.
#[derive(Debug, Default)]
pub(super) struct Underway {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Underway {
    /// Begins a request, which ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> OneOfThem {
        self.begun.fetch_add(1, Ordering::Relaxed);
        OneOfThem(Arc::clone(self))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct OneOfThem(Arc<Underway>);

impl Drop for OneOfThem {
    fn drop(&mut self) {
        // What the task did before counts as done for whoever sees that it has ended.
        self.0.ended.fetch_add(1, Ordering::Release);
    }
}

/// A stream with those deadlines, and with bytes that were read from it before.
pub(super) struct Multiplexed<S> {
    stream: S,
    read_before: Bytes,
    requests: Arc<Underway>,
    idle_timeout: Duration,
    /// How many requests had ended when the deadline was set.
    seen_ended: u64,
    deadline: Pin<Box<Sleep>>,
    stuck: Stuck,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Multiplexed<S> {
    pub(super) fn new(
        stream: S,
        read_before: Bytes,
        requests: Arc<Underway>,
        header_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            stream,
            read_before,
            requests,
            idle_timeout,
            seen_ended: 0,
            deadline: Box::pin(tokio::time::sleep(header_timeout)),
            stuck: Stuck::new(idle_timeout),
        }
    }

    /// Ready once the connection has been idle for too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ended = self.requests.ended.load(Ordering::Acquire);
        if self.requests.begun.load(Ordering::Relaxed) > ended {
            // Its answer will wake this task.
            return Poll::Pending;
        }
        if ended != self.seen_ended {
            self.seen_ended = ended;
            let until = Instant::now() + self.idle_timeout;
            self.deadline.as_mut().reset(until);
        }
        self.deadline.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Multiplexed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if own.read_before.has_remaining() {
            let length = own.read_before.len().min(buffer.remaining());
            buffer.put_slice(&own.read_before.split_to(length));
            return Poll::Ready(Ok(()));
        }
        // A client that never stops sending is idle too, if it asks for nothing.
        if own.poll_idle(cx).is_ready() {
            // To hyper, this looks like a client that has closed.
            return Poll::Ready(Ok(()));
        }
        let read = ready!(Pin::new(&mut own.stream).poll_read(cx, buffer));
        Poll::Ready(read)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Multiplexed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let written = Pin::new(&mut own.stream).poll_write(cx, bytes);
        own.stuck.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let own = self.get_mut();
        let written = Pin::new(&mut own.stream).poll_write_vectored(cx, slices);
        own.stuck.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let flushed = Pin::new(&mut own.stream).poll_flush(cx);
        own.stuck.flushed(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_mins(1);

    fn multiplexed(
        header: Duration,
        idle: Duration,
    ) -> (Multiplexed<DuplexStream>, DuplexStream, Arc<Underway>) {
        let (ours, theirs) = duplex(1 << 20);
        let requests = Arc::new(Underway::default());
        let before = Bytes::from_static(b"preface");
        let stream = Multiplexed::new(ours, before, Arc::clone(&requests), header, idle);
        (stream, theirs, requests)
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut stream, mut client, _) = multiplexed(LONG, LONG);
        client.write_all(b" and more").await.unwrap();
        drop(client);
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "preface and more");
    }

    #[tokio::test]
    async fn who_asks_for_nothing_is_idle_even_if_it_talks() {
        let (mut stream, mut client, requests) = multiplexed(SHORT, SHORT * 3);
        let talking = tokio::spawn(async move {
            while client.write_all(b"ping").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let start = Instant::now();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let first = start.elapsed();
        assert!(first >= SHORT && first < LONG, "{first:?}");
        // Two requests overlap; the time counts from the end of the last one.
        let (one, two) = (requests.begin(), requests.begin());
        drop(one);
        let mut read = Vec::new();
        let reading = tokio::time::timeout(SHORT * 5, stream.read_to_end(&mut read));
        assert!(reading.await.is_err(), "a request under way was cut off");
        drop(two);
        let start = Instant::now();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(start.elapsed() >= SHORT * 3);
        drop(stream);
        talking.await.unwrap();
    }
}
