//! NDJSON, plain or compressed: each row with its `lsn` inserted, and a line end.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::CParameter;

use super::format::Codec;
use lakehook_base::record::Lsn;

/// Measured: level 1 costs a fifth of level 9 at nearly the same ratio on events.
const ZSTD_LEVEL: i32 = 1;
/// 128 KiB instead of the 512 KiB of that level. Measured: it costs a sixth less, because the window stays in
/// the cache; the ratio is between 2 % better and 3 % worse.
const ZSTD_WINDOW_LOG: u32 = 17;
/// 16 KiB instead of the 64 KiB of that level. Measured: it costs a tenth less, because the table stays in the
/// first cache; objects of events are 3 % smaller, those of other lines the same.
const ZSTD_HASH_LOG: u32 = 12;
/// Bytes that are collected before they are compressed: small writes into a compressor cost more
/// than the copy into this buffer.
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
    /// An encoder that compresses with a codec.
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

    /// Writes one row, with `"lsn":<lsn>,` inserted at `lsn_at`.
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

    /// Writes one line that has its `lsn` already.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain()
        } else {
            Ok(())
        }
    }

    /// Ends the stream and returns the writer.
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

/// Decompresses what an [`Encoder`] with that codec wrote.
pub fn decoder<'a>(codec: Codec, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Codec::Plain => Box::new(input),
        Codec::Gz => Box::new(MultiGzDecoder::new(input)),
        Codec::Zst => Box::new(zstd::stream::read::Decoder::new(input)?),
    })
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
}
