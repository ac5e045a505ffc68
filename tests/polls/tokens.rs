//! Credentials beyond a fixed header: keys in the query, tokens of an OAuth2 server, signatures, client
//! certificates.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{lake, poll, poll_in_vain, poll_well, said, setup};
use crate::support::api::{Api, header, number, page, param, things};
use crate::support::process::Setup;
use crate::support::tls::{Authority, serve};

const LIMIT: Duration = Duration::from_secs(60);

/// Checks that nothing that was said, logged or stored beside the lake holds a secret.
fn assert_hidden(setup: &Setup, said: &str, secret: &str) {
    assert!(!said.contains(secret), "{said}");
    assert!(!setup.stderr().contains(secret), "{}", setup.stderr());
}

#[test]
fn a_key_in_the_query_is_sent_with_every_page_and_shown_nowhere() {
    let api = Api::start(|request, n| {
        let keys = request
            .url
            .query_pairs()
            .filter(|(name, _)| name == "apiKey");
        let keys: Vec<String> = keys.map(|(_, value)| value.into_owned()).collect();
        if keys != ["s3cret&1"] {
            return ResponseTemplate::new(401);
        }
        // One link leaves the key out, as Polygon does; the next repeats it.
        let key = if n == 1 { "&apiKey=s3cret%261" } else { "" };
        let from = number(request, "from");
        let next = (from < 20).then(|| format!("/things?from={}{key}", from + 10));
        page(json!({"things": things(from..from + 10), "next": next}))
    });
    let settings = "auth = { type = \"query\", param = \"apiKey\", token = \"s3cret&1\" }\n\
        pagination = { type = \"next-url\", next = \"/next\" }";
    let right = setup(&api.url(), settings);
    let (said, runs) = poll_well(&right);
    assert_eq!(runs.runs[0].rows, 30);
    assert_hidden(&right, &said, "s3cret");

    let wrong = setup(&api.url(), &settings.replace("s3cret&1", "wr0ng"));
    let said = poll_in_vain(&wrong, &["401"]);
    assert_hidden(&wrong, &said, "wr0ng");
    let gone = setup("http://127.0.0.1:1", &settings.replace("s3cret&1", "wr0ng"));
    let (said, _) = super::said(&gone.run(&["poll", "--dry-run"]));
    assert_hidden(&gone, &said, "wr0ng");
}

/// The fields of a form.
fn fields(request: &Request) -> Vec<(String, String)> {
    let url = format!(
        "http://x/?{}",
        String::from_utf8(request.body.clone()).unwrap()
    );
    let url = reqwest::Url::parse(&url).unwrap();
    let pairs = url.query_pairs();
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn field(request: &Request, name: &str) -> Option<String> {
    let fields = fields(request).into_iter();
    fields
        .into_iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value)
}

/// Two polls of an API whose only token is issued once for both.
#[test]
fn polls_of_one_api_share_its_tokens() {
    let api = Api::start(|request, _| {
        if request.url.path() == "/token" {
            let asked = fields(request);
            let expected = [
                ("grant_type", "client_credentials"),
                ("client_id", "me"),
                ("client_secret", "s3 cret"),
                ("audience", "https://api.example.com"),
            ];
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(asked, expected);
            assert_eq!(header(request, "authorization"), None);
            return page(json!({"access_token": "t0k", "expires_in": "3600"}));
        }
        assert_eq!(
            header(request, "authorization").as_deref(),
            Some("Bearer t0k")
        );
        page(json!({"things": things(0..3)}))
    });
    let url = api.url();
    let polls = ["things", "others", "more"].map(|name| {
        format!(
            "[poll.{name}]\napi = \"one\"\npath = \"/{name}\"\nrecords = \"/things\"\nid = \"id\"\n"
        )
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [api.one]\nurl = \"{url}\"\n[api.one.auth]\ntype = \"oauth2\"\nuser = \"me\"\n\
         password = \"s3 cret\"\ntoken_url = \"{url}/token\"\nclient_auth = \"body\"\n\
         extra = {{ audience = \"https://api.example.com\" }}\n{}",
        polls.concat()
    ));
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(0), "{said}");
    let requests = api.requests();
    let tokens = requests
        .iter()
        .filter(|request| request.url.path() == "/token");
    assert_eq!((tokens.count(), requests.len()), (1, 4));
    assert_hidden(&setup, &said, "s3 cret");
}

