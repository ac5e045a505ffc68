//! `lakehook init poll`: reads one page and proposes a section.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use reqwest::Url;

use super::fetch::{Sent, page};
use super::section::{Given, Proposal, propose, schema_file, word_of};
use super::write;
use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::out;
use crate::secret::Secret;

/// Names of streams of our own.
const RESERVED: [&str; 3] = ["events", "quarantine", "lake_watermark"];
const MAX_NAME_CHARS: usize = 64;

/// Arguments of `lakehook init poll`.
#[derive(Debug, Args)]
pub struct InitPollArgs {
    /// The URL of the first page, with the parameters that it needs
    url: Url,
    /// A header of the request, such as `X-Team: data`; the value of a secret one is not printed
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// A file with a bearer token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The name of the poll [default: the last word of the URL's path]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Append the section to the configuration, and write the schema to schemas/NAME.json beside it
    #[arg(long)]
    write: bool,
    /// The configuration to append to [default: the one in force, else ./lakehook.toml]
    #[arg(long, value_name = "FILE", requires = "write")]
    out: Option<PathBuf>,
}

/// Reads the page, and prints or writes the proposal.
pub fn run(config: Option<&Path>, args: &InitPollArgs) -> Result<ExitCode, Failure> {
    if !matches!(args.url.scheme(), "http" | "https") {
        return Err(Failure::Usage(
            "the URL must begin with http:// or https://".to_owned(),
        ));
    }
    let headers = headers(&args.headers)?;
    let name = match &args.name {
        Some(name) if is_name(name) => name.clone(),
        Some(name) => {
            return Err(Failure::Usage(format!(
                "--name {name:?}: it must begin with a small letter, and consist of small letters, digits and _, \
                 because it is the stream's name in the lake; {} are names of our own",
                RESERVED.join(", ")
            )));
        }
        None => name_of(&args.url),
    };
    let file = out_file(config, args.out.as_deref());
    let has =
        write::has(&file, &name).with_context(|| format!("failed to read {}", file.display()))?;
    if args.write && has {
        return Err(Failure::Usage(format!(
            "{} has a section [poll.{name}] already; give another --name",
            file.display()
        )));
    }
    let sent = Sent {
        headers: headers
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        token: args.token_file.as_deref().map(token).transpose()?,
    };
    let page = runtime()?.block_on(page(&args.url, &sent))?;
    let token_file = args
        .token_file
        .as_ref()
        .map(std::path::absolute)
        .transpose()?;
    let given = Given {
        schema: args.write.then(|| schema_file(&name)),
        name,
        token_file,
        headers,
    };
    let proposal = propose(&page, &given);
    if args.write {
        write(&file, &given, &proposal)?;
    } else {
        print(&given, &proposal)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, given: &Given, proposal: &Proposal) -> anyhow::Result<()> {
    if let Some(schema) = &proposal.schema {
        let path = write::schema(file, &schema_file(&given.name), schema)?;
        out::line(format_args!("wrote    {}", path.display()));
    }
    write::section(file, &proposal.section)?;
    out::line(format_args!(
        "wrote    [poll.{}] to {}",
        given.name,
        file.display()
    ));
    out::line("next     read what it says, then: lakehook check, lakehook poll --dry-run");
    Ok(())
}

fn print(given: &Given, proposal: &Proposal) -> anyhow::Result<()> {
    out::line(proposal.section.trim_end());
    if let Some(schema) = &proposal.schema {
        out::line(format_args!("\n# {}:", schema_file(&given.name)));
        for line in serde_json::to_string_pretty(schema)?.lines() {
            out::line(format_args!("# {line}"));
        }
    }
    Ok(())
}

/// The configuration that a section is appended to.
fn out_file(config: Option<&Path>, out: Option<&Path>) -> PathBuf {
    let variable = std::env::var_os("LAKEHOOK_CONFIG").map(PathBuf::from);
    let given = out.or(config).map(Path::to_owned).or(variable);
    given.unwrap_or_else(|| PathBuf::from("lakehook.toml"))
}

fn headers(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pairs = texts.iter().map(|text| {
        let pair = text.split_once(':');
        let (name, value) = pair.ok_or_else(|| {
            // The text may be a secret, and is not shown.
            Failure::Usage("--header must have the form \"Name: value\"".to_owned())
        })?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

fn token(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("failed to read {}", file.display()))?;
    Ok(Secret::new(text.trim()))
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_plain)
        && name.len() <= MAX_NAME_CHARS
        && !RESERVED.contains(&name)
}

/// A name for the poll of a URL.
pub(super) fn name_of(url: &Url) -> String {
    let word = word_of(url).to_ascii_lowercase();
    let plain = word
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let plain: String = plain.take(MAX_NAME_CHARS).collect();
    let named = format!("{}_records", plain.trim_matches('_'));
    let candidates = [plain, named];
    let name = candidates.into_iter().find(|name| is_name(name));
    name.unwrap_or_else(|| "records".to_owned())
}
