//! Bytes of another charset as UTF-8, while they are read.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

const BUFFER_BYTES: usize = 16 << 10;

/// The charset that a `Content-Type` names; nothing if that is UTF-8, or if it names none. An error if there is no
/// such charset.
pub(super) fn named(content_type: &str) -> Result<Option<&'static Encoding>, String> {
    let mut parameters = content_type.split(';').skip(1);
    let name = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"').trim())
    });
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    match Encoding::for_label(name.as_bytes()) {
        // Every text in ASCII is UTF-8 too, whatever this charset adds to it.
        _ if name.eq_ignore_ascii_case("us-ascii") => Ok(None),
        Some(encoding) => Ok(Some(encoding).filter(|encoding| *encoding != UTF_8)),
        None => {
            Err("its Content-Type names a charset that is not known; expected UTF-8".to_owned())
        }
    }
}

/// Error of bytes that are not of the charset.
#[derive(Debug, thiserror::Error)]
#[error("the body is not {charset}, as its Content-Type or its first bytes say, at byte {at}")]
pub(super) struct NotOfCharset {
    charset: &'static str,
    at: u64,
}

/// A stream of another charset as UTF-8. A byte order mark decides against the given charset.
pub(super) struct Decoded<R> {
    inner: R,
    decoder: Decoder,
    input: Part,
    output: Part,
    /// Bytes of the stream before those of `input`.
    before: u64,
    has_ended: bool,
}

/// The part of a buffer that is filled.
struct Part {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Part {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder(),
            input: Part::new(),
            output: Part::new(),
            before: 0,
            has_ended: false,
        }
    }

    /// Decodes until there is output, or the stream has ended.
    fn decode(&mut self) -> io::Result<()> {
        let mut is_done = false;
        while self.output.is_empty() && !is_done {
            if self.input.is_empty() && !self.has_ended {
                self.input.start = 0;
                self.input.end = self.inner.read(&mut self.input.bytes)?;
                self.has_ended = self.input.end == 0;
            }
            let input = &self.input.bytes[self.input.start..self.input.end];
            let (result, read, wrote) = self.decoder.decode_to_utf8_without_replacement(
                input,
                &mut self.output.bytes,
                self.has_ended,
            );
            self.input.start += read;
            self.before += read as u64;
            (self.output.start, self.output.end) = (0, wrote);
            is_done = self.has_ended && result == DecoderResult::InputEmpty;
            if let DecoderResult::Malformed(..) = result {
                let charset = self.decoder.encoding().name();
                let at = self.before;
                return Err(io::Error::other(NotOfCharset { charset, at }));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.output.is_empty() {
            // A decoder that has told its end must not be asked again.
            if self.has_ended {
                return Ok(0);
            }
            self.decode()?;
        }
        let held = &self.output.bytes[self.output.start..self.output.end];
        let count = held.len().min(out.len());
        out[..count].copy_from_slice(&held[..count]);
        self.output.start += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = out.len().min(self.0.len()).min(self.1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn decoded(bytes: &[u8], content_type: &str) -> Result<String, String> {
        let encoding = named(content_type)?.unwrap_or(UTF_8);
        let mut text = String::new();
        let mut stream = Decoded::new(Slow(bytes, 3), encoding);
        let read = stream.read_to_string(&mut text);
        read.map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn text_of_other_charsets_becomes_utf_8() {
        let latin = "text/json; charset=ISO-8859-1";
        assert_eq!(decoded(b"[\"\xe9\"]", latin).as_deref(), Ok("[\"é\"]"));
        let long = [b"\xe9".repeat(50_000), b"x".repeat(50_000)].concat();
        let expected = "é".repeat(50_000) + &"x".repeat(50_000);
        assert_eq!(decoded(&long, latin), Ok(expected));
        let wide: Vec<u8> = "[\"é\u{1f600}\"]"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let own = "application/json;charset=\"utf-16le\"";
        assert_eq!(decoded(&wide, own).as_deref(), Ok("[\"é\u{1f600}\"]"));
        let marked = [&[0xff, 0xfe], &*wide].concat();
        assert_eq!(decoded(&marked, latin).as_deref(), Ok("[\"é\u{1f600}\"]"));
    }

    #[test]
    fn what_is_not_of_the_charset_is_an_error() {
        for (bytes, content_type, words) in [
            (
                &b"[\"\x81\x30"[..],
                "a/b; charset=Shift_JIS",
                "not Shift_JIS",
            ),
            (
                b"[\0\"\0\x3d\xd8]\0",
                "a/b; charset=utf-16le",
                "not UTF-16LE",
            ),
            (b"x", "a/b; charset=klingon", "not known"),
        ] {
            let error = decoded(bytes, content_type).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        for (content_type, is_other) in [
            ("application/json", false),
            ("application/json; charset=utf-8", false),
            ("a/b; charset=US-ASCII", false),
            ("a/b; charset=", false),
            ("a/b; x=y; Charset=latin1", true),
        ] {
            assert_eq!(
                named(content_type).unwrap().is_some(),
                is_other,
                "{content_type}"
            );
        }
    }
}
