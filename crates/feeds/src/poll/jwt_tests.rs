#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};

use super::*;

fn pem(label: &str, der: &[u8]) -> Secret {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let lines = lines.join("\n");
    Secret::new(format!(
        "-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"
    ))
}

fn claims() -> Claims {
    Claims {
        issuer: "me".to_owned(),
        subject: None,
        audience: "https://id.example.com/token".to_owned(),
        more: [("scope".to_owned(), Secret::new("a b"))].into(),
    }
}

/// The parts of an assertion: what is signed, its header, its claims and its signature.
fn parts(assertion: &Secret) -> (String, Value, Value, Vec<u8>) {
    let (signed, signature) = assertion.expose().rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    let read = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    (signed.to_owned(), read(header), read(body), signature)
}

#[test]
fn assertions_are_signed_by_the_key_and_say_who_for_whom_and_until_when() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.as_der().unwrap();
    let key = PrivateKey::read(&pem("PRIVATE KEY", der.as_ref())).unwrap();
    let now = Micros(1_800_000_000_000_000);
    let signed = assertion(&key, Some("k1"), &claims(), now).unwrap();
    let (text, header, body, signature) = parts(&signed);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "k1"}));
    assert_eq!((&body["iss"], &body["sub"]), (&json!("me"), &json!("me")));
    assert_eq!(body["aud"], "https://id.example.com/token");
    assert_eq!(
        (&body["iat"], &body["exp"]),
        (&json!(1_800_000_000), &json!(1_800_000_300))
    );
    assert_eq!(body["scope"], "a b");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
    public.verify(text.as_bytes(), &signature).unwrap();
    let later = assertion(&key, None, &claims(), Micros(now.0 + 1)).unwrap();
    assert_ne!(parts(&later).2["jti"], body["jti"]);

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    let key = PrivateKey::read(&pem("PRIVATE KEY", der.as_ref())).unwrap();
    let signed = assertion(&key, None, &claims(), now).unwrap();
    let (text, header, _, signature) = parts(&signed);
    assert_eq!(header, json!({"alg": "ES256", "typ": "JWT"}));
    assert_eq!(signature.len(), 64);
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    public.verify(text.as_bytes(), &signature).unwrap();
}

#[test]
fn what_is_no_key_is_refused_without_being_shown() {
    for bad in [
        "",
        "s3cret",
        "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----",
    ] {
        let error = PrivateKey::read(&Secret::new(bad)).map(|_| ()).unwrap_err();
        assert!(
            error.contains("in PEM") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
