//! TLS: events over it, replaced certificates, and clients that use it wrongly.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::{ProtocolVersion, version};

use super::{PATH, body, click, connect, setup};
use crate::support::http;
use crate::support::process::{Program, Setup};
use crate::support::tls::{Authority, NAME, Pair, Secured, shown};

const FILES: &str = "tls_cert_file = \"cert.pem\"\ntls_key_file = \"key.pem\"\n";
const PATIENCE: Duration = Duration::from_secs(45);

/// With a certificate; the program is not started.
fn with_tls(more: &str) -> (Setup, Authority, Pair) {
    let setup = setup(&format!("[server]\n{FILES}{more}"));
    let authority = Authority::new();
    let pair = authority.issue();
    pair.write(setup.directory());
    (setup, authority, pair)
}

/// Starts the service, and waits as a container does.
fn start(setup: &Setup) -> Program<'_> {
    let program = setup.spawn();
    wait_for("the service is ready", || {
        setup.run(&["health"]).status.success()
    });
    program
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn accepted(connection: &mut Secured, number: u64) {
    let body = body(&[click(number)]);
    let answer = connection.post_json(PATH, body.as_bytes()).unwrap();
    assert_eq!(
        (answer.status, &answer.json()["accepted"]),
        (200, &1.into())
    );
}

