//! Servers of NATS that do not let everybody in: certificates, users with JWTs, and users with a bare key.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use nkeys::KeyPair;

use super::streams::{STREAM, in_stream};
use super::{config, lose_disk, plan};
use crate::arrival::{STOP_LIMIT, check};
use crate::support::duckdb::Lake;
use crate::support::load::Load;
use crate::support::nats::{Nats, NatsPlan};
use crate::support::nats_users::{Operator, Rights};
use crate::support::process::Setup;
use crate::support::s3::S3Server;
use crate::support::tls::Authority;

/// The names of a stream's requests that docs/replica.md asks for.
const REQUESTS: [&str; 4] = ["INFO", "CREATE", "PURGE", "MSG.GET"];

fn guarded(more: String) -> Option<Nats> {
    Nats::planned(NatsPlan {
        more,
        ..NatsPlan::default()
    })
}

/// The configuration of a service with these further keys of `[wal]`.
fn with(nats: &Nats, server: &S3Server, keys: &str) -> String {
    let config = in_stream(nats, &config(&server.endpoint(), "ndjson", ""));
    config.replace("[wal]\n", &format!("[wal]\n{keys}"))
}

fn keep(setup: &Setup, name: &str, text: &str) {
    let path = setup.directory().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A log is founded, written, and taken over by a machine that has never seen it.
fn is_kept(setup: &Setup, server: &S3Server, seed: u64) {
    let program = setup.start();
    let load = Load::start(plan(setup, seed));
    load.wait_acknowledged(300, Duration::from_secs(60));
    program.kill();
    let directory = setup.directory().join("data");
    assert!(directory.exists());
    lose_disk(setup);
    let program = setup.start();
    let before = load.acknowledged();
    load.wait_acknowledged(before + 300, Duration::from_secs(60));
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

/// Neither `check` nor `serve` goes on, and both say why.
fn is_refused(setup: &Setup, words: &[&str]) {
    is_refused_by(&["check", "serve"], setup, words);
}

fn is_refused_by(commands: &[&str], setup: &Setup, words: &[&str]) {
    for command in commands {
        let output = setup.run(&[*command]);
        let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8_lossy(&both).into_owned();
        assert_eq!(output.status.code(), Some(1), "{command}: {said}");
        for word in words {
            assert!(said.contains(word), "{command}: {word} in {said}");
        }
        assert!(!said.contains("SU") || !said.contains("SEED"), "{said}");
    }
}

#[test]
fn servers_with_certificates_keep_a_log_and_strangers_are_told() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let own = authority.issue_for("127.0.0.1");
    let more = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n",
        write("cert.pem", &own.cert_pem),
        write("key.pem", &own.key_pem),
        write("ca.pem", &authority.root_pem())
    );
    let Some(nats) = guarded(more) else { return };
    let server = S3Server::start(231);
    let tls = |keys: &str| {
        let text = with(&nats, &server, keys);
        text.replace(&nats.url(), &nats.url_of("tls"))
    };
    let ca = "nats_ca_file = \"ca.pem\"\n";
    let pair = "nats_cert_file = \"client.pem\"\nnats_key_file = \"client.key\"\n";
    let setup = Setup::new(&tls(&format!("{ca}{pair}")));
    let client = authority.issue_for("lakehook");
    keep(&setup, "ca.pem", &authority.root_pem());
    keep(&setup, "client.pem", &client.cert_pem);
    keep(&setup, "client.key", &client.key_pem);
    is_kept(&setup, &server, 231);
    // Without a certificate, or with one that somebody else has signed.
    setup.configure(&tls(ca));
    is_refused(&setup, &["wal.nats_cert_file"]);
    setup.configure(&tls(&format!("{ca}{pair}")));
    let other = stranger.issue_for("lakehook");
    keep(&setup, "client.pem", &other.cert_pem);
    keep(&setup, "client.key", &other.key_pem);
    is_refused(&setup, &["wal.nats_cert_file"]);
    // The servers' certificates are not to be trusted.
    keep(&setup, "ca.pem", &stranger.root_pem());
    is_refused(&setup, &["invalid peer certificate", "wal.nats_ca_file"]);
}

