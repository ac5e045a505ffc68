//! What stands beside the logs outlives the machine too: tokens that an API has issued, requests of calls that
//! have no answer yet, and the key of erasures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use super::{config, lose_disk};
use crate::arrival::STOP_LIMIT;
use crate::support::api::{Api, header, number, page, things};
use crate::support::process::Setup;
use crate::support::s3::S3Server;

/// A token server that takes each refresh token once, but the last used one again: its answer may have been
/// lost.
#[derive(Default)]
struct Rotating {
    /// The refresh token that was used last, and the one that is good now.
    tokens: (u64, u64),
    access: u64,
    refused: u64,
}

impl Rotating {
    fn answer(&mut self, request: &Request) -> ResponseTemplate {
        if request.url.path() == "/token" {
            let form = String::from_utf8(request.body.clone()).unwrap();
            let number = form.split("refresh-").nth(1).unwrap();
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            let number: u64 = digits.parse().unwrap();
            if number == self.tokens.1 {
                self.tokens = (number, number + 1);
            } else if number != self.tokens.0 {
                self.refused += 1;
                let body = json!({"error": "invalid_grant"});
                return ResponseTemplate::new(400).set_body_json(body);
            }
            self.access += 1;
            return page(json!({
                "access_token": format!("access-{}", self.access),
                "refresh_token": format!("refresh-{}", self.tokens.1),
                "expires_in": 3600,
            }));
        }
        let expected = format!("Bearer access-{}", self.access);
        let offset = number(request, "offset");
        if header(request, "authorization") != Some(expected) {
            return ResponseTemplate::new(401);
        }
        page(json!({"things": things(offset..(offset + 10).min(20))}))
    }
}

#[test]
fn tokens_of_an_api_outlive_the_machine() {
    let tokens = Arc::new(Mutex::new(Rotating::default()));
    let answering = Arc::clone(&tokens);
    let api = Api::start(move |request, _| answering.lock().unwrap().answer(request));
    let server = S3Server::start(211);
    let url = api.url();
    let more = format!(
        "[polls]\nmax_bytes = \"64 MiB\"\n[poll.things]\nurl = \"{url}/things\"\nrecords = \"/things\"\nid = \"id\"\n\
         every = \"1s\"\npagination = {{ type = \"offset\" }}\nauth = {{ type = \"oauth2\", grant = \"refresh-token\", \
         user = \"me\", refresh_token = \"refresh-0\", token_url = \"{url}/token\" }}\n"
    );
    let setup = Setup::new(&config(&server.endpoint(), "ndjson", &more));
    for _ in 0..4 {
        let before = tokens.lock().unwrap().tokens.1;
        let program = setup.start();
        let began = std::time::Instant::now();
        let mut revoked = 0;
        while tokens.lock().unwrap().tokens.1 == before {
            // The access token is good for nothing any more, so that the refresh token is used.
            if began.elapsed() > Duration::from_secs(revoked) {
                revoked += 1;
                tokens.lock().unwrap().access += 1;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{}",
                setup.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        program.kill();
        lose_disk(&setup);
    }
    let tokens = tokens.lock().unwrap();
    assert!(tokens.tokens.1 >= 4, "{:?}", tokens.tokens);
    assert_eq!(tokens.refused, 0, "a token that was used up was sent again");
}

/// Requests of a call, by key: the bodies that came with it.
#[derive(Default)]
struct Seen(Mutex<BTreeMap<String, Vec<Value>>>);

impl Seen {
    fn note(&self, request: &Request) -> ResponseTemplate {
        let key = header(request, "idempotency-key").unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let rows = body["rows"].as_array().unwrap().iter();
        let answers: Vec<Value> = rows
            .map(|row| json!({"id": row["id"], "share": 1}))
            .collect();
        self.0.lock().unwrap().entry(key).or_default().push(body);
        ResponseTemplate::new(200)
            .set_body_json(json!({"value": answers}))
            .set_delay(Duration::from_millis(150))
    }

    fn requests(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    /// No request had two bodies, and no body two keys.
    fn check(&self) {
        let seen = self.0.lock().unwrap();
        let mut bodies = BTreeSet::new();
        for (key, sent) in seen.iter() {
            assert!(sent.iter().all(|body| *body == sent[0]), "{key}: {sent:?}");
            assert!(bodies.insert(sent[0].to_string()), "{key} is a second key");
        }
    }
}

/// Rows of the outbox.
const ROWS: usize = 60;

/// A machine is lost while a request is on its way: the next one sends it again exactly as it was.
#[test]
fn requests_of_calls_outlive_the_machine() {
    let seen = Arc::new(Seen::default());
    let noting = Arc::clone(&seen);
    let api = Api::start(move |request, _| noting.note(request));
    let server = S3Server::start(212);
    let more = format!(
        "[polls]\nmax_bytes = \"64 MiB\"\n[api.one]\nurl = \"{}\"\n[call.shares]\nrows = \"outbox/*.ndjson\"\n\
         api = \"one\"\npath = \"/compute\"\nsettle = \"0s\"\nbody = \"/rows\"\nrecords = \"/value\"\nid = \"id\"\n\
         idempotency_header = \"Idempotency-Key\"\nchunk = {{ rows = 5 }}\nevery = \"1s\"\n",
        api.url()
    );
    let setup = Setup::new(&config(&server.endpoint(), "ndjson", &more));
    let outbox = setup.directory().join("outbox");
    std::fs::create_dir(&outbox).unwrap();
    let rows: Vec<String> = (0..ROWS)
        .map(|id| json!({"id": format!("r{id}")}).to_string())
        .collect();
    std::fs::write(outbox.join("rows.ndjson"), rows.join("\n") + "\n").unwrap();
    for loss in 0..4 {
        let before = seen.requests();
        let program = setup.start();
        let began = std::time::Instant::now();
        while seen.requests() < before + 2 {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{}",
                setup.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(20 * loss));
        program.kill();
        lose_disk(&setup);
    }
    let program = setup.start();
    let asked = setup.run(&["call"]);
    assert!(asked.status.success(), "{asked:?}\n{}", setup.stderr());
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    seen.check();
    let mut stored = BTreeSet::new();
    for key in server.keys("shares/") {
        let bytes = server.object(&key).unwrap().bytes;
        for line in String::from_utf8(bytes.to_vec()).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            assert!(stored.insert(row["id"].to_string()), "twice: {row}");
        }
    }
    assert_eq!(stored.len(), ROWS, "{}", setup.stderr());
}
