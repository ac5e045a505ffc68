//! Codecs of lines: a stream that is compressed as a whole, and pieces each of which is complete in
//! itself. Pieces of one codec, put one behind the other, are a stream of that codec too: a zstd
//! stream may have many frames, and a gzip stream many members.
//!
//! Unpacking a piece is bounded: by the length that its caller expects, and by a window of 8 MiB.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use zstd::zstd_safe::{CParameter, DParameter};

/// Measured: level 1 costs a fifth of level 9 at nearly the same ratio on events.
const ZSTD_LEVEL: i32 = 1;
/// 128 KiB instead of the 512 KiB of that level. Measured: it costs a sixth less, because the window stays in
/// the cache; the ratio is between 2 % better and 3 % worse.
const ZSTD_WINDOW_LOG: u32 = 17;
/// 16 KiB instead of the 64 KiB of that level. Measured: it costs a tenth less, because the table stays in the
/// first cache; objects of events are 3 % smaller, those of other lines the same.
const ZSTD_HASH_LOG: u32 = 12;
/// The largest window that is taken when a piece is unpacked: 8 MiB.
const MAX_WINDOW_LOG: u32 = 23;
/// Measured: level 6 costs a sixth more for each event of a service, and makes objects 2 % smaller.
const GZIP_LEVEL: u32 = 5;

/// How lines are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not compressed.
    Plain,
    /// Compressed with gzip.
    Gz,
    /// Compressed with zstd.
    Zst,
}

/// Compresses a stream.
pub enum Compressor<W: Write> {
    /// Leaves it as it is.
    Plain(W),
    /// With gzip.
    Gz(GzEncoder<W>),
    /// With zstd.
    Zst(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    /// Compresses with a codec.
    pub fn new(codec: Codec, out: W) -> io::Result<Self> {
        Ok(match codec {
            Codec::Plain => Self::Plain(out),
            Codec::Gz => Self::Gz(GzEncoder::new(out, Compression::new(GZIP_LEVEL))),
            Codec::Zst => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                for parameter in parameters() {
                    encoder.set_parameter(parameter)?;
                }
                Self::Zst(encoder)
            }
        })
    }

    /// Ends the stream and returns the writer.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Gz(encoder) => encoder.finish(),
            Self::Zst(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gz(encoder) => encoder.write(bytes),
            Self::Zst(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gz(encoder) => encoder.flush(),
            Self::Zst(encoder) => encoder.flush(),
        }
    }
}

/// The same for a stream and for pieces, so that either compresses alike.
fn parameters() -> [CParameter; 3] {
    [
        CParameter::ChecksumFlag(true),
        CParameter::WindowLog(ZSTD_WINDOW_LOG),
        CParameter::HashLog(ZSTD_HASH_LOG),
    ]
}

/// Decompresses a stream of that codec, whether it was compressed as a whole or in pieces.
pub fn decoder<'a>(codec: Codec, input: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match codec {
        Codec::Plain => Box::new(input),
        Codec::Gz => Box::new(MultiGzDecoder::new(input)),
        Codec::Zst => Box::new(zstd::stream::read::Decoder::new(input)?),
    })
}

/// Compresses pieces; it keeps what can be used again for the next one.
#[derive(Default)]
pub struct Packer {
    zst: Option<zstd::bulk::Compressor<'static>>,
}

impl Packer {
    /// Replaces what is in `out` by the compressed piece.
    pub fn pack(&mut self, codec: Codec, piece: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        match codec {
            Codec::Plain => out.extend_from_slice(piece),
            Codec::Gz => {
                let mut encoder = GzEncoder::new(out, Compression::new(GZIP_LEVEL));
                encoder.write_all(piece)?;
                encoder.finish()?;
            }
            Codec::Zst => {
                out.reserve(zstd::zstd_safe::compress_bound(piece.len()));
                self.zst()?.compress_to_buffer(piece, out)?;
            }
        }
        Ok(())
    }

    fn zst(&mut self) -> io::Result<&mut zstd::bulk::Compressor<'static>> {
        if self.zst.is_none() {
            let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
            for parameter in parameters() {
                compressor.set_parameter(parameter)?;
            }
            self.zst = Some(compressor);
        }
        self.zst
            .as_mut()
            .ok_or_else(|| io::Error::other("no compressor"))
    }
}

