//! Files of tokens and secrets are followed while the service runs.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use super::{PATH, body, click, connect};
use crate::arrival::STOP_LIMIT;
use crate::support::http::Connection;
use crate::support::process::Setup;

/// The files are looked at every ten seconds.
const SOON: Duration = Duration::from_secs(40);

fn write(setup: &Setup, name: &str, text: &str) {
    let file = setup.directory().join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn send(connection: &mut Connection, path: &str, token: &str) -> u16 {
    let headers = [
        ("content-type", "application/json"),
        ("authorization", token),
        ("x-gitlab-token", token),
    ];
    let body = body(&[click(1)]);
    let answer = connection.request("POST", path, &headers, body.as_bytes());
    answer.unwrap().status
}

fn until(mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < SOON, "the files are not followed");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn new_secrets_are_taken_and_old_ones_refused_without_a_restart() {
    let setup = Setup::new(
        "[server]\ntokens = [\"always-the-same-token\"]\ntokens_file = \"tokens\"\n[lake]\nurl = \"lake\"\n\
         [wal]\nmax_bytes = \"64 MiB\"\n\
         [hook.lab]\nscheme = \"gitlab\"\nsecrets_file = \"lab\"\n\
         [hook.own]\nauth = [{ type = \"bearer\", secrets_file = \"own\" }]\n",
    );
    for name in ["tokens", "lab", "own"] {
        write(&setup, name, "the-first-token-of-all\n");
    }
    let program = setup.start();
    // One connection from before to after.
    let mut open = connect(&setup);
    let first = "Bearer the-first-token-of-all";
    let second = "Bearer the-second-token-of-all";
    assert_eq!(send(&mut open, PATH, first), 200);
    assert_eq!(
        send(&mut open, "/webhook/lab", "the-first-token-of-all"),
        200
    );
    assert_eq!(send(&mut open, "/webhook/own", second), 401);

    // A file that breaks a rule changes nothing, and is said once.
    write(&setup, "tokens", "short\n");
    write(&setup, "own", "the-second-token-of-all\n");
    program.hang_up();
    until(|| setup.stderr().contains("cannot be reloaded"));
    assert_eq!(send(&mut open, PATH, first), 200);
    assert_eq!(send(&mut open, "/webhook/own", second), 401);

    // At once on SIGHUP, …
    write(&setup, "tokens", "the-second-token-of-all\n");
    program.hang_up();
    until(|| send(&mut connect(&setup), PATH, second) == 200);
    assert_eq!(send(&mut open, PATH, first), 401);
    assert_eq!(send(&mut open, PATH, "Bearer always-the-same-token"), 200);
    assert_eq!(send(&mut open, "/webhook/own", second), 200);
    assert_eq!(send(&mut open, "/webhook/own", first), 401);
    // … and otherwise by itself.
    write(&setup, "lab", "the-second-token-of-all\n");
    until(|| {
        send(
            &mut connect(&setup),
            "/webhook/lab",
            "the-second-token-of-all",
        ) == 200
    });
    assert_eq!(
        send(&mut open, "/webhook/lab", "the-first-token-of-all"),
        401
    );
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    let said = setup.stderr();
    assert!(said.contains("tokens and secrets reloaded"), "{said}");
    assert!(
        !said.contains("-token-of-all") && !said.contains("short"),
        "{said}"
    );
}
