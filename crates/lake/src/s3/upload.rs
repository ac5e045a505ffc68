//! Keeps an upload alive as long as it makes progress, however slow or large it is.
//!
//! Progress means that bytes move: from the client to the kernel, or from the kernel to the other
//! side, which confirms them. This distinguishes a slow link from a dead one, even if the kernel's
//! buffer holds a whole object.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::sockets::unconfirmed_bytes;

/// An upload without progress for this long is given up.
pub(super) const STANDSTILL: Duration = Duration::from_secs(30);
/// How often the progress is checked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Slowest speed, in bytes per second, at which bytes are expected to leave buffers between here
/// and the store that cannot be observed.
const SLOWEST_OUT_OF_SIGHT: u64 = 32 << 10;

/// Progress of an upload. Clones belong to the same upload.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    handed: AtomicU64,
    connection: Mutex<Option<CaptureSmithyConnection>>,
}

/// Progress of an upload at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    /// Bytes that were handed to the kernel.
    handed: u64,
    /// Bytes that the other side has not confirmed, if that is known.
    unconfirmed: Option<u64>,
}

impl Progress {
    /// Wraps a body so that it reports its progress here.
    pub(super) fn of(&self, body: ByteStream) -> ByteStream {
        ByteStream::new(SdkBody::from_body_1_x(Reporting {
            inner: body.into_inner(),
            progress: self.clone(),
        }))
    }

    fn mark(&self) -> Mark {
        let connection = self.0.connection.lock();
        let connection = connection.unwrap_or_else(PoisonError::into_inner).clone();
        let connection = connection.and_then(|connection| connection.get());
        let addresses = connection.and_then(|c| Some((c.local_addr()?, c.remote_addr()?)));
        Mark {
            handed: self.0.handed.load(Ordering::Relaxed),
            unconfirmed: addresses.and_then(|(local, remote)| unconfirmed_bytes(local, remote)),
        }
    }

    /// Awaits the request that sends the body; fails if the upload stalls.
    pub(super) async fn guard<T>(&self, request: impl Future<Output = T>) -> io::Result<T> {
        let mut request = pin!(request);
        let mut last = (self.mark(), Instant::now());
        loop {
            tokio::select! {
                biased;
                outcome = &mut request => return Ok(outcome),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let mark = self.mark();
            if mark != last.0 {
                last = (mark, Instant::now());
            }
            let limit = mark.longest_pause();
            if last.1.elapsed() >= limit {
                let message = format!(
                    "no progress within {} s, after {} bytes",
                    limit.as_secs(),
                    mark.handed - mark.unconfirmed.unwrap_or(0).min(mark.handed)
                );
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
        }
    }
}

impl Mark {
    /// Longest time without progress. Bytes that the other side has confirmed may still be in the
    /// buffers of a proxy.
    fn longest_pause(self) -> Duration {
        let out_of_sight = match self.unconfirmed {
            Some(1..) => 0,
            Some(0) | None => self.handed,
        };
        STANDSTILL + Duration::from_secs(out_of_sight / SLOWEST_OUT_OF_SIGHT)
    }
}

impl Intercept for Progress {
    fn name(&self) -> &'static str {
        "Progress"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut connection = self
            .0
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *connection = config.load::<CaptureSmithyConnection>().cloned();
        Ok(())
    }
}

/// A body that counts what is taken from it.
struct Reporting {
    inner: SdkBody,
    progress: Progress,
}

impl Body for Reporting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            let handed = &self.progress.0.handed;
            handed.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(handed: u64, unconfirmed: Option<u64>) -> u64 {
        Mark {
            handed,
            unconfirmed,
        }
        .longest_pause()
        .as_secs()
    }

    #[test]
    fn what_waits_in_sight_must_move() {
        assert_eq!(pause(8 << 20, Some(1)), 30);
        assert_eq!(pause(8 << 20, Some(0)), 30 + 256);
        assert_eq!(pause(8 << 20, None), 30 + 256);
        assert_eq!(pause(0, None), 30);
    }
}
