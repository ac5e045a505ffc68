//! NDJSON, plain or compressed: each row with its `lsn` inserted, and a line end.

use std::io::{self, Write};

use super::format::Codec;
use lakehook_base::codec::Compressor;
pub use lakehook_base::codec::decoder;
use lakehook_base::record::{Lsn, put_line};

/// Bytes that are collected before they are compressed: small writes into a compressor cost more
/// than the copy into this buffer.
const BUFFER_BYTES: usize = 128 << 10;

/// Writes rows to `W`.
pub struct Encoder<W: Write> {
    sink: Compressor<W>,
    buffer: Vec<u8>,
}

impl<W: Write> Encoder<W> {
    /// An encoder that compresses with a codec.
    pub fn new(codec: Codec, out: W) -> io::Result<Self> {
        Ok(Self {
            sink: Compressor::new(codec, out)?,
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
        })
    }

    /// Writes one row, with `"lsn":<lsn>,` inserted at `lsn_at`.
    pub fn row(&mut self, lsn: Lsn, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        put_line(&mut self.buffer, lsn, lsn_at, row);
        if self.buffer.len() >= BUFFER_BYTES {
            self.drain()
        } else {
            Ok(())
        }
    }

    /// Writes one row that has no LSN, with `"lsn":null,` inserted at `lsn_at`.
    pub(super) fn unnumbered(&mut self, lsn_at: usize, row: &[u8]) -> io::Result<()> {
        let (before, after) = row.split_at(lsn_at);
        self.buffer.extend_from_slice(before);
        self.buffer.extend_from_slice(b"\"lsn\":null,");
        self.line(after)
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
        self.sink.finish()
    }

    fn drain(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

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
