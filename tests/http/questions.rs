//! Questions by which providers verify a URL, larger bodies of hooks, and addresses behind proxies.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::connect;
use super::kept::quarantine;
use super::signed::{SECRET, hex};
use crate::arrival::STOP_LIMIT;
use crate::support::duckdb::Lake;
use crate::support::http::Answer;
use crate::support::process::Setup;

fn setup() -> Setup {
    Setup::new(&format!(
        "[server]\nmemory = \"128 MiB\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"256 MiB\"\n\
         [batch]\nformat = \"ndjson.gz\"\n\
         [hook.meta]\nscheme = \"meta\"\nsecrets = [\"{SECRET}\"]\nverify_token = \"an agreed word\"\n\
         [hook.zoom]\nscheme = \"zoom\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.shop]\nscheme = \"woocommerce\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.files]\nscheme = \"dropbox\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.github]\nscheme = \"github\"\nsecrets = [\"{SECRET}\"]\nmax_body = \"12 MiB\"\n\
         [hook.own]\nauth = [{{ type = \"header\", header = \"X-Token\", secrets = [\"{SECRET}\"] }}]\n\
         challenges = [\"validation-token\", \"cloudevents\", \"event-grid\", \"okta\", \"get\"]\n\
         [hook.twitch]\nscheme = \"twitch\"\nsecrets = [\"{SECRET}\"]\n\
         [hook.open]\nauth = [{{ type = \"none\" }}]\n"
    ))
}

fn send(setup: &Setup, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    connect(setup).request(method, path, headers, body).unwrap()
}

fn get(setup: &Setup, path: &str) -> Answer {
    send(setup, "GET", path, &[], b"")
}

