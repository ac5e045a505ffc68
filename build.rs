//! Notes which commit is built, and when it was made: `--version` tells the one, and a clock that
//! shows an earlier time than the other is wrong.

use std::process::Command;

fn main() {
    let commit = git(&["log", "-1", "--format=%h"]).unwrap_or_else(|| "unknown".to_owned());
    let seconds = git(&["log", "-1", "--format=%ct"]).unwrap_or_else(|| "0".to_owned());
    println!("cargo::rustc-env=LAKEHOOK_COMMIT={commit}");
    println!("cargo::rustc-env=LAKEHOOK_COMMIT_SECONDS={seconds}");
    // A linked work tree has its HEAD elsewhere, and without git there is none. If a path that is named here is
    // missing, cargo compiles the package anew each time.
    if let Some(head) = git(&["rev-parse", "--git-path", "HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
