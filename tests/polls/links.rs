//! Redirects and links are followed within the configured origin. Other hosts are followed only if the
//! configuration allows it, and without credentials.

use serde_json::json;
use wiremock::ResponseTemplate;

use super::{poll_in_vain, poll_well, setup};
use crate::support::api::{Api, header, page, things};

const TOKEN: &str = "auth = { type = \"bearer\", token = \"s3cret\" }";

#[test]
fn a_redirect_at_home_is_followed() {
    let api = Api::start(|request, _| match request.url.path() {
        "/things" => ResponseTemplate::new(307).insert_header("location", "/v2/things?x=1"),
        _ => {
            assert_eq!(
                header(request, "authorization").as_deref(),
                Some("Bearer s3cret")
            );
            page(json!({"things": things(0..3)}))
        }
    });
    poll_well(&setup(&api.url(), TOKEN));
}

#[test]
fn redirects_without_end_are_given_up() {
    let api = Api::start(|_, n| {
        ResponseTemplate::new(302).insert_header("location", format!("/things?{n}"))
    });
    poll_in_vain(&setup(&api.url(), ""), &["more than 5 redirects"]);
    assert_eq!(api.requests().len(), 6);
}

#[test]
fn another_host_is_followed_only_if_it_is_allowed_and_gets_no_credentials() {
    let other = Api::start(|_, _| page(json!({"things": things(0..3)})));
    let target = format!("{}/things", other.url());
    let api = Api::start(move |_, _| {
        ResponseTemplate::new(302).insert_header("location", target.as_str())
    });
    let words = ["a redirect", "another host", "only if allow_hosts names it"];
    poll_in_vain(&setup(&api.url(), TOKEN), &words);
    assert!(other.requests().is_empty());

    let host = other.url().replace("http://", "");
    let allowed = format!("allow_hosts = [\"{host}\"]\n{TOKEN}");
    poll_well(&setup(&api.url(), &allowed));
    let requests = other.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(header(&requests[0], "authorization"), None);
}

#[test]
fn private_addresses_are_not_asked() {
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/things",
        "http://[::1]:22/",
        "http://localhost:9/",
        "file:///etc/passwd",
    ] {
        let api =
            Api::start(move |_, _| ResponseTemplate::new(302).insert_header("location", target));
        poll_in_vain(&setup(&api.url(), ""), &["page 1: a redirect", "followed"]);
        assert_eq!(api.requests().len(), 1, "{target}");
    }
}

#[test]
fn links_of_pages_obey_the_same_rule() {
    let api = Api::start(|_, _| {
        page(json!({"things": things(0..3), "next": "http://169.254.169.254/things?page=2"}))
    });
    let settings = "pagination = { type = \"next-url\", next = \"/next\" }";
    let words = [
        "page 1: the link to the next page",
        "169.254.169.254",
        "another host",
    ];
    poll_in_vain(&setup(&api.url(), settings), &words);
}
