//! Signed webhooks: only what is signed gets in, and providers' events are rows like any other.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::{Lake, Reading};
use crate::support::http::{Answer, Connection};
use crate::support::process::Setup;

pub(super) const SECRET: &str = "a shared secret";
const STANDARD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config() -> String {
    let hooks = ["github", "stripe", "shopify", "slack"].map(|name| {
        format!(
            "[hook.{name}]\nscheme = \"{name}\"\nsecrets = [\"an older secret\", \"{SECRET}\"]\n"
        )
    });
    format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[events]\nsigning_secrets = [\"{STANDARD}\"]\n{}\
         [hook.svix]\nsecrets = [\"{STANDARD}\"]\n\
         [hook.repo]\nscheme = \"gitlab\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.own]\nid = \"none\"\nauth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{SECRET}\"] }}, \
         {{ type = \"bearer\", secrets = [\"a bearer token\"] }}, {{ type = \"basic\", secrets = [\"me:password\"] }}]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n\
         [hook.url]\nauth = [{{ type = \"query\", parameter = \"token\", secrets = [\"{SECRET}\"] }}]\n\
         [hook.figma]\nauth = [{{ type = \"member\", member = \"passcode\", secrets = [\"{SECRET}\"] }}]\n\
         [hook.shop]\nscheme = \"hmac\"\nheader = \"X-Signature\"\nprefix = \"sha256=\"\nsecrets = [\"{SECRET}\"]\nid = \"/event/no\"\n",
        hooks.concat()
    )
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn mac(signed: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(signed);
    mac.finalize().into_bytes().to_vec()
}

/// The signature of these bytes, in hexadecimal digits.
pub(super) fn hex(signed: &[u8]) -> String {
    mac(signed).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(mac(text.as_bytes()))
}

/// Posts a body with these headers.
fn post(setup: &Setup, path: &str, body: &str, headers: &[(&str, String)]) -> Answer {
    let limit = std::time::Duration::from_secs(10);
    let mut connection = Connection::open(setup.address(), limit).unwrap();
    let json = ("content-type", "application/json");
    let own = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers: Vec<(&str, &str)> = std::iter::once(json).chain(own).collect();
    connection
        .request("POST", path, &headers, body.as_bytes())
        .unwrap()
}

/// The headers that sign a body for that hook, at that time.
fn signed(hook: &str, body: &str, time: u64, id: &str) -> Vec<(&'static str, String)> {
    match hook {
        "github" => vec![
            (
                "x-hub-signature-256",
                format!("sha256={}", hex(body.as_bytes())),
            ),
            ("x-github-delivery", id.to_owned()),
            ("x-github-event", "push".to_owned()),
        ],
        "stripe" => vec![(
            "stripe-signature",
            format!(
                "t={time},v0=aa,v1={}",
                hex(format!("{time}.{body}").as_bytes())
            ),
        )],
        "shopify" => vec![
            ("x-shopify-hmac-sha256", base64(body)),
            ("x-shopify-webhook-id", id.to_owned()),
            ("x-shopify-topic", "orders/create".to_owned()),
        ],
        "slack" => vec![
            (
                "x-slack-signature",
                format!("v0={}", hex(format!("v0:{time}:{body}").as_bytes())),
            ),
            ("x-slack-request-timestamp", time.to_string()),
        ],
        "shop" => vec![("x-signature", format!("sha256={}", hex(body.as_bytes())))],
        _ => standard(body, time, id),
    }
}

fn standard(body: &str, time: u64, id: &str) -> Vec<(&'static str, String)> {
    let signer = standardwebhooks::Webhook::new(STANDARD).unwrap();
    let signature = signer
        .sign(id, i64::try_from(time).unwrap(), body.as_bytes())
        .unwrap();
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", time.to_string()),
        ("webhook-signature", signature),
    ]
}

