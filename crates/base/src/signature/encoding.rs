//! How the bytes of signatures and keys are written as text.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Senders differ in whether they pad; the bytes are the same.
const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
const URL_SAFE: GeneralPurpose =
    GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING.with_encode_padding(false));

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits; read in either case, written in lower case.
    Hex,
    /// Base64 with `+` and `/`; read with or without padding, written with it.
    Base64,
    /// Base64 with `-` and `_`; read with or without padding, written without it.
    Base64Url,
}

impl Encoding {
    /// The bytes that `text` encodes.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        // Base64 decoders want some room beyond the bytes themselves.
        let mut bytes = vec![0; text.len() + 3];
        let length = self.decode_into(text, &mut bytes)?;
        bytes.truncate(length);
        Some(bytes)
    }

    /// Writes the bytes that `text` encodes into `out`, and returns their number. `None` if it encodes none, or more
    /// than there is room for.
    pub(super) fn decode_into(self, text: &str, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Hex => hex_into(text.as_bytes(), out),
            Self::Base64 => STANDARD.decode_slice(text, out).ok(),
            Self::Base64Url => URL_SAFE.decode_slice(text, out).ok(),
        }
    }

    /// The text of these bytes.
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE.encode(bytes),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn hex_into(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let length = text.len() / 2;
    if !text.len().is_multiple_of(2) || length > out.len() {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    for (pair, byte) in text.chunks_exact(2).zip(out.iter_mut()) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(length)
}
