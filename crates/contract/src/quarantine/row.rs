//! One row of the quarantine, written as a line of the lake.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use xxhash_rust::xxh3::xxh3_128;

use super::error::FieldError;
use lakehook_base::clock::Micros;
use lakehook_base::json::push_json;
use lakehook_base::record::Origin;

/// Why a row is in the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// One event of an accepted request broke the contract.
    InvalidEvent,
    /// The event id is known with other content; the first copy is in the lake.
    IdConflict,
    /// A request that was answered 400.
    RefusedRequest,
    /// A record of a poll broke the contract.
    InvalidRecord,
}

impl Reason {
    /// The word in the row, which is also the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidEvent => "invalid_event",
            Self::IdConflict => "id_conflict",
            Self::RefusedRequest => "refused_request",
            Self::InvalidRecord => "invalid_record",
        }
    }
}

/// At most this many errors are written into a row; `errors_total` says how many there were.
pub const MAX_ROW_ERRORS: usize = 20;

/// The contents of one row.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Why the input was refused.
    pub reason: Reason,
    /// The stream that the input was meant for.
    pub stream: &'a str,
    /// The request or run that brought it, with the time of receipt.
    pub origin: &'a Origin,
    /// What was wrong; only the first [`MAX_ROW_ERRORS`] are written.
    pub errors: &'a [FieldError],
    /// How many errors there were in all.
    pub errors_total: usize,
    /// The bytes that were refused: text, or base64 where they are not UTF-8.
    pub raw: &'a [u8],
    /// At most this many bytes of `raw` are kept. The row also has the full length and hash.
    pub max_raw_bytes: usize,
    /// The hook that took it, if one did.
    pub hook: Option<OfHook<'a>>,
    /// Where it was read, if it was read from a file.
    pub place: Option<RecordPlace<'a>>,
}

/// What a row needs of a hook's request to be judged again.
#[derive(Clone, Copy, Debug)]
pub struct OfHook<'a> {
    /// The name of the hook.
    pub name: &'a str,
    /// The headers that the hook looks at, as the text of a JSON object.
    pub headers: &'a str,
}

/// Where in a file a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlace<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// The line on which the record begins, from 1.
    pub line: u64,
    /// The line that names the columns, if there is one.
    pub header: Option<&'a str>,
}

impl Refused<'_> {
    /// Appends the row to `out` and returns where in it the `lsn` goes.
    ///
    /// Keys, always in this order: `received_at, lsn, reason, stream, endpoint, request_id, client,
    /// errors, errors_total, raw, raw_encoding, raw_bytes, raw_xxh3, hook, headers`, and for records of
    /// files `file, line, header`.
    pub fn write(&self, out: &mut Vec<u8>) -> u32 {
        self.write_whole(self.raw.len() as u64, xxh3_128(self.raw), out)
    }

    /// Does the same for input of which `raw` is only the beginning; `bytes` and `hash` are of all of
    /// it.
    pub fn write_whole(&self, bytes: u64, hash: u128, out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        out.extend_from_slice(b"{\"received_at\":\"");
        self.origin.received_at.write(out);
        out.extend_from_slice(b"\",");
        let lsn_at = out.len() - start;
        out.extend_from_slice(b"\"reason\":\"");
        out.extend_from_slice(self.reason.as_str().as_bytes());
        out.extend_from_slice(b"\",\"stream\":");
        push_json(out, self.stream);
        out.extend_from_slice(b",\"endpoint\":");
        push_json(out, &*self.origin.endpoint);
        out.extend_from_slice(b",\"request_id\":");
        push_json(out, &*self.origin.request_id);
        out.extend_from_slice(b",\"client\":");
        push_json(out, &self.origin.client);
        out.extend_from_slice(b",\"errors\":");
        push_json(out, &self.errors[..self.errors.len().min(MAX_ROW_ERRORS)]);
        push_display(out, b",\"errors_total\":", self.errors_total);
        self.write_raw(bytes, hash, out);
        out.extend_from_slice(b",\"hook\":");
        push_json(out, &self.hook.map(|hook| hook.name));
        out.extend_from_slice(b",\"headers\":");
        out.extend_from_slice(self.hook.map_or("null", |hook| hook.headers).as_bytes());
        if let Some(place) = &self.place {
            out.extend_from_slice(b",\"file\":");
            push_json(out, place.file);
            push_display(out, b",\"line\":", place.line);
            out.extend_from_slice(b",\"header\":");
            push_json(out, &place.header);
        }
        out.push(b'}');
        u32::try_from(lsn_at).unwrap_or(0)
    }

    fn write_raw(&self, bytes: u64, hash: u128, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"raw\":");
        let encoding = if let Ok(text) = std::str::from_utf8(self.raw) {
            let cut = text.floor_char_boundary(self.max_raw_bytes);
            push_json(out, &text[..cut]);
            "utf-8"
        } else {
            let cut = self.raw.len().min(self.max_raw_bytes / 4 * 3);
            push_json(out, &BASE64.encode(&self.raw[..cut]));
            "base64"
        };
        out.extend_from_slice(b",\"raw_encoding\":");
        push_json(out, encoding);
        push_display(out, b",\"raw_bytes\":", bytes);
        out.extend_from_slice(b",\"raw_xxh3\":\"");
        push_display(out, b"", format_args!("{hash:032x}"));
        out.push(b'"');
    }
}