/// A token server that takes each refresh token once, but the last used one again: its answer may have been
/// lost. Access tokens serve one page.
#[derive(Default)]
struct Rotating {
    /// The refresh token that was used last, and the one that is good now.
    tokens: Mutex<(u64, u64)>,
    access: Mutex<u64>,
}

impl Rotating {
    fn answer(&self, request: &Request) -> ResponseTemplate {
        if request.url.path() == "/token" {
            assert_eq!(
                field(request, "grant_type").as_deref(),
                Some("refresh_token")
            );
            let token = field(request, "refresh_token").unwrap();
            let number: u64 = token.strip_prefix("refresh-").unwrap().parse().unwrap();
            let mut tokens = self.tokens.lock().unwrap();
            if number == tokens.1 {
                *tokens = (number, number + 1);
            } else if number != tokens.0 {
                return ResponseTemplate::new(400).set_body_json(json!({"error": "invalid_grant"}));
            }
            let mut access = self.access.lock().unwrap();
            *access += 1;
            return page(json!({
                "access_token": format!("access-{access}"),
                "refresh_token": format!("refresh-{}", tokens.1),
                "expires_in": 3600,
            }));
        }
        let access = self.access.lock().unwrap();
        let expected = format!("Bearer access-{access}");
        let offset = number(request, "offset");
        if header(request, "authorization") != Some(expected) || (offset > 0 && *access % 2 == 1) {
            return ResponseTemplate::new(401);
        }
        page(json!({"things": things(offset..(offset + 10).min(20))}))
    }
}

fn refreshing(api: &Api) -> String {
    format!(
        "pagination = {{ type = \"offset\" }}\nauth = {{ type = \"oauth2\", grant = \"refresh-token\", \
         user = \"me\", refresh_token = \"refresh-0\", token_url = \"{}/token\" }}",
        api.url()
    )
}

#[test]
fn a_refresh_token_is_followed_by_its_successors_whenever_the_process_dies() {
    let server = Arc::new(Rotating::default());
    let answering = Arc::clone(&server);
    let api = Api::start(move |request, _| {
        // Some time for a kill between the answer and what is done with it.
        answering
            .answer(request)
            .set_delay(Duration::from_millis(3))
    });
    let setup = setup(&api.url(), &format!("{}\nevery = \"1s\"", refreshing(&api)));
    for pause in [0, 5, 10, 20, 30, 40, 60, 80, 120, 200] {
        let seen = api.requests().len();
        let program = setup.spawn();
        while api.requests().len() == seen {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(pause));
        program.kill();
    }
    let (said, code) = poll(&setup);
    assert_eq!(code, Some(0), "{said}");
    assert!(server.tokens.lock().unwrap().1 >= 5);
    let refused = api
        .requests()
        .iter()
        .filter(|request| field(request, "refresh_token").is_some_and(|token| token.is_empty()))
        .count();
    assert_eq!(refused, 0);
    assert_hidden(&setup, &said, "refresh-");
    lake(&setup).runs("things", "id").check();

    // A dry run needs the file too, and so cannot run beside a service.
    let program = setup.start();
    let (text, code) = super::said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("ask the service instead"), "{text}");
    assert!(program.stop(LIMIT).success());
    let (text, code) = super::said(&setup.run(&["poll", "--dry-run"]));
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_refresh_token_that_is_refused_says_what_to_do() {
    let api = Api::start(|_, _| {
        ResponseTemplate::new(400)
            .set_body_json(json!({"error": "invalid_grant", "hint": "s3cret"}))
    });
    let setup = setup(&api.url(), &refreshing(&api));
    let said = poll_in_vain(&setup, &["(invalid_grant)", "authorise again"]);
    assert_hidden(&setup, &said, "s3cret");
}

