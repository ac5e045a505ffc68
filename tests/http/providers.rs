//! Every provider of docs/hooks.md, with its section as it is to be pasted: a documented body, proven as the provider
//! proves it, is taken once, with its id, type and time, byte by byte; and nothing near it gets in. What was tried makes
//! the table of docs/providers.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lakehook::clock::{Clock, Micros};
use lakehook::config::Config;
use lakehook::receive::packs::{GENERIC, PACKS, Pack, find};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::connect;
use super::payloads::lines;
use super::senders::{Sender, Sent, sections};
use crate::arrival::STOP_LIMIT;
use crate::support::http::Answer;
use crate::support::process::Setup;

/// The secret of most senders, which some put into the body.
pub(super) const WORD: &str = "a shared secret of ours";
const SECOND: i64 = 1_000_000;
/// Clients and mechanisms that are no single provider have tests of their own.
const ELSEWHERE: [&str; 4] = ["segment", "posthog", "cloudevents", "sns"];
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/providers.md");
const BEGIN: &str = "<!-- begin -->\n";
const END: &str = "<!-- end -->";

/// A documented delivery, and what its row must be.
#[derive(Deserialize)]
pub(super) struct Delivery {
    /// The name of its section.
    pub(super) hook: String,
    /// How its sender proves who it is, where no pack says so.
    pub(super) by: Option<String>,
    /// Where it is documented, where no pack says so.
    source: Option<String>,
    /// Where a signed example is published, which `src/receive/packs/examples.rs` has.
    vector: Option<String>,
    content_type: Option<String>,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) signed_id: String,
    pub(super) body: String,
    /// What is stored, where it is not what was sent.
    stored: Option<Value>,
    /// The provider's id; null if the content is the identity, `none` if there is none.
    id: Option<String>,
    r#type: String,
    /// The time; null if it is that of the receipt, `signed` if it is that of the signature.
    time: Option<String>,
}

impl Delivery {
    fn pack(&self) -> Option<&'static Pack> {
        find(&self.hook)
    }

    pub(super) fn token_header(&self) -> Option<&'static str> {
        let pack = self.pack().filter(|pack| pack.schemes().is_empty());
        pack.and_then(Pack::token_header)
    }

    pub(super) fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or("application/json")
    }

    /// Itself without any proof.
    pub(super) fn unproven(&self) -> Sent {
        let headers = self.headers.iter();
        Sent {
            content_type: self.content_type().to_owned(),
            headers: headers
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            query: String::new(),
            body: self.body.replace(WORD, "no secret"),
        }
    }

    /// Seconds by which a proof is too old or too new.
    fn stale(&self) -> &'static [i64] {
        let schemes = self.pack().map(Pack::schemes).unwrap_or_default();
        match self.hook.as_str() {
            "pubsub" => &[-4000],
            "plaid" | "vonage" | "mailgun" | "convoy" => &[-400, 400],
            _ if schemes.iter().any(|scheme| scheme.timestamp.is_some()) => &[-400, 400],
            _ => &[],
        }
    }

    /// The delivery with another content than the one that was proven; `None` if the proof says nothing about it.
    fn tampered(&self, sent: &Sent) -> Option<(&'static str, Sent)> {
        let by = self.by.as_deref().unwrap_or_default();
        let is_signed = self.pack().is_some_and(|pack| !pack.schemes().is_empty());
        let mut tampered = sent.clone();
        match (by, self.hook.as_str()) {
            ("members", _) => {
                tampered.body = sent.body.replace("a8ce0edb", "a8ce0edc");
                return Some(("another token", tampered));
            }
            (_, "kinde") => {
                let parts: Vec<&str> = sent.body.split('.').collect();
                let claims = parts[1].replacen('e', "f", 1);
                tampered.body = [parts[0], &claims, parts[2]].join(".");
            }
            ("hmac", _) | (_, "plaid" | "vonage") => tampered.body.push(' '),
            _ if is_signed => tampered.body.push(' '),
            _ => return None,
        }
        Some(("another content", tampered))
    }
}

