//! Deadlines of a connection: limits of time that hyper does not distinguish.
//!
//! The head of a request must be complete within `header_timeout` of its first byte, or the connection breaks. Without
//! a request a connection lives for `idle_timeout`, then it ends. (hyper counts the wait for the first byte as part of
//! its header timeout, so one limit would have to serve for both.) While a request is under way nothing is limited
//! here, because its body has a limit of its own. A client that does not take its answer within `idle_timeout` is
//! disconnected, or it would occupy a connection for ever.
//!
//! A refused sender may still be sending. If we closed at once, the system would reset the connection, and the sender
//! might lose the answer. So for a short time we read what still comes, and discard it.
//!
//! hyper answers a head that it cannot read by itself, with a status and nothing else. Such an answer is recognised here,
//! since no other one looks like it, and replaced by one that says what is wrong.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long at most the rest of a refused request is read and discarded.
const LINGER: Duration = Duration::from_secs(5);
/// It ends earlier once the sender has been silent for this long.
const LINGER_SILENCE: Duration = Duration::from_millis(500);

/// Shared by a connection's service and its stream. Both run in one task, so no memory ordering is needed.
#[derive(Debug, Default)]
pub struct Requests {
    /// The number of requests begun plus the number of requests ended: odd while one is under way.
    steps: AtomicU64,
    refused: AtomicBool,
}

/// Makes the answer to a head that cannot be read, as bytes of HTTP/1.1; the last argument is the date, as it is sent.
pub type Refuse = dyn Fn(u16, &str) -> Vec<u8> + Send + Sync;

impl Requests {
    /// Whether no request has begun yet.
    pub fn are_none(&self) -> bool {
        self.steps.load(Ordering::Relaxed) == 0
    }

    /// Begins a request, which ends when the guard is dropped.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.steps.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }
}

/// A request that is under way.
#[derive(Debug)]
pub struct UnderWay(Arc<Requests>);

