//! A file as the bytes that it stands for: hashed as it is read, unpacked, bounded, and as UTF-8.
//!
//! Gzip and zstd are known by their first bytes, whatever the name says. Both may have several members or frames,
//! one behind the other.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};
use flate2::bufread::MultiGzDecoder;
use xxhash_rust::xxh3::Xxh3;

use super::definition::FileLimits;

const BUFFER: usize = 256 << 10;
/// The largest window of zstd, as a power of two: 128 MiB.
const MAX_WINDOW_LOG: u32 = 27;
/// Below this, a file may be as dense as it likes.
const FREE_BYTES: u64 = 16 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Counts and hashes what is read of a file.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Xxh3,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Hashed<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Xxh3::new(),
            bytes: Rc::default(),
        }
    }

    /// Size and hash of what was read.
    pub(crate) fn sum(&self) -> (u64, u128) {
        (self.bytes.get(), self.hash.digest128())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out)?;
        self.hash.update(&out[..count]);
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }
}

/// Passes the unpacked bytes of a file to `read`, and then reads what is left of it, so that the hash is that of the
/// whole file. Returns size and hash of the file.
pub(crate) fn unpack<T, E: From<io::Error>>(
    file: impl Read,
    limits: &FileLimits,
    encoding: Option<&'static Encoding>,
    read: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<(T, u64, u128), E> {
    let hashed = Hashed::new(file);
    let packed = Rc::clone(&hashed.bytes);
    let mut file = BufReader::with_capacity(BUFFER, hashed);
    let first = file.fill_buf()?;
    let is_zstd = first.starts_with(&ZSTD);
    let result = if first.starts_with(&GZIP) {
        let inner = MultiGzDecoder::new(&mut file);
        read_text(Bounded::new(inner, packed, limits), encoding, read)
    } else if is_zstd {
        let mut inner = zstd::stream::read::Decoder::with_buffer(&mut file)?;
        inner.window_log_max(MAX_WINDOW_LOG)?;
        read_text(Bounded::new(inner, packed, limits), encoding, read)
    } else {
        read_text(Bounded::new(&mut file, packed, limits), encoding, read)
    }?;
    io::copy(&mut file, &mut io::sink())?;
    let (bytes, hash) = file.get_ref().sum();
    Ok((result, bytes, hash))
}

fn read_text<T, E>(
    inner: impl Read,
    encoding: Option<&'static Encoding>,
    read: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<io::Error>,
{
    let mut inner = BufReader::with_capacity(BUFFER, inner);
    let first = inner.fill_buf()?;
    let marked = Encoding::for_bom(first);
    let encoding = marked.map(|(encoding, _)| encoding).or(encoding);
    match encoding.filter(|encoding| *encoding != UTF_8) {
        Some(encoding) => read(&mut Transcoded::new(inner, encoding)),
        None => {
            if marked.is_some() {
                inner.consume(3);
            }
            read(&mut inner)
        }
    }
}

/// Bounds what comes out of a file.
struct Bounded<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    limits: FileLimits,
    bytes: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R, packed: Rc<Cell<u64>>, limits: &FileLimits) -> Self {
        Self {
            inner,
            packed,
            limits: *limits,
            bytes: 0,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(out).map_err(damaged)?;
        self.bytes += count as u64;
        let FileLimits {
            max_bytes,
            max_ratio,
            ..
        } = self.limits;
        let wrong = if self.bytes > max_bytes {
            format!("the file has more than {max_bytes} bytes once it is unpacked (max_bytes)")
        } else if self.bytes > FREE_BYTES && self.bytes / max_ratio.max(1) > self.packed.get() {
            format!(
                "the file becomes more than {max_ratio} times larger when it is unpacked (max_ratio)"
            )
        } else {
            return Ok(count);
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, wrong))
    }
}

