//! Requests with a body: what is asked for stands in JSON or in a form.

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{lake, poll_in_vain, poll_well, setup};
use crate::support::api::{Api, RawApi, header, page, things};

fn json_of(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

/// A GraphQL API of 25 issues; cursors are opaque text with characters that must be escaped.
fn graphql(request: &Request, _: usize) -> ResponseTemplate {
    if request.method.as_str() != "POST" || request.url.query().is_some() {
        return ResponseTemplate::new(405);
    }
    let asked = json_of(request);
    let variables = &asked["variables"];
    let first = usize::try_from(variables["first"].as_u64().unwrap()).unwrap();
    let from = match &variables["after"] {
        Value::Null => 0,
        after => after
            .as_str()
            .unwrap()
            .strip_prefix("\"}\\")
            .unwrap()
            .parse()
            .unwrap(),
    };
    let to = (from + first).min(25);
    page(json!({"data": {"issues": {
        "nodes": things(from..to),
        "pageInfo": {"endCursor": format!("\"}}\\{to}"), "hasNextPage": to < 25},
    }}}))
}

#[test]
fn a_graphql_api_is_read_whole() {
    let api = Api::start(graphql);
    let settings = "method = \"POST\"\n\
        body = { query = \"query($after: String, $first: Int) { issues { nodes { id } } }\", \
                 variables = { after = \"{cursor}\", first = \"{limit}\" } }\n\
        pagination = { type = \"cursor\", limit = 10, next = \"/data/issues/pageInfo/endCursor\", \
                       more = \"/data/issues/pageInfo/hasNextPage\" }";
    let setup = setup(&api.url(), settings);
    let path = setup.directory().join("lakehook.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("records = \"/things\"", "records = \"/data/issues/nodes\"");
    std::fs::write(&path, text).unwrap();
    let (_, runs) = poll_well(&setup);
    assert_eq!(runs.runs[0].rows, 25);
    let requests = api.requests();
    let variables: Vec<_> = requests
        .iter()
        .map(|r| json_of(r)["variables"].clone())
        .collect();
    assert_eq!(variables[0], json!({"first": 10}));
    assert_eq!(variables[2], json!({"first": 10, "after": "\"}\\20"}));
    let kind = header(&requests[0], "content-type");
    assert_eq!(kind.as_deref(), Some("application/json"));
}

#[test]
fn a_form_asks_for_its_pages_and_is_repeated_after_a_fault() {
    let api = Api::start(|request, n| {
        let form = String::from_utf8(request.body.clone()).unwrap();
        if n == 1 {
            return ResponseTemplate::new(503);
        }
        let offset = form.strip_prefix("q=a%26b&rows=10&start=");
        let offset: usize = offset.unwrap_or_else(|| panic!("{form}")).parse().unwrap();
        page(json!({"things": things(offset..(offset + 10).min(25))}))
    });
    let settings = "method = \"PUT\"\n\
        form = { q = \"a&b\", start = \"{offset}\", rows = \"{limit}\" }\n\
        pagination = { type = \"offset\", limit = 10 }";
    let (_, runs) = poll_well(&setup(&api.url(), settings));
    assert_eq!(runs.runs[0].rows, 25);
}

#[test]
fn only_redirects_that_keep_the_body_are_followed_with_one() {
    let body = "method = \"POST\"\nbody = { all = true, key = \"s3cret\" }";
    let api = Api::start(|request, _| match request.url.path() {
        "/things" => ResponseTemplate::new(308).insert_header("location", "/moved"),
        _ if json_of(request)["all"] == true => page(json!({"things": things(0..3)})),
        _ => ResponseTemplate::new(400),
    });
    let (_, runs) = poll_well(&setup(&api.url(), body));
    assert_eq!(runs.runs[0].rows, 3);

    let turned = Api::start(|_, _| ResponseTemplate::new(302).insert_header("location", "/moved"));
    let turned = setup(&turned.url(), body);
    let said = poll_in_vain(&turned, &["302", "POST", "expected 307 or 308"]);
    assert!(!said.contains("s3cret"), "{said}");

    let other = RawApi::start(|_, _, _| {});
    let to = other.url();
    let away =
        Api::start(move |_, _| ResponseTemplate::new(307).insert_header("location", to.as_str()));
    let allowed = format!("{body}\nallow_hosts = [\"127.0.0.1\"]");
    poll_in_vain(
        &setup(&away.url(), &allowed),
        &["another host, which does not get the body"],
    );
    assert_eq!(other.connections(), 0);
}

#[test]
fn marks_stand_wherever_the_template_says() {
    let api = Api::start(|request, _| {
        let since = header(request, "x-since");
        assert_eq!(request.url.path(), "/things");
        let from = since.map_or(0, |text| {
            text.strip_prefix("from ").unwrap().parse().unwrap()
        });
        page(json!({"things": things(from..12)}))
    });
    let settings = "mode = \"append\"\nheaders = { X-Since = \"from {mark}\" }\n\
        watermark = { field = \"id\", lag = \"2s\" }";
    let setup = setup(&api.url(), settings);
    for run in 0..2 {
        let output = setup.run(&["poll"]);
        assert!(output.status.success(), "{run}: {output:?}");
    }
    assert_eq!(lake(&setup).stream("things", "id").rows, 12);
    let sinces: Vec<_> = api
        .requests()
        .iter()
        .map(|r| header(r, "x-since"))
        .collect();
    assert_eq!(sinces, [None, Some("from 9".to_owned())]);
}
