//! What comes in over the network: bodies, signatures, pages.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, Request};
use proptest::prelude::*;

use super::mutations::{cases, changed, changes};
use crate::clock::Micros;
use crate::contract::{Contract, Rules, Schemas};
use crate::ids::HashKey;
use crate::poll::form::PageForm;
use crate::poll::parse::read_page;
use crate::poll::record::Record;
use crate::poll::wanted::{Steering, Wanted};
use crate::receive::admission::{Proof, Proofs};
use crate::receive::jwt::{Jwt, JwtPlace};
use crate::receive::packs::PACKS;
use crate::receive::signature::Signing;
use crate::record::{Fingerprint, Origin};
use crate::replay::{CandidateHook, HookCandidate, HookJudge};
use crate::signature::jwt::JwtKeys;
use crate::signature::{Algorithm, Encoding, Message, Part, Scheme};

const JSON: &[&[u8]] = &[
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"Content-Disposition: form-data; name=\"a\"\r\n\r\n",
    b"; filename=\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xc3",
    b"1e999",
    b"-0",
    b"null",
    b"\"event_id\":",
    b"\"lsn\":1,",
    b"\"Properties\":{},",
    b"{\"events\":[",
    b"]}",
    b"\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":",
];

const BODY: &str = r#"{"events":[
 {"event_id":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50","user_id":{"user_id":"u1","name":"Ada"},"event_type":"purchase",
  "source":"web","timestamp":"2026-11-20T16:59:58.25+01:00","properties":{"amount":9.50,"product_id":"p\u0041","x":[1,{"y":null}]},"more":{"é":[true]}},
 {"event_id":"0193E0A2-7F3B-7C11-8A5E-4B1D2C3E4F51","user_id":null,"event_type":"view","source":"apple",
  "timestamp":"2026-11-20T16:59:58Z","properties":{"content_id":"c-1","media_type":"video"}},
 {"event_id":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f52","user_id":"u","event_type":"signup","source":"android",
  "timestamp":"2026-11-20T16:59:58Z","properties":{}}]}"#;

const PAGE: &[u8] =
    br#"{"data":{"items":[{"id":1,"name":"a"},{"id":2,"tags":["x",{"y":[]}]},[3],"four",null]},
 "meta":{"total":5,"more":true},"next":"https://api.example.com/items?cursor=abc"}"#;

fn contract() -> Contract {
    let fingerprint = Fingerprint::new(HashKey([7; 16]));
    Contract::new(Rules::default(), Schemas::embedded().unwrap(), fingerprint)
}

fn origin() -> Origin {
    Origin {
        received_at: crate::rfc3339::parse("2026-11-20T17:00:00Z").unwrap(),
        endpoint: "/webhook/events".into(),
        request_id: "r1".into(),
        client: None,
    }
}

/// Bodies of hooks of each shape: the name of the hook, the headers, the body.
const DELIVERIES: [(&str, &str, &str); 8] = [
    (
        "product",
        r#"{"content-type":"application/json"}"#,
        r#"{"batch":[{"event":"a","uuid":"0193e0a2-7f3b-7c11-8a5e-4b1d2c3e4f50","distinct_id":"u","timestamp":"2026-11-20T16:59:58Z"},{"event":"b","properties":{"x":[1]}}],"api_key":"secret-of-product","sent_at":"now","é":{"a":1}}"#,
    ),
    (
        "product",
        r#"{"content-type":"text/plain"}"#,
        r#"{"event":"a","api_key":"secret-of-product","distinct_id":7}"#,
    ),
    (
        "mesh",
        r#"{"content-type":"text/plain","ce-specversion":"1.0","ce-id":"1","ce-type":"a%20b","ce-source":"/a","ce-time":"2026-11-20T16:59:58Z"}"#,
        "some text with \"quotes\"",
    ),
    (
        "mesh",
        r#"{"content-type":"application/cloudevents-batch+json"}"#,
        r#"[{"specversion":"1.0","id":"1","source":"/a","type":"t","data":{"x":1}},{"id":"2","source":"/a","data_base64":"AA=="}]"#,
    ),
    (
        "own",
        r#"{"content-type":"application/x-www-form-urlencoded"}"#,
        "a=1&b=x+y%21&payload=%7B%7D&a=2",
    ),
    (
        "own",
        r#"{"content-type":"application/x-ndjson"}"#,
        "{\"id\":1}\r\n\n{\"id\":\"2\",\"type\":\"t\"}\n",
    ),
    (
        "own",
        r#"{"content-type":"multipart/form-data; boundary=b"}"#,
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"; \
         filename=\"é.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n\r\n--b\r\nContent-Disposition: form-data; \
         name=\"a\"\r\n\r\n2\r\n--b--\r\n",
    ),
    (
        "own",
        r#"{"content-type":"multipart/form-data; boundary=b"}"#,
        "--b\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n[{\"id\":1},{\"id\":2}]\r\n--b--\r\n",
    ),
];

