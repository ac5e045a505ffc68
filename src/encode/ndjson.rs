//! NDJSON, plain or compressed: each row with its `lsn` put in, and a line end.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::CParameter;

use super::{Codec, Format};
use crate::record::Lsn;

/// Measured: level 1 costs a fifth of level 9 at nearly the same ratio on events.
const ZSTD_LEVEL: i32 = 1;
/// 128 KiB. Measured: beside the 512 KiB of that level it costs a sixth less (the window stays in the cache, and
/// the copy of it wraps around more cheaply), at a ratio between two per cent better and three worse.
const ZSTD_WINDOW_LOG: u32 = 17;
/// 16 KiB. Measured: beside the 64 KiB of that level it costs a tenth less (the table stays in the nearest cache),
/// and objects of events are a thirtieth smaller, those of other lines as large.
const ZSTD_HASH_LOG: u32 = 12;
/// Small writes into a compressor cost more than the copy into this buffer.
const BUFFER_BYTES: usize = 128 << 10;

enum Sink<W: Write> {
    Plain(W),
    Gz(GzEncoder<W>),
    Zst(zstd::stream::write::Encoder<'static, W>),
}

/// Writes rows to `W`.
pub struct Encoder<W: Write> {
    sink: Sink<W>,
    buffer: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// An encoder that compresses so.
    pub fn new(codec: Codec, out: W) -> io::Result<Self> {
        let sink = match codec {
            Codec::Plain => Sink::Plain(out),
            Codec::Gz => Sink::Gz(GzEncoder::new(out, Compression::new(6))),
            Codec::Zst => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                encoder.set_parameter(CParameter::HashLog(ZSTD_HASH_LOG))?;
                Sink::Zst(encoder)
            }
        };
        Ok(Self {
            sink,
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
        })
    }

    /// Writes one row, with `"lsn":<lsn>,` at its place.
    pub fn row(&mut self, lsn: Lsn, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        let (before, after) = row.split_at(lsn_at);
        self.buffer.extend_from_slice(before);
        self.buffer.extend_from_slice(b"\"lsn\":");
        self.buffer
            .extend_from_slice(itoa::Buffer::new().format(lsn.0).as_bytes());
        self.buffer.push(b',');
        self.buffer.extend_from_slice(after);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain()
        } else {
            Ok(())
        }
    }

    /// Ends the stream and hands the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.drain()?;
        match self.sink {
            Sink::Plain(out) => Ok(out),
            Sink::Gz(encoder) => encoder.finish(),
            Sink::Zst(encoder) => encoder.finish(),
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Plain(out) => out.write_all(&self.buffer)?,
            Sink::Gz(encoder) => encoder.write_all(&self.buffer)?,
            Sink::Zst(encoder) => encoder.write_all(&self.buffer)?,
        }
        self.buffer.clear();
        Ok(())
    }
}

/// Reads what an [`Encoder`] of that codec wrote.
pub fn decoder<'a>(codec: Codec, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Codec::Plain => Box::new(input),
        Codec::Gz => Box::new(MultiGzDecoder::new(input)),
        Codec::Zst => Box::new(zstd::stream::read::Decoder::new(input)?),
    })
}

/// Whether two objects hold the same lines, however they are compressed; or, without lines, the same bytes.
pub fn same_content(format: Format, left: impl Read, right: impl Read) -> io::Result<bool> {
    let codec = format.codec().unwrap_or(Codec::Plain);
    let (mut left, mut right) = (decoder(codec, left)?, decoder(codec, right)?);
    let (mut a, mut b) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    loop {
        let (a_bytes, b_bytes) = (fill(&mut left, &mut a)?, fill(&mut right, &mut b)?);
        if a[..a_bytes] != b[..b_bytes] {
            return Ok(false);
        }
        if a_bytes == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..])? {
            0 => break,
            bytes => filled += bytes,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 3] = [Codec::Plain, Codec::Gz, Codec::Zst];

    fn encode(codec: Codec, rows: u64) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(codec, Vec::new())?;
        for lsn in 1..=rows {
            encoder.row(Lsn(lsn), 7, b"{\"a\":1,\"b\":2}")?;
        }
        encoder.finish()
    }

    #[test]
    fn every_format_gives_the_lines_with_their_lsn() -> io::Result<()> {
        for codec in CODECS {
            let bytes = encode(codec, 20_000)?;
            let mut text = String::new();
            decoder(codec, bytes.as_slice())?.read_to_string(&mut text)?;
            assert_eq!(text.lines().count(), 20_000);
            assert_eq!(text.lines().nth(99), Some("{\"a\":1,\"lsn\":100,\"b\":2}"));
            assert!(text.ends_with('\n'));
        }
        Ok(())
    }

    #[test]
    fn same_content_looks_through_compression() -> io::Result<()> {
        for format in Format::ALL {
            let codec = format.codec().unwrap_or(Codec::Plain);
            let (a, b, c) = (
                encode(codec, 9000)?,
                encode(codec, 9000)?,
                encode(codec, 9001)?,
            );
            assert!(same_content(format, a.as_slice(), b.as_slice())?);
            assert!(!same_content(format, a.as_slice(), c.as_slice())?);
        }
        Ok(())
    }
}
