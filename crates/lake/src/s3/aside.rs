//! Bodies that are read by a thread of their own, because reading blocks.

use std::io::Read as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, channel};

use super::super::object::Assembled;
use super::super::proof::PIECE_BYTES;

/// Pieces that wait to be sent.
const WAITING: usize = 2;

/// A body of so many bytes. The thread ends when all of them are read, or when nobody wants them any
/// more.
pub(super) fn read_aside(assembled: &Arc<dyn Assembled>, bytes: u64) -> ByteStream {
    let (pieces, received) = channel(WAITING);
    let assembled = Arc::clone(assembled);
    tokio::task::spawn_blocking(move || {
        let mut from = assembled.open();
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = from.read(&mut piece).map(|count| {
                piece.truncate(count);
                Bytes::from(piece)
            });
            let is_end = read.as_ref().map_or(true, Bytes::is_empty);
            if pieces.blocking_send(read).is_err() || is_end {
                return;
            }
        }
    });
    ByteStream::new(SdkBody::from_body_1_x(Aside {
        received,
        left: bytes,
    }))
}

struct Aside {
    received: Receiver<std::io::Result<Bytes>>,
    /// Bytes that are still to come.
    left: u64,
}

impl Body for Aside {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.received.poll_recv(context).map(|received| {
            let piece = match received {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => return Some(Err(error.into())),
                None => Bytes::new(),
            };
            let bytes = piece.len() as u64;
            if piece.is_empty() || bytes > self.left {
                return Some(Err("an object has another length than its parts".into()));
            }
            self.left -= bytes;
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
