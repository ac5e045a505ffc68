//! The body of an answer as a stream of bytes: decoded, bounded, and with a limit on pauses.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use reqwest::Response;

use super::trouble::{Trouble, describe};
use crate::wait::{Interrupted, Waiter};

/// Why a stream failed; carried inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Carried(Trouble);

/// The [`Trouble`] that caused an error of [`open`]'s stream.
pub fn trouble_of(error: io::Error) -> Trouble {
    match error.downcast::<Carried>() {
        Ok(Carried(trouble)) => trouble,
        Err(error) => Trouble::Final(format!(
            "the body cannot be decoded: {error}; expected gzip as its Content-Encoding says"
        )),
    }
}

/// The decoded body of an answer, of at most `left` bytes; reading it reduces `left`.
pub fn open<'a>(
    response: Response,
    timeout: Duration,
    waiter: &'a Waiter,
    left: &'a mut u64,
) -> Result<Box<dyn Read + 'a>, Trouble> {
    let encoding = response.headers().get(CONTENT_ENCODING);
    let encoding = encoding.map_or("identity", |value| value.to_str().unwrap_or("?"));
    let is_gzip = match encoding.trim().to_ascii_lowercase().as_str() {
        "identity" | "" => false,
        "gzip" | "x-gzip" => true,
        _ => {
            let what =
                "the body has a Content-Encoding that was not asked for; expected gzip or none";
            return Err(Trouble::Final(what.to_owned()));
        }
    };
    let max = *left;
    let chunks = Chunks {
        response,
        current: Bytes::new(),
        timeout,
        waiter,
    };
    let decoded: Box<dyn Read + 'a> = if is_gzip {
        Box::new(MultiGzDecoder::new(chunks))
    } else {
        Box::new(chunks)
    };
    Ok(Box::new(Bounded { decoded, left, max }))
}

/// The body as it arrives, before decoding.
struct Chunks<'a> {
    response: Response,
    current: Bytes,
    timeout: Duration,
    waiter: &'a Waiter,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let chunk =
                self.waiter
                    .wait_for("the rest of an answer", self.timeout, self.response.chunk());
            self.current = match chunk {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(0),
                Ok(Err(error)) => return Err(carry(Trouble::again(describe(&error)))),
                Err(Interrupted::Timeout) => {
                    let what = format!("the answer stalled for {:?}", self.timeout);
                    return Err(carry(Trouble::again(what)));
                }
                Err(stopped) => return Err(carry(Trouble::Stopped(stopped))),
            };
        }
        let count = self.current.len().min(out.len());
        out[..count].copy_from_slice(&self.current.split_to(count));
        Ok(count)
    }
}

/// Fails once more bytes are read than are left.
struct Bounded<'a> {
    decoded: Box<dyn Read + 'a>,
    left: &'a mut u64,
    max: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(*self.left).unwrap_or(usize::MAX);
        if most == 0 && !out.is_empty() {
            // The body may end exactly at the bound.
            return match self.decoded.read(&mut [0]) {
                Ok(0) => Ok(0),
                Ok(_) => Err(carry(Trouble::Final(format!(
                    "the bodies of this run are longer than max_bytes allows ({} bytes were left for \
                     this page)",
                    self.max
                )))),
                Err(error) => Err(error),
            };
        }
        let most = most.min(out.len());
        let count = self.decoded.read(&mut out[..most]);
        let count = count.map_err(cut_off)?;
        *self.left -= count as u64;
        Ok(count)
    }
}

/// Turns the early end of compressed bytes into a retriable error: the answer was cut off.
fn cut_off(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return carry(Trouble::again("the answer was cut off"));
    }
    error
}

fn carry(trouble: Trouble) -> io::Error {
    io::Error::other(Carried(trouble))
}
