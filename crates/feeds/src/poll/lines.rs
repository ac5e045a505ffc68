//! Reads a page of NDJSON: one record in each line.

use std::io::Read;

use super::facts::PageFacts;
use super::read_error::ReadError;
use super::record::{Giver, Passed, Take, text};
use super::wanted::Wanted;
use super::window::Window;

/// Reads the lines of a page, and passes each to `take` as it arrives. Blank lines are none.
pub(super) fn read_lines<E>(
    stream: impl Read,
    wanted: &Wanted,
    max_record: u64,
    take: &mut Take<'_, E>,
) -> Result<PageFacts, ReadError<E>> {
    let mut window = Window::new(stream);
    window.skip_mark()?;
    let mut giver = Giver::new(wanted, max_record, take);
    let max = usize::try_from(max_record).unwrap_or(usize::MAX);
    let mut has_any = false;
    loop {
        let (held, end) = line(&mut window, max)?;
        if held == 0 && end == End::Stream {
            break;
        }
        has_any |= held > 0;
        if end == End::TooLong {
            let passed = pass_line(&mut window)?;
            giver.refuse(&passed.too_long(max_record))?;
            continue;
        }
        let raw = text(&window, held)?.trim_ascii();
        // What a line cannot hold was cut off, if nothing ends it.
        if end == End::Stream && is_cut_off(raw) {
            return Err(ReadError::CutOff);
        }
        if !raw.is_empty() {
            giver.give(raw, false)?;
        }
        let newline = usize::from(end == End::Line);
        window.advance(held + newline);
    }
    if !has_any && window.position() == 0 {
        return Err(ReadError::NoBody);
    }
    giver.into_facts()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A line end.
    Line,
    /// The end of the stream.
    Stream,
    /// The line goes on behind what may be held.
    TooLong,
}

/// The length of the next line, which the window then holds, and what ends it.
fn line<R: Read, E>(window: &mut Window<R>, max: usize) -> Result<(usize, End), ReadError<E>> {
    let mut seen = 0;
    loop {
        let bytes = window.bytes();
        if let Some(count) = memchr::memchr(b'\n', &bytes[seen..]) {
            let length = seen + count;
            let end = if length > max {
                End::TooLong
            } else {
                End::Line
            };
            return Ok((length, end));
        }
        seen = bytes.len();
        if seen > max {
            return Ok((seen, End::TooLong));
        }
        if !window.more()? {
            return Ok((seen, End::Stream));
        }
    }
}

/// Passes over a line that is too long.
fn pass_line<R: Read, E>(window: &mut Window<R>) -> Result<Passed, ReadError<E>> {
    let mut passed = Passed::default();
    loop {
        let bytes = window.bytes();
        let end = memchr::memchr(b'\n', bytes);
        let count = end.unwrap_or(bytes.len());
        passed.add(&bytes[..count]);
        window.advance(count + usize::from(end.is_some()));
        if end.is_some() || !window.more()? {
            return Ok(passed);
        }
    }
}

/// Whether a line without an end is the beginning of a record.
fn is_cut_off(raw: &str) -> bool {
    let read: Result<serde::de::IgnoredAny, _> = serde_json::from_str(raw);
    !raw.is_empty() && read.is_err_and(|error| error.is_eof())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::form::PageForm;
    use super::super::record::Record;
    use super::super::wanted::Steering;
    use super::*;

    fn lines(body: &[u8]) -> Result<Vec<String>, String> {
        let wanted = Wanted::new(&PageForm::default(), &Steering::default())?;
        let mut all = Vec::new();
        let mut take = |_: u64, record: Record<'_>| {
            all.push(match record {
                Record::Whole(raw) => raw.to_owned(),
                Record::Refused(refused) => format!("{} {}", refused.code, refused.bytes),
            });
            Ok::<_, Infallible>(())
        };
        match read_lines(body, &wanted, 100, &mut take) {
            Ok(_) => Ok(all),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    #[test]
    fn each_line_is_a_record() {
        let body = b"\xef\xbb\xbf{\"a\":1}\r\n\n 5 \n{\"a\": nonsense}\n{\"a\":2}";
        let expected = [
            r#"{"a":1}"#,
            r#"{"value":5}"#,
            r#"{"a": nonsense}"#,
            r#"{"a":2}"#,
        ];
        assert_eq!(lines(body).unwrap_or_default(), expected);
        assert_eq!(lines(b"\n"), Ok(Vec::new()));
        let long = format!("{{}}\n{{\"a\":\"{}\"}}\n{{}}\n", "x".repeat(100_000));
        let found = lines(long.as_bytes()).unwrap_or_default();
        assert_eq!(found, ["{}", "too_long 100008", "{}"]);
    }

    #[test]
    fn what_is_cut_off_is_no_record() {
        assert_eq!(lines(b"{}\n{\"a\":1"), Err("CutOff".to_owned()));
        assert_eq!(lines(b""), Err("NoBody".to_owned()));
    }
}
