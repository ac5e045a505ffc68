//! What goes on as long as its page is open: server-sent events.
//!
//! Two sources make them: figures, one every so often, and the tail of what is accepted. Whatever makes them, a stream
//! holds one of the places for live pages, and ends when the service does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Interval;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::reply;
use super::state::Console;
use crate::receive::watch::Seen;

/// Makes the events of a stream.
trait EventSource: Send + Unpin + 'static {
    /// The next event, as bytes; `None` if there is none any more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

/// The body of an answer that goes on.
struct LiveBody<S> {
    source: S,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl<S: EventSource> http_body::Body for LiveBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.closing.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let next = ready!(self.source.poll_next(cx));
        Poll::Ready(next.map(|event| Ok(Frame::data(event))))
    }
}

/// Answers with the events of a source, which is opened only if there is a place for one more live page.
fn live<S: EventSource>(console: &Arc<Console>, source: impl FnOnce() -> S) -> Response {
    let Ok(place) = Arc::clone(&console.live).try_acquire_owned() else {
        let full = "so many pages are live already; close one";
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, full);
    };
    reply::events(Body::new(LiveBody {
        source: source(),
        closing: Box::pin(console.beside.closing.clone().cancelled_owned()),
        _place: place,
    }))
}

/// Makes what is sent next.
pub(super) type Make = fn(&Console) -> Value;

/// Sends what `make` says, again and again.
pub(super) fn open(console: &Arc<Console>, every: Duration, make: Make) -> Response {
    live(console, || Figures {
        console: Arc::clone(console),
        interval: tokio::time::interval(every),
        make,
    })
}

struct Figures {
    console: Arc<Console>,
    interval: Interval,
    make: Make,
}

impl EventSource for Figures {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        ready!(self.interval.poll_tick(cx));
        Poll::Ready(Some(event(&(self.make)(&self.console))))
    }
}

/// Makes what is said of what was seen, if anything.
pub(super) type Tell = Box<dyn FnMut(&Seen) -> Option<Value> + Send>;

/// A comment now and then, so that a connection over which nobody comes any more is noticed.
const STILL_THERE: Duration = Duration::from_secs(15);

/// Sends what is accepted from now on.
pub(super) fn open_tail(
    console: &Arc<Console>,
    tell: impl FnMut(&Seen) -> Option<Value> + Send + 'static,
) -> Response {
    let Some(core) = console.app.core.get() else {
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, "the service is starting");
    };
    live(console, || Tail {
        seen: core.watch.tail.look(),
        tell: Box::new(tell),
        interval: tokio::time::interval(STILL_THERE),
    })
}

struct Tail {
    seen: mpsc::Receiver<Arc<Seen>>,
    tell: Tell,
    interval: Interval,
}

impl EventSource for Tail {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        while let Poll::Ready(seen) = self.seen.poll_recv(cx) {
            let Some(seen) = seen else {
                return Poll::Ready(None);
            };
            if let Some(value) = (self.tell)(&seen) {
                return Poll::Ready(Some(event(&value)));
            }
        }
        ready!(self.interval.poll_tick(cx));
        Poll::Ready(Some(Bytes::from_static(b": still there\n\n")))
    }
}

/// An event with this value. JSON has no line ends outside of texts, and escapes them within.
pub(super) fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
