//! Files with one JSON value: the file is one record, or a pointer says where its records are.

use std::io::{BufReader, Read};

use serde_json::value::RawValue;

use super::record::{BadRecord, Part, PassedBytes, ReadRecord, ReadStop, TakePart, bad, too_long};
use lakehook_base::json::{Members, text};
use lakehook_contract::quarantine::FieldError;

/// Most bytes of a file whose records are a part of it: all of it is in memory while it is read.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Passes the records of a document to `take`. `records` are the keys that lead to them; without it, the document
/// is one record.
pub(crate) fn read(
    stream: &mut dyn Read,
    records: Option<&[String]>,
    max_record: u64,
    take: &mut TakePart<'_>,
) -> Result<(), ReadStop> {
    let max = if records.is_some() {
        MAX_DOCUMENT
    } else {
        max_record
    };
    let mut stream = BufReader::new(stream);
    let mut body = Vec::new();
    (&mut stream).take(max + 1).read_to_end(&mut body)?;
    if body.len() as u64 > max {
        if records.is_some() {
            return Err(ReadStop::Wrong(format!(
                "the document has more than {max} bytes; write one record in each line (format = \"ndjson\")"
            )));
        }
        return take(Part::Bad(pass(&mut stream, &body, max)?));
    }
    let whole = |error| Part::Bad(bad(1, body.trim_ascii(), error, None));
    let Ok(body) = std::str::from_utf8(&body) else {
        return take(whole(FieldError::of_body("utf8", "text in UTF-8")));
    };
    let Some(keys) = records else {
        return take(Part::Record(record(
            line_of(body, body.trim_ascii()),
            body.trim_ascii(),
        )));
    };
    let value = serde_json::from_str::<&RawValue>(body);
    let value = value.map_err(|error| ReadStop::Wrong(format!("the file is not JSON: {error}")))?;
    let list = at(value.get(), keys).ok_or_else(|| {
        let keys = keys.join("/");
        ReadStop::Wrong(format!("there is nothing at \"/{keys}\" (records)"))
    })?;
    let elements: Vec<&RawValue> = serde_json::from_str(list)
        .map_err(|_| ReadStop::Wrong("what is at `records` is not a list".to_owned()))?;
    let mut lines = Lines::default();
    for element in elements {
        let line = lines.of(body, element.get());
        let raw = element.get();
        if raw.len() as u64 > max_record {
            take(Part::Bad(bad(
                line,
                raw.as_bytes(),
                too_long(max_record),
                None,
            )))?;
        } else {
            take(Part::Record(record(line, raw)))?;
        }
    }
    Ok(())
}

fn record(line: u64, json: &str) -> ReadRecord<'_> {
    ReadRecord {
        line,
        json,
        sent: None,
        content: None,
        header: None,
    }
}

/// The value that keys lead to.
fn at<'a>(raw: &'a str, keys: &[String]) -> Option<&'a str> {
    let Some((first, rest)) = keys.split_first() else {
        return Some(raw);
    };
    let Members(members) = serde_json::from_str(raw).ok()?;
    let is_first = |key: &str| text(key).is_some_and(|key| key == *first);
    let member = members.iter().find(|(key, _)| is_first(key));
    at(member?.1, rest)
}

/// The line on which a part of a text begins.
fn line_of(body: &str, part: &str) -> u64 {
    Lines::default().of(body, part)
}

/// Counts lines up to parts of a text that come in order.
#[derive(Default)]
struct Lines {
    at: usize,
    before: u64,
}

impl Lines {
    fn of(&mut self, body: &str, part: &str) -> u64 {
        let start = (part.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        let between = body.as_bytes().get(self.at..start).unwrap_or_default();
        self.before += memchr::memchr_iter(b'\n', between).count() as u64;
        self.at = start.max(self.at);
        self.before + 1
    }
}

fn pass(stream: &mut impl Read, first: &[u8], max: u64) -> Result<BadRecord, ReadStop> {
    let mut passed = PassedBytes::default();
    passed.add(first);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(passed.refused(1, too_long(max), None)),
            count => passed.add(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(body: &str, records: Option<&str>) -> Result<Vec<String>, String> {
        let keys = records.map(|keys| {
            let keys = keys.split('/').skip(1);
            keys.map(str::to_owned).collect::<Vec<_>>()
        });
        let mut all = Vec::new();
        let mut stream = body.as_bytes();
        let read = read(&mut stream, keys.as_deref(), 20, &mut |part| {
            all.push(match part {
                Part::Record(record) => format!("{}: {}", record.line, record.json),
                Part::Bad(bad) => format!("{}: {} {}", bad.line, bad.error.code, bad.bytes),
                Part::Blank => "blank".to_owned(),
                Part::Rows(_) => panic!("these are no tables"),
            });
            Ok(())
        });
        match read {
            Ok(()) => Ok(all),
            Err(ReadStop::Wrong(what)) => Err(what),
            Err(other) => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn a_document_is_one_record_or_has_a_list_of_them() {
        let one = |text: &str| Ok(vec![text.to_owned()]);
        assert_eq!(parts("\n {\"a\":1}\n", None), one("2: {\"a\":1}"));
        assert_eq!(parts("{\"a\":", None), one("1: {\"a\":"));
        assert_eq!(parts("", None), one("1: "));
        assert_eq!(parts(&"x".repeat(50), None), one("1: too_long 50"));
        let body = "{\n\"data\": {\"items\": [\n{\"a\":1},\n {\"a\":2}, 3]}}";
        let expected = ["3: {\"a\":1}", "4: {\"a\":2}", "4: 3"].map(str::to_owned);
        assert_eq!(parts(body, Some("/data/items")), Ok(expected.to_vec()));
        assert_eq!(parts("[1]", Some("")), one("1: 1"));
        for (body, records, words) in [
            ("{}", "/items", "nothing at"),
            ("{\"items\":{}}", "/items", "not a list"),
            ("{\"items\":[1", "/items", "not JSON"),
        ] {
            let error = parts(body, Some(records)).err().unwrap_or_default();
            assert!(error.contains(words), "{error}");
        }
    }
}