fn is_echo(answer: &Answer, text: &str) {
    assert_eq!((answer.status, answer.text()), (200, text.into()));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn questions_are_answered_and_nothing_is_stored() {
    let setup = setup();
    let program = setup.start();
    let hub = "/webhook/meta?hub.mode=subscribe&hub.challenge=11%2B58&hub.verify_token=";
    is_echo(&get(&setup, &format!("{hub}an+agreed+word")), "11+58");
    for wrong in ["", "an+agreed+wor", "another"] {
        assert_eq!(get(&setup, &format!("{hub}{wrong}")).status, 403);
    }
    is_echo(&get(&setup, "/webhook/files?challenge=abc"), "abc");
    for path in [
        "/webhook/files".to_owned(),
        format!("/webhook/files?challenge={}", "x".repeat(1025)),
    ] {
        let answer = get(&setup, &path);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    assert_eq!(get(&setup, "/webhook/own").status, 200);
    let other = get(&setup, "/webhook/github");
    assert_eq!((other.status, other.header("allow")), (405, Some("POST")));

    let json = ("content-type", "application/json");
    let body =
        r#"{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}"#;
    let time = super::signed::now().to_string();
    let signature = format!("v0={}", hex(format!("v0:{time}:{body}").as_bytes()));
    let headers = [
        json,
        ("x-zm-request-timestamp", &time),
        ("x-zm-signature", &signature),
    ];
    let zoom = send(&setup, "POST", "/webhook/zoom", &headers, body.as_bytes());
    let digest = hex(b"qgg8vlvZRS6UYooatFL8Aw");
    assert_eq!(
        zoom.json(),
        json!({"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": digest})
    );
    // Unsigned, it would be a way to have anything signed.
    assert_eq!(
        send(&setup, "POST", "/webhook/zoom", &[json], body.as_bytes()).status,
        401
    );

    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        send(&setup, "POST", "/webhook/shop", &[form], b"webhook_id=17").status,
        200
    );
    assert_eq!(
        send(
            &setup,
            "POST",
            "/webhook/shop",
            &[form],
            b"webhook_id=17&a=b"
        )
        .status,
        401
    );

    let token = "/webhook/own?validationToken=Validation%3A+Testing";
    is_echo(
        &send(
            &setup,
            "POST",
            token,
            &[("content-type", "text/plain")],
            b"",
        ),
        "Validation: Testing",
    );
    // What a question names is never opened: nobody comes to this address.
    let named = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    named.set_nonblocking(true).unwrap();
    let url = format!("http://{}/never", named.local_addr().unwrap());
    let origin = ("webhook-request-origin", "eventemitter.example.com");
    let asked = [origin, ("webhook-request-callback", &*url)];
    let options = send(&setup, "OPTIONS", "/webhook/own", &asked, b"");
    assert_eq!(
        (options.status, options.header("webhook-allowed-origin")),
        (200, Some(origin.1))
    );
    let grid = [
        json,
        ("x-token", SECRET),
        ("aeg-event-type", "SubscriptionValidation"),
    ];
    let data = json!({"validationCode": "512d38b6", "validationUrl": url});
    let code = json!([{"id": "1", "data": data}]).to_string();
    let grid = send(&setup, "POST", "/webhook/own", &grid, code.as_bytes());
    assert_eq!(grid.json(), json!({"validationResponse": "512d38b6"}));
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let waiting = named.accept().map(|(_, peer)| peer);
    assert_eq!(waiting.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert!(!setup.directory().join("lake/events").exists());
}

#[test]
fn okta_and_twitch_ask_in_ways_of_their_own() {
    let setup = setup();
    let program = setup.start();
    let json = ("content-type", "application/json");
    let asked = ("x-okta-verification-challenge", "my verification challenge");
    let okta = send(&setup, "GET", "/webhook/own", &[asked], b"");
    assert_eq!(okta.json(), json!({"verification": asked.1}));
    assert_eq!(send(&setup, "HEAD", "/webhook/own", &[], b"").status, 200);

    let body = r#"{"challenge":"pogchamp-kappa-360noscope","subscription":{"id":"1"}}"#;
    let at = lakehook::clock::Clock::system().now().wall.to_string();
    let signature = format!("sha256={}", hex(format!("m1{at}{body}").as_bytes()));
    let headers = [
        json,
        ("twitch-eventsub-message-id", "m1"),
        ("twitch-eventsub-message-timestamp", &at),
        ("twitch-eventsub-message-signature", &signature),
        (
            "twitch-eventsub-message-type",
            "webhook_callback_verification",
        ),
    ];
    is_echo(
        &send(&setup, "POST", "/webhook/twitch", &headers, body.as_bytes()),
        "pogchamp-kappa-360noscope",
    );
    let unsigned = send(
        &setup,
        "POST",
        "/webhook/twitch",
        &headers[..3],
        body.as_bytes(),
    );
    assert_eq!(unsigned.status, 401);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/events").exists());
}

/// Discord asks whether its endpoint is there, and whether it checks signatures at all.
#[test]
fn pings_of_discord_are_answered_if_they_are_signed() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let hex = |bytes: &[u8]| {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    };
    let setup = Setup::new(&format!(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[hook.discord]\nscheme = \"discord\"\nsecrets = [\"{}\"]\n",
        hex(key.public_key().as_ref())
    ));
    let program = setup.start();
    let time = super::signed::now().to_string();
    let post = |body: &str, signed: &str| {
        let signature = hex(key.sign(format!("{time}{signed}").as_bytes()).as_ref());
        let headers = [
            ("content-type", "application/json"),
            ("x-signature-timestamp", &time),
            ("x-signature-ed25519", &signature),
        ];
        send(
            &setup,
            "POST",
            "/webhook/discord",
            &headers,
            body.as_bytes(),
        )
    };
    let (interaction, event) = (
        r#"{"type":1}"#,
        r#"{"version":1,"application_id":"1","type":0}"#,
    );
    assert_eq!(post(interaction, interaction).json(), json!({"type": 1}));
    let ping = post(event, event);
    assert_eq!((ping.status, ping.text()), (204, String::new()));
    assert_eq!(post(interaction, event).status, 401);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    assert!(!setup.directory().join("lake/events").exists());
}

/// SNS wants its subscription confirmed by a person.
#[test]
fn the_url_that_confirms_a_subscription_is_logged_and_nothing_is_fetched() {
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[batch]\nformat = \"ndjson.gz\"\n\
         [hook.sns]\nscheme = \"sns\"\nauth = [{ type = \"basic\", secrets = [\"sns:a password\"] }]\n",
    );
    let program = setup.start();
    let basic = ("authorization", "Basic c25zOmEgcGFzc3dvcmQ=");
    let text = ("content-type", "text/plain; charset=UTF-8");
    let post = |headers: &[(&str, &str)], body: Value| {
        send(
            &setup,
            "POST",
            "/webhook/sns",
            headers,
            body.to_string().as_bytes(),
        )
    };
    let question = |url: &str| json!({"Type": "SubscriptionConfirmation", "MessageId": "m0", "TopicArn": "arn:aws:sns:eu-west-1:1:sales", "SubscribeURL": url});
    let url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37";
    assert_eq!(post(&[text], question(url)).status, 401);
    assert!(!setup.stderr().contains("Token=2336412f37"));
    assert_eq!(post(&[basic, text], question(url)).status, 204);
    assert!(
        setup.stderr().contains("Token=2336412f37"),
        "{}",
        setup.stderr()
    );
    assert_eq!(
        post(&[basic, text], question("http://127.0.0.1:9/never")).status,
        204
    );
    assert!(!setup.stderr().contains("127.0.0.1:9/never"));
    let sent = json!({"Type": "Notification", "MessageId": "m1", "Message": "{}", "Timestamp": "2026-11-01T12:00:00.000Z"});
    assert_eq!(post(&[basic, text], sent.clone()).json()["accepted"], 1);
    assert_eq!(post(&[basic, text], sent).json()["duplicates"], 1);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(
        (rows.len(), &rows[0]["event_type"]),
        (1, &json!("Notification"))
    );
}