impl UnderWay {
    /// Records whether the request was refused; if so, part of its body may not have been read.
    pub fn answered(&self, refused: bool) {
        self.0.refused.store(refused, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.steps.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Waiting for the first byte of a request.
    Request,
    /// Waiting for the rest of its head.
    Head,
    /// Waiting for its answer.
    Answer,
    /// Waiting for the end of what a refused sender still sends, until this time at the latest.
    End { latest: Instant },
}

/// A stream with deadlines.
pub struct Timed<S> {
    stream: S,
    requests: Arc<Requests>,
    header_timeout: Duration,
    idle_timeout: Duration,
    seen_steps: u64,
    waiting: Waiting,
    deadline: Instant,
    sleep: Pin<Box<Sleep>>,
    stuck: Stuck,
    refuse: Arc<Refuse>,
    /// The answer to a head that cannot be read, and how much of it was written.
    refusal: Option<(Vec<u8>, usize)>,
}

/// A limit of the time that a write may wait for the client to read.
#[derive(Debug)]
pub(super) struct Stuck {
    patience: Duration,
    /// Set while a write waits. When it fires, the connection breaks.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Stuck {
    pub(super) fn new(patience: Duration) -> Self {
        let sleep = None;
        Self { patience, sleep }
    }

    /// Passes on the result of a write; fails if the write has been pending for too long.
    pub(super) fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let patience = self.patience;
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take its answer",
        )))
    }

    /// Passes on the result of a flush. Once it is done, the whole answer has been handed to the system.
    pub(super) fn flushed(
        &mut self,
        cx: &mut Context<'_>,
        flushed: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        self.sleep.take_if(|_stuck| flushed.is_ready());
        self.in_time(cx, flushed)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    /// Wraps the stream of a new connection.
    pub fn new(
        stream: S,
        requests: Arc<Requests>,
        header_timeout: Duration,
        idle_timeout: Duration,
        refuse: Arc<Refuse>,
    ) -> Self {
        let deadline = Instant::now() + idle_timeout;
        Self {
            stream,
            requests,
            header_timeout,
            idle_timeout,
            seen_steps: 0,
            waiting: Waiting::Request,
            deadline,
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            stuck: Stuck::new(idle_timeout),
            refuse,
            refusal: None,
        }
    }

    /// The stream, without deadlines.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Writes an answer of our own instead of the one at the end of these bytes; `None` if there is none that is replaced.
    fn poll_refusal(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<()>>> {
        if self.refusal.is_none() {
            let (before, status, date) = bare(bytes)?;
            self.refusal = Some(([before, &(self.refuse)(status, date)].concat(), 0));
        }
        let (answer, written) = self.refusal.as_mut()?;
        while let Some(rest) = answer.get(*written..).filter(|rest| !rest.is_empty()) {
            let pushed = Pin::new(&mut self.stream).poll_write(cx, rest);
            match self.stuck.in_time(cx, pushed) {
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(bytes)) => *written += bytes,
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
        }
        Some(Poll::Ready(Ok(())))
    }

    /// Notices requests that began or ended since the last call.
    fn follow(&mut self) {
        let steps = self.requests.steps.load(Ordering::Relaxed);
        if steps == self.seen_steps {
            return;
        }
        self.seen_steps = steps;
        if steps.is_multiple_of(2) {
            self.waiting = Waiting::Request;
            self.deadline = Instant::now() + self.idle_timeout;
        } else {
            self.waiting = Waiting::Answer;
        }
    }

    /// Most deadlines are postponed before they expire. The timer is reset only when it fires: resetting it each time
    /// would make every request take a lock that all connections share.
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

    fn poll_linger(&mut self, cx: &mut Context<'_>, latest: Instant) -> Poll<()> {
        let mut discarded = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut discarded);
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
            // To hyper, this looks like a client that has closed: an idle connection ends without an error.
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
        if bytes.ends_with(BARE_END)
            && let Some(replaced) = timed.poll_refusal(cx, bytes)
        {
            return replaced.map_ok(|()| bytes.len());
        }
        let written = Pin::new(&mut timed.stream).poll_write(cx, bytes);
        timed.stuck.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let timed = self.get_mut();
        if slices.last().is_some_and(|last| last.ends_with(BARE_END)) {
            let all: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            if let Some(replaced) = timed.poll_refusal(cx, &all) {
                return replaced.map_ok(|()| all.len());
            }
        }
        let written = Pin::new(&mut timed.stream).poll_write_vectored(cx, slices);
        timed.stuck.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let flushed = Pin::new(&mut timed.stream).poll_flush(cx);
        timed.stuck.flushed(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timed = self.get_mut();
        let latest = if let Waiting::End { latest } = timed.waiting {
            latest
        } else {
            ready!(Pin::new(&mut timed.stream).poll_shutdown(cx))?;
            let is_refused = timed.requests.refused.load(Ordering::Relaxed);
            if !is_refused && timed.refusal.is_none() {
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

/// How an answer without a body ends.
const BARE_END: &[u8] = b" GMT\r\n\r\n";
/// What hyper says of every head that it cannot read, and then the date.
const BARE: &str = "\r\nconnection: close\r\ncontent-length: 0\r\ndate: ";

/// What comes before an answer that hyper makes by itself at the end of these bytes, and its status and date.
fn bare(bytes: &[u8]) -> Option<(&[u8], u16, &str)> {
    let at = memchr::memmem::rfind(bytes, b"HTTP/1.")?;
    let (before, answer) = bytes.split_at(at);
    let (status_line, date) = std::str::from_utf8(answer).ok()?.split_once(BARE)?;
    let date = date.strip_suffix("\r\n\r\n")?;
    let status = status_line.get("HTTP/1.1 ".len()..)?.get(..3)?;
    let is_line = !status_line.contains('\n') && !date.contains('\n');
    is_line.then_some((before, status.parse().ok()?, date))
}

#[cfg(test)]
#[path = "deadlines_tests.rs"]
mod tests;
