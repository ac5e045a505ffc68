//! Every provider in the table: a documented body, signed as the provider signs, is taken once, with its id, type and
//! time, byte by byte; and nothing near it gets in.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lakehook::clock::{Clock, Micros};
use lakehook::receive::packs::{GENERIC, PACKS, Pack, find};
use lakehook::signature::Message;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::connect;
use super::payloads::lines;
use crate::arrival::STOP_LIMIT;
use crate::support::http::Answer;
use crate::support::process::Setup;

const SECRET: &str = "a shared secret of ours";
const OTHER: &str = "a secret of somebody else";
const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: i64 = 1_000_000;
/// Clients and mechanisms that are no single provider have tests of their own.
const ELSEWHERE: [&str; 4] = ["segment", "posthog", "cloudevents", "sns"];

/// A documented delivery, and what its row must be.
#[derive(Deserialize)]
struct Delivery {
    pack: String,
    #[serde(default)]
    content_type: Option<String>,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    signed_id: String,
    body: String,
    /// The provider's id; null if the content is the identity, `none` if there is none.
    id: Option<String>,
    r#type: String,
    /// The time; null if it is that of the receipt, `signed` if it is that of the signature.
    time: Option<String>,
}

/// Private keys of providers who have some.
struct Keys {
    ed25519: Ed25519KeyPair,
    ecdsa: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        let rsa = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        Self {
            ed25519: Ed25519KeyPair::generate().unwrap(),
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            rsa,
        }
    }

    /// The public key, as it is shown to users.
    fn secret(&self, pack: &str) -> Option<String> {
        let ed25519 = self.ed25519.public_key().as_ref();
        Some(match pack {
            "discord" => hex(ed25519),
            "telnyx" => STANDARD.encode(ed25519),
            "sendgrid" => STANDARD.encode(self.ecdsa.public_key().as_ref()),
            "wise" => STANDARD.encode(self.rsa.public_key().as_ref()),
            _ => return None,
        })
    }

    /// The headers of a signature; `None` if the provider has no private key.
    fn sign(&self, pack: &str, body: &str, time: i64) -> Option<Vec<(String, String)>> {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let random = SystemRandom::new();
        Some(match pack {
            "discord" => vec![
                pair("x-signature-timestamp", time.to_string()),
                pair(
                    "x-signature-ed25519",
                    hex(self
                        .ed25519
                        .sign(format!("{time}{body}").as_bytes())
                        .as_ref()),
                ),
            ],
            "telnyx" => {
                let signature = self.ed25519.sign(format!("{time}|{body}").as_bytes());
                vec![
                    pair("telnyx-timestamp", time.to_string()),
                    pair("telnyx-signature-ed25519", STANDARD.encode(signature)),
                ]
            }
            "sendgrid" => {
                let signed = format!("{time}{body}");
                let signature = self.ecdsa.sign(&random, signed.as_bytes()).unwrap();
                vec![
                    pair("x-twilio-email-event-webhook-timestamp", time.to_string()),
                    pair(
                        "x-twilio-email-event-webhook-signature",
                        STANDARD.encode(signature),
                    ),
                ]
            }
            "wise" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let key = &self.rsa;
                key.sign(&RSA_PKCS1_SHA256, &random, body.as_bytes(), &mut signature)
                    .unwrap();
                vec![pair("x-signature-sha256", STANDARD.encode(signature))]
            }
            _ => return None,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn url(pack: &str) -> String {
    format!("https://hooks.example.com/webhook/{pack}")
}

impl Delivery {
    fn pack(&self) -> &'static Pack {
        find(&self.pack).unwrap()
    }

    fn has_time(&self) -> bool {
        let schemes = self.pack().schemes();
        schemes.iter().any(|scheme| scheme.timestamp.is_some())
    }

    /// The headers that prove where it comes from.
    fn proof(&self, keys: &Keys, secret: &str, time: Micros) -> Vec<(String, String)> {
        let seconds = time.0.div_euclid(SECOND);
        if let Some(headers) = keys.sign(&self.pack, &self.body, seconds) {
            return headers;
        }
        let pack = self.pack();
        let schemes = pack.schemes();
        let Some(scheme) = schemes.first() else {
            let header = pack.token_header().unwrap();
            return vec![(header.to_owned(), secret.to_owned())];
        };
        let url = url(&self.pack);
        let message = Message {
            method: "POST",
            url: &url,
            path: "",
            query: None,
            body: self.body.as_bytes(),
            is_form: self.content_type.is_some(),
        };
        let key = scheme.key_of(secret).unwrap();
        scheme.sign(&key, &message, time, &self.signed_id).unwrap()
    }

    fn post(&self, setup: &Setup, proof: &[(String, String)], body: &str) -> Answer {
        let json = "application/json";
        let content_type = self.content_type.as_deref().unwrap_or(json);
        let mut headers = vec![("content-type", content_type)];
        for (name, value) in self.headers.iter().chain(proof.iter().map(|(n, v)| (n, v))) {
            headers.push((name, value));
        }
        let path = format!("/webhook/{}", self.pack);
        connect(setup)
            .request("POST", &path, &headers, body.as_bytes())
            .unwrap()
    }
}

fn deliveries() -> Vec<Delivery> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/providers.ndjson"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

fn secret_of(pack: &str, keys: &Keys) -> String {
    let shared = if pack == "standard" { WHSEC } else { SECRET };
    keys.secret(pack).unwrap_or_else(|| shared.to_owned())
}

fn config(deliveries: &[Delivery], keys: &Keys) -> String {
    let mut text =
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
                    [events]\nmax_age = \"36500d\"\n"
            .to_owned();
    for delivery in deliveries {
        let pack = delivery.pack();
        let (name, secret) = (pack.name, secret_of(pack.name, keys));
        write!(
            text,
            "[hook.{name}]\nscheme = \"{name}\"\nsecrets = [\"{secret}\"]\n"
        )
        .unwrap();
        if pack.needs_url() {
            writeln!(text, "public_url = \"{}\"", url(name)).unwrap();
        }
        if name == "meta" {
            text.push_str("verify_token = \"an agreed word\"\n");
        }
    }
    text
}

/// Posts a delivery as it is, again, and in ways that must not get in.
fn deliver(delivery: &Delivery, setup: &Setup, keys: &Keys) {
    let pack = delivery.pack.as_str();
    let now = Clock::system().now().wall;
    let secret = secret_of(pack, keys);
    let proof = delivery.proof(keys, &secret, now);
    let first = delivery.post(setup, &proof, &delivery.body);
    assert_eq!(first.json()["accepted"], 1, "{pack}: {}", first.text());
    // The same bytes, as a replay; and later, signed anew.
    let later = delivery.proof(keys, &secret, Micros(now.0 + SECOND));
    for again in [&proof, &later] {
        let again = delivery.post(setup, again, &delivery.body);
        let counted = if delivery.id.as_deref() == Some("none") {
            "accepted"
        } else {
            "duplicates"
        };
        assert_eq!(again.json()[counted], 1, "{pack}: {}", again.text());
    }
    let mut refused = vec![("no proof", delivery.post(setup, &[], &delivery.body))];
    if !delivery.pack().schemes().is_empty() {
        let tampered = format!("{} ", delivery.body);
        refused.push(("tampered", delivery.post(setup, &proof, &tampered)));
    }
    if keys.secret(pack).is_none() && pack != "standard" {
        let wrong = delivery.proof(keys, OTHER, now);
        refused.push(("wrong secret", delivery.post(setup, &wrong, &delivery.body)));
    }
    if delivery.has_time() {
        for apart in [-400, 400] {
            let stale = delivery.proof(keys, &secret, Micros(now.0 + apart * SECOND));
            refused.push(("stale", delivery.post(setup, &stale, &delivery.body)));
        }
    }
    for (what, answer) in refused {
        assert_eq!(answer.status, 401, "{pack}, {what}: {}", answer.text());
    }
}

/// A row as it lies in the lake.
#[derive(Deserialize)]
struct Row<'l> {
    source: String,
    event_type: String,
    timestamp: String,
    received_at: String,
    #[serde(borrow)]
    properties: &'l RawValue,
    extra: Value,
}