fn post(setup: &Setup, hook: &str, sent: &Sent) -> Answer {
    let mut headers = vec![("content-type", sent.content_type.as_str())];
    let own = sent.headers.iter();
    headers.extend(own.map(|(name, value)| (name.as_str(), value.as_str())));
    let path = format!("/webhook/{hook}{}", sent.query);
    connect(setup)
        .request("POST", &path, &headers, sent.body.as_bytes())
        .unwrap()
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

/// What was tried with a delivery.
struct Tried {
    first: Sent,
    refused: Vec<&'static str>,
}

/// Posts a delivery as it is, again, and in ways that must not get in.
fn deliver(delivery: &Delivery, setup: &Setup, config: &Config, senders: [&Sender; 2]) -> Tried {
    let hook = delivery.hook.as_str();
    let now = Clock::system().now().wall;
    let [right, wrong] = senders;
    let at = |sender: &Sender, apart: i64| {
        let time = Micros(now.0 + apart * SECOND);
        sender.send(delivery, &config.hook[hook], time)
    };
    let sent = at(right, 0);
    let first = post(setup, hook, &sent);
    assert_eq!(first.json()["accepted"], 1, "{hook}: {}", first.text());
    // The same bytes, as a replay; and later, proven anew.
    for again in [&sent, &at(right, 1)] {
        let again = post(setup, hook, again);
        let counted = match delivery.id.as_deref() {
            Some("none") => "accepted",
            _ => "duplicates",
        };
        assert_eq!(again.json()[counted], 1, "{hook}: {}", again.text());
    }
    let mut others = vec![
        ("no proof", delivery.unproven()),
        ("another secret", at(wrong, 0)),
    ];
    others.extend(delivery.tampered(&sent));
    let stale = delivery.stale().iter();
    others.extend(stale.map(|apart| {
        let what = if *apart < 0 {
            "an old proof"
        } else {
            "a proof of the future"
        };
        (what, at(right, *apart))
    }));
    let mut refused = Vec::new();
    for (what, sent) in others {
        let answer = post(setup, hook, &sent);
        assert_eq!(answer.status, 401, "{hook}, {what}: {}", answer.text());
        refused.push(what);
    }
    Tried {
        first: sent,
        refused,
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
    /// Checks that it is the row of that delivery, and says how its content was kept.
    fn is_of(&self, delivery: &Delivery, sent: &Sent) -> &'static str {
        let hook = &delivery.hook;
        assert_eq!(self.event_type, delivery.r#type, "{hook}");
        let known = delivery.id.as_deref().filter(|id| *id != "none");
        assert_eq!(self.extra["provider_id"].as_str(), known, "{hook}");
        assert_eq!(self.extra["provider_time"], Value::Null, "{hook}");
        match delivery.time.as_deref() {
            None => assert_eq!(self.timestamp, self.received_at, "{hook}"),
            Some("signed") => {
                let [at, received] = [&self.timestamp, &self.received_at]
                    .map(|text| lakehook::rfc3339::parse(text).unwrap());
                assert!(received.0.abs_diff(at.0) < 60 * 1_000_000, "{hook}");
            }
            Some(time) => assert_eq!(self.timestamp, time, "{hook}"),
        }
        let kept = self.properties.get();
        if let Some(stored) = &delivery.stored {
            let kept: Value = serde_json::from_str(kept).unwrap();
            assert_eq!(kept, *stored, "{hook}");
            return if delivery.body.starts_with('{') {
                "without the secret"
            } else {
                "the form as JSON"
            };
        }
        if delivery.content_type() == "application/jwt" {
            assert_eq!(kept, delivery.body, "{hook}");
            return "the claims";
        }
        // A list of one event is that event.
        let body = sent.body.trim_start_matches('[').trim_end_matches(']');
        assert_eq!(kept, body, "{hook}");
        if body == sent.body {
            "every byte"
        } else {
            "every byte of the element"
        }
    }
}

fn config_of(sections: &BTreeMap<String, (String, String)>, deliveries: &[Delivery]) -> String {
    let mut text =
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"128 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [events]\nmax_age = \"36500d\"\n"
            .to_owned();
    for delivery in deliveries {
        let (_, section) = &sections[&delivery.hook];
        text.push_str(section);
    }
    text
}

#[test]
fn each_provider_is_taken_with_its_id_type_and_time() {
    let (right, wrong) = (Sender::right(), Sender::wrong());
    let (deliveries, sections) = (deliveries(), sections());
    let setup = Setup::new(&config_of(&sections, &deliveries));
    for delivery in &deliveries {
        right.write_files(&setup, &sections[&delivery.hook].1);
    }
    let path = setup.directory().join("lakehook.toml");
    let loaded = Config::load(Some(&path), &[]).unwrap();
    // How this test is run is no part of the configuration.
    let of_config = |warning: &&String| !warning.contains("variables of the environment");
    assert_eq!(loaded.warnings.iter().find(of_config), None);
    let checked = setup.run(&["check"]);
    let listed = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{listed}");
    for delivery in &deliveries {
        let path = format!("/webhook/{}, ", delivery.hook);
        assert!(listed.contains(&path), "{path}: {listed}");
    }
    let program = setup.start();
    let tried: BTreeMap<&str, Tried> = deliveries
        .iter()
        .map(|own| {
            let tried = deliver(own, &setup, &loaded.config, [&right, &wrong]);
            (own.hook.as_str(), tried)
        })
        .collect();
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let lines = lines(&setup.directory().join("lake/events"));
    let mut kept: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    for line in &lines {
        let row: Row<'_> = serde_json::from_str(line).unwrap();
        let own = deliveries.iter().find(|own| own.hook == row.source);
        let how = row.is_of(own.unwrap(), &tried[row.source.as_str()].first);
        kept.entry(row.source).or_default().push(how);
    }
    let mut table = String::new();
    for delivery in &deliveries {
        let is_new_each_time = delivery.id.as_deref() == Some("none");
        let expected = if is_new_each_time { 3 } else { 1 };
        let (hook, kept) = (&delivery.hook, &kept[&delivery.hook]);
        assert_eq!(kept.len(), expected, "{hook}");
        let heading = &sections[hook].0;
        table.push_str(&delivery.row(heading, kept[0], &tried[hook.as_str()].refused));
    }
    assert!(!setup.directory().join("lake/quarantine").exists());
    is_on_the_page(&table, deliveries.len());
}

impl Delivery {
    /// Its row of the table.
    fn row(&self, heading: &str, kept: &str, refused: &[&str]) -> String {
        let address = self.pack().map(|pack| pack.address);
        let address = self.source.as_deref().or(address).unwrap();
        let is_signed = self.pack().is_some_and(|pack| !pack.schemes().is_empty());
        let signature = match &self.vector {
            Some(vector) => format!("[published]({vector})"),
            None if is_signed || matches!(self.by.as_deref(), Some("hmac" | "members" | "jwt")) => {
                "as documented".to_owned()
            }
            None => "a secret".to_owned(),
        };
        let (id, again) = match self.id.as_deref() {
            None => ("its content".to_owned(), "duplicate"),
            Some("none") => ("none".to_owned(), "another event"),
            Some(id) => (format!("`{id}`"), "duplicate"),
        };
        let time = match self.time.as_deref() {
            None => "of receipt".to_owned(),
            Some("signed") => "of the signature".to_owned(),
            Some(time) => format!("`{time}`"),
        };
        let refused = refused.join(", ");
        format!(
            "| [{heading}]({address}) | {signature} | {id} | `{}` | {time} | {again} | {kept} | {refused} |\n",
            self.r#type
        )
    }
}

fn is_on_the_page(rows: &str, count: usize) {
    let mut made =
        format!("{count} providers, each with its section as it stands on the page:\n\n");
    writeln!(
        made,
        "| provider | proof | id | type | time | sent again | kept | refused (401) |\n|---|---|---|---|---|---|---|---|"
    )
    .unwrap();
    made.push_str(rows);
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (shown, after) = rest.split_once(END).unwrap();
    if std::env::var_os("LAKEHOOK_RECORD").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
    } else {
        assert!(shown == made, "run it with LAKEHOOK_RECORD=1:\n{made}");
    }
}

#[test]
fn every_provider_has_a_documented_delivery() {
    let tried: Vec<String> = deliveries().into_iter().map(|own| own.hook).collect();
    for pack in PACKS {
        let is_elsewhere = ELSEWHERE.contains(&pack.name) || pack.name == GENERIC.name;
        let is_tried = tried.iter().any(|name| name == pack.name);
        assert!(is_tried != is_elsewhere, "{}", pack.name);
    }
    // So has every section that is no pack.
    for name in sections().keys() {
        let is_tried = tried.contains(name) || ELSEWHERE.contains(&name.as_str());
        assert!(is_tried, "{name}");
    }
}
