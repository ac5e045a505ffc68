//! What a poll remembers: a [`FeedCursor`] whose runs go on at a page.

use serde::{Deserialize, Serialize};

use super::pages::Position;
use crate::cursor::FeedCursor;

/// What a poll remembers.
pub type PollCursor = FeedCursor<Resume>;

/// An appending run on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// What it asked from.
    pub since: Option<String>,
    /// The next page; where pages are counted, the last one that was stored.
    pub position: Position,
    /// Where pages are counted: hash of the records of that page, to recognise it.
    pub page_hash: Option<u64>,
    /// Records of the pages before that position.
    pub read: u64,
    /// The highest value seen.
    pub highest: Option<String>,
    /// When the run began that was interrupted, in microseconds; the first of them, if several were.
    pub began: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_the_same_plan_and_fits() {
        let mut cursor = PollCursor {
            plan: 7,
            marks: 1,
            lake: "lake".to_owned(),
            started: Some(5),
            watermark: Some("2026-11-25T00:00:00.000000Z".to_owned()),
            resume: Some(Resume {
                since: None,
                position: Position::Cursor("x".repeat(4 << 10)),
                page_hash: Some(u64::MAX),
                read: 3,
                highest: None,
                began: 1,
            }),
            ..PollCursor::default()
        };
        let hashes: Vec<u64> = (0..300).map(|n| u64::MAX - n).collect();
        cursor.add_invalid(&hashes);
        assert!(cursor.knows_invalid(u64::MAX - 299) && !cursor.knows_invalid(u64::MAX));
        let bytes = cursor.write();
        assert!(
            bytes.len() <= lakehook_log::request::MAX_CURSOR,
            "{}",
            bytes.len()
        );
        let read = |bytes, plan, marks, lake| PollCursor::read(bytes, plan, marks, lake);
        assert_eq!(read(Some(&bytes), 7, 1, "lake"), cursor);
        let other = read(Some(&bytes), 8, 1, "lake");
        assert_eq!((other.resume, other.started), (None, Some(5)));
        assert_eq!(other.watermark, cursor.watermark);
        assert_eq!(read(Some(&bytes), 7, 2, "lake").watermark, None);
        assert_eq!(read(Some(&bytes), 7, 1, "other").snapshot, None);
        assert_eq!(read(Some(b"?"), 7, 1, "lake").plan, 7);
        assert_eq!(read(None, 7, 1, "lake").started, None);
    }
}
