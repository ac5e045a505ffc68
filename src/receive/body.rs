//! Reading a body, within limits of size (before and after decompression) and of time, and within the memory budget.
//!
//! This is a step of the handler, not a layer, because a signature needs the raw bytes and every refusal is a problem.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt as _;

use super::budget::{NoMemory, Share};

/// Supported encodings.
pub const ENCODINGS: [&str; 4] = ["identity", "gzip", "deflate", "zstd"];
/// All accepted names of encodings, in any case; an empty one is the identity.
pub const ENCODING_NAMES: [&str; 6] = ["", "identity", "gzip", "x-gzip", "deflate", "zstd"];
/// Larger zstd windows are refused: 8 MiB is what every decoder must support (RFC 8878, 3.1.1.1.2).
const MAX_WINDOW_LOG: u32 = 23;
const INFLATE_STEP: usize = 64 << 10;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not encoded.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1950; without the header of zlib too, as some senders write it.
    Deflate,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than allowed, before or after decompression.
    #[error("the body has more than {max_bytes} bytes, as sent or decompressed")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// It did not arrive in time.
    #[error("the body did not arrive within {} seconds", .after.as_secs())]
    Timeout {
        /// The limit.
        after: Duration,
    },
    /// The connection broke, or its framing did.
    #[error("the body is incomplete or badly framed")]
    Broken,
    /// It is not valid in its encoding.
    #[error("the body is not valid {encoding}")]
    Inflate {
        /// The encoding.
        encoding: &'static str,
    },
    /// Too many requests are in flight.
    #[error(transparent)]
    NoMemory(#[from] NoMemory),
}

/// Limits of a body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Most bytes, both before and after decompression.
    pub max_bytes: usize,
    /// Time for the whole body to arrive.
    pub timeout: Duration,
}

/// The encoding that the headers name; `None` if it is not supported or if there are several.
pub fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else {
        return Some(Encoding::Identity);
    };
    if values.next().is_some() {
        return None;
    }
    match value.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Some(Encoding::Identity),
        "gzip" | "x-gzip" => Some(Encoding::Gzip),
        "deflate" => Some(Encoding::Deflate),
        "zstd" => Some(Encoding::Zstd),
        _ => None,
    }
}

/// Reads the body as it was sent. What was read of one that is too large is left in `beginning`.
pub async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    limits: BodyLimits,
    share: &mut Share,
    beginning: &mut Vec<u8>,
) -> Result<Bytes, BodyError> {
    let BodyLimits { max_bytes, timeout } = limits;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > max_bytes) {
        return Err(BodyError::TooLarge { max_bytes });
    }
    let limits = (announced, max_bytes);
    match tokio::time::timeout(timeout, collect(body, limits, share, beginning)).await {
        Ok(collected) => collected,
        Err(_elapsed) => Err(BodyError::Timeout { after: timeout }),
    }
}

/// A body that arrives in one piece, as small ones do, is not copied.
async fn collect(
    body: &mut Body,
    (announced, max_bytes): (Option<usize>, usize),
    share: &mut Share,
    beginning: &mut Vec<u8>,
) -> Result<Bytes, BodyError> {
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| BodyError::Broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = first.as_ref().map_or(all.len(), Bytes::len);
        if length + data.len() > max_bytes {
            *beginning = first.map_or(all, Vec::from);
            beginning.extend_from_slice(&data);
            return Err(BodyError::TooLarge { max_bytes });
        }
        share.grow(data.len())?;
        if first.is_none() && all.is_empty() {
            first = Some(data);
            continue;
        }
        if let Some(first) = first.take() {
            all.reserve(announced.unwrap_or(first.len() * 2).min(max_bytes));
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(first.unwrap_or_else(|| Bytes::from(all)))
}

/// Decompresses a body, up to the limit.
pub fn inflate(
    raw: Bytes,
    encoding: Encoding,
    max_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    match encoding {
        Encoding::Identity => Ok(raw),
        Encoding::Gzip => {
            let decoder = MultiGzDecoder::new(raw.as_ref());
            read_all(decoder, "gzip", max_bytes, share)
        }
        Encoding::Deflate if has_zlib_header(&raw) => {
            let decoder = ZlibDecoder::new(raw.as_ref());
            read_all(decoder, "deflate", max_bytes, share)
        }
        Encoding::Deflate => {
            let decoder = DeflateDecoder::new(raw.as_ref());
            read_all(decoder, "deflate", max_bytes, share)
        }
        Encoding::Zstd => {
            let bad = |_error: io::Error| BodyError::Inflate { encoding: "zstd" };
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(raw.as_ref()).map_err(bad)?;
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(bad)?;
            read_all(decoder, "zstd", max_bytes, share)
        }
    }
}

/// Whether a body begins as RFC 1950 says: method 8, and a check of the first two bytes.
fn has_zlib_header(raw: &[u8]) -> bool {
    match raw {
        [method, flags, ..] => {
            method & 15 == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
        }
        _ => false,
    }
}

fn read_all(
    mut decoder: impl Read,
    encoding: &'static str,
    max_bytes: usize,
    share: &mut Share,
) -> Result<Bytes, BodyError> {
    let mut all = Vec::new();
    loop {
        let start = all.len();
        share.grow(INFLATE_STEP)?;
        all.resize(start + INFLATE_STEP, 0);
        let read = fill(&mut decoder, &mut all[start..])
            .map_err(|_error| BodyError::Inflate { encoding })?;
        all.truncate(start + read);
        if all.len() > max_bytes {
            return Err(BodyError::TooLarge { max_bytes });
        }
        if read < INFLATE_STEP {
            share.shrink(INFLATE_STEP - read);
            return Ok(Bytes::from(all));
        }
    }
}

fn fill(decoder: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match decoder.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