#[test]
fn an_assertion_is_exchanged_for_a_token() {
    let api = Api::start(|request, _| {
        if request.url.path() == "/token" {
            let grant = field(request, "grant_type");
            assert_eq!(
                grant.as_deref(),
                Some("urn:ietf:params:oauth:grant-type:jwt-bearer")
            );
            let assertion = field(request, "assertion").unwrap();
            let claims = assertion.split('.').nth(1).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(
                (&claims["iss"], &claims["scope"]),
                (&json!("me"), &json!("read"))
            );
            return page(json!({"access_token": "t0k"}));
        }
        assert_eq!(
            header(request, "authorization").as_deref(),
            Some("Bearer t0k")
        );
        page(json!({"things": things(0..3)}))
    });
    let setup = setup(
        &api.url(),
        &format!(
            "auth = {{ type = \"oauth2\", grant = \"jwt-bearer\", user = \"me\", \
             private_key_file = \"key.pem\", token_url = \"{}/token\", claims = {{ scope = \"read\" }} }}",
            api.url()
        ),
    );
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(setup.directory().join("key.pem"), key.serialize_pem()).unwrap();
    poll_well(&setup);
    std::fs::write(setup.directory().join("key.pem"), "no key").unwrap();
    let (text, code) = said(&setup.run(&["check"]));
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("one private key in PEM"), "{text}");
}

#[test]
fn signed_requests_can_be_verified() {
    use lakehook::clock::Micros;
    let api = Api::start(|request, _| {
        let time: i64 = header(request, "x-time").unwrap().parse().unwrap();
        let now: chrono::DateTime<chrono::Utc> = std::time::SystemTime::now().into();
        assert!(Micros(now.timestamp_micros()).0 / 1000 - time < 60_000);
        let signed = format!("{time}POST/things?a=1{{\"b\":2}}");
        let expected = hmac_sha256(b"s3cret", signed.as_bytes());
        assert_eq!(
            header(request, "x-sign").as_deref(),
            Some(expected.as_str())
        );
        page(json!({"things": things(0..3)}))
    });
    let settings = "method = \"POST\"\nquery = { a = \"1\" }\nbody = { b = 2 }\n\
        auth = { type = \"signature\", token = \"s3cret\", header = \"X-Sign\", timestamp = \"ms\", \
                 timestamp_header = \"X-Time\", template = \"{timestamp}{method}{uri}{body}\" }";
    poll_well(&setup(&api.url(), settings));
}

/// HMAC-SHA-256 in hexadecimal, by an implementation of its own.
fn hmac_sha256(key: &[u8], message: &[u8]) -> String {
    use std::fmt::Write as _;

    use hmac::{Hmac, KeyInit as _, Mac as _};
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    let mut text = String::new();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

#[test]
fn an_own_authority_and_a_clients_certificate_are_used_and_others_given_up_soon() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let body = json!({"things": things(0..3)}).to_string();
    let address = serve(&servers.issue_for("localhost"), Some(&clients), &body);
    let text = |more: &str| {
        format!(
            "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
             [api.one]\nurl = \"https://localhost:{}\"\n{more}\n\
             [poll.things]\napi = \"one\"\npath = \"/things\"\nrecords = \"/things\"\nid = \"id\"\n",
            address.port()
        )
    };
    let both =
        "ca_file = \"ca.pem\"\nclient_cert_file = \"cert.pem\"\nclient_key_file = \"key.pem\"";
    let setup = Setup::new(&text(both));
    std::fs::write(setup.directory().join("ca.pem"), servers.root_pem()).unwrap();
    clients.issue().write(setup.directory());
    poll_well(&setup);

    for (more, words) in [
        ("", "certificate"),
        ("ca_file = \"ca.pem\"", "tries ended like this"),
    ] {
        let other = Setup::new(&text(more));
        std::fs::write(other.directory().join("ca.pem"), servers.root_pem()).unwrap();
        let start = std::time::Instant::now();
        poll_in_vain(&other, &[words]);
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{more}: {:?}",
            start.elapsed()
        );
    }
    std::fs::write(setup.directory().join("ca.pem"), "no certificate").unwrap();
    let (text, code) = said(&setup.run(&["check"]));
    assert_ne!(code, Some(0), "{text}");
    assert!(text.contains("ca_file"), "{text}");
}

/// All requests go through a proxy, which sees whom they are for.
#[test]
fn a_proxy_is_asked_instead_of_the_api() {
    let proxy = Api::start(|request, _| {
        assert_eq!(header(request, "host").as_deref(), Some("api.invalid"));
        assert_eq!(param(request, "a").as_deref(), Some("1"));
        page(json!({"things": things(0..3)}))
    });
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [api.one]\nurl = \"http://api.invalid\"\nproxy = \"{}\"\n\
         [poll.things]\napi = \"one\"\npath = \"/things?a=1\"\nrecords = \"/things\"\nid = \"id\"\n",
        proxy.url()
    ));
    poll_well(&setup);
}
