//! What an operator meets at the door: colours, limits of the machine, and papers that say the truth.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::arrival::STOP_LIMIT;
use crate::http::{body, click, post};
use crate::support::http;
use crate::support::process::Setup;
use crate::support::python::{python, repository};

/// Runs a program on a terminal of 100 columns. Ctrl-C is typed once the program has written the text of `UNTIL`.
const TERMINAL: &str = "import fcntl, os, pty, struct, sys, termios
until = os.environ.pop('UNTIL', '').encode()
said = b''
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
    said += data
    if until and until in said:
        os.write(fd, b'\\x03')
        until = b''
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
fn a_start_on_a_terminal_says_what_to_send_and_when_it_lands() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let said = on_a_terminal(
        &setup,
        &["serve"],
        &[("TERM", "xterm"), ("UNTIL", "with Ctrl-C.")],
    );
    assert!(
        said.contains("stopped; everything is in the lake"),
        "{said}"
    );
    assert!(
        said.contains("after 300s at most (batch.max_age)"),
        "{said}"
    );
    let said = said.replace("\r\n", "\n");
    let (_, command) = said.split_once("in another terminal:\n").unwrap();
    let (command, _) = command.split_once("\nIt is in the lake").unwrap();
    // The command works as it is printed; every line fits the terminal.
    let program = setup.start();
    let sent = Command::new("sh").args(["-c", command]).output().unwrap();
    let answer = String::from_utf8_lossy(&sent.stdout);
    assert!(answer.contains("\"accepted\":1"), "{command}\n{answer}");
    assert!(command.lines().all(|line| line.len() <= 100), "{command}");
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
    // Elsewhere nothing is printed.
    let mut quiet = setup.command(&["serve"]);
    quiet.stdout(Stdio::piped()).stderr(Stdio::null());
    let quiet = quiet.spawn().unwrap();
    let begun = Instant::now();
    while !http::get(setup.address(), "/ready").is_ok_and(|answer| answer.status == 200) {
        assert!(begun.elapsed() < Duration::from_secs(20), "not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    let process = Pid::from_raw(i32::try_from(quiet.id()).unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    assert_eq!(quiet.wait_with_output().unwrap().stdout, b"");
}

#[test]
fn a_start_names_the_keys_that_the_environment_overrules() {
    let setup = Setup::new("[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n");
    let setup = setup.env("LAKEHOOK_BATCH__MAX_AGE", "7s");
    let program = setup.start();
    let said = setup.stderr();
    let line = said
        .lines()
        .find(|line| line.contains("these keys are set by the environment"));
    let line = line.unwrap_or_else(|| panic!("{said}"));
    for key in ["batch.max_age", "server.listen"] {
        assert!(line.contains(key), "{line}");
    }
    assert!(!line.contains("wal.max_bytes"), "{line}");
    assert!(program.stop(STOP_LIMIT).success(), "{}", setup.stderr());
}

#[test]
fn attempts_to_reach_an_api_are_told_on_every_terminal_while_they_go_on() {
    let setup = Setup::new(
        "[lake]\nurl = \"lake\"\n[wal]\nmax_bytes = \"64 MiB\"\n[polls]\nmax_bytes = \"64 MiB\"\n\
         [poll.users]\nurl = \"http://127.0.0.1:9/users\"\nid = \"id\"\nbudget = \"15m\"\n",
    );
    for terminal in ["xterm", "dumb"] {
        let begun = Instant::now();
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
