#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};

use super::examples::{EXAMPLES, Example};
use super::further_examples::FURTHER;
use super::*;
use crate::clock::Micros;
use crate::receive::fields::FieldSource;
use crate::receive::signature::Signing;
use crate::signature::{Message, Unsigned};

const TOLERANCE: Duration = Duration::from_secs(300);

/// An example, parts of which may be changed.
#[derive(Clone)]
struct Sent {
    secret: String,
    headers: Vec<(String, String)>,
    body: String,
    query: Option<String>,
    later: i64,
}

impl Sent {
    fn of(example: &Example) -> Self {
        let headers = example.headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            secret: example.secret.to_owned(),
            headers: headers.collect(),
            body: example.body.to_owned(),
            query: example.query.map(str::to_owned),
            later: 0,
        }
    }

    fn parts(&self, path: &str) -> Parts {
        let query = self.query.as_ref().map(|query| format!("?{query}"));
        let uri = format!("{path}{}", query.unwrap_or_default());
        let request = Request::post(uri).body(()).unwrap();
        let mut parts = request.into_parts().0;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            parts
                .headers
                .append(name, HeaderValue::from_str(value).unwrap());
        }
        parts
    }

    fn verify(&self, example: &Example) -> Result<(), Unsigned> {
        let pack = find(example.pack).unwrap();
        let secrets = ["another secret", &self.secret].into_iter();
        let signing = Signing::new(pack.schemes(), secrets, TOLERANCE, example.url);
        let now = Micros((example.seconds + self.later) * 1_000_000);
        signing.verify(&self.parts("/hook"), self.body.as_bytes(), now)
    }
}

#[test]
fn each_example_is_admitted_and_nothing_near_it() {
    for example in EXAMPLES.iter().chain(FURTHER) {
        let sent = Sent::of(example);
        let name = format!("{} ({})", example.pack, example.address);
        assert_eq!(sent.verify(example), Ok(()), "{name}");
        let refused = |why: &str, change: &dyn Fn(&mut Sent)| {
            let mut changed = sent.clone();
            change(&mut changed);
            let verified = changed.verify(example);
            assert!(verified.is_err(), "{name}: {why}");
        };
        refused("another secret", &|sent| {
            sent.secret = "a wrong secret".to_owned();
        });
        refused("more of a body", &|sent| sent.body.push('1'));
        refused("less of a body", &|sent| {
            sent.body.truncate(sent.body.len() - 1);
        });
        refused("another byte", &|sent| {
            let first = sent.body.remove(0);
            sent.body.insert(0, if first == '{' { '[' } else { '{' });
        });
        refused("no headers", &|sent| sent.headers.clear());
        refused("no signature", &|sent| {
            sent.headers
                .retain(|(header, _)| !header.contains("signature") && !header.contains("hmac"));
        });
        if example.seconds > 0 {
            refused("late", &|sent| sent.later = 301);
            refused("early", &|sent| sent.later = -301);
            refused("a time that was not signed", &|sent| {
                for (_, value) in &mut sent.headers {
                    let time = example.seconds.to_string();
                    *value = value.replace(&time, &(example.seconds + 1).to_string());
                    *value = value.replace("22:13:20", "22:13:21");
                }
            });
        }
        if !example.url.is_empty() {
            refused("another query", &|sent| {
                sent.query = Some("foo=2".to_owned());
            });
        }
    }
}

/// What lakehook signs itself is what the provider signs.
#[test]
fn signing_is_the_inverse_of_verifying() {
    for pack in PACKS {
        for scheme in pack.schemes() {
            let Some(key) = scheme.key_of("whsec_c2VjcmV0c2VjcmV0") else {
                assert!(!scheme.algorithm.is_symmetric(), "{}", pack.name);
                continue;
            };
            let message = Message {
                method: "POST",
                url: "https://example.com/hook",
                path: "/hook",
                query: None,
                body: b"a=b",
                is_form: true,
            };
            let now = Micros(1_700_000_000_000_000);
            let headers = scheme.sign(&key, &message, now, "msg_1").unwrap();
            let header = |name: &str| {
                let found = headers.iter().find(|(known, _)| known == name);
                found.map(|(_, value)| value.as_str())
            };
            let claim = scheme.read(header).unwrap();
            assert_eq!(scheme.check_time(&claim, now, Duration::ZERO), Ok(()));
            assert_eq!(
                scheme.verify([&key], &claim, &message),
                Ok(()),
                "{}",
                pack.name
            );
        }
    }
}

#[test]
fn the_tables_hold_together() {
    let examples = EXAMPLES.iter().chain(FURTHER);
    let with_example: BTreeSet<&str> = examples.map(|example| example.pack).collect();
    let mut names = BTreeSet::new();
    for pack in PACKS {
        assert!(names.insert(pack.name), "{} is there twice", pack.name);
        assert!(std::ptr::eq(find(pack.name).unwrap(), pack));
        for proof in pack.proofs {
            match proof {
                Authenticity::Signed(signed) => assert!(signed.scheme().is_some(), "{}", pack.name),
                Authenticity::Token(header) => {
                    assert!(HeaderName::from_bytes(header.as_bytes()).is_ok());
                }
                Authenticity::User | Authenticity::Topics => {}
                Authenticity::Member => assert!(!pack.secret_members().is_empty()),
            }
        }
        for places in [pack.event_type, pack.time, pack.user] {
            assert!(
                FieldSource::parse(places.iter().copied()).is_some(),
                "{}",
                pack.name
            );
        }
        for route in pack.routes {
            assert!(route.path.starts_with('/'), "{}", pack.name);
        }
        let needs_none = pack.schemes().is_empty();
        assert!(
            needs_none || with_example.contains(pack.name),
            "{} has no example",
            pack.name
        );
    }
    let published = EXAMPLES.iter().filter(|example| example.is_published);
    assert!(published.count() >= 12);
}

/// The table of docs/providers.md names those examples that are published as they are here.
#[test]
fn the_deliveries_name_the_published_examples() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/providers.ndjson"
    );
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let delivery: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_it = |example: &&Example| example.is_published && delivery["hook"] == example.pack;
        let published = EXAMPLES.iter().find(is_it).map(|example| example.address);
        assert_eq!(delivery["vector"].as_str(), published, "{line}");
    }
}
