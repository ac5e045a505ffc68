//! The body of an answer as a stream of bytes: decoded, bounded, and with a limit on pauses.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::Version;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use reqwest::Response;

use super::charset::{self, Decoded, NotOfCharset};
use super::trouble::{Trouble, describe};
use crate::wait::{Interrupted, Waiter};

const GZIP: [u8; 2] = [0x1f, 0x8b];
const UTF_16LE_MARK: &[u8] = b"\xff\xfe";
const UTF_16BE_MARK: &[u8] = b"\xfe\xff";

/// Why a stream failed; carried inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct Carried(Trouble);

/// The [`Trouble`] that caused an error of [`open`]'s stream.
pub fn trouble_of(error: io::Error) -> Trouble {
    let error = match error.downcast::<Carried>() {
        Ok(Carried(trouble)) => return trouble,
        Err(error) => error,
    };
    match error.downcast::<NotOfCharset>() {
        Ok(error) => Trouble::Final(error.to_string()),
        Err(error) => Trouble::Final(format!(
            "the body cannot be decoded: {error}; expected gzip as its Content-Encoding or its first \
             bytes say"
        )),
    }
}

/// Whether an answer says where its body ends, so that one without a byte is known to be whole.
pub fn says_length(response: &Response) -> bool {
    let headers = response.headers();
    response.version() > Version::HTTP_11
        || headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING)
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
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let charset = charset::named(content_type.unwrap_or_default()).map_err(Trouble::Final)?;
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
    let decoded = unpacked(decoded).map_err(trouble_of)?;
    let mut bounded = Bounded { decoded, left, max };
    let first = beginning(&mut bounded).map_err(trouble_of)?;
    let is_wide = [UTF_16LE_MARK, UTF_16BE_MARK].contains(&&*first);
    let stream = io::Cursor::new(first).chain(bounded);
    Ok(match charset {
        Some(charset) => Box::new(Decoded::new(stream, charset)),
        // A byte order mark says which one it is.
        None if is_wide => Box::new(Decoded::new(stream, encoding_rs::UTF_16LE)),
        None => Box::new(stream),
    })
}

/// A stream, decompressed if its first bytes say that it is gzip, whatever the headers say: that is
/// how files are served.
fn unpacked<'a>(mut stream: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    let first = beginning(&mut stream)?;
    let is_gzip = *first == GZIP;
    let whole = io::Cursor::new(first).chain(stream);
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

/// The first two bytes of a stream, or fewer if it ends.
fn beginning(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(2);
    stream.take(2).read_to_end(&mut first).map_err(cut_off)?;
    Ok(first)
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
