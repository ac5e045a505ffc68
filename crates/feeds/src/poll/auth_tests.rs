#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use bytes::Bytes;
use http::Method;
use http::header::HeaderMap;

use super::*;
use crate::poll::definition::SignatureSettings;
use lakehook_base::clock::Micros;
use lakehook_base::signature::{Encoding, TimeForm};

fn keyed() -> Auth {
    let credentials = Credentials {
        kind: AuthKind::Query,
        token: Some(Secret::new("s3 cret&")),
        param: Some("apiKey".to_owned()),
        ..Credentials::default()
    };
    Auth::new(&credentials, "a", None).unwrap()
}

#[test]
fn credentials_of_the_query_are_taken_out_of_links() {
    for (link, stripped) in [
        ("https://a.example/x?apiKey=s3cret", "https://a.example/x"),
        (
            "https://a.example/x?p=1&apiKey=other&q=a%20b",
            "https://a.example/x?p=1&q=a+b",
        ),
        ("https://a.example/x?q=a%20b", "https://a.example/x?q=a%20b"),
    ] {
        let mut url = Url::parse(link).unwrap();
        keyed().strip(&mut url);
        assert_eq!(url.as_str(), stripped);
    }
    assert!(!format!("{:?}", keyed()).contains("s3"));
}

fn outgoing(url: &str, body: &'static str) -> Outgoing {
    Outgoing {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Some(Bytes::from_static(body.as_bytes())),
    }
}

/// The expected values are those of `openssl dgst -sha256 -hmac key`.
#[test]
fn requests_are_signed_as_the_template_says() {
    let credentials = Credentials {
        kind: AuthKind::Signature,
        token: Some(Secret::new("key")),
        header: Some("X-Sign".to_owned()),
        signature: SignatureSettings {
            template: "{timestamp}.{method}.{uri}.{body}".to_owned(),
            prefix: "v1=".to_owned(),
            timestamp_header: Some("X-Time".to_owned()),
            ..SignatureSettings::default()
        },
        ..Credentials::default()
    };
    let signer = Signer::new(&credentials).unwrap();
    let mut request = outgoing("https://a.example/x?y=1", "{}");
    signer
        .sign(&mut request, false, Micros(1_800_000_000_000_000))
        .unwrap();
    let headers = request.headers;
    assert_eq!(headers["x-time"], "1800000000");
    assert_eq!(
        headers["x-sign"],
        "v1=a1d928971ce3e962d1f685c3af5d0457f0ac90bed9fc16c2f1dc64e7267f7fa2"
    );
    assert!(headers["x-sign"].is_sensitive());

    let mut other = credentials;
    other.signature = SignatureSettings {
        encoding: Encoding::Base64,
        timestamp: TimeForm::Millis,
        template: "{path}{body}".to_owned(),
        ..SignatureSettings::default()
    };
    let mut request = outgoing("https://a.example/x?y=1", "{}");
    let signer = Signer::new(&other).unwrap();
    signer.sign(&mut request, false, Micros(0)).unwrap();
    assert_eq!(
        request.headers["x-sign"],
        "pHg2+/jBUq2wPnxyAwk9Pd/RZNRDihbUFmeoIuPzh7s="
    );
}

/// The signature stands in the query, and covers the query before it, with the time.
#[test]
fn signatures_and_their_time_may_be_parameters() {
    let credentials = Credentials {
        kind: AuthKind::Signature,
        token: Some(Secret::new("key")),
        param: Some("signature".to_owned()),
        signature: SignatureSettings {
            template: "{query}".to_owned(),
            timestamp_param: Some("timestamp".to_owned()),
            timestamp: TimeForm::Millis,
            ..SignatureSettings::default()
        },
        ..Credentials::default()
    };
    let mut request = outgoing("https://a.example/x?y=1", "");
    let signer = Signer::new(&credentials).unwrap();
    let now = Micros(1_800_000_000_000_000);
    signer.sign(&mut request, false, now).unwrap();
    assert_eq!(
        request.url.as_str(),
        "https://a.example/x?y=1&timestamp=1800000000000&signature=40ebaf1e28cf5c7f08c6502d46d349a0e2f679b011bcb46cbc906eb3b147071b"
    );
    assert!(request.headers.is_empty());
    let auth = Auth::new(&credentials, "a", None).unwrap();
    auth.strip(&mut request.url);
    assert_eq!(request.url.as_str(), "https://a.example/x?y=1");
}