/// Each hook with a body, the id that it then has, and its type.
fn deliveries() -> [(&'static str, Value, &'static str, &'static str); 6] {
    let id = "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11";
    [
        ("github", json!({"ref": "refs/heads/main"}), id, "push"),
        (
            "stripe",
            json!({"id": "evt_1", "type": "charge.succeeded", "created": now() - 60}),
            "evt_1",
            "charge.succeeded",
        ),
        (
            "shopify",
            json!({"total": "9.50"}),
            "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "orders/create",
        ),
        (
            "slack",
            json!({"type": "event_callback", "event_id": "Ev1", "event_time": now() - 5, "event": {"type": "app_mention"}}),
            "Ev1",
            "app_mention",
        ),
        (
            "svix",
            json!({"type": "user.created", "timestamp": "2026-11-24T23:59:59Z", "data": {}}),
            "msg_1",
            "user.created",
        ),
        (
            "shop",
            json!({"event": {"no": 17}, "type": "sold"}),
            "17",
            "sold",
        ),
    ]
}

#[test]
fn each_providers_event_gets_in_once_if_it_is_signed() {
    let setup = Setup::new(&config());
    let program = setup.start();
    for (hook, body, id, _) in deliveries() {
        let path = format!("/webhook/{hook}");
        let body = body.to_string();
        let first = post(&setup, &path, &body, &signed(hook, &body, now(), id));
        assert_eq!(
            (first.status, &first.json()["accepted"]),
            (200, &json!(1)),
            "{hook}: {}",
            first.text()
        );
        // Sent again, later: the signature may differ, the event is the same.
        let again = post(&setup, &path, &body, &signed(hook, &body, now() + 1, id));
        assert_eq!(
            (again.status, &again.json()["duplicates"]),
            (200, &json!(1)),
            "{hook}: {}",
            again.text()
        );
        let forged = post(
            &setup,
            &path,
            &format!("{body} "),
            &signed(hook, &body, now(), id),
        );
        let unsigned = post(&setup, &path, &body, &[]);
        for refused in [forged, unsigned] {
            assert_eq!(refused.status, 401, "{hook}: {}", refused.text());
            assert!(refused.text().contains("bad-signature"), "{hook}");
        }
    }
    for hook in ["stripe", "slack", "svix"] {
        let body = json!({"id": "x"}).to_string();
        let stale = post(
            &setup,
            &format!("/webhook/{hook}"),
            &body,
            &signed(hook, &body, now() - 400, "x"),
        );
        assert_eq!(stale.status, 401);
        assert!(
            stale.text().contains("outside the tolerance"),
            "{}",
            stale.text()
        );
    }
    assert!(program.stop(STOP_LIMIT).success());
    let lake = Lake::directory(&setup.directory().join("lake"));
    let count = lake.count(Reading::Typed);
    assert_eq!(
        (count.rows, count.distinct_event_ids, count.misplaced),
        (6, 6, 0)
    );
    assert!(
        count.quarantine.is_empty(),
        "what is not signed is not kept: {:?}",
        count.quarantine
    );
    for (hook, body, id, kind) in deliveries() {
        let rows = lake.rows();
        let row = rows.iter().find(|row| row["source"] == hook).unwrap();
        assert_eq!(row["event_type"], kind, "{row}");
        let properties = &row["properties"];
        let properties: Value = properties.as_str().map_or_else(
            || properties.clone(),
            |text| serde_json::from_str(text).unwrap(),
        );
        for (name, value) in body.as_object().unwrap() {
            let is_a_time = name.contains("time") || name == "created";
            assert!(is_a_time || properties[name] == *value, "{row}");
        }
        let is_uuid = id.len() == 36;
        assert!(!is_uuid || row["event_id"] == id, "{row}");
    }
}

#[test]
fn slack_is_answered_its_challenge_and_only_if_it_signed_it() {
    let setup = Setup::new(&config());
    let program = setup.start();
    let body = json!({"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"});
    let text = body.to_string();
    let answer = post(
        &setup,
        "/webhook/slack",
        &text,
        &signed("slack", &text, now(), ""),
    );
    assert_eq!(
        (answer.status, &answer.json()["challenge"]),
        (200, &body["challenge"])
    );
    assert_eq!(post(&setup, "/webhook/slack", &text, &[]).status, 401);
    assert!(program.stop(STOP_LIMIT).success());
    let lake = Lake::directory(&setup.directory().join("lake"));
    assert_eq!(lake.count(Reading::Typed).rows, 0);
}

#[test]
fn a_signed_body_that_cannot_be_a_row_is_kept() {
    let setup = Setup::new(&config());
    let program = setup.start();
    for body in ["not JSON", "[1]", "{\"a\":1,\"A\":2}"] {
        let answer = post(
            &setup,
            "/webhook/github",
            body,
            &signed("github", body, now(), "id"),
        );
        assert_eq!(answer.status, 200, "{body}: {}", answer.text());
        assert_eq!(answer.json()["quarantined"], 1);
    }
    assert!(program.stop(STOP_LIMIT).success());
    let lake = Lake::directory(&setup.directory().join("lake"));
    assert_eq!(lake.count(Reading::Typed).quarantine["invalid_event"], 3);
}

#[test]
fn the_webhook_of_events_wants_signatures_where_it_has_secrets() {
    let setup = Setup::new(&config());
    let program = setup.start();
    let now_text: chrono::DateTime<chrono::Utc> = SystemTime::now().into();
    let body = json!({"events": [{
        "event_id": "7f1f9a0e-4a4f-4d7a-9c57-0d3b8a6c1e11", "user_id": null, "event_type": "click", "source": "web",
        "timestamp": now_text.to_rfc3339_opts(chrono::SecondsFormat::Micros, true), "properties": {},
    }]})
    .to_string();
    let refused = post(&setup, "/webhook/events", &body, &[]);
    assert_eq!(
        (refused.status, refused.text().contains("bad-signature")),
        (401, true)
    );
    let taken = post(
        &setup,
        "/webhook/events",
        &body,
        &standard(&body, now(), "msg_1"),
    );
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert!(program.stop(STOP_LIMIT).success());
}

/// Hooks that are authentic by their head: each way, and none of them.
#[test]
fn a_hook_may_be_authenticated_by_header_bearer_basic_or_not_at_all() {
    let setup = Setup::new(&config());
    let program = setup.start();
    let send = |path: &str, headers: &[(&str, &str)]| {
        let headers: Vec<(&str, String)> = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        post(&setup, path, "{\"type\":\"built\"}", &headers)
    };
    let own = "/webhook/own";
    for headers in [
        ("x-token", SECRET),
        ("authorization", "Bearer a bearer token"),
        ("authorization", "Basic bWU6cGFzc3dvcmQ="),
    ] {
        let answer = send(own, &[headers]);
        // Equal bytes are several events here.
        assert_eq!(
            answer.json()["accepted"],
            1,
            "{headers:?}: {}",
            answer.text()
        );
    }
    for headers in [
        &[][..],
        &[("x-token", "a bearer token")],
        &[("authorization", "Bearer me:password")],
        &[("authorization", "Basic bWU6cGFzc3dvcmU=")],
    ] {
        let answer = send(own, headers);
        assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text());
        assert!(
            answer.text().contains("problem:unauthorized"),
            "{}",
            answer.text()
        );
        let wanted = answer.header("www-authenticate").unwrap();
        assert!(wanted.starts_with("Basic"), "{wanted}");
    }
    let id = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f";
    for (word, member) in [("accepted", 1), ("duplicates", 1)] {
        let answer = send(
            "/webhook/repo",
            &[("x-gitlab-token", SECRET), ("idempotency-key", id)],
        );
        assert_eq!(answer.json()[word], member, "{}", answer.text());
    }
    assert_eq!(
        send("/webhook/repo", &[("x-gitlab-token", "other")]).status,
        401
    );
    assert_eq!(send("/webhook/open", &[]).json()["accepted"], 1);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    let of = |source: &str| rows.iter().filter(|row| row["source"] == source).count();
    assert_eq!([of("own"), of("repo"), of("open")], [3, 1, 1]);
    let repo = rows.iter().find(|row| row["source"] == "repo").unwrap();
    assert_eq!(repo["event_id"], id);
}