fn said(setup: &Setup, arguments: &[&str]) -> (Option<i32>, String) {
    let output = setup.run(arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn events_arrive_through_tls() {
    let (setup, authority, _) = with_tls("");
    let program = start(&setup);
    // A client as applications have one.
    let root = reqwest::Certificate::from_pem(authority.root_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve(NAME, setup.address())
        .build()
        .unwrap();
    let url = format!("https://{NAME}:{}{PATH}", setup.address().port());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        let request = client.post(&url).header("content-type", "application/json");
        let answer = request.body(body(&[click(1), click(2)])).send().await;
        answer.unwrap().text().await.unwrap()
    });
    assert!(answer.contains("\"accepted\":2"), "{answer}");
    let stranger = runtime.block_on(reqwest::Client::new().get(&url).send());
    assert!(stranger.is_err(), "nobody trusts this authority");

    for (number, (version, expected)) in (3..).zip([
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ]) {
        let protocols: [&[u8]; 2] = [b"spdy/3", b"http/1.1"];
        let connected = authority.connect_as(setup.address(), &[version], &protocols);
        let mut connection = connected.unwrap();
        accepted(&mut connection, number);
        let session = &connection.stream().conn;
        assert_eq!(session.protocol_version(), Some(expected));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    // Refused before it is read, while the sender still sends: the answer is not lost.
    let mut large = authority.connect(setup.address()).unwrap();
    let answer = large.post_json(PATH, &vec![b' '; 9 << 20]).unwrap();
    assert_eq!(answer.status, 413);
    let unknown = authority.connect_as(setup.address(), &[&version::TLS13], &[b"spdy/3"]);
    assert!(unknown.is_err());
    assert!(program.stop(Duration::from_secs(60)).success());
    let (code, audit) = said(&setup, &["audit", "--json"]);
    assert_eq!(code, Some(0), "{audit}");
    let audit: serde_json::Value = serde_json::from_str(&audit).unwrap();
    let stored = &audit["nodes"][0]["totals"]["stored"];
    assert_eq!(stored, 4, "{audit}");
}

#[test]
fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let (setup, authority, first) = with_tls("");
    let program = start(&setup);
    let mut old = authority.connect(setup.address()).unwrap();
    assert_eq!(shown(&old), first.cert);
    let now_shown = || shown(&authority.connect(setup.address()).unwrap());

    // It is reloaded by itself after a while, and at once on request.
    let second = authority.issue();
    second.write(setup.directory());
    wait_for("the second is shown", || now_shown() == second.cert);
    let third = authority.issue();
    third.write(setup.directory());
    program.hang_up();
    wait_for("the third is shown", || now_shown() == third.cert);
    accepted(&mut old, 1);
    assert_eq!(shown(&old), first.cert);

    // Half of a pair; then no pair at all.
    std::fs::write(setup.directory().join("key.pem"), &first.key_pem).unwrap();
    program.hang_up();
    let refusal = "the new certificate cannot be used; the old one stays in use";
    wait_for("it is said", || setup.stderr().contains(refusal));
    std::fs::remove_file(setup.directory().join("cert.pem")).unwrap();
    program.hang_up();
    let refusal = "the certificate cannot be reloaded; the old one stays in use";
    wait_for("it is said", || setup.stderr().contains(refusal));
    assert_eq!(now_shown(), third.cert);
    assert!(setup.run(&["health"]).status.success());
    accepted(&mut old, 2);

    first.write(setup.directory());
    program.hang_up();
    wait_for("the first is shown", || now_shown() == first.cert);
    accepted(&mut old, 3);
    let secret = first.key_pem.lines().nth(1).unwrap();
    assert!(!setup.stderr().contains(secret));
}

#[test]
fn whoever_speaks_no_tls_or_not_at_all_is_cut_off_alone() {
    let (setup, authority, _) = with_tls("header_timeout = \"2s\"\nmax_connections = 4\n");
    let _program = start(&setup);
    let mut good = authority.connect(setup.address()).unwrap();
    accepted(&mut good, 1);

    let plain = connect(&setup).request("GET", "/health", &[], b"");
    assert!(plain.is_err(), "{plain:?}");
    accepted(&mut good, 2);

    // Beside the good connection, two that stall and one that sends half a hello take all slots.
    let begin = Instant::now();
    let mut stalled: Vec<_> = (0..3)
        .map(|_| http::connect(setup.address(), Duration::from_secs(20)).unwrap())
        .collect();
    stalled[2].write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    accepted(&mut good, 3);
    let mut next = authority.connect(setup.address()).unwrap();
    accepted(&mut next, 4);
    for stream in &mut stalled {
        // The connection ends or is reset, long before the timeout above.
        match stream.read(&mut [0; 64]) {
            Ok(read) => assert_eq!(read, 0, "nothing is said to them"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    let took = begin.elapsed();
    assert!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(15),
        "{took:?}"
    );
    accepted(&mut good, 5);
}

#[test]
fn a_pair_that_cannot_be_used_is_an_error_of_configuration() {
    let (setup, authority, pair) = with_tls("");
    let (cert, key) = ("cert.pem", "key.pem");
    let write = |name: &str, text: &str| {
        std::fs::write(setup.directory().join(name), text).unwrap();
    };
    let (code, text) = said(&setup, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ok       certificate ("), "{text}");
    assert!(text.contains("chmod 600"), "{text}");
    assert!(!text.contains("renew it"), "{text}");
    authority.issue_until(2020).write(setup.directory());
    let (code, text) = said(&setup, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("ended at 2020-01-01T00:00:00"), "{text}");

    let no_pem = "-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n";
    for (file, content, expected) in [
        (cert, "", "holds no certificate"),
        (cert, &pair.key_pem, "holds no certificate"),
        (key, &pair.cert_pem, "holds no private key"),
        (key, no_pem, "holds no private key"),
        (
            key,
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
            "cannot be used",
        ),
        (key, &authority.issue().key_pem, "does not belong to"),
        (
            cert,
            "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n",
            "the first certificate of",
        ),
    ] {
        pair.write(setup.directory());
        write(file, content);
        for (command, expected_code) in [("check", 1), ("serve", 2)] {
            let (code, text) = said(&setup, &[command]);
            assert_eq!(code, Some(expected_code), "{command}, {expected}: {text}");
            assert!(text.contains(expected), "{command}, {expected}: {text}");
            let path = setup.directory().join(file);
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert!(text.contains("`server.tls_"), "{text}");
            assert!(
                !text.contains("secret!") && !text.contains("c2VjcmV0"),
                "{text}"
            );
        }
    }
    std::fs::remove_file(setup.directory().join(key)).unwrap();
    let (code, text) = said(&setup, &["serve"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("`server.tls_key_file`") && text.contains("cannot be read"),
        "{text}"
    );
}
