//! The commands with their arguments, and what runs each of them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use super::demo::{run as demo, upstream};
use super::exit::{FAILED, Failure, WRONG_USAGE};
use super::init::{file, poll as init};
use super::quarantine::{look, replay};
use super::wal::cost::run as cost;
use super::wal::{inspect, moving, rescue};
use super::{
    audit, call, check, config, erase, files, find, health, hook, poll, polls, retain, schema,
    serve, shell, sql, torture,
};
use crate::config::{Argument, Config, Loaded};
use crate::serve::home::is_copy;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("LAKEHOOK_COMMIT"),
    ", write-ahead log format 3)"
);

/// Takes webhooks and lands them in a data lake: a 2xx is durable, and in the lake exactly once.
#[derive(Debug, Parser)]
#[command(name = "lakehook", version = VERSION, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration [default: $LAKEHOOK_CONFIG, else ./lakehook.toml if it is there]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: webhook, polls, batches, lake
    Serve(serve::ServeArgs),
    /// Pull entities from the configured REST APIs, once
    Poll(poll::PollArgs),
    /// Send rows of the outboxes to their APIs, once, and store the answers
    Call(call::CallArgs),
    /// Take what is new in the configured inboxes, once
    Files(files::FilesArgs),
    /// See and move what polls remember between their runs
    #[command(subcommand)]
    Polls(polls::PollsCommand),
    /// See it work, with no set-up: a sample system, the service and a local lake in one process
    Demo(demo::DemoArgs),
    /// Run only the sample system that the demo uses
    Upstream(upstream::UpstreamArgs),
    /// Validate configuration and schemas, reach the lake, and say what is wrong
    Check(check::CheckArgs),
    /// Write a configuration with comments, or propose a section of it
    Init(InitArgs),
    /// Show the settings in force, and where each of them comes from
    Config(config::ConfigArgs),
    /// Print the completions of a shell: bash, zsh, fish, elvish or powershell
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(shell::ManArgs),
    /// Print the views and tables that make the lake queryable
    Sql(sql::SqlArgs),
    /// Print the columns found in records of a poll or of files, as a JSON Schema to edit
    Schema(schema::SchemaArgs),
    /// Prove that everything acknowledged is in the lake exactly once
    Audit(audit::AuditArgs),
    /// Say what became of an event: by its id, that of its provider, or that of its request
    Find(find::FindArgs),
    /// Erase rows from the lake, so that the audit goes on adding up
    Erase(erase::EraseArgs),
    /// Remove whole days and old runs from the lake, so that the audit goes on adding up
    Retain(retain::RetainArgs),
    /// Kill, pause, starve and fill real servers here, and see whether the promise holds
    Torture(torture::TortureArgs),
    /// See what was refused, and why; bring it in once it is valid
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Try the webhook of a provider
    #[command(subcommand)]
    Hook(HookCommand),
    /// Look into a write-ahead log, or help one that cannot go on
    #[command(subcommand)]
    Wal(WalCommand),
    /// Ask a running service whether it is ready
    Health(health::HealthArgs),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
struct InitArgs {
    #[command(subcommand)]
    section: Option<InitCommand>,
    #[command(flatten)]
    file: file::InitFileArgs,
}

#[derive(Debug, Subcommand)]
enum InitCommand {
    /// Read one page of a REST API, and print how it could be polled
    Poll(init::InitPollArgs),
}

#[derive(Debug, Subcommand)]
enum QuarantineCommand {
    /// What was refused, grouped by reason, rule and place
    List(look::ListArgs),
    /// The rows with their errors and what was refused
    Show(look::ShowArgs),
    /// Judge it again, by the schemas of today, and store what is valid now
    Replay(replay::ReplayArgs),
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    /// Read a body from stdin, and print a curl that sends it as the provider would sign it
    Sign(hook::SignArgs),
}

#[derive(Debug, Subcommand)]
enum WalCommand {
    /// What the log holds
    Info(WalArgs),
    /// Read everything and check it; exit code 1 if anything is wrong
    Verify(WalArgs),
    /// Cut damage out: keep every row that can be read, say which are lost, and set the old files aside
    Repair(rescue::RescueArgs),
    /// Give a copied or restored log a node id of its own, so that it can go on beside the other one
    Adopt(rescue::RescueArgs),
    /// Bring the logs from this disk into what `wal.replica` names, or back
    Move(moving::MoveArgs),
    /// What a log needs and costs a month on a disk, in a bucket and in NATS, by rate and number of nodes
    Cost(cost::CostArgs),
}