fn hook_judge() -> HookJudge {
    let auth = serde_json::json!([{"type": "bearer", "secrets": ["a bearer token"]}]);
    let config = serde_json::from_value(serde_json::json!({"hook": {
        "product": {"scheme": "posthog", "secrets": ["secret-of-product"]},
        "mesh": {"scheme": "cloudevents", "auth": auth},
        "own": {"auth": auth},
    }}));
    crate::serve::hook_judge(&config.unwrap())
}

fn is_one_line(bytes: &[u8], lsn_at: u32) -> bool {
    let (before, after) = bytes.split_at(lsn_at as usize);
    let line = [before, b"\"lsn\":7,", after].concat();
    !line.contains(&b'\n')
        && !line.contains(&0)
        && serde_json::from_slice::<serde_json::Value>(&line).is_ok()
}

proptest! {
    #![proptest_config(cases(512))]

    /// A delivery becomes lines of JSON without the secret of its sender, or is refused.
    #[test]
    fn a_delivery_is_taken_as_rows_or_refused(
        which in 0..DELIVERIES.len(),
        changes in changes(JSON),
    ) {
        thread_local!(static CONTRACT: Contract = contract());
        thread_local!(static HOOKS: HookJudge = hook_judge());
        let (name, headers, body) = DELIVERIES[which];
        let body = changed(body.as_bytes(), &changes);
        let hook = CandidateHook { name: name.to_owned(), headers: headers.to_owned() };
        let candidate = HookCandidate { hook: &hook, raw: &body, is_event: false, origin: &origin() };
        let judged = HOOKS.with(|hooks| CONTRACT.with(|contract| hooks(contract, &candidate)));
        let Ok(checked) = judged.unwrap() else {
            return Ok(());
        };
        for (row, bytes) in checked.rows.iter() {
            prop_assert!(is_one_line(bytes, row.lsn_at));
        }
    }

    /// A changed token opens nothing, in a header or as the body; and neither does another body, where tokens are for one.
    #[test]
    fn a_changed_token_opens_nothing(
        in_body in any::<bool>(),
        changes in changes(&[b".", b"=", b"e30", b"eyJhbGciOiJub25lIn0", b"Bearer ", b" ", b"\xff"]),
    ) {
        let place = if in_body { JwtPlace::Body } else { JwtPlace::Header(AUTHORIZATION) };
        let jwt = Jwt {
            keys: JwtKeys::of_secrets([SECRET]),
            place,
            claims: vec![("aud".to_owned(), "us".to_owned())],
            body_hash: (!in_body).then(|| "hash".to_owned()),
            tolerance: Duration::from_secs(300),
        };
        let proofs = Proofs::any(vec![Proof::Jwt(jwt)]);
        let admitted = |token: &[u8], body: &[u8]| {
            let mut parts = Request::post("/hook").body(()).unwrap().into_parts().0;
            if !in_body {
                parts.headers.insert(AUTHORIZATION, HeaderValue::from_bytes(token).ok()?);
            }
            let body = if in_body { token } else { body };
            let admitted = proofs.admit(&parts, Bytes::copy_from_slice(body), NOW).ok()?;
            Some(admitted.bytes().to_vec())
        };
        let token = token();
        let said = if in_body { CLAIMS.as_bytes() } else { SIGNED };
        let own = admitted(token.as_bytes(), SIGNED);
        prop_assert_eq!(own.as_deref(), Some(said));
        prop_assert!(in_body || admitted(token.as_bytes(), b"another body").is_none());
        // Some changes are none: white space around it, or padding behind it.
        let changed = admitted(&changed(token.as_bytes(), &changes), SIGNED);
        prop_assert!(changed.is_none_or(|changed| changed == said));
    }

    /// Both passes: the fast one takes it, or the slow one says why not. What is taken is one line of
    /// JSON a row, in a partition of a day.
    #[test]
    fn a_body_is_taken_as_rows_or_refused(changes in changes(JSON)) {
        let body = changed(BODY.as_bytes(), &changes);
        thread_local!(static CONTRACT: Contract = contract());
        let Ok(checked) = CONTRACT.with(|contract| contract.check(&body, &origin())) else {
            return Ok(());
        };
        for (row, bytes) in checked.rows.iter() {
            prop_assert!(is_one_line(bytes, row.lsn_at));
        }
        for partition in &checked.rows.partitions {
            let day = partition.strip_prefix("events/dt=").unwrap();
            prop_assert!(day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        }
    }

    /// A changed signature, header or body opens nothing, whatever the scheme.
    #[test]
    fn a_changed_signature_opens_nothing(
        scheme in any::<prop::sample::Index>(),
        in_header in any::<bool>(),
        changes in changes(&[b",", b"=", b"v1=", b"v1,", b" ", b"t=", b"sha256=", b"\xff", b"0"]),
    ) {
        let all: Vec<Scheme> = PACKS.iter().flat_map(|pack| pack.schemes()).collect();
        let scheme = scheme.get(&all);
        let Some(parts) = signed(scheme) else { return Ok(()) };
        let secrets = std::iter::once(SECRET);
        let signing = Signing::new([scheme.clone()], secrets, Duration::from_secs(300), "");
        let proofs = Proofs::any(vec![Proof::Signature(signing)]);
        let admits = |parts: &Parts, body: &[u8]| {
            let body = Bytes::copy_from_slice(body);
            proofs.admit(parts, body, NOW).is_ok()
        };
        prop_assert!(admits(&parts, SIGNED));
        if in_header {
            let mut other = parts.clone();
            for value in other.headers.values_mut() {
                if let Ok(changed) = HeaderValue::from_bytes(&changed(value.as_bytes(), &changes)) {
                    *value = changed;
                }
            }
            // Some changes are none: white space, the case of digits, one more signature.
            if admits(&other, SIGNED) {
                let forged = admits(&other, b"another body");
                prop_assert!(!forged);
            }
        } else {
            let body = changed(SIGNED, &changes);
            // Parameters of a form have no order.
            let admitted = admits(&parts, &body);
            let is_same = body == SIGNED || scheme.template.has(&Part::Params);
            prop_assert!(!admitted || is_same);
        }
    }

    /// A page is read to its end, or said to be wrong; every record is a piece of it.
    #[test]
    fn a_page_gives_pieces_of_itself_or_an_error(changes in changes(JSON)) {
        let page = changed(PAGE, &changes);
        let form = PageForm {
            records: "/data/items".to_owned(),
            total: Some("/meta/total".to_owned()),
            ..PageForm::default()
        };
        let steering = Steering {
            more: Some("/meta/more"),
            next: Some("/next"),
            ..Steering::default()
        };
        let wanted = Wanted::new(&form, &steering).unwrap();
        let mut taken = Vec::new();
        let mut take = |index: u64, record: Record<'_>| {
            assert_eq!(index, taken.len() as u64);
            if let Record::Whole(raw) = record {
                let shaped = raw.strip_prefix("{\"value\":").and_then(|raw| raw.strip_suffix('}'));
                let own = shaped.unwrap_or(raw).as_bytes();
                assert!(page.windows(own.len()).any(|piece| piece == own));
            }
            taken.push(match record {
                Record::Whole(raw) => raw.to_owned(),
                Record::Refused(_) => String::new(),
            });
            Ok::<_, Infallible>(())
        };
        let read = read_page(page.as_slice(), &wanted, 200, &mut take);
        if let Ok(facts) = &read {
            prop_assert_eq!(facts.records, taken.len() as u64);
        }
        // Whatever serde_json makes of the page, the records are those.
        if let (Ok(whole), Ok(_)) = (serde_json::from_slice::<serde_json::Value>(&page), read) {
            let items = whole["data"]["items"].as_array().map_or(0, Vec::len);
            prop_assert_eq!(items, taken.len());
            for (item, own) in whole["data"]["items"].as_array().into_iter().flatten().zip(&taken) {
                let own: serde_json::Value = serde_json::from_str(own).unwrap_or_default();
                prop_assert!(own == *item || own["value"] == *item || own.is_null());
            }
        }
    }
}

