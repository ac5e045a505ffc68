#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::json;

use super::*;

/// The claims of the examples of RFC 7515, appendix A.
const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// Its keys, and keys that are of no use here.
const KEYS: &str = r#"{"keys":[
    {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    {"kty":"RSA","kid":"a2","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB","alg":"RS256","use":"sig"},
    {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"EC","crv":"P-521","x":"AA","y":"AA"},
    {"kty":"oct","k":"AAAA","use":"enc"},
    {"kty":"oct","k":"AAAA","alg":"HS512"},
    {"kty":"OKP","crv":"Ed25519","x":"AA"}
]}"#;
const SECRET: &str = "a shared secret of ours";
const NOW: Micros = Micros(1_700_000_000_000_000);
const TOLERANCE: Duration = Duration::from_secs(300);

fn encoded(text: &str) -> String {
    Encoding::Base64Url.encode(text.as_bytes())
}

fn signed_with(secret: &str, head: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encoded(head), encoded(claims));
    let key = Algorithm::HmacSha256.key(secret.as_bytes()).unwrap();
    let signature = key.digest(signed.as_bytes()).unwrap();
    format!("{signed}.{}", Encoding::Base64Url.encode(&signature))
}

fn signed(claims: &Value) -> Claims {
    let token = signed_with(SECRET, r#"{"alg":"HS256"}"#, &claims.to_string());
    JwtKeys::of_secrets(["another", SECRET])
        .verify(&token)
        .unwrap()
}

#[test]
fn the_examples_of_rfc_7515_are_verified_with_their_keys_alone() {
    let keys = JwtKeys::of_set(KEYS).unwrap();
    assert_eq!(keys.count(), 3);
    for (head, signature) in [
        // A.1, A.2 and A.3.
        (
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let claims = keys
            .verify(&format!("{head}.{CLAIMS}.{signature}"))
            .unwrap();
        assert!(claims.has("iss", "joe") && claims.has("http://example.com/is_root", "true"));
        assert_eq!(
            claims.check_time(NOW, TOLERANCE, true),
            Err(Unsigned::Stale)
        );
        assert_eq!(
            claims.check_time(Micros(1_300_819_380_000_000), TOLERANCE, true),
            Ok(())
        );
        assert_eq!(
            claims.into_text(),
            Encoding::Base64Url.decode(CLAIMS).unwrap()
        );
        let other = encoded(r#"{"iss":"joe","exp":9999999999}"#);
        for forged in [
            format!("{head}.{other}.{signature}"),
            format!("{head}.{CLAIMS}.AA{}", &signature[2..]),
        ] {
            assert_eq!(
                keys.verify(&forged).unwrap_err(),
                Unsigned::Invalid,
                "{head}"
            );
        }
        let secret = JwtKeys::of_secrets([SECRET]);
        assert!(
            secret
                .verify(&format!("{head}.{CLAIMS}.{signature}"))
                .is_err()
        );
    }
}

/// What an attacker tries first.
#[test]
fn a_token_cannot_choose_how_it_is_verified() {
    let keys = JwtKeys::of_set(KEYS).unwrap();
    let none = format!("{}.{CLAIMS}.", encoded(r#"{"alg":"none"}"#));
    assert_eq!(keys.verify(&none).unwrap_err(), Unsigned::Invalid);
    // The public key of another, taken as a shared secret.
    let set: Value = serde_json::from_str(KEYS).unwrap();
    let public = set["keys"][1]["n"].as_str().unwrap();
    let confused = signed_with(public, r#"{"alg":"HS256","kid":"a2"}"#, "{}");
    assert_eq!(keys.verify(&confused).unwrap_err(), Unsigned::Invalid);
    let own = JwtKeys::of_secrets([SECRET]);
    for (head, error) in [
        (r#"{"alg":"HS256"}"#, None),
        (
            r#"{"alg":"HS256","kid":"any","typ":"JWT","jku":"https://a.example.com","jwk":{}}"#,
            None,
        ),
        (r#"{"alg":"hs256"}"#, Some(Unsigned::Invalid)),
        (r#"{"alg":"HS512"}"#, Some(Unsigned::Invalid)),
        (r#"{"alg":"RS256"}"#, Some(Unsigned::Invalid)),
        (
            r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
            Some(Unsigned::Missing),
        ),
        (r#"{"typ":"JWT"}"#, Some(Unsigned::Missing)),
        ("[]", Some(Unsigned::Missing)),
    ] {
        assert_eq!(
            own.verify(&signed_with(SECRET, head, "{}")).err(),
            error,
            "{head}"
        );
    }
    for claims in ["[]", "\"a\"", "{", ""] {
        let token = signed_with(SECRET, r#"{"alg":"HS256"}"#, claims);
        assert_eq!(
            own.verify(&token).unwrap_err(),
            Unsigned::Missing,
            "{claims}"
        );
    }
    let good = signed_with(SECRET, r#"{"alg":"HS256"}"#, "{}");
    for broken in [
        String::new(),
        "a".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}.e30"),
        format!("{good}="),
        format!("{good} "),
        format!("e30.{good}"),
        good.replace('.', ""),
    ] {
        // Padding is no part of a signature, and changes nothing.
        let is_padded = broken.ends_with('=');
        assert_eq!(own.verify(&broken).is_ok(), is_padded, "{broken}");
    }
}

#[test]
fn a_key_with_another_id_is_not_meant() {
    let set = |id: &str| {
        let key = Encoding::Base64Url.encode(SECRET.as_bytes());
        JwtKeys::of_set(&json!({"keys": [{"kty": "oct", "kid": id, "k": key}]}).to_string())
            .unwrap()
    };
    let token = signed_with(SECRET, r#"{"alg":"HS256","kid":"one"}"#, "{}");
    assert!(set("one").verify(&token).is_ok());
    assert_eq!(set("two").verify(&token).unwrap_err(), Unsigned::Invalid);
}

#[test]
fn a_token_is_good_for_its_time_alone() {
    let stale = Err(Unsigned::Stale);
    for (claims, checked) in [
        (json!({"exp": 1_700_000_100}), Ok(())),
        (json!({"exp": 1_699_999_701}), Ok(())),
        (json!({"exp": 1_699_999_700}), stale),
        (json!({"exp": 1_800_000_000, "iat": 1_600_000_000}), Ok(())),
        (
            json!({"exp": 1_800_000_000.5, "nbf": 1_700_000_300}),
            Ok(()),
        ),
        (json!({"exp": 1_800_000_000, "nbf": 1_700_000_301}), stale),
        (json!({"iat": 1_699_999_700}), Ok(())),
        (json!({"iat": 1_699_999_699}), stale),
        (json!({"iat": 1_700_000_301}), stale),
        (json!({}), Err(Unsigned::Missing)),
        (json!({"exp": "1800000000"}), Err(Unsigned::Missing)),
        (
            json!({"iat": 1_700_000_000, "nbf": null}),
            Err(Unsigned::Missing),
        ),
    ] {
        assert_eq!(
            signed(&claims).check_time(NOW, TOLERANCE, true),
            checked,
            "{claims}"
        );
    }
    // One that is the event itself may come late, as events do.
    for (claims, checked) in [
        (json!({}), Ok(())),
        (json!({"iat": 1_600_000_000}), Ok(())),
        (json!({"iat": 1_600_000_000, "exp": 1_699_999_700}), stale),
        (json!({"nbf": 1_700_000_301}), stale),
    ] {
        assert_eq!(
            signed(&claims).check_time(NOW, TOLERANCE, false),
            checked,
            "{claims}"
        );
    }
}

#[test]
fn a_claim_is_a_value_or_a_list_that_has_it() {
    let claims = signed(
        &json!({"aud": ["a", "b"], "n": 7, "email_verified": true, "sub": {"a": 1}, "x": null}),
    );
    for (name, value) in [
        ("aud", "a"),
        ("aud", "b"),
        ("n", "7"),
        ("email_verified", "true"),
    ] {
        assert!(claims.has(name, value), "{name}");
    }
    for (name, value) in [
        ("aud", "c"),
        ("aud", "[\"a\",\"b\"]"),
        ("sub", "a"),
        ("x", "null"),
        ("y", ""),
        ("N", "7"),
    ] {
        assert!(!claims.has(name, value), "{name}");
    }
    assert_eq!(claims.text_of("aud"), None);
}

#[test]
fn what_holds_no_keys_is_said() {
    let many = json!({"keys": vec![json!({"kty": "oct", "k": "AAAA"}); 33]}).to_string();
    for (text, said) in [
        ("", "no set of JSON Web Keys"),
        ("{}", "no set of JSON Web Keys"),
        (r#"{"keys":[]}"#, "no key for RS256"),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}"#,
            "no key for RS256",
        ),
        (&many, "more than 32 keys"),
    ] {
        let error = JwtKeys::of_set(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
