#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::poll::definition::{Connection, Credentials, GivenLag, Token, Verb, Watermark};
use crate::poll::request::{PageRequest, Requests};
use crate::poll::template::Values;
use crate::poll::tokens::Resumption;

fn watermark(change: impl FnOnce(&mut Watermark)) -> Result<Option<AskFrom>, Vec<Wrong>> {
    let mut mark = Watermark {
        field: Some("updated".to_owned()),
        ..Watermark::default()
    };
    change(&mut mark);
    AskFrom::new(&mark, &get("https://api.example.com/things"))
}

#[allow(clippy::unnecessary_wraps, reason = "it is given or not")]
fn given(lag: u64, has_unit: bool) -> Option<GivenLag> {
    let time = Duration::from_secs(lag);
    Some(GivenLag { time, has_unit })
}

#[allow(clippy::unnecessary_wraps, reason = "most settings are optional")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn get(url: &str) -> Request {
    Request {
        url: url.to_owned(),
        method: Verb::Get,
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: Body::None,
        credentials: Credentials::default(),
        api: None,
        pace: Duration::ZERO,
        connection: Connection::default(),
        allow_hosts: Vec::new(),
    }
}

fn post(body: &str) -> Request {
    Request {
        method: Verb::Post,
        body: Body::Json(serde_json::from_str(body).unwrap()),
        ..get("https://api.example.com/things")
    }
}

/// The request of a run that asks from the second of January on.
fn asked(request: &Request, into: &str, format: &str) -> PageRequest {
    let mark = Watermark {
        field: some("updated"),
        into: some(into),
        format: some(format),
        start: some("2026-01-02T03:04:05Z"),
        ..Watermark::default()
    };
    let from = AskFrom::new(&mark, request).unwrap().unwrap();
    let mut values = Values::default();
    values.set("mark", from.filler(from.start.as_ref().unwrap()).unwrap());
    let requests = Requests::new(&with_mark(request, &mark)).unwrap();
    requests.page(&values, &[]).unwrap()
}