#[derive(Debug, Args)]
struct WalArgs {
    /// The log's directory [default: `wal.dir` of the configuration]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Parses the arguments and runs the command. Returns its exit code: 0 if it succeeded, 1 if it failed, 2 for
/// wrong usage or configuration.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _nowhere_to_print = error.print();
            return ExitCode::from(if error.use_stderr() { WRONG_USAGE } else { 0 });
        }
    };
    match cli.dispatch() {
        Ok(code) => code,
        Err(Failure::Usage(message)) => {
            tell(&message);
            ExitCode::from(WRONG_USAGE)
        }
        Err(Failure::Failed(error)) => {
            tell(&format!("lakehook: {error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "the last word of a command that failed"
)]
fn tell(message: &str) {
    eprintln!("{message}");
}

impl Cli {
    fn dispatch(self) -> Result<ExitCode, Failure> {
        let explicit = self.config;
        let load = || load(explicit.as_deref());
        match self.command {
            Command::Serve(args) => {
                let mut loaded = load_with(explicit.as_deref(), &args.settings())?;
                serve::run(&mut loaded, &args)
            }
            Command::Poll(args) => poll::run(&load()?, args),
            Command::Call(args) => call::run(&load()?, args),
            Command::Files(args) => files::run(&load()?, args),
            Command::Polls(command) => polls::run(&load()?, command),
            Command::Demo(args) => demo::run(&args),
            Command::Upstream(args) => upstream::run(args),
            Command::Check(args) => check::run(&load()?, &args),
            Command::Init(args) => match args.section {
                Some(InitCommand::Poll(args)) => init::run(explicit.as_deref(), &args),
                None => file::run(explicit.as_deref(), &args.file),
            },
            Command::Config(args) => Ok(config::run(&load()?, &args)),
            Command::Completions(args) => shell::completions(&args, Self::command()),
            Command::Man(args) => shell::man(&args, Self::command()),
            Command::Audit(args) => audit::run(&load()?, &args),
            Command::Find(args) => find::run(&load()?, &args),
            Command::Erase(args) => erase::run(&load()?, &args),
            Command::Retain(args) => retain::run(&load()?, &args),
            Command::Torture(args) => torture::run(&args),
            Command::Sql(args) => sql::run(&load()?, &args),
            Command::Schema(args) => schema::run(&load()?, args),
            Command::Quarantine(QuarantineCommand::List(args)) => look::list(&load()?, &args),
            Command::Quarantine(QuarantineCommand::Show(args)) => look::show(&load()?, &args),
            Command::Quarantine(QuarantineCommand::Replay(args)) => replay::run(&load()?, args),
            Command::Hook(HookCommand::Sign(args)) => hook::sign(&load()?, &args),
            Command::Wal(WalCommand::Info(args)) => inspect::info(&which_log(args, load)?),
            Command::Wal(WalCommand::Verify(args)) => inspect::verify(&which_log(args, load)?),
            Command::Wal(WalCommand::Repair(args)) => rescue::repair(&load()?, &args),
            Command::Wal(WalCommand::Adopt(args)) => rescue::adopt(&load()?, &args),
            Command::Wal(WalCommand::Move(args)) => moving::run(&load()?, &args),
            Command::Wal(WalCommand::Cost(args)) => cost::run(&args),
            Command::Health(args) => health::run(args, || Ok(load()?.config)),
        }
    }
}

fn load(explicit: Option<&std::path::Path>) -> Result<Loaded, Failure> {
    load_with(explicit, &[])
}

fn load_with(
    explicit: Option<&std::path::Path>,
    arguments: &[Argument],
) -> Result<Loaded, Failure> {
    Config::load(explicit, arguments).map_err(|errors| Failure::Usage(errors.to_string()))
}

fn which_log(
    args: WalArgs,
    load: impl FnOnce() -> Result<Loaded, Failure>,
) -> Result<inspect::Which, Failure> {
    if let Some(dir) = &args.dir
        && !is_copy(dir)?
    {
        return Ok(inspect::Which::Dir(dir.clone()));
    }
    let config = load()?.config;
    let dir = args.dir.unwrap_or_else(|| config.wal.dir.clone());
    Ok(inspect::Which::Configured(Box::new(config), dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
