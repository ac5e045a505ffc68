//! Tokens of senders, signatures in bodies, and forms of several parts.

use serde_json::{Value, json};

use super::kept::quarantine;
use super::senders::Sender;
use super::signed::{SECRET, hex, now};
use super::{connect, problem};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http::Answer;
use crate::support::process::Setup;

const OF_B: (&str, &str) = ("content-type", "multipart/form-data; boundary=b");

fn post(setup: &Setup, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    connect(setup).request("POST", path, headers, body).unwrap()
}

fn part(head: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

fn form(fields: &[(&str, &str)]) -> String {
    let parts = fields.iter();
    let parts = parts.map(|(name, value)| part(&format!("name=\"{name}\""), value));
    parts.collect::<String>() + "--b--\r\n"
}

#[test]
fn a_token_is_for_this_path_and_for_now() {
    let sender = Sender::right();
    let section = "[hook.token]\nauth = [{ type = \"jwt\", keys_file = \"token.jwks\", \
                   claims = { iss = \"https://issuer.example.com\", aud = \"us\" } }]\nid = \"none\"\n";
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n{section}\
         [hook.plain]\nauth = [{{ type = \"bearer\", secrets = [\"a bearer token\"] }}]\n"
    ));
    sender.write_files(&setup, section);
    let program = setup.start();
    let json = ("content-type", "application/json");
    let send = |token: &str| {
        let headers = [json, ("authorization", token)];
        post(&setup, "/webhook/token", &headers, br#"{"type":"a"}"#)
    };
    let claims =
        |iss: &str, aud: Value, end: u64| json!({"iss": iss, "aud": aud, "exp": end}).to_string();
    let (own, end) = ("https://issuer.example.com", now() + 60);
    let good = claims(own, json!("us"), end);
    for (algorithm, key, claims) in [
        ("RS256", "r", &good),
        ("ES256", "e", &good),
        ("RS256", "", &claims(own, json!(["them", "us"]), end)),
    ] {
        let answer = send(&format!("bearer {}", sender.token(algorithm, key, claims)));
        let kid = if key.is_empty() { 401 } else { 200 };
        assert_eq!(answer.status, kid, "{algorithm} {key}: {}", answer.text());
    }
    let list = claims(own, json!(["them", "us"]), end);
    assert_eq!(send(&sender.token("RS256", "r", &list)).status, 200);
    for (what, token) in [
        (
            "another audience",
            sender.token("RS256", "r", &claims(own, json!("them"), end)),
        ),
        (
            "no audience",
            sender.token("RS256", "r", &claims(own, json!(null), end)),
        ),
        (
            "another issuer",
            sender.token(
                "RS256",
                "r",
                &claims("https://a.example.com", json!("us"), end),
            ),
        ),
        (
            "the past",
            sender.token("RS256", "r", &claims(own, json!("us"), now() - 301)),
        ),
        (
            "no end",
            sender.token("RS256", "r", &json!({"iss": own, "aud": "us"}).to_string()),
        ),
        ("another key", sender.token("ES256", "r", &good)),
        ("another sender", Sender::wrong().token("RS256", "r", &good)),
        ("a shared secret", sender.token("HS256", "r", &good)),
        ("no token", "Basic YTpi".to_owned()),
    ] {
        let answer = send(&token);
        assert_eq!(answer.status, 401, "{what}");
        assert!(
            problem(&answer).contains("bad-signature"),
            "{what}: {}",
            answer.text()
        );
    }
    // A body that is a token means something where one is wanted.
    let headers = [
        ("content-type", "application/jwt"),
        ("authorization", "Bearer a bearer token"),
    ];
    assert_eq!(
        post(&setup, "/webhook/plain", &headers, b"e30.e30.e30").status,
        415
    );

    // The issuer has other keys now.
    let other = Sender::wrong();
    other.write_files(&setup, section);
    program.hang_up();
    let begin = std::time::Instant::now();
    while send(&other.token("RS256", "r", &good)).status != 200 {
        assert!(
            begin.elapsed() < std::time::Duration::from_secs(40),
            "the file is not followed"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(send(&sender.token("RS256", "r", &good)).status, 401);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/quarantine").exists());
}

/// Of a delivery that is too large, whoever proves who they are leaves a row.
#[test]
fn a_token_speaks_for_a_body_that_is_too_large_unless_it_is_for_one_body() {
    let setup = Setup::new(
        "[server]\nmax_body = \"64 KiB\"\nmax_event = \"64 KiB\"\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson.gz\"\n\
         [hook.token]\nauth = [{ type = \"jwt\", secrets = [\"a shared secret of ours\"] }]\n\
         [hook.bound]\nauth = [{ type = \"jwt\", secrets = [\"a shared secret of ours\"], body_hash = \"hash\" }]\n",
    );
    let program = setup.start();
    let claims = json!({"exp": now() + 60, "hash": "00"}).to_string();
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(100 << 10));
    for (sender, hook) in [
        (Sender::right(), "token"),
        (Sender::right(), "token"),
        (Sender::wrong(), "token"),
        (Sender::right(), "bound"),
    ] {
        let token = format!("Bearer {}", sender.token("HS256", "", &claims));
        let headers = [
            ("content-type", "application/json"),
            ("authorization", &*token),
        ];
        let answer = post(
            &setup,
            &format!("/webhook/{hook}"),
            &headers,
            body.as_bytes(),
        );
        assert_eq!(answer.status, 413, "{hook}: {}", answer.text());
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = quarantine(&setup);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["endpoint"], &rows[0]["errors"][0]["code"]),
        (&json!("/webhook/token"), &json!("too_large"))
    );
}

#[test]
fn a_signature_may_stand_in_a_form_beside_what_it_signs() {
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.mail]\nscheme = \"hmac\"\nsecrets = [\"{SECRET}\"]\nsigned = \"{{timestamp}}{{member:/token}}\"\n\
         member = \"/signature\"\ntime_member = \"/timestamp\"\ntype = \"/subject\"\n"
    ));
    let program = setup.start();
    let time = now();
    let signature = hex(format!("{time}a1b2").as_bytes());
    let fields = |time: u64, token: &str, signature: &str| {
        form(&[
            ("subject", "Hello"),
            ("timestamp", &time.to_string()),
            ("token", token),
            ("signature", signature),
        ])
    };
    let good = fields(time, "a1b2", &signature);
    let answer = post(&setup, "/webhook/mail", &[OF_B], good.as_bytes());
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    // The same as the other kind of form, and as JSON.
    let text = format!("subject=Hello&timestamp={time}&token=a1b2&signature={signature}&n=1");
    let of_text = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        post(&setup, "/webhook/mail", &[of_text], text.as_bytes()).status,
        200
    );
    let text = json!({"subject": "Hello", "timestamp": time, "token": "a1b2", "signature": signature, "n": 2});
    let of_json = ("content-type", "application/json");
    let text = text.to_string();
    assert_eq!(
        post(&setup, "/webhook/mail", &[of_json], text.as_bytes()).status,
        200
    );
    let long_ago = time - 400;
    let old = hex(format!("{long_ago}a1b2").as_bytes());
    for (what, body) in [
        ("another token", fields(time, "a1b3", &signature)),
        ("another time", fields(time + 1, "a1b2", &signature)),
        ("another signature", fields(time, "a1b2", &"0".repeat(64))),
        ("a time long ago", fields(long_ago, "a1b2", &old)),
        ("no form", "{}".to_owned()),
        ("nothing", String::new()),
    ] {
        let answer = post(&setup, "/webhook/mail", &[OF_B], body.as_bytes());
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["event_type"] == "Hello"));
    assert!(!setup.directory().join("lake/quarantine").exists());
}

