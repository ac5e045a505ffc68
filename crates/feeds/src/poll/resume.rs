//! The cursor of a poll: a [`FeedCursor`] with the page at which a run resumes.

use serde::{Deserialize, Serialize};

use super::pages::Position;
use crate::cursor::FeedCursor;

/// The cursor of a poll.
pub type PollCursor = FeedCursor<Resume>;

/// Where an interrupted appending run resumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The watermark from which the run asked for records.
    pub since: Option<String>,
    /// The window that the run asked for: its beginning and its end, in microseconds.
    #[serde(default)]
    pub window: Option<(i64, i64)>,
    /// The token that the run began with.
    #[serde(default)]
    pub token: Option<String>,
    /// The newest token that its pages have named.
    #[serde(default)]
    pub next_token: Option<String>,
    /// How many parents were done, and their hash.
    #[serde(default)]
    pub parents: Option<(u64, u64)>,
    /// The next page. If pages are counted, the last one that was stored.
    pub position: Position,
    /// If pages are counted: hash of the records of that page, to recognise it.
    pub page_hash: Option<u64>,
    /// Number of records in the pages before that position.
    pub read: u64,
    /// The highest watermark value seen.
    pub highest: Option<String>,
    /// Start of the interrupted run in microseconds; of the first one, if several were interrupted.
    pub began: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{Forgotten, Terms};
    use crate::mark_format::MarkFormat;

    fn terms(plan: u64, field: u64, request: u64, lake: &str) -> Terms<'_> {
        Terms {
            plan,
            field,
            earlier: 9,
            request,
            keep_mark: false,
            format: Some(&MarkFormat::Rfc3339),
            lake,
        }
    }

    fn marked(marks: u64, request: Option<u64>) -> Vec<u8> {
        let cursor = PollCursor {
            marks,
            request,
            watermark: Some("2026-11-25T00:00:00.000000Z".to_owned()),
            ..PollCursor::default()
        };
        cursor.write()
    }

    #[test]
    fn a_mark_belongs_to_its_field_and_its_request() {
        let read = |bytes: &[u8], terms: &Terms<'_>| {
            let (cursor, forgotten) = PollCursor::read(Some(bytes), terms);
            assert_eq!(cursor.watermark.is_none(), forgotten.is_some());
            assert_eq!(
                (cursor.marks, cursor.request),
                (terms.field, Some(terms.request))
            );
            forgotten
        };
        let own = marked(1, Some(2));
        assert_eq!(read(&own, &terms(0, 1, 2, "")), None);
        assert_eq!(read(&own, &terms(0, 3, 2, "")), Some(Forgotten::Field));
        assert_eq!(read(&own, &terms(0, 1, 3, "")), Some(Forgotten::Request));
        let kept = Terms {
            keep_mark: true,
            ..terms(0, 1, 3, "")
        };
        assert_eq!(read(&own, &kept), None);
        let other = Terms {
            format: Some(&MarkFormat::Serial),
            ..terms(0, 1, 2, "")
        };
        assert_eq!(read(&own, &other), Some(Forgotten::Format));
        // What an earlier version has written knows no request.
        assert_eq!(read(&marked(9, None), &terms(0, 1, 2, "")), None);
        assert_eq!(
            read(&marked(8, None), &terms(0, 1, 2, "")),
            Some(Forgotten::Field)
        );
    }

    #[test]
    fn what_is_written_is_read_by_the_same_plan_and_fits() {
        let mut cursor = PollCursor {
            plan: 7,
            marks: 1,
            request: Some(2),
            lake: "lake".to_owned(),
            started: Some(5),
            watermark: Some("2026-11-25T00:00:00.000000Z".to_owned()),
            resume: Some(Resume {
                since: None,
                window: None,
                token: None,
                next_token: None,
                parents: None,
                position: Position::Cursor("x".repeat(24 << 10)),
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
        let read = |bytes, plan, lake| PollCursor::read(bytes, &terms(plan, 1, 2, lake)).0;
        assert_eq!(read(Some(&bytes), 7, "lake"), cursor);
        let other = read(Some(&bytes), 8, "lake");
        assert_eq!((other.resume, other.started), (None, Some(5)));
        assert_eq!(other.watermark, cursor.watermark);
        assert_eq!(read(Some(&bytes), 7, "other").snapshot, None);
        assert_eq!(read(Some(b"?"), 7, "lake").plan, 7);
        assert_eq!(read(None, 7, "lake").started, None);
    }
}
