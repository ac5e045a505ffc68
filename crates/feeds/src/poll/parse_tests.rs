#![allow(clippy::needless_pass_by_value, reason = "a form is made for one test")]

use std::convert::Infallible;
use std::io;

use super::super::facts::Absent;
use super::super::form::{Condition, Empty, PageForm};
use super::super::record::Record;
use super::super::wanted::{Steering, What};
use super::*;

const MAX_RECORD: u64 = 100;

/// A page with records at this place, and a total, a flag and a next page.
fn wanted(records: &str) -> Wanted {
    let form = PageForm {
        records: records.to_owned(),
        total: Some("/meta/total".to_owned()),
        ..PageForm::default()
    };
    let steering = Steering {
        more: Some("/meta/more"),
        next: Some("/next"),
        ..Steering::default()
    };
    made(&form, &steering)
}

/// A page of which only the records are wanted.
fn records_of(form: PageForm) -> Wanted {
    made(&form, &Steering::default())
}

fn made(form: &PageForm, steering: &Steering<'_>) -> Wanted {
    Wanted::new(form, steering).unwrap_or_else(|rule| unreachable!("{rule}"))
}

/// A stream that gives this many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl io::Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(self.0.len()).min(self.1);
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// The records and the facts of a page, or its error.
fn read(body: &[u8], wanted: &Wanted) -> Result<(Vec<String>, PageFacts), String> {
    let all = read_by(body, body.len().max(1), wanted);
    for piece in [1, 2, 3, 7, 64] {
        assert_eq!(read_by(body, piece, wanted), all, "by {piece} bytes");
    }
    all
}

fn read_by(body: &[u8], piece: usize, wanted: &Wanted) -> Result<(Vec<String>, PageFacts), String> {
    let mut records = Vec::new();
    let mut take = |index: u64, record: Record<'_>| {
        assert_eq!(index, records.len() as u64);
        records.push(match record {
            Record::Whole(raw) => raw.to_owned(),
            Record::Refused(long) => {
                let first = String::from_utf8_lossy(&long.first);
                format!("{} bytes: {}", long.bytes, &first[..10])
            }
        });
        Ok::<_, Infallible>(())
    };
    match read_page(Slow(body, piece), wanted, MAX_RECORD, &mut take) {
        Ok(facts) => Ok((records, facts)),
        Err(ReadError::Form { rule, told: None }) => Err(rule),
        Err(ReadError::Form {
            rule,
            told: Some(told),
        }) => Err(format!("{rule} [{told}]")),
        Err(ReadError::CutOff) => Err("cut off".to_owned()),
        Err(ReadError::NoBody) => Err("no body".to_owned()),
        Err(ReadError::Stream(error)) => Err(format!("stream: {error}")),
    }
}

fn records(body: &str, wanted: &Wanted) -> Result<Vec<String>, String> {
    read(body.as_bytes(), wanted).map(|(records, _)| records)
}