/// What decoders say of damaged input is wrong with the file. What the system says is not.
fn damaged(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::UnexpectedEof {
        return error;
    }
    let message = format!("the file cannot be unpacked: {error}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// A stream of another charset as UTF-8.
struct Transcoded<R> {
    inner: R,
    decoder: Decoder,
    out: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes of the stream that were decoded.
    before: u64,
    has_ended: bool,
}

impl<R: BufRead> Transcoded<R> {
    fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_with_bom_removal(),
            out: vec![0; BUFFER],
            start: 0,
            end: 0,
            before: 0,
            has_ended: false,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        while self.start == self.end && !self.has_ended {
            let input = self.inner.fill_buf()?;
            let is_last = input.is_empty();
            let (result, read, wrote) =
                self.decoder
                    .decode_to_utf8_without_replacement(input, &mut self.out, is_last);
            self.inner.consume(read);
            self.before += read as u64;
            (self.start, self.end) = (0, wrote);
            if let DecoderResult::Malformed(..) = result {
                let (charset, at) = (self.decoder.encoding().name(), self.before);
                let message = format!("the file is not {charset} at byte {at}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.has_ended = is_last && result == DecoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Transcoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.decode()?;
        let count = (self.end - self.start).min(out.len());
        out[..count].copy_from_slice(&self.out[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;

    fn text_of(file: &[u8], charset: Option<&str>) -> Result<String, String> {
        let encoding = charset.and_then(|name| Encoding::for_label(name.as_bytes()));
        let read = |stream: &mut dyn Read| {
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        };
        let unpacked = unpack(file, &FileLimits::default(), encoding, read);
        let (text, bytes, hash) = unpacked.map_err(|error: io::Error| error.to_string())?;
        assert_eq!((bytes, hash), (file.len() as u64, xxh3_128(file)));
        Ok(text)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_are_unpacked_by_their_first_bytes() {
        assert_eq!(text_of(b"a,b\n", None).unwrap(), "a,b\n");
        assert_eq!(text_of(b"", None).unwrap(), "");
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(text_of(&members, None).unwrap(), "one two");
        let frames = [
            zstd::encode_all(&b"one "[..], 3).unwrap(),
            zstd::encode_all(&b"two"[..], 3).unwrap(),
        ]
        .concat();
        assert_eq!(text_of(&frames, None).unwrap(), "one two");
    }

    /// A frame of zstd with this window, which holds the text as it is.
    fn frame(window_log: u8, text: &[u8]) -> Vec<u8> {
        let block = u32::try_from(text.len()).unwrap() << 3 | 1;
        let head = [0, (window_log - 10) << 3];
        [&ZSTD[..], &head, &block.to_le_bytes()[..3], text].concat()
    }

    #[test]
    fn windows_of_128_mebibytes_are_read_and_no_larger_ones() {
        assert_eq!(text_of(&frame(27, b"a,b\n"), None).unwrap(), "a,b\n");
        let error = text_of(&frame(28, b"a,b\n"), None).unwrap_err();
        assert!(error.contains("cannot be unpacked"), "{error}");
    }

    #[test]
    fn charsets_become_utf_8_and_marks_go() {
        assert_eq!(text_of(b"\xef\xbb\xbfa", None).unwrap(), "a");
        let wide: Vec<u8> = "\u{feff}é\u{1f600}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(text_of(&wide, None).unwrap(), "é\u{1f600}");
        assert_eq!(text_of(&gzip(&wide), None).unwrap(), "é\u{1f600}");
        assert_eq!(text_of(b"\xe9", Some("latin1")).unwrap(), "é");
        let long = "é".repeat(400_000);
        let wide: Vec<u8> = long.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text_of(&wide, Some("utf-16be")).unwrap(), long);
        let cut = text_of(b"\x81\x30", Some("shift_jis")).unwrap_err();
        assert!(cut.contains("not Shift_JIS"), "{cut}");
    }

    #[test]
    fn what_is_damaged_or_too_dense_says_so() {
        let mut cut = gzip(&[7; 10_000]);
        cut.truncate(cut.len() - 5);
        assert!(text_of(&cut, None).is_err());
        let trailing = [gzip(b"one"), b"rubbish".to_vec()].concat();
        assert!(text_of(&trailing, None).is_err());
        let bomb = zstd::encode_all(io::repeat(0).take(64 << 20), 1).unwrap();
        let error = text_of(&bomb, None).unwrap_err();
        assert!(error.contains("max_ratio"), "{error}");
    }

    #[test]
    fn errors_of_the_system_are_no_damage() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let read = |stream: &mut dyn Read| stream.read_to_end(&mut Vec::new());
        let error = unpack(Failing, &FileLimits::default(), None, read);
        assert_eq!(
            error
                .map(drop)
                .map_err(|error: io::Error| error.raw_os_error()),
            Err(Some(5))
        );
    }
}
