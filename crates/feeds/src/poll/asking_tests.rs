#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use super::*;
use crate::poll::definition::{GivenLag, Watermark};

fn watermark(change: impl FnOnce(&mut Watermark)) -> Result<Option<AskFrom>, Vec<Wrong>> {
    let mut mark = Watermark {
        field: Some("updated".to_owned()),
        ..Watermark::default()
    };
    change(&mut mark);
    AskFrom::new(&mark)
}

fn given(lag: u64, has_unit: bool) -> Option<GivenLag> {
    let time = Duration::from_secs(lag);
    Some(GivenLag { time, has_unit })
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_mark_goes_where_it_is_wanted() {
    let from = |into: &str, format: &str| {
        let made = watermark(|mark| {
            mark.into = some(into);
            mark.format = some(format);
            mark.start = some("2026-01-02T03:04:05Z");
        });
        made.unwrap().unwrap()
    };
    let mark = |from: &AskFrom| from.start.clone().unwrap();
    let query = |into: &str, format: &str| {
        let from = from(into, format);
        let mut url = Url::parse("https://api.example.com/things").unwrap();
        from.add_to_query(&mut url, &mark(&from)).unwrap();
        let (name, value) = url.query_pairs().next().unwrap();
        format!("{name}: {value}")
    };
    assert_eq!(query("query:since", "ms"), "since: 1767323045000");
    let quoted = query("query:q=updated > '{mark}' AND x = 1", "%Y-%m-%d %H:%M");
    assert_eq!(quoted, "q: updated > '2026-01-02 03:04' AND x = 1");
    let header = |into: &str, format: &str| {
        let from = from(into, format);
        let (name, value) = from.header(&mark(&from)).unwrap().unwrap();
        format!("{name}: {}", value.to_str().unwrap())
    };
    assert_eq!(
        header("header:If-Modified-Since", "rfc3339"),
        "if-modified-since: Fri, 02 Jan 2026 03:04:05 GMT"
    );
    assert_eq!(
        header("header:X-Since=after {mark}", "s"),
        "x-since: after 1767323045"
    );
    let path = from("path", "rfc3339");
    assert_eq!(
        path.in_url("https://api.example.com/from/{mark}/things", &mark(&path))
            .unwrap(),
        "https://api.example.com/from/2026-01-02T03%3A04%3A05.000000Z/things"
    );
}

#[test]
fn text_is_no_part_of_another_text_unless_it_is_plain() {
    let from = |into: &str| {
        let made = watermark(|mark| {
            mark.into = some(into);
            mark.format = some("text");
            mark.start = some("a");
        });
        made.unwrap().unwrap()
    };
    let evil = Mark::Text("x' OR '1'='1".to_owned());
    let mut url = Url::parse("https://api.example.com/").unwrap();
    assert!(
        from("query:q=v > '{mark}'")
            .add_to_query(&mut url, &evil)
            .is_err()
    );
    from("query:since").add_to_query(&mut url, &evil).unwrap();
    let plain = Mark::Text("2026-W48_a.b:c+d/e=@,".to_owned());
    from("query:q=v > '{mark}'")
        .add_to_query(&mut url, &plain)
        .unwrap();
    for bad in ["..", ".", ""] {
        let bad = Mark::Text(bad.to_owned());
        assert!(from("path").in_url("https://a/{mark}", &bad).is_err());
    }
    let line_end = Mark::Text("a\r\nX: y".to_owned());
    assert!(from("header:X-Since").header(&line_end).is_err());
}

#[test]
fn what_cannot_work_is_told_with_its_key() {
    type Change = fn(&mut Watermark);
    let cases: [(&str, &str, Change); 14] = [
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
            mark.into = some("header:a b")
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
        ("start", "path needs a mark", |mark| {
            mark.into = some("path")
        }),
    ];
    for (key, words, change) in cases {
        let wrongs = watermark(change).unwrap_err();
        let told = wrongs
            .iter()
            .any(|wrong| wrong.key == key && wrong.rule.contains(words));
        assert!(told, "{key} {words}: {wrongs:?}");
    }
    assert_eq!(AskFrom::new(&Watermark::default()), Ok(None));
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
