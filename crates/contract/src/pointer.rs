//! JSON Pointers (RFC 6901), written and read.

use std::borrow::Cow;

/// The unescaped segments of a pointer.
pub(super) type Pointer = Vec<String>;

/// Splits a pointer; `None` if it points to the whole value or is not a pointer.
pub(super) fn parse(text: &str) -> Option<Pointer> {
    let segments = text.strip_prefix('/')?.split('/');
    Some(segments.map(unescaped).collect())
}

/// The key that a segment names.
pub(super) fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// Longer keys are truncated in pointers: an answer must not grow with the input that it refuses.
const MAX_SEGMENT_CHARS: usize = 128;

/// A key as a segment of a JSON Pointer (RFC 6901), with its slash.
pub(super) fn segment(key: &str) -> String {
    let cut = key.char_indices().nth(MAX_SEGMENT_CHARS);
    let key = match cut {
        Some((end, _)) => Cow::Owned(format!("{}…", &key[..end])),
        None => Cow::Borrowed(key),
    };
    format!("/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_and_cut() {
        assert_eq!(segment("a/b~c"), "/a~1b~0c");
        assert_eq!(segment("").as_str(), "/");
        assert_eq!(segment(&"é".repeat(500)).chars().count(), 130);
    }

    #[test]
    fn pointers_are_split_and_unescaped() {
        let parsed = |text| parse(text).unwrap_or_default();
        assert_eq!(parsed("/a~1b~0c/0"), ["a/b~c", "0"]);
        assert_eq!(parsed("/"), [""]);
        assert_eq!(parsed("/~01"), ["~1"]);
        assert_eq!((parse(""), parse("a/b")), (None, None));
    }
}