#[test]
fn a_hook_may_take_larger_bodies_and_clients_are_those_behind_proxies() {
    let setup = setup();
    let program = setup.start();
    let body = format!("{{\"text\":\"{}\"}}", "x".repeat(11 << 20));
    let signature = format!("sha256={}", hex(body.as_bytes()));
    let headers = [
        ("content-type", "application/json"),
        ("x-hub-signature-256", &*signature),
        ("x-github-delivery", "d1"),
    ];
    let answer = send(&setup, "POST", "/webhook/github", &headers, body.as_bytes());
    assert_eq!(answer.json()["accepted"], 1, "{}", answer.text());
    let elsewhere = [("content-type", "application/json"), ("x-token", SECRET)];
    assert_eq!(
        send(&setup, "POST", "/webhook/own", &elsewhere, body.as_bytes()).status,
        413
    );
    let forwarded = [
        ("content-type", "application/json"),
        ("x-forwarded-for", "203.0.113.9, 198.51.100.7, 127.0.0.3"),
    ];
    assert_eq!(
        send(&setup, "POST", "/webhook/open", &forwarded, b"no JSON").status,
        400
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let kept = quarantine(&setup);
    let [oversized, refused] = kept.as_slice() else {
        panic!("{kept:?}");
    };
    assert_eq!(
        (&oversized["hook"], &oversized["client"]),
        (&json!("own"), &json!("127.0.0.1"))
    );
    assert_eq!(refused["client"], "198.51.100.7");
    let rows = Lake::directory(&setup.directory().join("lake")).rows();
    assert_eq!(rows.len(), 1);
    assert!(rows[0]["extra"] != Value::Null);
}

/// What `hook sign` prints is taken by the service, as it stands.
#[test]
fn what_is_signed_by_the_command_is_accepted() {
    let setup = setup();
    let program = setup.start();
    let run = |name: &str, body: &str| {
        let mut command = setup.command(&["hook", "sign", name]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(body.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
            said,
        )
    };
    for name in ["github", "zoom", "shop"] {
        let (ok, curl, said) = run(name, r#"{"it's":"me"}"#);
        assert!(ok && !curl.contains(SECRET), "{said}");
        let output = std::process::Command::new("sh")
            .args(["-c", &curl])
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["accepted"], 1, "{curl}\n{answer}");
    }
    let shown = setup.run(&["config"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("zoom") && !shown.contains(SECRET), "{shown}");
    assert!(!shown.contains("an agreed word"), "{shown}");
    let checked = setup.run(&["check"]);
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(
        checked.contains("hook zoom: /webhook/zoom, zoom, signature in x-zm-signature"),
        "{checked}"
    );
    let (ok, _, said) = run("nobody", "{}");
    assert!(
        !ok && said.contains("the hooks are files, github, meta"),
        "{said}"
    );
    let (ok, _, said) = run("own", "{}");
    assert!(!ok && said.contains("no secret that can sign"), "{said}");
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}
