#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, HeaderValue};

use super::*;

const TOLERANCE: Duration = Duration::from_secs(300);

fn admits(
    scheme: &Scheme,
    secrets: &[&str],
    headers: &[(&str, &str)],
    body: &str,
    seconds: i64,
) -> Result<(), Unsigned> {
    let signing = Signing::new(scheme.clone(), secrets.iter().copied(), TOLERANCE);
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let body = Bytes::copy_from_slice(body.as_bytes());
    let now = Micros(seconds * 1_000_000);
    signing.admit(&headers.collect(), body, now).map(drop)
}

/// The example of GitHub's documentation, "Validating webhook deliveries".
#[test]
fn github() {
    let secret = "It's a Secret to Everybody";
    let good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let check = |secrets: &[&str], value, body| {
        admits(
            &Scheme::GitHub,
            secrets,
            &[("x-hub-signature-256", value)],
            body,
            0,
        )
    };
    assert_eq!(check(&[secret], good, "Hello, World!"), Ok(()));
    assert_eq!(check(&["other", secret], good, "Hello, World!"), Ok(()));
    assert_eq!(
        check(&["other"], good, "Hello, World!"),
        Err(Unsigned::Invalid)
    );
    assert_eq!(
        check(&[secret], good, "Hello, World?"),
        Err(Unsigned::Invalid)
    );
    assert_eq!(
        check(&[secret], &good[7..], "Hello, World!"),
        Err(Unsigned::Missing)
    );
    assert_eq!(
        check(&[secret], "sha256=zz", "Hello, World!"),
        Err(Unsigned::Missing)
    );
    assert_eq!(
        check(&[secret], "sha256=", "Hello, World!"),
        Err(Unsigned::Invalid)
    );
}

/// The example of Slack's documentation, "Verifying requests from Slack".
#[test]
fn slack() {
    let secret = "8f742231b10e8888abcd99yyyzzz85a5";
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
                &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=\
                &response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN\
                &trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let good = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let headers = [
        ("x-slack-signature", good),
        ("x-slack-request-timestamp", "1531420618"),
    ];
    let check = |now| admits(&Scheme::Slack, &[secret], &headers, body, now);
    assert_eq!(check(1_531_420_618), Ok(()));
    assert_eq!(check(1_531_420_618 + 300), Ok(()));
    assert_eq!(check(1_531_420_618 + 301), Err(Unsigned::Stale));
    assert_eq!(check(1_531_420_618 - 301), Err(Unsigned::Stale));
    let other_time = [
        ("x-slack-signature", good),
        ("x-slack-request-timestamp", "1531420619"),
    ];
    let other = admits(&Scheme::Slack, &[secret], &other_time, body, 1_531_420_618);
    assert_eq!(other, Err(Unsigned::Invalid));
}

/// Messages that the reference implementation has signed.
#[test]
fn standard_webhooks() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let (id, now, body) = (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
    );
    let reference = standardwebhooks::Webhook::new(secret).unwrap();
    let good = reference.sign(id, now, body.as_bytes()).unwrap();
    assert_eq!(good, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let time = now.to_string();
    let check = |prefix: &str, signature: &str, at| {
        let names = ["id", "timestamp", "signature"].map(|name| format!("{prefix}-{name}"));
        let headers = [
            (&*names[0], id),
            (&*names[1], &*time),
            (&*names[2], signature),
        ];
        admits(&Scheme::Standard, &[secret], &headers, body, at)
    };
    let rotated = format!("v1a,xxxx v1,AAAA v2,{good} {good}");
    for signature in [good.as_str(), rotated.as_str()] {
        assert_eq!(check("webhook", signature, now), Ok(()));
        assert_eq!(check("svix", signature, now), Ok(()));
        assert_eq!(check("webhook", signature, now + 301), Err(Unsigned::Stale));
    }
    let shifted = [
        ("webhook-id", "msg.1"),
        ("webhook-timestamp", time.as_str()),
        ("webhook-signature", good.as_str()),
    ];
    let shifted = admits(&Scheme::Standard, &[secret], &shifted, body, now);
    assert_eq!(shifted, Err(Unsigned::Missing));
    assert_eq!(check("webhook", "v1,AAAA", now), Err(Unsigned::Invalid));
    assert_eq!(check("webhook", "v1a,AAAA", now), Err(Unsigned::Missing));
    // Text that is no key admits nothing.
    assert_eq!(Scheme::Standard.key_of("whsec_no base64!"), None);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &*time),
        ("webhook-signature", &*good),
    ];
    for secrets in [&["whsec_no base64!"][..], &[]] {
        let admitted = admits(&Scheme::Standard, secrets, &headers, body, now);
        assert_eq!(admitted, Err(Unsigned::Invalid));
    }
}

/// Stripe's library signs `t.body` in hex, Shopify's signs the body in base64.
#[test]
fn the_others() {
    let mac = |key: &str, text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _memory_takes_it = write!(text, "{byte:02x}");
            text
        })
    };
    let body = r#"{"id":"evt_1"}"#;

    let v1 = hex(&mac("whsec_x", &format!("1492774577.{body}")));
    for (value, now, expected) in [
        (format!("t=1492774577,v1={v1},v0=aa"), 1_492_774_577, Ok(())),
        (format!("t=1492774577,v1=00,v1={v1}"), 1_492_774_577, Ok(())),
        (
            format!("t=1492774577,v1={v1}"),
            1_492_775_577,
            Err(Unsigned::Stale),
        ),
        (
            format!("t=1492774578,v1={v1}"),
            1_492_774_577,
            Err(Unsigned::Invalid),
        ),
        (
            format!("t=1492774577,v0={v1}"),
            1_492_774_577,
            Err(Unsigned::Missing),
        ),
        (format!("v1={v1}"), 1_492_774_577, Err(Unsigned::Missing)),
    ] {
        let headers = [("stripe-signature", value.as_str())];
        assert_eq!(
            admits(&Scheme::Stripe, &["whsec_x"], &headers, body, now),
            expected,
            "{value}"
        );
    }
    let base64 = BASE64.encode(mac("client secret", body));
    let headers = [("x-shopify-hmac-sha256", base64.as_str())];
    assert_eq!(
        admits(&Scheme::Shopify, &["client secret"], &headers, body, 0),
        Ok(())
    );
    assert_eq!(
        admits(&Scheme::Shopify, &["other"], &headers, body, 0),
        Err(Unsigned::Invalid)
    );
    assert_eq!(
        admits(&Scheme::Shopify, &["other"], &[], body, 0),
        Err(Unsigned::Missing)
    );

    let plain = Scheme::Plain {
        header: "x-signature".to_owned(),
        prefix: "v=".to_owned(),
        is_base64: true,
    };
    let value = format!("v={base64}");
    let headers = [("x-signature", value.as_str())];
    assert_eq!(
        admits(&plain, &["client secret"], &headers, body, 0),
        Ok(())
    );
}
