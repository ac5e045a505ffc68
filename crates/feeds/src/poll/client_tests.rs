#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;

use super::super::form::PageForm;
use super::super::wanted::Steering;
use super::*;
use crate::poll::definition::{Body, Connection, Credentials, Request, Verb};
use crate::poll::link::Links;

fn client(home: &str, allow_hosts: &[&str]) -> Client {
    let request = Request {
        url: home.to_owned(),
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
    let settings = ClientSettings {
        home: Url::parse(home).unwrap(),
        allow_hosts: allow_hosts.iter().map(|&host| host.to_owned()).collect(),
        timeout: Duration::from_secs(1),
        past_end: Vec::new(),
        wanted: Wanted::new(&PageForm::default(), &Steering::default()).unwrap(),
        hidden: Hidden::default(),
    };
    Client::new(Links::new(None).of("users", &request).unwrap(), settings)
}

fn follow(client: &Client, from: &str, link: &str) -> Result<String, String> {
    let from = Url::parse(from).unwrap();
    client.follow(&from, link).map(|url| url.to_string())
}

#[test]
fn links_stay_at_home_unless_allowed() {
    let own = client("https://api.example.com/users", &[]);
    let from = "https://api.example.com/users?page=1";
    let next = "https://api.example.com/users?page=2";
    assert_eq!(follow(&own, from, "?page=2").as_deref(), Ok(next));
    for (link, words) in [
        ("https://evil.example/x", "another host"),
        ("//169.254.169.254/latest", "another host"),
        ("http://api.example.com/users", "from https to http"),
        ("https://api.example.com:8443/users", "another host"),
        ("ftp://api.example.com/users", "neither http nor https"),
        ("https://", "is not a URL"),
    ] {
        let refused = follow(&own, from, link).unwrap_err();
        assert!(refused.contains(words), "{link}: {refused}");
    }
    let wide = client(
        "https://api.example.com/users",
        &["cdn.example.com", "b.example:81"],
    );
    assert!(follow(&wide, from, "https://CDN.example.com/x").is_ok());
    assert!(follow(&wide, from, "https://b.example:81/x").is_ok());
    assert!(follow(&wide, from, "https://b.example/x").is_err());
}

#[test]
fn credentials_stay_at_home() {
    let plain = client("http://api.example.com/users", &["other.example"]);
    for (url, is_home) in [
        ("http://api.example.com/x", true),
        ("https://api.example.com/x", true),
        ("http://api.example.com:81/x", false),
        ("http://other.example/x", false),
    ] {
        assert_eq!(plain.is_home(&Url::parse(url).unwrap()), is_home, "{url}");
    }
}

#[test]
fn the_next_link_is_found_among_others() {
    let github = r#"<https://a/x?page=1>; rel="prev", <https://a/x?page=3>; rel="next", <https://a/x?page=9>; rel="last""#;
    assert_eq!(next_of(github).as_deref(), Some("https://a/x?page=3"));
    assert_eq!(next_of("</b>;title=x; REL=next").as_deref(), Some("/b"));
    assert_eq!(next_of(r#"</b>; rel="last next""#).as_deref(), Some("/b"));
    for none in ["", "<", "</a>", r#"</a>; rel="prev""#, "</a>; rel"] {
        assert_eq!(next_of(none), None, "{none}");
    }
}

#[test]
fn errors_name_places_without_parameters() {
    let url = Url::parse("https://a.example/x?key=secret").unwrap();
    assert_eq!(place(&url), "https://a.example/x");
}
