//! `lakehook init`: writes a configuration to begin with. It is lakehook.toml of the repository: the sections that
//! are needed, with each key and its default as a comment, and what the arguments decide as settings.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use crate::cli::exit::Failure;
use crate::config::{LakeUrl, SchemeName};
use crate::encode::Format;
use crate::out;

/// Every key with its default and what it means.
const TEMPLATE: &str = include_str!("../../../lakehook.toml");
/// The sections that every configuration is given.
const USUAL: [&str; 6] = ["server", "lake", "wal", "batch", "events", "log"];
/// Where comments begin behind keys.
const COMMENT_COLUMN: usize = 34;

/// Arguments of `lakehook init`.
#[derive(Debug, Args)]
pub struct InitFileArgs {
    /// The lake: a directory, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "URL")]
    lake: Option<String>,
    /// The address to listen on; beyond this machine it needs tokens
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// What events must look like: typed, or open for any JSON
    #[arg(long, value_name = "KIND", value_parser = ["typed", "open"])]
    contract: Option<String>,
    /// The format of objects: ndjson.zst, ndjson.gz, ndjson or parquet
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// A provider that sends webhooks, such as github; may be given again
    #[arg(long = "hook", value_name = "PROVIDER")]
    hooks: Vec<String>,
    /// Every section that there is, as comments
    #[arg(long)]
    all: bool,
    /// Print it instead
    #[arg(long)]
    print: bool,
}

/// Writes the file, unless there is one.
pub fn run(config: Option<&Path>, args: &InitFileArgs) -> Result<ExitCode, Failure> {
    let wanted = Wanted::of(args)?;
    let text = wanted.text(TEMPLATE);
    if args.print {
        out::line(text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let variable = std::env::var_os("LAKEHOOK_CONFIG").map(PathBuf::from);
    let file = config.map(Path::to_owned).or(variable);
    let file = file.unwrap_or_else(|| PathBuf::from("lakehook.toml"));
    write_new(&file, &text)?;
    out::line(format_args!("{} is written. Next:", file.display()));
    for step in wanted.next_steps() {
        out::line(format_args!("  {step}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there yet.
#[allow(
    clippy::disallowed_methods,
    reason = "the configuration is a person's file, and nothing durable"
)]
fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let mut opened = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Failure::Usage(format!(
                "{} is there already, and is left as it is; give another place with --config, or --print",
                file.display()
            )));
        }
        opened => opened.with_context(|| format!("failed to write {}", file.display()))?,
    };
    let written = opened.write_all(text.as_bytes());
    written.with_context(|| format!("failed to write {}", file.display()))?;
    Ok(())
}

/// What the arguments decide.
#[derive(Debug, Default)]
struct Wanted {
    /// Values in TOML, by section and key.
    settings: BTreeMap<(&'static str, &'static str), String>,
    hooks: Vec<String>,
    all: bool,
}

impl Wanted {
    fn of(args: &InitFileArgs) -> Result<Self, Failure> {
        let mut wanted = Self {
            all: args.all,
            ..Self::default()
        };
        let mut set = |section, key, value: &str| {
            let value = serde_json::Value::from(value).to_string();
            wanted.settings.insert((section, key), value);
        };
        if let Some(lake) = &args.lake {
            LakeUrl::parse(lake).map_err(|error| Failure::Usage(format!("--lake {error}")))?;
            set("lake", "url", lake);
        }
        if let Some(listen) = &args.listen {
            set("server", "listen", &listen.to_string());
            if !listen.ip().is_loopback() {
                set("server", "tokens_file", "tokens");
            }
        }
        if let Some(contract) = &args.contract {
            set("events", "contract", contract);
        }
        if let Some(format) = &args.format {
            if Format::parse(format).is_none() {
                return Err(Failure::Usage(format!(
                    "--format {format:?} must be one of ndjson.zst, ndjson.gz, ndjson, parquet"
                )));
            }
            set("batch", "format", format);
        }
        for hook in &args.hooks {
            if !SchemeName::names().contains(&&**hook) {
                return Err(Failure::Usage(format!(
                    "--hook {hook:?} must be one of {}",
                    SchemeName::names().join(", ")
                )));
            }
            if !wanted.hooks.contains(hook) {
                wanted.hooks.push(hook.clone());
            }
        }
        Ok(wanted)
    }

    /// The configuration that follows from a template.
    fn text(&self, template: &str) -> String {
        let mut text = String::new();
        // What stands before the first section is about all of them.
        let mut is_wanted = true;
        let mut section = "";
        for line in template.lines() {
            if let Some(name) = name_of_section(line) {
                is_wanted = self.all || USUAL.contains(&name);
                if is_wanted && name == "log" {
                    text.push_str(&self.hook_sections());
                }
                section = name;
            } else if is_commented_out(line) {
                is_wanted = self.all;
            }
            if is_wanted {
                text.push_str(&self.line(section, line));
                text.push('\n');
            }
        }
        text
    }

