//! Slow clients: a connection's stream with limits of time that hyper's own don't tell apart.
//!
//! A head must be complete `header_timeout` after its first byte, or the connection breaks; without a
//! request a connection lives `idle_timeout`, then it ends. (hyper counts the wait for the first byte
//! against its header timeout, so that one limit would have to serve for both.) While a request is
//! under way nothing is limited here: its body has a limit of its own. An answer that the client does not
//! take within `idle_timeout` ends the connection: else it would hold its place for ever.
//!
//! A refused sender may still be sending. Closed at once, the system would reset the connection, and
//! the sender might lose the answer: what still comes is read and thrown away, for a short time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a refused sender still sends is thrown away for so long, …
const LINGER: Duration = Duration::from_secs(5);
/// … or until it has been silent for so long.
const LINGER_SILENCE: Duration = Duration::from_millis(500);

/// What a connection's service tells its stream. Both run in one task, so no order is needed.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests begun and requests ended: odd while one is under way.
    turns: AtomicU64,
    refused: AtomicBool,
}

impl Progress {
    /// A request begins; it ends when the turn is dropped.
    pub fn begin(self: &Arc<Self>) -> Turn {
        self.turns.fetch_add(1, Ordering::Relaxed);
        Turn(Arc::clone(self))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct Turn(Arc<Progress>);

impl Turn {
    /// Notes whether the request was refused: then its body may not have been read.
    pub fn answered(&self, refused: bool) {
        self.0.refused.store(refused, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.turns.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// For the first byte of a request.
    Request,
    /// For the rest of its head.
    Head,
    /// For its answer.
    Answer,
    /// For the end of what a refused sender sends; all of it, at the latest.
    End { latest: Instant },
}

/// A stream with limits.
#[derive(Debug)]
pub struct Timed<S> {
    stream: S,
    progress: Arc<Progress>,
    header_timeout: Duration,
    idle_timeout: Duration,
    seen_turns: u64,
    waiting: Waiting,
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
    /// While an answer waits for the client to take it: the end of its patience.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    /// A new connection's stream.
    pub fn new(
        stream: S,
        progress: Arc<Progress>,
        header_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let deadline = Instant::now() + idle_timeout;
        Self {
            stream,
            progress,
            header_timeout,
            idle_timeout,
            seen_turns: 0,
            waiting: Waiting::Request,
            deadline,
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            stuck: None,
        }
    }

    /// Catches up with requests that began or ended since the last look.
    fn follow(&mut self) {
        let turns = self.progress.turns.load(Ordering::Relaxed);
        if turns == self.seen_turns {
            return;
        }
        self.seen_turns = turns;
        if turns.is_multiple_of(2) {
            self.waiting = Waiting::Request;
            self.deadline = Instant::now() + self.idle_timeout;
        } else {
            self.waiting = Waiting::Answer;
        }
    }

    /// Most deadlines are put off before they come. The timer is then set anew when it rings, not each time: that
    /// would cost every request a lock that all connections share.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.deadline() > self.deadline {
            self.sleep.as_mut().reset(self.deadline);
        }
        ready!(self.sleep.as_mut().poll(cx));
        if self.sleep.deadline() == self.deadline {
            return Poll::Ready(());
        }
        self.sleep.as_mut().reset(self.deadline);
        self.sleep.as_mut().poll(cx)
    }

    /// What became of a write; one that waits, waits only so long.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let patience = self.idle_timeout;
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take its answer",
        )))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>, latest: Instant) -> Poll<()> {
        let mut thrown_away = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.deadline = latest.min(Instant::now() + LINGER_SILENCE);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_deadline(cx),
            }
            if Instant::now() >= latest {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        timed.follow();
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut timed.stream).poll_read(cx, buffer) {
            let has_come = buffer.filled().len() > before;
            if timed.waiting == Waiting::Request && has_come {
                timed.waiting = Waiting::Head;
                timed.deadline = Instant::now() + timed.header_timeout;
            }
            return Poll::Ready(read);
        }
        if timed.waiting == Waiting::Answer {
            return Poll::Pending;
        }
        ready!(timed.poll_deadline(cx));
        Poll::Ready(if timed.waiting == Waiting::Head {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the head of a request came too slowly",
            ))
        } else {
            // As if the client had closed: an idle connection ends in peace.
            Ok(())
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        let written = Pin::new(&mut timed.stream).poll_write(cx, bytes);
        timed.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        let written = Pin::new(&mut timed.stream).poll_write_vectored(cx, slices);
        timed.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let flushed = Pin::new(&mut timed.stream).poll_flush(cx);
        // All of the answer is on its way.
        timed.stuck.take_if(|_stuck| flushed.is_ready());
        timed.in_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let latest = if let Waiting::End { latest } = timed.waiting {
            latest
        } else {
            ready!(Pin::new(&mut timed.stream).poll_shutdown(cx))?;
            if !timed.progress.refused.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let (now, latest) = (Instant::now(), Instant::now() + LINGER);
            timed.waiting = Waiting::End { latest };
            timed.deadline = now + LINGER_SILENCE;
            latest
        };
        ready!(timed.poll_linger(cx, latest));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[path = "slow_tests.rs"]
mod tests;
