//! `lakehook completions` and `lakehook man`: what a shell and a reader of manuals need.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::Failure;
use crate::out;

/// Arguments of `lakehook completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completions of a shell.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    out::bytes(&script).map_err(anyhow::Error::from)?;
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `lakehook man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the manual page of the program, or writes those of all commands.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode, Failure> {
    if let Some(dir) = &args.dir {
        let written = clap_mangen::generate_to(command, dir);
        written.with_context(|| format!("failed to write into {}", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(anyhow::Error::from)?;
    out::bytes(&page).map_err(anyhow::Error::from)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn each_command_gets_a_page() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs {
            dir: Some(dir.path().to_owned()),
        };
        let command = Command::new("lakehook").subcommand(Command::new("serve").about("Run it"));
        man(&args, command).map_err(|_| "failed").unwrap();
        let page = std::fs::read_to_string(dir.path().join("lakehook-serve.1")).unwrap();
        assert!(page.contains("Run it"), "{page}");
    }
}