    /// A line of the template: a key becomes a comment, unless it is decided.
    fn line(&self, section: &str, line: &str) -> String {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, rest)) = bare.split_once(" = ").filter(|(key, _)| is_key(key)) else {
            return line.to_owned();
        };
        let mut settings = self.settings.iter();
        let decided = settings.find(|((of, known), _)| *of == section && *known == key);
        match decided {
            Some((_, value)) => {
                let setting = format!("{key} = {value}");
                match rest.split_once(" # ") {
                    Some((_, comment)) => format!("{setting:<COMMENT_COLUMN$}# {comment}"),
                    None => setting,
                }
            }
            None => format!("# {bare}"),
        }
    }

    fn hook_sections(&self) -> String {
        let section = |hook: &String| {
            let variable = format!("LAKEHOOK_HOOK__{}__SECRETS", hook.to_uppercase());
            format!(
                "[hook.{hook}]                     # docs/hooks.md has every key\n\
                 scheme = \"{hook}\"\n\
                 secrets_file = \"{hook}.secrets\"   # one per line; chmod 600; or the variable {variable}\n\
                 # path = \"/webhook/{hook}\"\n\n"
            )
        };
        self.hooks.iter().map(section).collect()
    }

    fn next_steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        if self.settings.contains_key(&("server", "tokens_file")) {
            steps.push("openssl rand -hex 32 | install -m 0600 /dev/stdin tokens".to_owned());
        }
        for hook in &self.hooks {
            steps.push(format!(
                "install -m 0600 /dev/stdin {hook}.secrets   # and paste what {hook} shows as the secret"
            ));
        }
        steps.push("lakehook check   # says what is wrong or missing".to_owned());
        steps.push("lakehook serve".to_owned());
        steps
    }
}

/// The name of the section that begins in a line.
fn name_of_section(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    Some(name)
}

/// Whether a paragraph about sections begins that stand in the template as comments only.
fn is_commented_out(line: &str) -> bool {
    line.starts_with("#[")
        || line.starts_with("# One section for each")
        || line.starts_with("# What the polls of one")
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    const SMALL: &str = "# About all.\n\n[server]\nlisten = \"127.0.0.1:4000\"         # where\n# tokens_file = \"tokens\"  # one a line\n\
                         max_events = 10_000\n\n[dedup]\nmax_ids = 5\n\n# One section for each provider.\n#[hook.github]\n#scheme = \"a\"\n\n[log]\nlevel = \"info\"\n";

    fn wanted(settings: &[(&'static str, &'static str, &str)], hooks: &[&str]) -> Wanted {
        let settings = settings.iter();
        Wanted {
            settings: settings
                .map(|(section, key, value)| ((*section, *key), (*value).to_owned()))
                .collect(),
            hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(),
            all: false,
        }
    }

    #[test]
    fn keys_become_comments_unless_they_are_decided() {
        let settings = [
            ("server", "listen", "\"0.0.0.0:4000\""),
            ("server", "tokens_file", "\"tokens\""),
        ];
        let text = wanted(&settings, &[]).text(SMALL);
        let expected = "# About all.\n\n[server]\nlisten = \"0.0.0.0:4000\"           # where\n\
                        tokens_file = \"tokens\"            # one a line\n# max_events = 10_000\n\n[log]\n# level = \"info\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn hooks_have_sections_of_their_own() {
        let text = wanted(&[], &["github"]).text(SMALL);
        assert!(text.contains("[hook.github]"), "{text}");
        assert!(
            text.contains("\nsecrets_file = \"github.secrets\""),
            "{text}"
        );
        assert!(
            !text.contains("#scheme") && text.ends_with("[log]\n# level = \"info\"\n"),
            "{text}"
        );
    }

    #[test]
    fn the_template_has_the_keys_that_arguments_decide() {
        let keys = [
            ("lake", "url", "\"s3://my-lake/raw\""),
            ("server", "listen", "\"127.0.0.1:4001\""),
            ("server", "tokens_file", "\"tokens\""),
            ("events", "contract", "\"open\""),
            ("batch", "format", "\"parquet\""),
        ];
        let text = wanted(&keys, &[]).text(TEMPLATE);
        for (_, key, value) in keys {
            let setting = format!("{key} = {value}");
            assert!(
                text.lines().any(|line| line.starts_with(&setting)),
                "{setting}:\n{text}"
            );
        }
        let set = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
        assert_eq!(set.count(), keys.len(), "{text}");
    }
}
