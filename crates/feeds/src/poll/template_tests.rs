#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::json;

use super::*;

fn values(pairs: &[(&str, &str)]) -> Values {
    let mut values = Values::default();
    for (name, value) in pairs {
        values.set(name, *value);
    }
    values
}

fn url(template: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
    let template = UrlTemplate::parse(template).map_err(str::to_owned)?;
    template.fill(&values(pairs)).map(|url| url.to_string())
}

#[test]
fn only_names_in_braces_are_placeholders() {
    for (text, names, filled) in [
        ("", &[][..], Some("")),
        ("{cursor}", &["cursor"], Some("C")),
        ("a{cursor}b{page}", &["cursor", "page"], Some("aCb7")),
        ("{cursor}{cursor}", &["cursor", "cursor"], Some("CC")),
        ("{{cursor}}", &[], Some("{cursor}")),
        ("{{{cursor}}}", &[], Some("{{cursor}}")),
        ("{ id }", &[], Some("{ id }")),
        ("query { a { id } }", &[], Some("query { a { id } }")),
        ("{", &[], Some("{")),
        ("{}", &[], Some("{}")),
        ("{a", &[], Some("{a")),
        ("{1}", &[], Some("{1}")),
        ("{\"a\":1}", &[], Some("{\"a\":1}")),
        ("{{page}", &["page"], Some("{7")),
        ("ä{page}ö", &["page"], Some("ä7ö")),
        ("{unknown}", &["unknown"], None),
    ] {
        let template = Template::parse(text);
        assert_eq!(template.names().collect::<Vec<_>>(), names, "{text}");
        let values = values(&[("cursor", "C"), ("page", "7")]);
        assert_eq!(template.fill(&values).as_deref(), filled, "{text}");
    }
    assert_eq!(
        format!("{:?}", Template::parse("s3cret{page}")),
        "{\"page\"}"
    );
}

#[test]
fn values_stay_within_their_part_of_a_url() {
    let template = "https://a.example/u/{id}/x?since={mark}&b=1";
    let filled = |id, mark| url(template, &[("id", id), ("mark", mark)]);
    assert_eq!(
        filled("7", "2026-01-01T00:00:00+01:00").unwrap(),
        "https://a.example/u/7/x?since=2026-01-01T00%3A00%3A00%2B01%3A00&b=1"
    );
    assert_eq!(
        filled("a/../b?c#d", "x&y=z#").unwrap(),
        "https://a.example/u/a%2F..%2Fb%3Fc%23d/x?since=x%26y%3Dz%23&b=1"
    );
    assert_eq!(
        filled("é%2e", " ").unwrap(),
        "https://a.example/u/%C3%A9%252e/x?since=%20&b=1"
    );
    for bad in ["", ".", ".."] {
        let refused = filled(bad, "x").unwrap_err();
        assert!(
            refused.contains("{id} makes") && refused.contains("path"),
            "{refused}"
        );
    }
    assert!(url("https://a.example/%2e{id}/x", &[("id", ".")]).is_err());
    assert_eq!(
        url("https://a.example/v{id}.json", &[("id", "..")]).unwrap(),
        "https://a.example/v...json"
    );
}

#[test]
fn a_parameter_without_a_value_is_left_out_and_a_segment_must_have_one() {
    assert_eq!(
        url("https://a.example?x={mark}", &[]).unwrap(),
        "https://a.example/"
    );
    assert_eq!(
        url("https://a.example/p?a=1&x={mark}&b=2", &[]).unwrap(),
        "https://a.example/p?a=1&b=2"
    );
    let missing = url("https://a.example/{mark}", &[]).unwrap_err();
    assert!(missing.contains("{mark} stands in the path"), "{missing}");
}

#[test]
fn origins_are_not_made_of_values() {
    for bad in [
        "https://{id}.example/x",
        "https://{id}",
        "{id}://a.example/x",
        "https://a.example:{id}/",
        "https://{id}?x",
    ] {
        assert!(UrlTemplate::parse(bad).is_err(), "{bad}");
    }
    let template = UrlTemplate::parse("https://a.example/{id}?x={mark}").unwrap();
    assert_eq!(template.names().collect::<Vec<_>>(), ["id", "mark"]);
    assert_eq!(
        template.example().unwrap().origin().ascii_serialization(),
        "https://a.example"
    );
}

#[test]
fn headers_hold_no_line_ends() {
    let template = Template::parse("since {mark}");
    let header = |mark: &str| template.header(&values(&[("mark", mark)]));
    assert_eq!(header("x").unwrap().unwrap(), "since x");
    for bad in ["a\r\nb: c", "a\nb", "\0"] {
        assert!(header(bad).is_err(), "{bad:?}");
    }
    assert_eq!(template.header(&Values::default()), Ok(None));
}

#[test]
fn values_in_json_keep_their_kind_and_cannot_leave_their_string() {
    let body = json!({
        "query": "query($after: String) { items(after: $after) { id } }",
        "variables": {"after": "{cursor}", "first": "{limit}", "only": true, "q": "x > '{mark}'"},
        "list": [1, "{id}", []],
        "{id}": null,
    });
    let template = JsonTemplate::parse(&body);
    let names = template.names();
    for name in ["cursor", "limit", "mark", "id"] {
        assert!(names.contains(&name), "{name}");
    }
    let mut values = values(&[("cursor", "a\",\"b\":\"c\n"), ("mark", "\"\\")]);
    values.set("limit", 100_u64);
    values.set("id", Filler::Number("12345678901234567890123".to_owned()));
    let text = template.fill(&values);
    assert!(text.contains("12345678901234567890123"), "{text}");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["variables"]["after"], "a\",\"b\":\"c\n");
    assert_eq!(read["variables"]["first"], 100);
    assert_eq!(read["variables"]["q"], "x > '\"\\'");
    assert_eq!(read["query"], body["query"]);
    assert_eq!(read["list"][2], json!([]));
    assert_eq!(read["{id}"], Value::Null);
    values.set("id", Filler::Bool(true));
    let read: Value = serde_json::from_str(&template.fill(&values)).unwrap();
    assert_eq!(read["list"][1], true);
}

#[test]
fn members_without_a_value_are_left_out_with_what_becomes_empty() {
    let fill = |body: Value| JsonTemplate::parse(&body).fill(&Values::default());
    assert_eq!(
        fill(
            json!({"a": 1, "b": "{cursor}", "c": [2, "{cursor}"], "d": {"e": {"f": "{mark}"}}, "g": {}})
        ),
        r#"{"a":1,"c":[2],"g":{}}"#
    );
    assert_eq!(fill(json!({"b": "{cursor}", "a": 1})), r#"{"a":1}"#);
    assert_eq!(fill(json!({"search_after": ["{cursor}"]})), "{}");
    assert_eq!(fill(json!({"a": "{{cursor}}"})), r#"{"a":"{cursor}"}"#);
}
