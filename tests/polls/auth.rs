//! Every kind of credentials is sent where it belongs, and nowhere else.

use serde_json::json;
use wiremock::{Request, ResponseTemplate};

use super::{poll_in_vain, poll_well, setup};
use crate::support::api::{Api, header, page, things};

/// An API that requires this header.
fn guarded(name: &'static str, value: &'static str) -> Api {
    Api::start(move |request, _| {
        if header(request, name).as_deref() == Some(value) {
            return page(json!({"things": things(0..3)}));
        }
        ResponseTemplate::new(401)
    })
}

#[test]
fn fixed_credentials_are_sent() {
    for (name, value, auth) in [
        (
            "authorization",
            "Bearer s3cret",
            "type = \"bearer\", token = \"s3cret\"",
        ),
        (
            "authorization",
            // me:s3cret
            "Basic bWU6czNjcmV0",
            "type = \"basic\", user = \"me\", password = \"s3cret\"",
        ),
        (
            "x-api-key",
            "s3cret",
            "type = \"header\", header = \"X-Api-Key\", token_file = \"key\"",
        ),
    ] {
        let api = guarded(name, value);
        let setup = setup(&api.url(), &format!("auth = {{ {auth} }}"));
        std::fs::write(setup.directory().join("key"), "s3cret\n").unwrap();
        let (said, _) = poll_well(&setup);
        assert!(!said.contains("s3cret"), "{said}");
        assert!(!setup.stderr().contains("s3cret"));
    }
    let api = guarded("authorization", "Bearer right");
    let wrong = setup(
        &api.url(),
        "auth = { type = \"bearer\", token = \"wrong\" }",
    );
    let said = poll_in_vain(&wrong, &["401", "check the credentials (auth)"]);
    assert!(!said.contains("wrong"), "{said}");
}

/// A token server and an API on one address. The first token is refused after two pages.
fn oauth2(request: &Request) -> ResponseTemplate {
    if request.url.path() == "/token" {
        let form = String::from_utf8(request.body.clone()).unwrap();
        let is_right = request.method.as_str() == "POST"
            && form == "grant_type=client_credentials&scope=read+all"
            // me:s3cret
            && header(request, "authorization").as_deref() == Some("Basic bWU6czNjcmV0");
        if !is_right {
            return ResponseTemplate::new(401);
        }
        return page(json!({"access_token": "t0k", "token_type": "Bearer", "expires_in": 3600}));
    }
    ResponseTemplate::new(500)
}

#[test]
fn oauth2_tokens_are_asked_for_once_and_renewed_when_they_are_refused() {
    let api = Api::start(|request, n| {
        if request.url.path() == "/token" {
            return oauth2(request);
        }
        let is_right = header(request, "authorization").as_deref() == Some("Bearer t0k");
        // Request 0 is for the token, requests 1 and 2 are pages; then one request is refused.
        if !is_right || n == 3 {
            return ResponseTemplate::new(401);
        }
        let offset = crate::support::api::number(request, "offset");
        page(json!({"things": things(offset..(offset + 10).min(30))}))
    });
    let auth = |password: &str| {
        format!(
            "pagination = {{ type = \"offset\" }}\nauth = {{ type = \"oauth2\", user = \"me\", \
             password = \"{password}\", token_url = \"{}/token\", scope = \"read all\" }}",
            api.url()
        )
    };
    let right = setup(&api.url(), &auth("s3cret"));
    let (_, runs) = poll_well(&right);
    assert_eq!(runs.runs[0].rows, 30);
    let requests = api.requests();
    let tokens = requests.iter().filter(|r| r.url.path() == "/token").count();
    assert_eq!((tokens, requests.len()), (2, 2 + 1 + 4));

    let wrong = setup(&api.url(), &auth("0ther"));
    let said = poll_in_vain(
        &wrong,
        &["the token server 127.0.0.1 answered 401", "auth.password"],
    );
    assert!(!said.contains("0ther"), "{said}");
}