/// A secret in the URL or in the body: it admits, and is nowhere afterwards.
#[test]
fn a_secret_may_stand_in_the_url_or_in_the_body() {
    let setup = Setup::new(&config());
    let program = setup.start();
    let body = r#"{"type":"built"}"#;
    for (path, status) in [
        ("/webhook/url?token=a+shared%20secret", 200),
        ("/webhook/url?token=a", 401),
        ("/webhook/url", 401),
    ] {
        assert_eq!(post(&setup, path, body, &[]).status, status, "{path}");
    }
    let with = |passcode: &str| format!(r#"{{"type":"FILE_UPDATE","passcode":{passcode},"n":1}}"#);
    let quoted = format!("{SECRET:?}");
    let twice = with(&format!("\"wrong\",\"passcode\":{quoted}"));
    for (body, status) in [
        (with(&quoted), 200),
        (with("\"wrong\""), 401),
        (with("null"), 401),
        (format!("[{}]", with(&quoted)), 401),
        (body.to_owned(), 401),
    ] {
        let answer = post(&setup, "/webhook/figma", &body, &[]);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
    }
    let _either = post(&setup, "/webhook/figma", &twice, &[]);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    let mut types: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["event_type"].as_str())
        .collect();
    types.dedup();
    types.sort_unstable();
    assert_eq!(types, ["FILE_UPDATE", "built"]);
    assert!(rows.iter().all(|row| !row.to_string().contains(SECRET)));
    assert!(!setup.stderr().contains("a+shared%20secret"));
}
