//! Senders of the deliveries of providers: their keys and secrets, and how they prove who they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lakehook::clock::Micros;
use lakehook::config::{Delivery as Signable, Hook};
use lakehook::secret::Secret;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::providers::{Delivery, WORD};
use crate::support::process::Setup;

const SECOND: i64 = 1_000_000;

/// A sender, who has all secrets: the right one, or one who only pretends.
pub(super) struct Sender {
    word: &'static str,
    whsec: &'static str,
    ed25519: Ed25519KeyPair,
    ecdsa: EcdsaKeyPair,
    tokens: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

/// A delivery as it is sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) content_type: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: String,
    pub(super) body: String,
}

impl Sender {
    pub(super) fn right() -> Self {
        Self::new(WORD, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    }

    pub(super) fn wrong() -> Self {
        Self::new(
            "a secret of somebody else",
            "whsec_c2VjcmV0c2VjcmV0c2VjcmV0",
        )
    }

    fn new(word: &'static str, whsec: &'static str) -> Self {
        Self {
            word,
            whsec,
            ed25519: Ed25519KeyPair::generate().unwrap(),
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            tokens: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// Writes the files of secrets that a section names.
    pub(super) fn write_files(&self, setup: &Setup, section: &str) {
        for rest in section.split("_file = \"").skip(1) {
            let name = rest.split('"').next().unwrap();
            let (hook, kind) = name.split_once('.').unwrap();
            let text = match kind {
                "jwks" => self.jwks(),
                "passwords" => format!("user:{}\n", self.word),
                _ => self.secret(hook),
            };
            let path = setup.directory().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The secret, or public key, as it is shown to users.
    fn secret(&self, hook: &str) -> String {
        let ed25519 = self.ed25519.public_key().as_ref();
        match hook {
            "standard" => self.whsec.to_owned(),
            "discord" => hex(ed25519),
            "telnyx" => STANDARD.encode(ed25519),
            "sendgrid" => STANDARD.encode(self.ecdsa.public_key().as_ref()),
            "wise" => STANDARD.encode(self.rsa.public_key().as_ref()),
            "teams" => STANDARD.encode(self.word),
            _ => self.word.to_owned(),
        }
    }

    /// The public keys of an issuer of tokens (RFC 7517).
    fn jwks(&self) -> String {
        // RSAPublicKey (RFC 8017, A.1.1) of 2048 bits: two heads, a zero, the modulus, and 65537.
        let modulus = &self.rsa.public_key().as_ref()[9..265];
        let point = self.tokens.public_key().as_ref();
        let of = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": of(modulus), "e": "AQAB"},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": of(&point[1..33]), "y": of(&point[33..])},
        ]});
        keys.to_string()
    }

    /// A delivery with the proof of this sender, made at that time.
    pub(super) fn send(&self, delivery: &Delivery, hook: &Hook, time: Micros) -> Sent {
        let mut sent = delivery.unproven();
        let mut put = |name: &str, value: String| sent.headers.push((name.to_owned(), value));
        let secret = self.secret(&delivery.hook);
        match delivery.by.as_deref().and_then(|by| by.split_once(' ')) {
            Some(("header", name)) => put(name, secret),
            Some(("query", name)) => sent.query = format!("?{name}={}", secret.replace(' ', "+")),
            Some(("member", _)) => sent.body = delivery.body.replace(WORD, &secret),
            _ => match delivery.by.as_deref() {
                Some("basic") => {
                    let pair = STANDARD.encode(format!("user:{}", self.word));
                    put("authorization", format!("Basic {pair}"));
                }
                Some("jwt") => self.send_token(&mut sent, delivery, time),
                Some("members") => {
                    let seconds = time.0.div_euclid(SECOND).to_string();
                    let token: Value = serde_json::from_str(&delivery.body).unwrap();
                    let token = token["signature"]["token"].as_str().unwrap().to_owned();
                    let signature = hex(&self.mac(&format!("{seconds}{token}")));
                    let body = delivery.body.replace("TIME", &seconds);
                    sent.body = body.replace("SIGNATURE", &signature);
                }
                _ => sent.headers.extend(self.sign(delivery, hook, time)),
            },
        }
        sent
    }

    fn mac(&self, text: &str) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.word.as_bytes());
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    }

    /// The headers of a signature of the body, or of a token of the provider.
    fn sign(&self, delivery: &Delivery, hook: &Hook, time: Micros) -> Vec<(String, String)> {
        let name = delivery.hook.as_str();
        if let Some(headers) = self.sign_with_private_key(delivery, time) {
            return headers;
        }
        if let Some(header) = delivery.token_header() {
            return vec![(header.to_owned(), self.secret(name))];
        }
        let hook = Hook {
            secrets: vec![Secret::new(self.secret(name))],
            ..hook.clone()
        };
        let signable = Signable {
            name,
            body: delivery.body.as_bytes(),
            content_type: delivery.content_type(),
            id: &delivery.signed_id,
            now: time,
        };
        hook.sign(&signable).unwrap()
    }

    fn sign_with_private_key(
        &self,
        delivery: &Delivery,
        time: Micros,
    ) -> Option<Vec<(String, String)>> {
        let seconds = time.0.div_euclid(SECOND);
        let body = delivery.body.as_str();
        let random = SystemRandom::new();
        let headers = match delivery.hook.as_str() {
            "discord" => {
                let signature = self.ed25519.sign(format!("{seconds}{body}").as_bytes());
                let signature = hex(signature.as_ref());
                let time = ("x-signature-timestamp", seconds.to_string());
                vec![time, ("x-signature-ed25519", signature)]
            }
            "telnyx" => {
                let signature = self.ed25519.sign(format!("{seconds}|{body}").as_bytes());
                let signature = STANDARD.encode(signature);
                let time = ("telnyx-timestamp", seconds.to_string());
                vec![time, ("telnyx-signature-ed25519", signature)]
            }
            "sendgrid" => {
                let signed = format!("{seconds}{body}");
                let signature = self.ecdsa.sign(&random, signed.as_bytes()).unwrap();
                let signature = STANDARD.encode(signature);
                let of = "x-twilio-email-event-webhook-timestamp";
                vec![
                    (of, seconds.to_string()),
                    ("x-twilio-email-event-webhook-signature", signature),
                ]
            }
            "wise" => {
                let signature = STANDARD.encode(self.rsa_signature(body));
                vec![("x-signature-sha256", signature)]
            }
            _ => return None,
        };
        let headers = headers.into_iter();
        Some(
            headers
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    fn rsa_signature(&self, text: &str) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        self.rsa
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        signature
    }

    /// Puts a token where the provider puts it.
    fn send_token(&self, sent: &mut Sent, delivery: &Delivery, time: Micros) {
        let seconds = time.0.div_euclid(SECOND);
        let hash = hex(&Sha256::digest(delivery.body.as_bytes()));
        match delivery.hook.as_str() {
            "pubsub" => {
                let claims = json!({
                    "iss": "https://accounts.google.com", "email": "push@project.iam.gserviceaccount.com",
                    "aud": "https://hooks.example.com/webhook/pubsub", "iat": seconds, "exp": seconds + 3600,
                });
                let token = self.token("RS256", "r", &claims.to_string());
                let header = ("authorization".to_owned(), format!("Bearer {token}"));
                sent.headers.push(header);
            }
            "vonage" => {
                let claims =
                    json!({"iss": "Vonage", "iat": seconds, "payload_hash": hash, "jti": "1"});
                let token = self.token("HS256", "", &claims.to_string());
                let header = ("authorization".to_owned(), format!("Bearer {token}"));
                sent.headers.push(header);
            }
            "plaid" => {
                let claims = json!({"iat": seconds, "request_body_sha256": hash});
                let token = self.token("ES256", "e", &claims.to_string());
                sent.headers.push(("plaid-verification".to_owned(), token));
            }
            _ => sent.body = self.token("RS256", "r", &delivery.body),
        }
    }

    /// A token (RFC 7515).
    pub(super) fn token(&self, algorithm: &str, id: &str, claims: &str) -> String {
        let head = json!({"alg": algorithm, "kid": id, "typ": "JWT"}).to_string();
        let signed = [head.as_str(), claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let signed = signed.join(".");
        let signature = match algorithm {
            "RS256" => self.rsa_signature(&signed),
            "ES256" => {
                let random = SystemRandom::new();
                let signature = self.tokens.sign(&random, signed.as_bytes()).unwrap();
                signature.as_ref().to_vec()
            }
            _ => self.mac(&signed),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The sections of the page, by the names of their hooks, each with its heading.
pub(super) fn sections() -> BTreeMap<String, (String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hooks.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut sections = BTreeMap::new();
    for part in page.split("\n### ").skip(1) {
        let heading = part.lines().next().unwrap().to_owned();
        let Some(rest) = part.split("```toml\n").nth(1) else {
            continue;
        };
        let section = rest.split("```").next().unwrap().to_owned();
        let name = section.split("[hook.").nth(1).unwrap();
        let name = name.split(']').next().unwrap().to_owned();
        sections.insert(name, (heading, section));
    }
    sections
}