/// The partition of the quarantine of a stream: by the day of receipt, in UTC.
pub fn partition(stream: &str, received_at: Micros) -> String {
    let day = received_at.to_utc().unwrap_or_default();
    format!("quarantine/{stream}/dt={}", day.format("%Y-%m-%d"))
}

fn push_display(out: &mut Vec<u8>, key: &[u8], value: impl std::fmt::Display) {
    out.extend_from_slice(key);
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "memory takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(raw: &[u8], max_raw_bytes: usize) -> serde_json::Value {
        let origin = Origin {
            received_at: Micros(0),
            endpoint: "/webhook/events".into(),
            request_id: "r1".into(),
            client: None,
        };
        let error = FieldError {
            pointer: "/events".into(),
            code: "type",
            detail: "a\nb".into(),
        };
        let refused = Refused {
            reason: Reason::RefusedRequest,
            stream: "events",
            origin: &origin,
            errors: &vec![error; 30],
            errors_total: 30,
            raw,
            max_raw_bytes,
            hook: None,
            place: None,
        };
        let mut out = Vec::new();
        let lsn_at = refused.write(&mut out) as usize;
        assert!(!out.contains(&b'\n'));
        out.splice(lsn_at..lsn_at, b"\"lsn\":7,".iter().copied());
        serde_json::from_slice(&out).unwrap_or_default()
    }

    #[test]
    fn a_partition_is_the_day_of_receipt() {
        let key = partition("events", Micros(86_400_000_000 - 1));
        assert_eq!(key, "quarantine/events/dt=1970-01-01");
    }

    #[test]
    fn text_is_kept_as_text() {
        let row = row("{\"é\":\n1".as_bytes(), 100);
        assert_eq!(row["raw"], "{\"é\":\n1");
        assert_eq!(row["raw_encoding"], "utf-8");
        assert_eq!(row["lsn"], 7);
        assert_eq!(row["errors"].as_array().map(Vec::len), Some(MAX_ROW_ERRORS));
        assert_eq!(row["errors_total"], 30);
    }

    #[test]
    fn a_record_of_a_file_has_its_place() {
        let origin = Origin {
            received_at: Micros(0),
            endpoint: "claims".into(),
            request_id: "r".into(),
            client: None,
        };
        let refused = Refused {
            reason: Reason::InvalidRecord,
            stream: "claims",
            origin: &origin,
            errors: &[],
            errors_total: 0,
            raw: b"1,x",
            max_raw_bytes: 10,
            hook: None,
            place: Some(RecordPlace {
                file: "a\n.csv",
                line: 7,
                header: Some("id,name"),
            }),
        };
        let mut out = Vec::new();
        refused.write(&mut out);
        let row: serde_json::Value = serde_json::from_slice(&out).unwrap_or_default();
        let place = (&row["file"], &row["line"], &row["header"]);
        assert_eq!(place, (&"a\n.csv".into(), &7.into(), &"id,name".into()));
    }

    #[test]
    fn bytes_are_kept_as_base64() {
        let row = row(&[0xff, 0, 1], 100);
        assert_eq!(
            (&row["raw"], &row["raw_encoding"]),
            (&"/wAB".into(), &"base64".into())
        );
    }

    #[test]
    fn a_long_body_is_cut_and_its_length_and_hash_are_kept() {
        let row = row("é".repeat(50).as_bytes(), 7);
        assert_eq!(row["raw"], "ééé");
        assert_eq!(row["raw_bytes"], 100);
        let hash = format!("{:032x}", xxh3_128("é".repeat(50).as_bytes()));
        assert_eq!(row["raw_xxh3"], hash);
    }
}
