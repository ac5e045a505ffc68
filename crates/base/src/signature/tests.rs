#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use proptest::prelude::*;

use super::*;
use crate::clock::Micros;

const NOW: Micros = Micros(1_531_420_618_000_000);

fn scheme(algorithm: Algorithm, encoding: Encoding, template: &str) -> Scheme {
    let template = Template::parse_any(template).unwrap();
    let place = |part: &Part, name: &str| template.has(part).then(|| Place::header(name));
    Scheme {
        algorithm,
        encoding,
        key: KeyForm::text(),
        signature: Place::header("x-signature"),
        timestamp: place(&Part::Timestamp, "x-timestamp"),
        time_form: TimeForm::Seconds,
        id: place(&Part::Id, "x-id"),
        template,
    }
}

fn verify(
    scheme: &Scheme,
    key: &SigningKey,
    headers: &[(&str, &str)],
    message: &Message<'_>,
) -> Result<(), Unsigned> {
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    };
    let claim = scheme.read(header)?;
    scheme.verify([key], &claim, message)
}

fn post(body: &[u8]) -> Message<'_> {
    Message {
        method: "POST",
        url: "https://example.com/hook",
        path: "/hook",
        body,
        ..Message::default()
    }
}

/// RFC 4231, test case 2, and RFC 2202, test case 2.
#[test]
fn the_algorithms_are_those_of_the_standards() {
    for (algorithm, expected) in [
        (
            Algorithm::HmacSha1,
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            Algorithm::HmacSha256,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            Algorithm::HmacSha384,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            Algorithm::HmacSha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let scheme = scheme(algorithm, Encoding::Hex, "{body}");
        let key = scheme.key_of("Jefe").unwrap();
        let message = post(b"what do ya want for nothing?");
        let made = scheme.sign(&key, &message, NOW, "").unwrap();
        assert_eq!(made, [("x-signature".to_owned(), expected.to_owned())]);
        let headers = [("x-signature", expected)];
        assert_eq!(verify(&scheme, &key, &headers, &message), Ok(()));
        let cut = [("x-signature", &expected[2..])];
        let cut = verify(&scheme, &key, &cut, &message);
        assert_eq!(cut, Err(Unsigned::Invalid));
    }
}

/// RFC 8032, section 7.1, test 2; the key raw and as DER.
#[test]
fn ed25519() {
    let scheme = scheme(Algorithm::Ed25519, Encoding::Hex, "{body}");
    let raw = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let der = format!("302a300506032b6570032100{raw}");
    let good = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    for key in [raw, &der] {
        let key = Encoding::Hex.decode(key).unwrap();
        let key = scheme.algorithm.key(&key).unwrap();
        let check = |signature: &str, body: &[u8]| {
            verify(&scheme, &key, &[("x-signature", signature)], &post(body))
        };
        assert_eq!(check(good, b"\x72"), Ok(()));
        assert_eq!(check(good, b"\x73"), Err(Unsigned::Invalid));
        assert_eq!(check(&good[2..], b"\x72"), Err(Unsigned::Invalid));
        assert!(scheme.sign(&key, &post(b"\x72"), NOW, "").is_none());
    }
    assert!(scheme.algorithm.key(&[0; 31]).is_none());
}

#[test]
fn every_part_of_a_template_is_signed_in_its_place() {
    let template = "v0:{method} {url} {uri} {path} {query} {id}.{timestamp}.{body}!";
    let with = scheme(Algorithm::HmacSha256, Encoding::Base64, template);
    let message = Message {
        method: "PUT",
        url: "https://example.com/a",
        path: "/a",
        query: Some("b=c"),
        body: b"{}",
        is_form: false,
    };
    let key = with.key_of("secret").unwrap();
    let text = "v0:PUT https://example.com/a?b=c /a?b=c /a b=c m1.1531420618.{}!";
    let plain = scheme(Algorithm::HmacSha256, Encoding::Base64, "{body}");
    let [(_, expected)] = plain
        .sign(&key, &post(text.as_bytes()), NOW, "")
        .unwrap()
        .try_into()
        .unwrap();
    let made = with.sign(&key, &message, NOW, "m1").unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let time = pair("x-timestamp", "1531420618");
    let headers = [pair("x-id", "m1"), time, pair("x-signature", &expected)];
    assert_eq!(made, headers);
}

#[test]
fn what_is_no_template_is_refused_with_a_reason() {
    for (text, error) in [
        ("{timestamp}.{bod}", TemplateError::Unknown("bod".into())),
        ("{body", TemplateError::Brace),
        ("body}", TemplateError::Brace),
        ("{timestamp}", TemplateError::NoContent),
        ("", TemplateError::NoContent),
        ("{body}{params}", TemplateError::ContentTwice),
        (
            &format!("{}{{body}}", "x".repeat(65)),
            TemplateError::TooLong,
        ),
        (
            &format!("{{body}}{}", "{id}".repeat(24)),
            TemplateError::TooLong,
        ),
    ] {
        assert_eq!(Template::parse(text), Err(error), "{text}");
    }
    assert!(Template::parse_any("{timestamp}{method}{uri}").is_ok());
}

#[test]
fn an_id_that_could_be_read_in_two_ways_is_refused() {
    for (template, id, admitted) in [
        ("{id}.{body}", "msg_1", true),
        ("{id}.{body}", "msg.1", false),
        ("{id}.{body}", "msg 1", false),
        ("{id}{body}", "msg-1", true),
        ("{id}{body}", "msg{", false),
        ("{body}", "any thing.", true),
    ] {
        let scheme = scheme(Algorithm::HmacSha256, Encoding::Hex, template);
        let key = scheme.key_of("secret").unwrap();
        let headers = scheme.sign(&key, &post(b"{}"), NOW, id).unwrap();
        let headers: Vec<_> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let expected = if admitted {
            Ok(())
        } else {
            Err(Unsigned::Missing)
        };
        let verified = verify(&scheme, &key, &headers, &post(b"{}"));
        assert_eq!(verified, expected, "{template} {id}");
    }
}

#[test]
fn times_may_be_written_in_any_form_and_must_be_near() {
    let scheme = scheme(Algorithm::HmacSha256, Encoding::Hex, "{timestamp}{body}");
    let check = |time: &str| {
        let headers = [("x-timestamp", time), ("x-signature", "00")];
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let claim = scheme.read(header).unwrap();
        scheme.check_time(&claim, NOW, Duration::from_secs(300))
    };
    for time in [
        "1531420618",
        "1531420918",
        "1531420318",
        "1531420618999",
        "1531420618000000",
        "2018-07-12T18:36:58Z",
    ] {
        assert_eq!(check(time), Ok(()), "{time}");
    }
    for time in [
        "1531420919",
        "1531420317",
        "1531420919000",
        "0",
        "2018-07-12T18:36:58+00:10",
    ] {
        assert_eq!(check(time), Err(Unsigned::Stale), "{time}");
    }
    for time in [
        "",
        "+1531420618",
        "1531420618.5",
        "-1",
        "99999999999999999999",
        "now",
    ] {
        assert_eq!(check(time), Err(Unsigned::Missing), "{time}");
    }
}

#[test]
fn only_so_many_signatures_are_looked_at() {
    let mut scheme = scheme(Algorithm::HmacSha256, Encoding::Hex, "{body}");
    scheme.signature.separator = Some(',');
    "v1=".clone_into(&mut scheme.signature.prefix);
    let key = scheme.key_of("secret").unwrap();
    let [(_, good)] = scheme
        .sign(&key, &post(b"{}"), NOW, "")
        .unwrap()
        .try_into()
        .unwrap();
    let after = |others: usize| format!("t=1,{}{good}", "v1=00, ".repeat(others));
    let check = |value: &str| verify(&scheme, &key, &[("x-signature", value)], &post(b"{}"));
    assert_eq!(check(&after(MAX_SIGNATURES - 1)), Ok(()));
    assert_eq!(check(&after(MAX_SIGNATURES)), Err(Unsigned::Invalid));
    let long = format!("v1={},{good}", "00".repeat(4096));
    assert_eq!(
        check(&long),
        Ok(()),
        "what is too long to be one counts as one"
    );
    for none in ["", "v1=", "v2=00", "v1=zz", "v1=0"] {
        assert_eq!(check(none), Err(Unsigned::Missing), "{none}");
    }
}

/// A body that is no form is covered by its hash in the query, or not at all.
#[test]
fn parameters_cover_a_form_and_a_hash_covers_anything_else() {
    let scheme = scheme(Algorithm::HmacSha1, Encoding::Base64, "{url}{params}");
    let key = scheme.key_of("12345").unwrap();
    let hash = "bodySHA256=44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    let wrong = hash.replace("44", "45");
    for (query, body, is_form, expected) in [
        (Some(hash), &b"{}"[..], false, Ok(())),
        (Some(&wrong), b"{}", false, Err(Unsigned::Invalid)),
        (None, b"{}", false, Err(Unsigned::Invalid)),
        (None, b"", false, Ok(())),
        (None, b"a=b", true, Ok(())),
    ] {
        let message = Message {
            query,
            is_form,
            ..post(body)
        };
        let headers = scheme.sign(&key, &message, NOW, "").unwrap();
        let headers: Vec<_> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(verify(&scheme, &key, &headers, &message), expected);
    }
}

#[test]
fn forms_are_decoded() {
    let decoded = |text: &str| String::from_utf8(decoded(text.as_bytes()).to_vec()).unwrap();
    for (text, expected) in [
        ("a+b%20c", "a b c"),
        ("%2", "%2"),
        ("%zz%41", "%zzA"),
        ("", ""),
    ] {
        assert_eq!(decoded(text), expected);
    }
    let all: Vec<_> = pairs(b"a=1&&b&c==").collect();
    let pair =
        |name: &'static str, value: &'static str| (name.as_bytes().into(), value.as_bytes().into());
    assert_eq!(all, [pair("a", "1"), pair("b", ""), pair("c", "=")]);
}

#[test]
fn keys_are_written_in_several_ways_and_never_printed() {
    let mut scheme = scheme(Algorithm::HmacSha256, Encoding::Hex, "{body}");
    let sign = |scheme: &Scheme, secret: &str| {
        let key = scheme.key_of(secret)?;
        assert_eq!(format!("{key:?}"), "[key]");
        scheme.sign(&key, &post(b"{}"), NOW, "")
    };
    let plain = sign(&scheme, "secret");
    scheme.key = KeyForm {
        encoding: Some(Encoding::Base64),
        prefixes: vec!["v1,whsec_".to_owned(), "whsec_".to_owned()],
        needs_prefix: false,
    };
    for secret in ["c2VjcmV0", "whsec_c2VjcmV0", "v1,whsec_c2VjcmV0"] {
        assert_eq!(sign(&scheme, secret), plain);
    }
    assert_eq!(sign(&scheme, "no base64!"), None);
    scheme.key.needs_prefix = true;
    assert_eq!(sign(&scheme, "c2VjcmV0"), None);
    assert!(scheme.key_of("whsec_").is_none(), "an empty key");
}

#[test]
fn a_public_key_needs_the_whole_body() {
    let scheme = scheme(Algorithm::Ed25519, Encoding::Base64, "{body}");
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let key = scheme.algorithm.key(pair.public_key().as_ref()).unwrap();
    let signature = Encoding::Base64.encode(pair.sign(b"{}").as_ref());
    let claim = scheme.read(|_| Some(&signature)).unwrap();
    assert_eq!(scheme.verify([&key], &claim, &post(b"{}")), Ok(()));
    assert!(Streamed::begin(&scheme, [&key], &claim, post(b"")).is_none());
}

fn schemes() -> impl Strategy<Value = Scheme> {
    let algorithms = [
        Algorithm::HmacSha1,
        Algorithm::HmacSha256,
        Algorithm::HmacSha512,
    ];
    let encodings = [Encoding::Hex, Encoding::Base64, Encoding::Base64Url];
    let templates = [
        "{body}",
        "{timestamp}.{body}",
        "{id}.{timestamp}.{body}",
        "{method}{url}{body}{timestamp}",
        "{url_decoded}:{body}",
    ];
    let of = |list: &[&'static str]| proptest::sample::select(list.to_vec());
    (
        proptest::sample::select(algorithms.to_vec()),
        proptest::sample::select(encodings.to_vec()),
        of(&templates),
    )
        .prop_map(|(algorithm, encoding, template)| scheme(algorithm, encoding, template))
}

proptest! {
    /// What is signed is admitted, in pieces too; with one bit changed anywhere, it is not.
    #[test]
    fn only_what_was_signed_is_admitted(
        scheme in schemes(),
        body in proptest::collection::vec(any::<u8>(), 1..200),
        cut in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let key = scheme.key_of("a shared secret").unwrap();
        let headers = scheme.sign(&key, &post(&body), NOW, "m1").unwrap();
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let claim = scheme.read(header).unwrap();
        let other = scheme.key_of("another secret").unwrap();
        let streamed = |body: &[u8]| {
            let mut streamed = Streamed::begin(&scheme, [&other, &key], &claim, post(b"")).unwrap();
            let (first, last) = body.split_at(cut.index(body.len()));
            streamed.body(first);
            streamed.body(last);
            streamed.finish()
        };
        let whole = |body: &[u8]| scheme.verify([&other, &key], &claim, &post(body));
        prop_assert_eq!(whole(&body), Ok(()));
        prop_assert_eq!(streamed(&body), Ok(()));
        prop_assert_eq!(scheme.verify([&other], &claim, &post(&body)), Err(Unsigned::Invalid));
        let mut changed = body.clone();
        changed[cut.index(body.len())] ^= 1 << bit;
        prop_assert_eq!(whole(&changed), Err(Unsigned::Invalid));
        prop_assert_eq!(streamed(&changed), Err(Unsigned::Invalid));
    }
}

/// Signed by openssl, as Wise and Amazon SNS sign.
#[test]
fn signatures_of_rsa_are_verified_with_keys_in_base64_and_in_pem() {
    const KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoAdWdDKqsBG5IgYSj4IaQFRrTImTrK6u52NYI7y4pa/mQXTCkpVsrQcIydfFYbZZzLDZvxuq6g/UVA3PL6HhEuriXGu6o6aCEnAjwbU36iwLnFshXIo95H+/nK+ehgu2u0BV2nJUqDcSbKLWFwFVWKboUJl1Jolc7MPQZcswDISS0hGJ5oIIDMKpQiJ6j+0rJLugiS1MF4zQobZ0gONzcgZKs/7atEGnH3SJDxIyWqn10gFFFlgZ4IMs6xjqcGbY2kvncGn4iUL2LrjAyZNZ8PU5Ubm0SmioNDLtZ9HA5NJbImpKNLprqrVYu6JxQhKWmUf97AW8dUPqVQf984xLuQIDAQAB";
    const OF_SHA256: &str = "ZOulq5Hcf80zxphXpAd9A5arisDf6D3axQVjVT9Ht0rCSgClLM17EGEJD0BZr/oH09Pap078XLzCvhVfLKysWmq7lxskTDB4VlR1JkTSr9lS17XppfOjiryfzcJPYUqE2tiVsTgsxNq5oEu90NzuU+ix+3wyCvHUm9/rWCyEIu7ermVrJxQGg7e5GXjIvAdfuHDrFyDJ0CZW+aR6Aj61Pg9aDBq8yOeI8b6pbaF52Rj3Nvv32W7Eb9dglHRXC927VY/imcayx4f85vMSrCyOMk/zoO5eQtQ5PIaP/cR65bJADmd2vwcWYYTNy3VLYM0Qt4AW9rTkjB7sGMBmrkV4CQ==";
    const OF_SHA1: &str = "GsmpMJtLYsnc28V+OOUgVzzQFf/c5luYQOn5x0v/2MEXvpq+E+dNucuyvaY2i3v0ZYX08xnGjGhqtn02jVmjl/7Af0mYiWtVNClut3Eftn2X/hDvitV8hQ+irJLf/nYWlkq4WSbbheWfhIuCvW53d3CFco0qL/iHyYB+KB3k4krm3hknrjvYogvXH3CP9+b2ry95rm04GPgUXOjZeNtYICQL9r6s1LmQY9AIjmbIl/ai2cuxr29BgiqE8j0+6E1Tmq6/XFcKixddGMM7rkpoiT9QqI6qRugoUOLC8eBGZ+7oLLdRCCx5vELNmCcDXwNZHYYznwhCnNEoMVVsN2Z+ZA==";
    let (first, rest) = KEY.split_at(64);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{rest}\n-----END PUBLIC KEY-----\n");
    for (algorithm, signature, other) in [
        (Algorithm::RsaSha256, OF_SHA256, OF_SHA1),
        (Algorithm::RsaSha1, OF_SHA1, OF_SHA256),
    ] {
        let mut scheme = scheme(algorithm, Encoding::Base64, "{body}");
        scheme.key.encoding = Some(Encoding::Base64);
        for secret in [KEY, &pem] {
            let key = scheme.key_of(secret).unwrap();
            let verified = |signature: &str, body: &[u8]| {
                verify(&scheme, &key, &[("x-signature", signature)], &post(body))
            };
            assert_eq!(verified(signature, b"hello"), Ok(()));
            assert_eq!(verified(signature, b"hullo"), Err(Unsigned::Invalid));
            assert_eq!(verified(other, b"hello"), Err(Unsigned::Invalid));
            assert_eq!(verified("", b"hello"), Err(Unsigned::Missing));
            let endless = "A".repeat(1 << 20);
            assert_eq!(verified(&endless, b"hello"), Err(Unsigned::Missing));
            assert!(key.digest(b"hello").is_none());
        }
        assert!(scheme.key_of("bm8ga2V5").is_none());
    }
}

/// What is signed may name headers, and the hash of the body instead of the body.
#[test]
fn headers_and_hashes_of_the_body_are_signed_in_their_place() {
    let template = "{body_sha512_base64}|{header:X-Event-Id}|{header:x-version}";
    let with = Scheme {
        template: Template::parse(template).unwrap(),
        ..scheme(Algorithm::HmacSha384, Encoding::Hex, "{body}")
    };
    let key = with.key_of("secret").unwrap();
    let hashed = |body: &[u8]| {
        Encoding::Base64
            .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, body).as_ref())
    };
    let plain = scheme(Algorithm::HmacSha384, Encoding::Hex, "{body}");
    let signature = |text: &str| {
        let made = plain.sign(&key, &post(text.as_bytes()), NOW, "").unwrap();
        made[0].1.clone()
    };
    let signed = signature(&format!("{}|evt 1|2", hashed(b"{}")));
    let graphic = signature(&format!("{}|evt-1|2 3", hashed(b"{}")));
    let check = |id: Option<&str>, version: &str, signature: &str, body: &[u8]| {
        let mut headers = vec![("x-version", version), ("x-signature", signature)];
        headers.extend(id.map(|id| ("x-event-id", id)));
        verify(&with, &key, &headers, &post(body))
    };
    assert_eq!(check(Some("evt-1"), "2 3", &graphic, b"{}"), Ok(()));
    for (id, version, body) in [
        (Some("evt-2"), "2 3", &b"{}"[..]),
        (Some("evt-1"), "3", b"{}"),
        (Some("evt-1"), "2 3", b"{} "),
    ] {
        let checked = check(id, version, &graphic, body);
        assert_eq!(checked, Err(Unsigned::Invalid), "{id:?} {version}");
    }
    // A header that is missing, and values whose end is not certain.
    for id in [None, Some("evt 1"), Some("evt|1")] {
        assert_eq!(
            check(id, "2", &signed, b"{}"),
            Err(Unsigned::Missing),
            "{id:?}"
        );
    }
    for (text, hash) in [
        (
            "{body_sha256}",
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        ),
        (
            "{body_sha256_base64}",
            "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=",
        ),
    ] {
        let with = Scheme {
            template: Template::parse(text).unwrap(),
            ..scheme(Algorithm::HmacSha384, Encoding::Hex, "{body}")
        };
        let made = with.sign(&key, &post(b"{}"), NOW, "").unwrap();
        assert_eq!(made[0].1, signature(hash), "{text}");
    }
    // Requests that are sent have no headers yet when they are signed.
    let unknown = Template::parse_any("{header:x-a}{body}");
    assert_eq!(unknown, Err(TemplateError::Unknown("header:x-a".into())));
    for bad in ["{header:}{body}", "{header:a b}{body}"] {
        assert!(
            matches!(Template::parse(bad), Err(TemplateError::Unknown(_))),
            "{bad}"
        );
    }
    assert_eq!(
        Template::parse("{body}{body_sha256}"),
        Err(TemplateError::ContentTwice)
    );
}