/// Who is authenticated gets a row of the quarantine for what cannot be read; who is not is told.
#[test]
fn forms_of_several_parts_have_bounds() {
    let setup = Setup::new(
        "[server]\nmax_event = \"64 KiB\"\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n\
         [batch]\nformat = \"ndjson.gz\"\n[hook.open]\nauth = [{ type = \"none\" }]\n\
         [hook.own]\nauth = [{ type = \"bearer\", secrets = [\"a bearer token\"] }]\n",
    );
    let program = setup.start();
    let many = part("name=\"a\"", "1").repeat(1001) + "--b--\r\n";
    let file = part("name=\"f\"; filename=\"f.txt\"", &"x".repeat(30 << 10)) + "--b--\r\n";
    let escaped = form(&[("a", &"\u{1}".repeat(20 << 10))]);
    let good = form(&[("type", "a")]);
    let without = ("content-type", "multipart/form-data");
    for (what, content_type, body, status, code) in [
        ("a form", OF_B, &good, 200, ""),
        ("a file", OF_B, &file, 200, ""),
        ("no boundary", without, &good, 400, "not_form_data"),
        (
            "no end",
            OF_B,
            &good[..good.len() - 8].to_owned(),
            400,
            "not_form_data",
        ),
        ("too many fields", OF_B, &many, 400, "not_form_data"),
        ("what is larger as JSON", OF_B, &escaped, 413, ""),
    ] {
        let answer = post(&setup, "/webhook/open", &[content_type], body.as_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        if !code.is_empty() {
            assert_eq!(answer.json()["errors"][0]["code"], code, "{what}");
        }
        let headers = [content_type, ("authorization", "Bearer a bearer token")];
        let answer = post(&setup, "/webhook/own", &headers, body.as_bytes());
        let kept = if status == 400 { 200 } else { status };
        assert_eq!(answer.status, kept, "{what}: {}", answer.text());
        if kept == 200 {
            let counted = if status == 400 {
                "quarantined"
            } else {
                "accepted"
            };
            assert_eq!(answer.json()[counted], 1, "{what}: {}", answer.text());
        }
    }
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    let mut types: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["event_type"].as_str())
        .collect();
    types.sort_unstable();
    assert_eq!(types, ["a", "a", "unknown", "unknown"]);
    let of_own = |row: &&Value| row["endpoint"] == "/webhook/own";
    assert_eq!(quarantine(&setup).iter().filter(of_own).count(), 4);
}
