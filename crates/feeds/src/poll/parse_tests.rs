use std::convert::Infallible;

use super::*;

fn places(records: &str) -> Places {
    let keys = |text: &str| text.split('/').skip(1).map(str::to_owned).collect();
    Places {
        records: keys(records),
        total: Some(keys("/meta/total")),
        more: Some(keys("/meta/more")),
        next: Some(keys("/next")),
    }
}

/// The records and the facts of a page, or its error.
fn read(body: &[u8], places: &Places) -> Result<(Vec<String>, PageFacts), String> {
    let mut records = Vec::new();
    let mut take = |index: u64, record: &str| {
        assert_eq!(index, records.len() as u64);
        records.push(record.to_owned());
        Ok::<_, Infallible>(())
    };
    match read_page(body, places, 100, &mut take) {
        Ok(facts) => Ok((records, facts)),
        Err(ReadError::Form(rule)) => Err(rule),
        Err(ReadError::CutOff) => Err("cut off".to_owned()),
        Err(ReadError::Stream(error)) => Err(format!("stream: {error}")),
    }
}

#[test]
fn records_come_one_by_one_and_the_rest_in_any_order() {
    let body = br#"{"a":[{"data":[1]}],"meta":{"more":true,"x":{},"total":7},
        "data":{"items":[{"id":1}, [2],"x" ],"else":0},"next":"abc"}"#;
    let (records, facts) = read(body, &places("/data/items")).unwrap_or_default();
    assert_eq!(records, [r#"{"id":1}"#, "[2]", "\"x\""]);
    let expected = PageFacts {
        records: 3,
        total: Some(7),
        more: Some(true),
        next: Some("abc".to_owned()),
        next_is_absent: false,
        hash: 0,
    };
    assert_eq!(facts, expected);
}

#[test]
fn a_bare_list_is_a_page_too() {
    let whole = Places::default();
    let body = b"\xef\xbb\xbf [{\"a\":1},{}] ";
    let (records, facts) = read(body, &whole).unwrap_or_default();
    assert_eq!((records.len(), facts.records), (2, 2));
    assert_eq!(facts.next, None);
}

#[test]
fn what_is_not_as_declared_says_where_and_what_was_expected() {
    let places = places("/items");
    for (body, words) in [
        (
            r#"{"meta":{"more":true,"total":7}}"#,
            "nothing at /items; expected a list",
        ),
        (
            r#"{"items":[],"meta":{"more":true}}"#,
            "nothing at /meta/total; expected a whole",
        ),
        (
            r#"{"items":{},"meta":{}}"#,
            "expected a list of records at /items",
        ),
        (
            r#"{"items":[],"meta":{"total":"7"}}"#,
            "/meta/total is not a whole number",
        ),
        (
            r#"{"items":[],"meta":{"more":1}}"#,
            "/meta/more is not true or false",
        ),
        (r#"{"items":[],"next":{}}"#, "/next is not null, or text"),
        (
            r#"{"items":[],"meta":5}"#,
            "expected an object on the way to /meta/total",
        ),
        (r#"{"items":[],"items":[]}"#, "/items is there twice"),
        ("[]", "expected an object on the way to /items"),
        ("<html>", "not JSON: expected value at line 1 column 1"),
        ("", "cut off"),
        (r#"{"items":[{"a":1"#, "cut off"),
        (r#"{"items":[{"a":1}x"#, "not JSON"),
        (r#"{"items":[]} {"#, "not JSON: trailing characters"),
    ] {
        let error = read(body.as_bytes(), &places).map(|_| ()).err();
        let error = error.unwrap_or_default();
        assert!(error.contains(words), "{body}: {error}");
    }
    let not_utf8 = read(b"{\"items\":[\"\xff\"]}", &places).err();
    let not_utf8 = not_utf8.unwrap_or_default();
    assert!(not_utf8.starts_with("not UTF-8 at line 1"), "{not_utf8}");
}

#[test]
fn a_long_record_is_refused_before_it_is_held() {
    let long = format!("{{\"items\":[1,\"{}\"]}}", "x".repeat(101));
    let error = read(long.as_bytes(), &places("/items")).err();
    assert_eq!(
        error.unwrap_or_default(),
        "record 1 is longer than 100 bytes (max_record) at line 1 column 115"
    );
    let endless = io::Cursor::new(b"{\"items\":[\"").chain(io::repeat(b'x'));
    let mut take = |_: u64, _: &str| Ok::<_, Infallible>(());
    let error = read_page(endless, &places("/items"), 100, &mut take);
    assert!(matches!(error, Err(ReadError::Form(rule)) if rule.contains("max_record")));
    let around = io::Cursor::new(b"{\"other\":\"").chain(io::repeat(b'x'));
    let error = read_page(around, &places("/items"), 100, &mut take);
    assert!(matches!(error, Err(ReadError::Form(rule)) if rule.contains("not a record")));
}

#[test]
fn whoever_takes_the_records_can_stop() {
    let mut take = |index: u64, _: &str| if index == 1 { Err("enough") } else { Ok(()) };
    let stopped = read_page(&b"[1,2,3]"[..], &Places::default(), 100, &mut take);
    assert!(matches!(stopped, Err(ReadError::Taker("enough"))));
}
