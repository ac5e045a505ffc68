//! Writes raw values into a row.

use memchr::memchr2;

use lakehook_base::json::{push_json, text};

/// Appends a raw value, with line ends replaced by spaces; in valid JSON they can only be white space.
pub(super) fn push_raw(out: &mut Vec<u8>, raw: &str) {
    let mut rest = raw.as_bytes();
    while let Some(offset) = memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..offset]);
        out.push(b' ');
        rest = &rest[offset + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends a raw string in the form of the envelope's strings: only what must be escaped is escaped.
pub(super) fn push_string(out: &mut Vec<u8>, raw: &str) {
    let bytes = raw.as_bytes();
    if !matches!(bytes, [b'"', ..]) {
        // The digits of a number, which an open contract takes for text.
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    if bytes.contains(&b'\\')
        && let Some(text) = text(raw)
    {
        push_json(out, &*text);
        return;
    }
    // A string without escapes has that form already.
    out.extend_from_slice(bytes);
}
