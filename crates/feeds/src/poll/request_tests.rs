#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::poll::definition::{Connection, Credentials, JsonBody};
use lakehook_base::secret::Secret;

fn request(change: impl FnOnce(&mut Request)) -> Request {
    let mut request = Request {
        url: "https://api.example.com/users?a=1".to_owned(),
        method: Verb::Get,
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        body: Body::None,
        credentials: Credentials::default(),
        api: None,
        pace: Duration::ZERO,
        connection: Connection::default(),
        allow_hosts: Vec::new(),
    };
    change(&mut request);
    request
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
        .collect()
}

#[test]
fn every_place_is_filled_and_what_has_no_value_is_left_out() {
    let requests = Requests::new(&request(|request| {
        request.method = Verb::Post;
        request.query = fields(&[("since", "{mark}"), ("a", "2"), ("q", "id > {id}")]);
        request.headers = fields(&[("X-Since", "{mark}"), ("X-Id", "no {id}")]);
        request.body = Body::Form(fields(&[("c", "{cursor}"), ("id", "{id}&"), ("x", "1 2")]));
    }))
    .unwrap();
    let mut values = Values::default();
    values.set("id", 7_u64);
    let extra = [("limit".to_owned(), "5".to_owned())];
    let page = requests.page(&values, &extra).unwrap();
    assert_eq!(page.method, Method::POST);
    assert_eq!(
        page.url.as_str(),
        "https://api.example.com/users?a=1&q=id+%3E+7&limit=5"
    );
    assert_eq!(page.headers["x-id"], "no 7");
    assert!(!page.headers.contains_key("x-since"));
    assert_eq!(
        page.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(page.body.as_deref(), Some(&b"id=7%26&x=1+2"[..]));
    values.set("cursor", "n");
    let page = requests.page(&values, &[]).unwrap();
    assert_eq!(page.body.as_deref(), Some(&b"c=n&id=7%26&x=1+2"[..]));
    for name in ["mark", "id", "cursor"] {
        assert!(requests.uses(name), "{name}");
    }
    assert!(!requests.uses("offset"));
}

#[test]
fn a_configured_type_of_the_body_holds() {
    let body: JsonBody = serde_json::from_value(json!({"after": "{cursor}"})).unwrap();
    let requests = Requests::new(&request(|request| {
        request.method = Verb::Put;
        request.body = Body::Json(body);
        request.headers = fields(&[("Content-Type", "application/graphql+json")]);
    }))
    .unwrap();
    let page = requests.page(&Values::default(), &[]).unwrap();
    assert_eq!(page.headers["content-type"], "application/graphql+json");
    assert_eq!(page.body.as_deref(), Some(&b"{}"[..]));
    assert_eq!(format!("{page:?}"), "PUT /users");
}

#[test]
fn another_question_has_another_hash() {
    let plain = hash_of(&request(|_| {}));
    assert_eq!(
        hash_of(&request(|request| request.pace = Duration::from_secs(5))),
        plain
    );
    assert_ne!(
        hash_of(&request(|request| request.method = Verb::Post)),
        plain
    );
    assert_ne!(
        hash_of(&request(|request| request.query = fields(&[("a", "b")]))),
        plain
    );
    let form = Body::Form(fields(&[("a", "b")]));
    assert_ne!(hash_of(&request(|request| request.body = form)), plain);
}
