//! Ends a program at its n-th call of the system.

use std::process::{Command, Stdio};

use super::needs::Need;
use super::process::Setup;

/// Whether that can be done here.
pub(crate) fn can_trace() -> bool {
    let works = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        Need::Strace.skip("strace cannot trace a program here");
    }
    works
}

/// Runs a command of the program, which the n-th of these calls of any thread ends. Returns whether it did.
pub(crate) fn killed_at(setup: &Setup, arguments: &[&str], calls: &str, n: u64) -> bool {
    let command = setup.command(arguments);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null"]);
    traced.args(["-e", &format!("trace={calls}")]);
    traced.args(["-e", &format!("inject={calls}:signal=KILL:when={n}")]);
    traced.arg(command.get_program()).args(command.get_args());
    traced.current_dir(setup.directory()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    let output = traced.stdin(Stdio::null()).output().unwrap();
    match output.status.code() {
        // It went on to its end, well or not.
        Some(0 | 1) => false,
        // Ended by SIGKILL, as strace or a shell tells it.
        None | Some(137) => true,
        Some(code) => panic!("exit code {code}: {output:?}"),
    }
}
