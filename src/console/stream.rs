//! Figures that go on: server-sent events, one every so often, as long as the page is open.

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

/// Makes what is sent next.
pub(super) type Make = fn(&Console) -> Value;

/// Sends what `make` says, again and again, if there is a place for one more.
pub(super) fn open(console: &Arc<Console>, every: Duration, make: Make) -> Response {
    let Ok(place) = Arc::clone(&console.live).try_acquire_owned() else {
        let full = "so many pages are live already; close one";
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, full);
    };
    let closed = Box::pin(console.beside.closing.clone().cancelled_owned());
    reply::events(Body::new(Figures {
        console: Arc::clone(console),
        interval: tokio::time::interval(every),
        closed,
        make,
        _place: place,
    }))
}

struct Figures {
    console: Arc<Console>,
    interval: Interval,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    make: Make,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Figures {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        ready!(self.interval.poll_tick(cx));
        let value = (self.make)(&self.console);
        Poll::Ready(Some(Ok(Frame::data(event(&value)))))
    }
}

/// Makes what is said of what was seen, if anything.
pub(super) type Tell = Box<dyn FnMut(&Seen) -> Option<Value> + Send>;

/// A comment now and then, so that a connection over which nobody comes any more is noticed.
const STILL_THERE: Duration = Duration::from_secs(15);

/// Sends what is accepted from now on, if there is a place for one more.
pub(super) fn open_tail(
    console: &Arc<Console>,
    tell: impl FnMut(&Seen) -> Option<Value> + Send + 'static,
) -> Response {
    let Some(core) = console.app.core.get() else {
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, "the service is starting");
    };
    let Ok(place) = Arc::clone(&console.live).try_acquire_owned() else {
        let full = "so many pages are live already; close one";
        return reply::text(StatusCode::SERVICE_UNAVAILABLE, full);
    };
    reply::events(Body::new(Tail {
        seen: core.watch.tail.look(),
        tell: Box::new(tell),
        interval: tokio::time::interval(STILL_THERE),
        closed: Box::pin(console.beside.closing.clone().cancelled_owned()),
        _place: place,
    }))
}

struct Tail {
    seen: mpsc::Receiver<Arc<Seen>>,
    tell: Tell,
    interval: Interval,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl http_body::Body for Tail {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.closed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        while let Poll::Ready(seen) = self.seen.poll_recv(cx) {
            let Some(seen) = seen else {
                return Poll::Ready(None);
            };
            if let Some(value) = (self.tell)(&seen) {
                return Poll::Ready(Some(Ok(Frame::data(event(&value)))));
            }
        }
        ready!(self.interval.poll_tick(cx));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(
            b": still there\n\n",
        )))))
    }
}

/// An event with this value. JSON has no line ends outside of texts, and escapes them within.
pub(super) fn event(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
