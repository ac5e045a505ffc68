//! `application/x-www-form-urlencoded`: names and values, decoded.

use std::borrow::Cow;

/// The names and values of a form or query, decoded, in their order.
pub fn pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    let parts = text.split(|byte| *byte == b'&');
    parts.filter(|part| !part.is_empty()).map(|part| {
        let at = memchr::memchr(b'=', part);
        let (name, value) = at.map_or((part, &b""[..]), |at| (&part[..at], &part[at + 1..]));
        (decoded(name), decoded(value))
    })
}

/// Bytes without percent-encoding, and with spaces for `+`. What is no valid encoding stays as it is.
pub fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, escaped(behind)) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    Cow::Owned(out)
}

/// The byte that the next two hexadecimal digits mean.
pub(super) fn escaped(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else {
        return None;
    };
    let value = |digit: u8| char::from(digit).to_digit(16);
    Some((value(*high)? << 4 | value(*low)?) as u8)
}
