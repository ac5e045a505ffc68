//! Files with one JSON value in each line.

use std::io::{BufRead as _, BufReader, Read};

use super::record::{BadRecord, Part, PassedBytes, ReadRecord, ReadStop, TakePart, bad, too_long};
use lakehook_contract::quarantine::FieldError;

const BUFFER: usize = 256 << 10;

/// Passes each line to `take`.
pub(crate) fn read(
    stream: &mut dyn Read,
    max_record: u64,
    take: &mut TakePart<'_>,
) -> Result<(), ReadStop> {
    let mut input = BufReader::with_capacity(BUFFER, stream);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        number += 1;
        line.clear();
        // One byte more than a record may have, and its end.
        let bound = max_record.saturating_add(2);
        if (&mut input).take(bound).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 == bound {
            take(Part::Bad(pass(&mut input, &line, number, max_record)?))?;
            continue;
        }
        let record = line.trim_ascii();
        if record.is_empty() {
            take(Part::Blank)?;
            continue;
        }
        match std::str::from_utf8(record) {
            _ if record.len() as u64 > max_record => {
                take(Part::Bad(bad(number, record, too_long(max_record), None)))?;
            }
            Ok(json) => take(Part::Record(ReadRecord {
                line: number,
                json,
                sent: None,
                content: None,
                header: None,
            }))?,
            Err(_) => {
                let error = FieldError::of_body("utf8", "text in UTF-8");
                take(Part::Bad(bad(number, record, error, None)))?;
            }
        }
    }
}

/// Passes the rest of a line that is too long.
fn pass(
    input: &mut BufReader<&mut dyn Read>,
    first: &[u8],
    number: u64,
    max: u64,
) -> Result<BadRecord, ReadStop> {
    let mut passed = PassedBytes::default();
    passed.add(first);
    loop {
        let bytes = input.fill_buf()?;
        let end = memchr::memchr(b'\n', bytes);
        let count = end.unwrap_or(bytes.len());
        passed.add(&bytes[..count]);
        let is_last = end.is_some() || bytes.is_empty();
        input.consume(end.map_or(count, |end| end + 1));
        if is_last {
            return Ok(passed.refused(number, too_long(max), None));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn parts(body: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let mut stream = body;
        read(&mut stream, 10, &mut |part| {
            all.push(match part {
                Part::Record(record) => format!("{}: {}", record.line, record.json),
                Part::Bad(bad) => format!("{}: {} {}", bad.line, bad.error.code, bad.bytes),
                Part::Blank => "blank".to_owned(),
                Part::Rows(_) => panic!("these are no tables"),
            });
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn each_line_is_a_record_or_says_why_not() {
        let long = "x".repeat(12);
        let body = format!("{{}}\r\n\n \n[1]\n{long}\n{}\n1", "y".repeat(11));
        let expected = [
            "1: {}",
            "blank",
            "blank",
            "4: [1]",
            "5: too_long 12",
            "6: too_long 11",
            "7: 1",
        ];
        assert_eq!(parts(body.as_bytes()), expected);
        assert_eq!(parts(b"\xff\n"), ["1: utf8 1"]);
        assert!(parts(b"").is_empty());
        assert_eq!(parts(&[b'z'; 500]), ["1: too_long 500"]);
    }
}