#[test]
fn a_mark_goes_where_it_is_wanted() {
    let things = get("https://api.example.com/things");
    let query = |into: &str, format: &str| {
        let url = asked(&things, into, format).url;
        let (name, value) = url.query_pairs().next().unwrap();
        format!("{name}: {value}")
    };
    assert_eq!(query("query:since", "ms"), "since: 1767323045000");
    let quoted = query("query:q=updated > '{mark}' AND x = 1", "%Y-%m-%d %H:%M");
    assert_eq!(quoted, "q: updated > '2026-01-02 03:04' AND x = 1");
    let header = |into: &str, name: &str, format: &str| {
        let headers = asked(&things, into, format).headers;
        headers[name].to_str().unwrap().to_owned()
    };
    assert_eq!(
        header("header:If-Modified-Since", "if-modified-since", "rfc3339"),
        "Fri, 02 Jan 2026 03:04:05 GMT"
    );
    let since = header("header:X-Since=after {mark}", "x-since", "s");
    assert_eq!(since, "after 1767323045");
    let body = |body: &str, into: &str, format: &str| {
        let body = asked(&post(body), into, format).body.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    };
    assert_eq!(
        body("{\"a\":1}", "body:/filter/since", "rfc3339"),
        r#"{"a":1,"filter":{"since":"2026-01-02T03:04:05.000000Z"}}"#
    );
    assert_eq!(body("{}", "body:/since", "s"), r#"{"since":1767323045}"#);
    let path = get("https://api.example.com/from/{mark}/things");
    assert_eq!(
        asked(&path, "path", "rfc3339").url.as_str(),
        "https://api.example.com/from/2026-01-02T03%3A04%3A05.000000Z/things"
    );
}

#[test]
fn text_is_no_part_of_another_text_unless_it_is_plain() {
    let from = |into: &str| {
        let made = watermark(|mark| {
            mark.into = some(into);
            mark.format = some("text");
        });
        made.unwrap().unwrap()
    };
    let evil = Mark::Text("x' OR '1'='1".to_owned());
    let quoted = from("query:q=v > '{mark}'");
    assert!(quoted.filler(&evil).is_err());
    assert!(from("query:since").filler(&evil).is_ok());
    let plain = Mark::Text("2026-W48_a.b:c+d/e=@,".to_owned());
    assert!(quoted.filler(&plain).is_ok());
    let in_body = post(r#"{"filter":[{"q":"v > '{mark}'"}]}"#);
    let mark = Watermark {
        field: some("v"),
        format: some("text"),
        ..Watermark::default()
    };
    let from = AskFrom::new(&mark, &in_body).unwrap().unwrap();
    assert!(from.filler(&evil).is_err());
}

#[test]
fn a_place_must_exist_and_be_free() {
    let with = |request: &Request, into: &str| {
        let mark = Watermark {
            field: some("updated"),
            into: some(into),
            ..Watermark::default()
        };
        AskFrom::new(&mark, request)
            .map(drop)
            .map_err(|wrongs| wrongs[0].rule.clone())
    };
    let things = get("https://api.example.com/things");
    let mut busy = get("https://api.example.com/things");
    busy.query.insert("since".to_owned(), Secret::new("x"));
    busy.headers.insert("x-since".to_owned(), Secret::new("x"));
    for (request, into, words) in [
        (&things, "path", "needs {mark}"),
        (&things, "body:/since", "needs a body"),
        (&post("{\"a\":1}"), "body:/a", "nothing at /a"),
        (&post("{\"a\":[]}"), "body:/a/0", "nothing at /a/0"),
        (&busy, "query:since", "set in query too"),
        (&busy, "header:X-Since", "set in headers too"),
        (
            &get("https://api.example.com/?x={mark}"),
            "query:since",
            "both say",
        ),
    ] {
        let rule = with(request, into).unwrap_err();
        assert!(rule.contains(words), "{into}: {rule}");
    }
    assert_eq!(with(&busy, "query:from"), Ok(()));
    assert_eq!(with(&post("{\"a\":{}}"), "body:/a/b"), Ok(()));
}

#[test]
fn what_cannot_work_is_told_with_its_key() {
    type Change = fn(&mut Watermark);
    let cases: [(&str, &str, Change); 13] = [
        ("", "set both", |_| {}),
        ("", "set both", |mark| {
            mark.field = None;
            mark.param = some("since");
        }),
        ("into", "both set", |mark| {
            mark.param = some("since");
            mark.into = some("query:since");
        }),
        ("into", "must be", |mark| mark.into = some("since")),
        ("into", "{mark}", |mark| mark.into = some("query:q=x")),
        ("into", "no name of a header", |mark| {
            mark.into = some("header:a b");
        }),
        ("zone", "no time zone", |mark| {
            mark.param = some("since");
            mark.format = some("naive");
            mark.zone = some("Berlin");
        }),
        ("zone", "remove it", |mark| {
            mark.param = some("since");
            mark.zone = some("Europe/Berlin");
        }),
        ("format", "must be one of", |mark| {
            mark.param = some("since");
            mark.format = some("seconds");
        }),
        ("into_format", "only a time", |mark| {
            mark.param = some("since");
            mark.format = some("serial");
            mark.into_format = some("date");
        }),
        ("start", "may be a time or a serial number", |mark| {
            mark.param = some("since");
            mark.start = some("1700000000");
        }),
        ("start", "must be a whole number", |mark| {
            mark.param = some("since");
            mark.format = some("serial");
            mark.start = some("2026-01-01");
        }),
        ("lag", "without a unit", |mark| {
            mark.param = some("since");
            mark.format = some("serial");
            mark.lag = given(5, true);
        }),
    ];
    for (key, words, change) in cases {
        let wrongs = watermark(change).unwrap_err();
        let told = wrongs
            .iter()
            .any(|wrong| wrong.key == key && wrong.rule.contains(words));
        assert!(told, "{key} {words}: {wrongs:?}");
    }
    assert_eq!(
        AskFrom::new(&Watermark::default(), &get("https://a/")),
        Ok(None)
    );
}

#[test]
fn a_lag_is_in_the_unit_of_the_format() {
    let lag = |format: &str, lag| {
        let made = watermark(|mark| {
            mark.param = some("since");
            mark.format = some(format);
            mark.lag = lag;
        });
        made.unwrap().unwrap().lag
    };
    assert_eq!(lag("ms", None).time, Duration::from_secs(60));
    assert_eq!(lag("ms", given(5, true)).time, Duration::from_secs(5));
    assert_eq!(lag("serial", given(100, false)).count, 100);
    assert_eq!(lag("serial", None).count, 60);
}

#[test]
fn a_token_goes_where_nothing_is_yet() {
    let token = Token {
        from: some("/next"),
        into: some("body:/cursor"),
        begins: false,
    };
    let with_body = |body: serde_json::Value| {
        let mut request = get("https://api.example.com/things");
        request.body = Body::Json(serde_json::from_value(body).unwrap());
        Resumption::new(&token, &request, false)
    };
    let free = with_body(serde_json::json!({"count": 10}));
    assert_eq!(free, Ok(Some(Resumption::Placed)));
    let (key, rule) = with_body(serde_json::json!({"cursor": "{cursor}"})).unwrap_err();
    assert_eq!(key, "resume_into");
    assert!(rule.contains("nothing at that place yet"), "{rule}");
}
