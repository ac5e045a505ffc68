//! The `lakehook` program: exit codes and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    lakehook::cli::run()
}