/// Unpacks pieces; it keeps what can be used again for the next one.
#[derive(Default)]
pub struct Unpacker {
    zst: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    /// Replaces what is in `out` by what was packed into `piece`, which must have exactly `bytes`
    /// bytes. It takes no more memory than for those.
    pub fn unpack(
        &mut self,
        codec: Codec,
        piece: &[u8],
        bytes: usize,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        out.clear();
        match codec {
            Codec::Plain if piece.len() == bytes => out.extend_from_slice(piece),
            Codec::Plain => {}
            Codec::Gz => {
                out.reserve(bytes);
                let bound = bytes as u64 + 1;
                MultiGzDecoder::new(piece).take(bound).read_to_end(out)?;
            }
            Codec::Zst => {
                // It writes no further than the capacity reaches.
                out.reserve(bytes);
                self.zst()?.decompress_to_buffer(piece, out)?;
            }
        }
        if out.len() == bytes {
            return Ok(());
        }
        let message = format!("it does not have the {bytes} bytes that it should have");
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    fn zst(&mut self) -> io::Result<&mut zstd::bulk::Decompressor<'static>> {
        if self.zst.is_none() {
            let mut decompressor = zstd::bulk::Decompressor::new()?;
            decompressor.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
            self.zst = Some(decompressor);
        }
        self.zst
            .as_mut()
            .ok_or_else(|| io::Error::other("no decompressor"))
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer(..)")
    }
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unpacker(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Codec; 3] = [Codec::Plain, Codec::Gz, Codec::Zst];

    fn pieces() -> Vec<Vec<u8>> {
        let piece = |n: usize| format!("{{\"a\":{n}}}\n").repeat(n * 100).into_bytes();
        vec![piece(1), piece(30), Vec::new(), piece(700)]
    }

    #[test]
    fn pieces_one_behind_the_other_are_a_stream() -> io::Result<()> {
        for codec in CODECS {
            let mut to_pieces = Packer::default();
            let (mut stream, mut packed) = (Vec::new(), Vec::new());
            for piece in pieces() {
                to_pieces.pack(codec, &piece, &mut packed)?;
                stream.extend_from_slice(&packed);
            }
            let mut out = Compressor::new(codec, stream)?;
            out.write_all(b"the end")?;
            let stream = out.finish()?;
            let mut read = Vec::new();
            decoder(codec, stream.as_slice())?.read_to_end(&mut read)?;
            let mut whole = pieces().concat();
            whole.extend_from_slice(b"the end");
            assert_eq!(read, whole, "{codec:?}");
        }
        Ok(())
    }

    #[test]
    fn a_piece_is_unpacked_to_its_length_and_no_further() -> io::Result<()> {
        for codec in CODECS {
            let (mut to_pieces, mut to_whole) = (Packer::default(), Unpacker::default());
            for piece in pieces() {
                let (mut packed, mut out) = (Vec::new(), vec![1, 2, 3]);
                to_pieces.pack(codec, &piece, &mut packed)?;
                to_whole.unpack(codec, &packed, piece.len(), &mut out)?;
                assert_eq!(out, piece, "{codec:?}");
                for wrong in [piece.len() + 1, piece.len().saturating_sub(1)] {
                    let unpacked = to_whole.unpack(codec, &packed, wrong, &mut Vec::new());
                    assert_eq!(unpacked.is_ok(), wrong == piece.len(), "{codec:?} {wrong}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_bomb_is_refused_within_the_length_that_was_expected() -> io::Result<()> {
        for codec in [Codec::Gz, Codec::Zst] {
            let mut packed = Vec::new();
            Packer::default().pack(codec, &vec![0; 64 << 20], &mut packed)?;
            let mut out = Vec::new();
            let unpacked = Unpacker::default().unpack(codec, &packed, 1000, &mut out);
            assert!(unpacked.is_err(), "{codec:?}");
            assert!(out.capacity() < 64 << 10, "{codec:?}: {}", out.capacity());
        }
        Ok(())
    }
}