#[test]
fn records_come_one_by_one_and_the_rest_in_any_order() {
    let body = br#"{"a":[{"data":[1]}],"meta":{"more":true,"x":{},"total":7},
        "data":{"items":[{"id":1}, {"x":"]}\"" } ],"else":0},"n\u0065xt":"abc"}"#;
    let (records, facts) = read(body, &wanted("/data/items")).unwrap_or_default();
    assert_eq!(records, [r#"{"id":1}"#, r#"{"x":"]}\"" }"#]);
    let expected = PageFacts {
        records: 2,
        total: Some(7),
        more: Some(true),
        next: Some("abc".to_owned()),
        ..PageFacts::default()
    };
    assert_eq!(facts, expected);
}

#[test]
fn a_bare_list_is_a_page_too() {
    let whole = records_of(PageForm::default());
    let body = b"\xef\xbb\xbf [{\"a\":1},{}] ";
    let (records, facts) = read(body, &whole).unwrap_or_default();
    assert_eq!((records.len(), facts.records), (2, 2));
    assert_eq!(facts.next, None);
    assert_eq!(read(b"[]", &whole).map(|(_, facts)| facts.records), Ok(0));
}

#[test]
fn what_is_null_or_empty_on_the_way_is_absent() {
    let wanted = wanted("/items");
    for body in [
        r#"{"items":[],"meta":null,"next":null}"#,
        r#"{"items":[],"meta":[],"next":[]}"#,
        r#"{"items":[],"meta":{"total":null,"more":null},"next":""}"#,
        r#"{"items":null,"meta":false,"next":false}"#,
    ] {
        let facts = read(body.as_bytes(), &wanted).map(|(_, facts)| facts);
        assert_eq!(facts, Ok(PageFacts::default()), "{body}");
    }
    let deep = made(
        &PageForm::default(),
        &Steering {
            next: Some("/next_page/offset"),
            ..Steering::default()
        },
    );
    // The body is the list of records, so nothing else is in it.
    assert!(read(b"[]", &deep).is_ok());
}

#[test]
fn what_is_not_there_at_all_is_told() {
    let wanted = wanted("/items");
    let (_, facts) = read(br#"{"items":[],"meta":{}}"#, &wanted).unwrap_or_default();
    let absent = |what, place: &str| Absent {
        what,
        place: place.to_owned(),
    };
    let expected = [
        absent(What::Total, "/meta/total"),
        absent(What::More, "/meta/more"),
        absent(What::Next, "/next"),
    ];
    assert_eq!(facts.absent, expected);
}

#[test]
fn links_and_numbers_are_taken_as_apis_write_them() {
    let wanted = wanted("/items");
    let body = br#"{"items":[],"meta":{"total":"7","more":"false"},"next":{"href":"/b"}}"#;
    let (_, facts) = read(body, &wanted).unwrap_or_default();
    assert_eq!((facts.total, facts.more), (Some(7), Some(false)));
    assert_eq!(facts.next.as_deref(), Some("/b"));
    let form = PageForm {
        records: "/hits/hits".to_owned(),
        total: Some("/hits/total/value".to_owned()),
        ..PageForm::default()
    };
    let search = records_of(form);
    let total = |relation: &str| {
        let body = format!(
            r#"{{"hits":{{"total":{{"value":10000,"relation":"{relation}"}},"hits":[]}}}}"#
        );
        read(body.as_bytes(), &search).map(|(_, facts)| facts.total)
    };
    assert_eq!(total("eq"), Ok(Some(10_000)));
    assert_eq!(total("gte"), Ok(None));
}

#[test]
fn pointers_lead_into_lists() {
    let form = PageForm {
        records: "/1".to_owned(),
        total: Some("/0/total".to_owned()),
        ..PageForm::default()
    };
    let (found, facts) =
        read(br#"[{"total":2},[{"a":1},{"a":2}]]"#, &records_of(form)).unwrap_or_default();
    assert_eq!((found.len(), facts.total), (2, Some(2)));
    let steering = Steering {
        next: Some("/link/1/url"),
        ..Steering::default()
    };
    let form = PageForm {
        records: "/entry/*/resource".to_owned(),
        ..PageForm::default()
    };
    let body = br#"{"link":[{"url":"/a"},{"url":"/b"}],
        "entry":[{"resource":{"id":1}},{"search":{}},{"resource":null},{"resource":{"id":2}}]}"#;
    let (found, facts) = read(body, &made(&form, &steering)).unwrap_or_default();
    assert_eq!(found, [r#"{"id":1}"#, r#"{"id":2}"#]);
    assert_eq!(facts.next.as_deref(), Some("/b"));
    let nested = records_of(PageForm {
        records: "/groups/*/members".to_owned(),
        ..PageForm::default()
    });
    let body = r#"{"groups":[{"members":[{"a":1},{"a":2}]},{"members":[]},{"members":[{"a":3}]}]}"#;
    assert_eq!(records(body, &nested).map(|found| found.len()), Ok(3));
}

#[test]
fn records_are_a_map_or_an_object_or_single_values() {
    let form = |records_as, map_key: Option<&str>| PageForm {
        records: "/data".to_owned(),
        records_as,
        map_key: map_key.map(str::to_owned),
        ..PageForm::default()
    };
    let body = r#"{"data":{"a":{"x":1},"b\"":{ },"c":5}}"#;
    let keyed = records(body, &records_of(form(RecordsAs::Map, Some("id"))));
    assert_eq!(
        keyed.unwrap_or_default(),
        [
            r#"{"id":"a","x":1}"#,
            r#"{"id":"b\"" }"#,
            r#"{"id":"c","value":5}"#
        ]
    );
    let bare = records(body, &records_of(form(RecordsAs::Map, None)));
    assert_eq!(
        bare.unwrap_or_default(),
        [r#"{"x":1}"#, "{ }", r#"{"value":5}"#]
    );
    let map = records_of(form(RecordsAs::Map, None));
    assert_eq!(records(r#"{"data":[ ]}"#, &map), Ok(Vec::new()));
    let error = records(r#"{"data":[1]}"#, &map).err().unwrap_or_default();
    assert!(
        error.contains("expected an object of records by name at /data, found a list"),
        "{error}"
    );
    let one = records_of(form(RecordsAs::Object, None));
    let found = records(r#"{"data":{"x":[1]},"y":2}"#, &one);
    assert_eq!(found.unwrap_or_default(), [r#"{"x":[1]}"#]);
    let list = records_of(form(RecordsAs::List, None));
    let found = records(r#"{"data":["x",5,[1,2],null,true]}"#, &list).unwrap_or_default();
    let expected = [
        r#"{"value":"x"}"#,
        r#"{"value":5}"#,
        r#"{"value":[1,2]}"#,
        "null",
        r#"{"value":true}"#,
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_page_with_nothing_to_report_is_taken_as_configured() {
    let form = |null, absent| PageForm {
        records: "/data/items".to_owned(),
        empty: Empty {
            null,
            absent,
            no_content: true,
        },
        ..PageForm::default()
    };
    let (strict, usual) = (
        records_of(form(false, false)),
        records_of(form(true, false)),
    );
    let mild = records_of(form(true, true));
    for (body, taken_by) in [
        (r#"{"data":{"items":null}}"#, [false, true, true]),
        (r#"{"data":null}"#, [false, true, true]),
        (r#"{"data":[]}"#, [false, true, true]),
        (r#"{"data":{}}"#, [false, false, true]),
        (r#"{"x":[]}"#, [false, false, true]),
        // A failure is no empty page, whatever is taken for one.
        (
            r#"{"data":null,"errors":[{"message":"no such field"}]}"#,
            [false; 3],
        ),
        (r#"{"ok":false}"#, [false; 3]),
        (r#"{"data":{"items":{}}}"#, [false; 3]),
    ] {
        let taken = [&strict, &usual, &mild].map(|wanted| records(body, wanted).is_ok());
        assert_eq!(taken, taken_by, "{body}");
    }
    let body = r#"{"data":null,"errors":[{"message":"no such field"}]}"#;
    let error = records(body, &usual).err().unwrap_or_default();
    assert!(
        error.contains("reports an error") && error.ends_with("[no such field]"),
        "{error}"
    );
}

#[test]
fn a_body_that_reports_a_failure_is_one() {
    let form = |value: Option<serde_json::Value>| PageForm {
        records: "/items".to_owned(),
        fail_if: Some(Condition {
            pointer: "/status".to_owned(),
            value,
        }),
        error: Some("/why".to_owned()),
        ..PageForm::default()
    };
    let failing = records_of(form(Some("failed".into())));
    assert!(records(r#"{"status":"fine","items":[{}]}"#, &failing).is_ok());
    assert!(records(r#"{"items":[{}]}"#, &failing).is_ok());
    let body = r#"{"items":[{}],"status":"failed","why":"the query is too old"}"#;
    assert_eq!(
        records(body, &failing).err().unwrap_or_default(),
        "the body reports a failure at /status (fail_if) [the query is too old]"
    );
    let any = records_of(form(None));
    assert!(records(r#"{"status":null,"items":[]}"#, &any).is_ok());
    assert!(records(r#"{"status":{"code":5},"items":[]}"#, &any).is_err());
}

#[test]
fn the_next_page_may_be_named_by_a_record() {
    let steering = |next| Steering {
        next: Some(next),
        ..Steering::default()
    };
    let body = br#"[{"id":"a"},{"id":"b"},{"id":7}]"#;
    let next = |body: &[u8], from| {
        let read = read(body, &made(&PageForm::default(), &steering(from)));
        read.map(|(_, facts)| facts.next)
    };
    assert_eq!(next(body, "last:/id"), Ok(Some("7".to_owned())));
    assert_eq!(next(body, "first:/id"), Ok(Some("a".to_owned())));
    assert_eq!(next(b"[]", "last:/id"), Ok(None));
    let error = next(br#"[{"id":1},{"x":2}]"#, "last:/id")
        .err()
        .unwrap_or_default();
    assert!(
        error.contains("the last record has nothing at /id"),
        "{error}"
    );
}

#[test]
fn a_page_may_say_that_it_is_the_last() {
    let condition = Condition {
        pointer: "/done".to_owned(),
        value: Some(true.into()),
    };
    let steering = Steering {
        stop: Some(&condition),
        ..Steering::default()
    };
    let form = PageForm {
        records: "/items".to_owned(),
        ..PageForm::default()
    };
    let wanted = made(&form, &steering);
    let last = |body: &str| read(body.as_bytes(), &wanted).map(|(_, facts)| facts.is_last);
    assert_eq!(last(r#"{"items":[],"done":true}"#), Ok(Some(true)));
    assert_eq!(last(r#"{"items":[],"done":"false"}"#), Ok(Some(false)));
    assert_eq!(last(r#"{"items":[]}"#), Ok(None));
}

#[test]
fn hints_of_a_next_page_are_noted_if_nobody_asked_for_one() {
    let form = PageForm {
        records: "/items".to_owned(),
        ..PageForm::default()
    };
    let steering = Steering {
        takes_hints: true,
        ..Steering::default()
    };
    let wanted = made(&form, &steering);
    for (body, hint) in [
        (r#"{"items":[],"has_more":true}"#, Some("/has_more")),
        (r#"{"items":[],"has_more":false,"next":null}"#, None),
        (
            r#"{"items":[],"response_metadata":{"next_cursor":"x"}}"#,
            Some("/response_metadata/next_cursor"),
        ),
        (
            r#"{"items":[],"response_metadata":{"next_cursor":""}}"#,
            None,
        ),
        (r#"{"items":[{"next":"x"}]}"#, None),
    ] {
        let (_, facts) = read(body.as_bytes(), &wanted).unwrap_or_default();
        assert_eq!(facts.hint.as_deref(), hint, "{body}");
    }
}

#[test]
fn what_is_not_as_declared_says_where_and_what_was_expected() {
    let wanted = wanted("/items");
    for (body, words) in [
        (
            r#"{"meta":{"more":true,"total":7}}"#,
            "nothing at /items; expected a list",
        ),
        (
            r#"{"items":{},"meta":{}}"#,
            "expected a list of records at /items, found an object; `records` says where",
        ),
        (
            r#"{"items":[],"meta":{"total":"seven"}}"#,
            "/meta/total is not a whole number",
        ),
        (
            r#"{"items":[],"meta":{"more":"perhaps"}}"#,
            "/meta/more is not true or false",
        ),
        (
            r#"{"items":[],"next":{"page":2}}"#,
            "/next is not null, text",
        ),
        (
            r#"{"items":[],"meta":5}"#,
            "expected an object on the way to /meta/total",
        ),
        (
            r#"{"items":[],"meta":[1]}"#,
            "expected an object on the way to /meta/total",
        ),
        (r#"{"items":[],"items":[]}"#, "/items is there twice"),
        (
            r#"{"next":"a","next":"b","items":[]}"#,
            "/next is there twice",
        ),
        ("[1]", "expected an object on the way to /items"),
        (
            "<html>",
            "not JSON: '<' at byte 0 (it looks like HTML); expected a value",
        ),
        ("", "no body"),
        (" \n", "no body"),
        (r#"{"items":[{"a":1"#, "cut off"),
        (r#"{"items":[{"a":1},"#, "cut off"),
        (
            r#"{"items":[{"a":1}x"#,
            "not JSON: 'x' at byte 17; expected ']' or ','",
        ),
        (r#"{"items":[,]}"#, "not JSON: ',' at byte 10"),
        (r#"{"items" []}"#, "not JSON: '[' at byte 9; expected ':'"),
        (
            r#"{"items":[]} {"#,
            "not JSON: '{' at byte 13; expected the end",
        ),
        (
            r#"{"items":[],"meta":{"total":1.2.3}}"#,
            "not JSON: the value at byte 28",
        ),
    ] {
        let error = read(body.as_bytes(), &wanted).map(|_| ()).err();
        let error = error.unwrap_or_default();
        assert!(error.contains(words), "{body}: {error}");
    }
    let not_utf8 = read(b"{\"items\":[{\"a\":\"\xff\"}]}", &wanted).err();
    let not_utf8 = not_utf8.unwrap_or_default();
    assert!(not_utf8.starts_with("not UTF-8 at byte 16"), "{not_utf8}");
}

#[test]
fn a_long_record_is_passed_over_and_the_next_one_is_read() {
    let long = format!(
        "{{\"items\":[{{}},{{\"a\":\"{}\"}},{{\"b\":1}}]}}",
        "x".repeat(200)
    );
    let wanted = records_of(PageForm {
        records: "/items".to_owned(),
        ..PageForm::default()
    });
    let found = records(&long, &wanted).unwrap_or_default();
    assert_eq!(found, ["{}", r#"208 bytes: {"a":"xxxx"#, r#"{"b":1}"#]);
    // However the bytes arrive, the hash is that of the record.
    let record = &long[13..13 + 208];
    for piece in [1, 50, 1000] {
        let mut seen = None;
        let mut take = |_: u64, record: Record<'_>| {
            if let Record::Refused(long) = record {
                seen = Some((long.bytes, long.hash));
            }
            Ok::<_, Infallible>(())
        };
        let read = read_page(Slow(long.as_bytes(), piece), &wanted, MAX_RECORD, &mut take);
        assert!(read.is_ok());
        let hash = xxhash_rust::xxh3::xxh3_128(record.as_bytes());
        assert_eq!(seen, Some((208, hash)), "by {piece}");
    }
}

#[test]
fn what_lies_between_records_is_bounded() {
    use io::Read as _;
    let wanted = wanted("/items");
    let mut take = |_: u64, _: Record<'_>| Ok::<_, Infallible>(());
    for (begin, again, words) in [
        ("{\"other\":\"", b'x', "not a record"),
        ("{\"items\":[", b' ', "white space"),
        ("{\"next\":\"", b'x', "/next has more than"),
        ("{\"error\":\"", b'x', "not a record"),
        ("{\"", b'x', "a key is longer"),
    ] {
        let endless = io::Cursor::new(begin.as_bytes()).chain(io::repeat(again).take(40 << 20));
        let error = read_page(endless, &wanted, MAX_RECORD, &mut take);
        let Err(ReadError::Form { rule, .. }) = error else {
            unreachable!("{begin}: {error:?}")
        };
        assert!(rule.contains(words), "{begin}: {rule}");
    }
}

#[test]
fn whoever_takes_the_records_can_stop() {
    let mut take = |index: u64, _: Record<'_>| if index == 1 { Err("enough") } else { Ok(()) };
    let whole = records_of(PageForm::default());
    let stopped = read_page(&b"[1,2,3]"[..], &whole, 100, &mut take);
    assert!(matches!(stopped, Err(ReadError::Taker("enough"))));
}