/// What docs/replica.md says that the user needs, of the log of events; without one of the requests.
fn rights(without: Option<&str>) -> Rights {
    let requests = REQUESTS.iter().filter(|name| Some(**name) != without);
    let requests = requests.map(|name| format!("$JS.API.STREAM.{name}.{STREAM}"));
    Rights {
        publish: std::iter::once("lakehook.main.>".to_owned())
            .chain(requests)
            .collect(),
        subscribe: vec!["_INBOX.>".to_owned()],
        seconds: None,
    }
}

#[test]
fn a_user_with_a_jwt_keeps_a_log_and_one_without_a_right_is_told() {
    let operator = Operator::new();
    let Some(nats) = guarded(operator.config()) else {
        return;
    };
    let server = S3Server::start(232);
    let setup = Setup::new(&with(&nats, &server, "nats_creds_file = \"user.creds\"\n"));
    keep(&setup, "user.creds", &operator.user(&rights(None)));
    is_kept(&setup, &server, 232);
    let may_not = "Permissions Violation for Publish to \"$JS.API.STREAM.";
    for without in ["INFO", "PURGE"] {
        keep(&setup, "user.creds", &operator.user(&rights(Some(without))));
        let request = format!("{may_not}{without}.{STREAM}");
        is_refused_by(&["check"], &setup, &["lacks a right", &request]);
    }
    let mut mute = rights(None);
    mute.publish.remove(0);
    keep(&setup, "user.creds", &operator.user(&mute));
    is_refused(&setup, &["lacks a right", "lakehook.main.events"]);
    let mut deaf = rights(None);
    deaf.subscribe = vec!["other.>".to_owned()];
    keep(&setup, "user.creds", &operator.user(&deaf));
    is_refused_by(&["check"], &setup, &["lacks a right", "_INBOX"]);
    let over = Rights {
        seconds: Some(-5),
        ..rights(None)
    };
    keep(&setup, "user.creds", &operator.user(&over));
    is_refused(&setup, &["its JWT has expired at"]);
    keep(&setup, "user.creds", &Operator::new().user(&rights(None)));
    is_refused(&setup, &["refuses the user of wal.nats_creds_file"]);
    keep(&setup, "user.creds", "user = secret");
    is_refused(&setup, &["wal.nats_creds_file", "no seed"]);
    setup.configure(&with(&nats, &server, ""));
    is_refused(&setup, &["wal.nats_creds_file"]);
}

/// Credentials that end while the service runs are replaced in the file, and nobody notices.
#[test]
fn credentials_are_renewed_without_a_restart() {
    let operator = Operator::new();
    let Some(nats) = guarded(operator.config()) else {
        return;
    };
    let server = S3Server::start(233);
    let setup = Setup::new(&with(&nats, &server, "nats_creds_file = \"user.creds\"\n"));
    let short = Rights {
        seconds: Some(4),
        ..rights(None)
    };
    keep(&setup, "user.creds", &operator.user(&short));
    let program = setup.start();
    let load = Load::start(plan(&setup, 233));
    load.wait_acknowledged(100, Duration::from_secs(60));
    super::wait_unready(&setup);
    let before = load.acknowledged();
    keep(&setup, "user.creds", &operator.user(&rights(None)));
    load.wait_acknowledged(before + 100, Duration::from_secs(60));
    let said = setup.stderr();
    assert!(said.contains("there is no connection"), "{said}");
    let report = load.finish(Duration::from_secs(60));
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    check(&report, &Lake::s3("s3://lake", &server.endpoint()));
}

/// The servers know the public key of a user; its seed is all that the file has.
#[test]
fn a_user_with_a_bare_key_keeps_a_log() {
    let user = KeyPair::new_user();
    let more = format!(
        "authorization {{ users: [{{ nkey: \"{}\" }}] }}\n",
        user.public_key()
    );
    let Some(nats) = guarded(more) else { return };
    let server = S3Server::start(234);
    let setup = Setup::new(&with(&nats, &server, "nats_creds_file = \"user.nk\"\n"));
    keep(&setup, "user.nk", &format!("{}\n", user.seed().unwrap()));
    is_kept(&setup, &server, 234);
    let other = KeyPair::new_user().seed().unwrap();
    keep(&setup, "user.nk", &other);
    is_refused(&setup, &["refuses the user of wal.nats_creds_file"]);
}
