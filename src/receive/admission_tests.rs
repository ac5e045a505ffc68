#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use http::{HeaderValue, Request};

use super::*;
use crate::receive::packs;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    pairs.collect()
}

fn secrets(list: &[&str]) -> Vec<Box<str>> {
    list.iter().map(|&secret| secret.into()).collect()
}

#[test]
fn a_head_proves_by_header_bearer_or_basic() {
    let header = Proof::Header(
        HeaderName::from_static("x-token"),
        secrets(&["first secret", "second secret"]),
    );
    let bearer = Proof::Bearer(Tokens::new(["a bearer token".to_owned()]));
    let basic = Proof::Basic(secrets(&["me:secret:word", "key:"]));
    let all = Proofs::any(vec![header, bearer, basic]);
    for proven in [
        ("x-token", "second secret"),
        ("authorization", "Bearer a bearer token"),
        ("authorization", "Basic bWU6c2VjcmV0OndvcmQ="),
        ("authorization", "basic a2V5Og=="),
    ] {
        assert_eq!(all.standing(&headers(&[proven]), None), Standing::Proven);
    }
    for unproven in [
        ("x-token", "second secre"),
        ("x-token", ""),
        ("authorization", "Bearer second secret"),
        ("authorization", "Basic second"),
        ("authorization", "Basic bWU6c2VjcmV0OndvcmU="),
        ("authorization", "Basic "),
        ("x-other", "first secret"),
    ] {
        assert_eq!(
            all.standing(&headers(&[unproven]), None),
            Standing::Unproven
        );
    }
    assert!(all.authenticate());
    let open = Proofs::any(vec![Proof::Open]);
    assert_eq!(open.standing(&HeaderMap::new(), None), Standing::Proven);
    assert!(!open.authenticate());
}

#[test]
fn a_signature_decides_where_nothing_else_is_given() {
    let scheme = packs::find("github").unwrap().schemes();
    let secret = std::iter::once("It's a Secret to Everybody");
    let signing = Signing::new(scheme, secret, Duration::from_secs(300), "");
    let token = Proof::Header(HeaderName::from_static("x-token"), secrets(&["token"]));
    let either = Proofs::any(vec![Proof::Signature(signing), token]);
    let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signed = [("x-hub-signature-256", good)];
    assert_eq!(
        either.standing(&headers(&signed), None),
        Standing::NeedsSignature
    );
    assert_eq!(
        either.standing(&headers(&[("x-token", "token")]), None),
        Standing::Proven
    );
    let mut parts = Request::new(()).into_parts().0;
    parts.headers = headers(&signed);
    let admit = |body: &'static str| {
        let admitted = either.admit(&parts, Bytes::from_static(body.as_bytes()), Micros(0));
        admitted.map(|admitted| admitted.bytes().to_vec())
    };
    assert_eq!(admit("Hello, World!"), Ok(b"Hello, World!".to_vec()));
    assert_eq!(admit("Hello, World?"), Err(Unsigned::Invalid));
}

#[test]
fn a_secret_may_be_a_parameter_of_the_url() {
    let query = Proof::Query("token".into(), secrets(&["first secret", "a+b c"]));
    let proofs = Proofs::any(vec![query]);
    let standing = |query| proofs.standing(&HeaderMap::new(), query);
    for proven in [
        "token=first+secret",
        "a=b&token=first%20secret",
        "token=x&token=a%2Bb+c",
    ] {
        assert_eq!(standing(Some(proven)), Standing::Proven, "{proven}");
    }
    for unproven in [
        None,
        Some(""),
        Some("token"),
        Some("token=first"),
        Some("Token=first+secret"),
    ] {
        assert_eq!(standing(unproven), Standing::Unproven, "{unproven:?}");
    }
}