const NOW: Micros = Micros(1_614_265_330_000_000);
/// The example of Standard Webhooks.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SIGNED: &[u8] = b"{\"test\": 2432232314}";

/// A request that signs [`SIGNED`] with [`SECRET`]; `None` where only the provider can sign.
fn signed(scheme: &Scheme) -> Option<Parts> {
    let message = Message {
        method: "POST",
        path: "/hook",
        body: SIGNED,
        is_form: true,
        ..Message::default()
    };
    let headers = scheme.sign(&scheme.key_of(SECRET)?, &message, NOW, "msg_1")?;
    let mut request = Request::post("/hook");
    request = request.header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Some(request.body(()).unwrap().into_parts().0)
}

/// What [`token`] claims: the hash is that of [`SIGNED`].
const CLAIMS: &str = r#"{"aud":"us","exp":1614265400,"hash":"ae858931f67887e8150d6f96c9fe03062c1df36b4464c4ddc8e002c084d5d198"}"#;

/// A token that is signed with [`SECRET`].
fn token() -> String {
    let part = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
    let signed = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(CLAIMS));
    let key = Algorithm::HmacSha256.key(SECRET.as_bytes()).unwrap();
    let signature = key.digest(signed.as_bytes()).unwrap();
    format!("{signed}.{}", Encoding::Base64Url.encode(&signature))
}
