//! What an operator meets at the door: colours, limits of the machine, and papers that say the truth.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, post};
use crate::support::process::Setup;
use crate::support::python::{python, repository};

/// Runs a program on a terminal of 100 columns.
const TERMINAL: &str = "import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 100, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    os.write(1, data)
os.waitpid(pid, 0)
";

/// What a command writes on a terminal, with these variables.
fn on_a_terminal(setup: &Setup, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let typed = setup.command(arguments);
    let mut command = Command::new(python());
    command
        .args(["-c", TERMINAL])
        .arg(typed.get_program())
        .args(typed.get_args())
        .current_dir(setup.directory())
        .env_clear();
    for (name, value) in typed.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn colours_are_for_terminals_whose_owners_want_them() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let _program = setup.start();
    // A second service says something, and ends.
    let said = |value: &str| {
        on_a_terminal(
            &setup,
            &["serve"],
            &[("TERM", "xterm"), ("NO_COLOR", value)],
        )
    };
    let plain = said("1");
    assert!(
        plain.contains(" INFO ") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
    let coloured = said("");
    assert!(coloured.contains("\u{1b}[32m INFO"), "{coloured:?}");
}

#[test]
fn attempts_to_reach_an_api_are_told_on_every_terminal_while_they_go_on() {
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.users]\nurl = \"http://127.0.0.1:9/users\"\nid = \"id\"\nbudget = \"15m\"\n",
    );
    for terminal in ["xterm", "dumb"] {
        let begun = std::time::Instant::now();
        let said = on_a_terminal(&setup, &["poll", "--dry-run"], &[("TERM", terminal)]);
        assert!(
            said.contains("for another try (page 1: failed to connect"),
            "{terminal}: {said:?}"
        );
        // A try-out does not use up the time of a run.
        assert!(begun.elapsed() < Duration::from_secs(30), "{terminal}");
    }
}

#[test]
fn a_lack_of_descriptors_is_told_once_and_not_for_each_connection() {
    const LIMIT: usize = 90;
    let dir = tempfile::tempdir().unwrap();
    let limited = dir.path().join("limited");
    let program = env!("CARGO_BIN_EXE_lakehook");
    std::fs::write(
        &limited,
        format!("#!/bin/sh\nulimit -n {LIMIT}\nexec {program} \"$@\"\n"),
    )
    .unwrap();
    std::fs::set_permissions(&limited, std::fs::Permissions::from_mode(0o755)).unwrap();
    let setup =
        Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n").program(&limited);
    let program = setup.start();
    let connections: Vec<TcpStream> = (0..2 * LIMIT)
        .map(|_| TcpStream::connect(setup.address()).unwrap())
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let told = setup
        .stderr()
        .matches("failed to accept a connection")
        .count();
    assert_eq!(told, 1, "{}", setup.stderr());
    assert!(setup.stderr().contains("LimitNOFILE"), "{}", setup.stderr());
    drop(connections);
    assert_eq!(post(&setup, body(&[click(1)])).status, 200);
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

#[test]
fn the_policy_of_a_key_lets_encrypt_and_read_back_and_the_page_names_it() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let policy: serde_json::Value =
        serde_json::from_str(&read("deploy/iam-policy-kms.json")).unwrap();
    let actions = &policy["Statement"][0]["Action"];
    assert_eq!(
        *actions,
        serde_json::json!(["kms:GenerateDataKey", "kms:Decrypt"])
    );
    let page = read("docs/operations.md");
    assert!(
        page.contains("iam-policy-kms.json") && page.contains("lake.kms_key_id"),
        "{page}"
    );
}

#[test]
fn completions_are_those_that_shells_take() {
    let setup = Setup::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = setup.run(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("quarantine") && text.contains("find"),
            "{shell}: {text}"
        );
        if shell == "bash" {
            let path = setup.directory().join("completions.bash");
            std::fs::write(&path, &text).unwrap();
            let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
            assert!(checked.status.success(), "{checked:?}");
        }
    }
    let output = setup.run(&["man"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(".TH lakehook 1"),
        "{output:?}"
    );
}