impl Row<'_> {
    fn is_of(&self, delivery: &Delivery) {
        let pack = &delivery.pack;
        assert_eq!(self.event_type, delivery.r#type, "{pack}");
        let known = delivery.id.as_deref().filter(|id| *id != "none");
        assert_eq!(self.extra["provider_id"].as_str(), known, "{pack}");
        assert_eq!(self.extra["provider_time"], Value::Null, "{pack}");
        match delivery.time.as_deref() {
            None => assert_eq!(self.timestamp, self.received_at, "{pack}"),
            Some("signed") => {
                let [at, received] = [&self.timestamp, &self.received_at]
                    .map(|text| lakehook::rfc3339::parse(text).unwrap());
                assert!(received.0.abs_diff(at.0) < 60 * 1_000_000, "{pack}");
            }
            Some(time) => assert_eq!(self.timestamp, time, "{pack}"),
        }
        // A list of one event is that event; a form has become an object.
        if delivery.content_type.is_none() {
            let body = delivery.body.trim_start_matches('[').trim_end_matches(']');
            assert_eq!(self.properties.get(), body, "{pack}");
        }
    }
}

#[test]
fn each_provider_is_taken_with_its_id_type_and_time() {
    let keys = Keys::new();
    let deliveries = deliveries();
    let setup = Setup::new(&config(&deliveries, &keys));
    let program = setup.start();
    for delivery in &deliveries {
        deliver(delivery, &setup, &keys);
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lines = lines(&setup.directory().join("lake/events"));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in &lines {
        let row: Row<'_> = serde_json::from_str(line).unwrap();
        let own = deliveries.iter().find(|own| own.pack == row.source);
        row.is_of(own.unwrap());
        *counts.entry(row.source).or_default() += 1;
    }
    for delivery in &deliveries {
        let expected = if delivery.id.as_deref() == Some("none") {
            3
        } else {
            1
        };
        assert_eq!(
            counts.get(&delivery.pack),
            Some(&expected),
            "{}",
            delivery.pack
        );
    }
    assert!(!setup.directory().join("lake/quarantine").exists());
}

#[test]
fn every_provider_has_a_documented_delivery() {
    let tried: Vec<String> = deliveries().into_iter().map(|own| own.pack).collect();
    for pack in PACKS {
        let is_elsewhere = ELSEWHERE.contains(&pack.name) || pack.name == GENERIC.name;
        let is_tried = tried.iter().any(|name| name == pack.name);
        assert!(is_tried != is_elsewhere, "{}", pack.name);
    }
}
