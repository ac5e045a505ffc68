//! `lakehook quarantine`: what was refused and why, read from the lake alone.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use tracing::level_filters::LevelFilter;

use super::kept::{Which, each};
use crate::cli::exit::Failure;
use crate::cli::runtime::runtime;
use crate::config::{Config, Loaded};
use crate::lake::reader::LakeReader;
use crate::out;
use crate::replay::kept::Kept;
use crate::replay::kinds::{Kind, KindCount, Kinds};
use crate::replay::marks::{Marks, Replayed};
use crate::replay::{EventCounts, node_of};
use crate::telemetry::{self, LogFormat};

/// How many characters of the refused input are shown on a terminal.
const SHOWN_CHARS: usize = 600;

/// Arguments of `lakehook quarantine list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// Count what was replayed, too
    #[arg(long)]
    all: bool,
    /// Print the groups as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `lakehook quarantine show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// Only the row with this LSN
    #[arg(long, value_name = "LSN")]
    lsn: Option<u64>,
    /// Only rows of this object
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Show at most this many rows
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    limit: usize,
    /// Print the rows as they are, one JSON object a line
    #[arg(long, conflicts_with = "raw")]
    json: bool,
    /// Print the bytes that were refused, of one row; fails if they were cut
    #[arg(long)]
    raw: bool,
}

/// A row as the lake has it, and the result of its replay.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Kept,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<Replayed>,
}

/// Runs `quarantine list`.
pub fn list(loaded: &Loaded, args: &ListArgs) -> Result<ExitCode, Failure> {
    let mut kinds = Kinds::default();
    let mut replayed: u64 = 0;
    let mut take = |key: &str, row: Kept, done: Option<Replayed>| {
        if done.is_some() && !args.all {
            replayed += 1;
        } else {
            kinds.add(key, &row);
        }
        Ok(true)
    };
    look(&loaded.config, &args.which, None, &mut take)?;
    let kinds = kinds.sorted();
    if args.json {
        out::line(serde_json::to_string_pretty(&kinds)?);
        return Ok(ExitCode::SUCCESS);
    }
    print(&kinds);
    if replayed > 0 {
        out::line(format_args!(
            "Left out are {replayed} rows that were replayed; --all counts them."
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(kinds: &[KindCount]) {
    let Some(first) = kinds.first() else {
        out::line("Nothing of that kind is in the quarantine.");
        return;
    };
    out::line(
        "     rows  stream        reason           rule                     place                         last received",
    );
    for KindCount {
        kind,
        rows,
        last_received_at,
        ..
    } in kinds
    {
        out::line(format_args!(
            "{rows:>9}  {:<12}  {:<15}  {:<23}  {:<28}  {last_received_at}",
            kind.stream,
            kind.reason,
            kind.code,
            plain(&kind.pointer)
        ));
    }
    let Kind { reason, code, .. } = &first.kind;
    let rule = if code == "-" {
        String::new()
    } else {
        format!(" --code {code}")
    };
    out::line(format_args!(
        "Look at them with: lakehook quarantine show --reason {reason}{rule}"
    ));
}

/// Takes a row, the key of its object, and the result of its replay, if it was replayed; returns `false` to
/// stop.
type Take<'a> = &'a mut dyn FnMut(&str, Kept, Option<Replayed>) -> anyhow::Result<bool>;

/// Passes the selected rows to `take` until it returns `false`.
fn look(config: &Config, which: &Which, only: Option<&str>, take: Take<'_>) -> Result<(), Failure> {
    telemetry::start(LevelFilter::OFF, LogFormat::Text);
    let looking = async {
        let place = LakeReader::open(config.lake.destination()).await;
        let marks = Marks::read(&place).await?;
        let mut take = |key: &str, row: Kept| {
            let replayed = marks.of(node_of(key), row.lsn);
            take(key, row, replayed)
        };
        each(&place, which, only, &mut take).await
    };
    Ok(runtime()?.block_on(looking)?)
}

/// Runs `quarantine show`.
pub fn show(loaded: &Loaded, args: &ShowArgs) -> Result<ExitCode, Failure> {
    // Raw bytes have no separator, so there must be only one row: look for a second one.
    let limit = if args.raw { 2 } else { args.limit.max(1) };
    let mut found = Vec::new();
    let mut shown = 0;
    let matches = |row: &Kept| args.lsn.is_none_or(|lsn| row.lsn == lsn);
    let mut take = |key: &str, row: Kept, replayed: Option<Replayed>| {
        if !matches(&row) {
            return Ok(true);
        }
        if args.raw {
            found.push((key.to_owned(), row));
            return Ok(found.len() < limit);
        }
        shown += 1;
        if args.json {
            out::line(serde_json::to_string(&Shown { row, replayed })?);
        } else {
            tell(key, &row, replayed.as_ref());
        }
        Ok(shown < limit)
    };
    look(&loaded.config, &args.which, args.key.as_deref(), &mut take)?;
    match (args.raw, found.as_slice()) {
        (true, [(_, row)]) => write_raw(row)?,
        (true, []) => return Err(anyhow!("nothing of that kind is in the quarantine").into()),
        (true, [(one, first), (other, second), ..]) => {
            return Err(anyhow!(
                "--raw prints one row, and there are more, such as LSN {} of {one} and LSN {} of {other}; narrow it with --lsn \
                 and --key",
                first.lsn,
                second.lsn
            )
            .into());
        }
        (false, _) if shown == 0 && !args.json => {
            out::line("Nothing of that kind is in the quarantine.");
        }
        (false, _) if shown == limit && !args.json => out::line(format_args!(
            "These are the first {limit}; --limit shows more."
        )),
        (false, _) => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn write_raw(row: &Kept) -> anyhow::Result<()> {
    let bytes = row.bytes()?;
    if bytes.len() as u64 != row.raw_bytes {
        return Err(anyhow!(
            "only {} of its {} bytes were kept (quarantine.max_row); see it with --json",
            bytes.len(),
            row.raw_bytes
        ));
    }
    Ok(out::bytes(&bytes)?)
}

fn tell(key: &str, row: &Kept, replayed: Option<&Replayed>) {
    out::line(format_args!(
        "{}  {} for {} by {}, request {}, from {}",
        row.received_at,
        row.reason,
        row.stream,
        plain(&row.endpoint),
        plain(&row.request_id),
        row.client.as_deref().unwrap_or("nobody known")
    ));
    out::line(format_args!("  LSN {} of {key}", row.lsn));
    if let Some(Replayed { at, counts }) = replayed {
        out::line(format_args!(
            "  replayed at {}: {}",
            plain(at),
            described(counts)
        ));
    }
    for error in &row.errors {
        // An empty pointer is the whole of what was sent.
        let place = match error.pointer.as_str() {
            "" => "all of it".to_owned(),
            pointer => plain(pointer),
        };
        out::line(format_args!(
            "  {place}: {}: {}",
            error.code,
            plain(&error.detail)
        ));
    }
    let told = row.errors.len() as u64;
    if row.errors_total > told {
        out::line(format_args!(
            "  and {} more errors",
            row.errors_total - told
        ));
    }
    let start: String = row.raw.chars().take(SHOWN_CHARS).collect();
    let rest = if start.len() < row.raw.len() {
        " …"
    } else {
        ""
    };
    out::line(format_args!(
        "  {} bytes, {}: {}{rest}",
        row.raw_bytes,
        row.raw_encoding,
        plain(&start)
    ));
}

/// What happened to the events of a replay, in words.
pub(super) fn described(counts: &EventCounts) -> String {
    let EventCounts {
        stored,
        duplicates,
        dropped,
        conflicts,
    } = counts;
    format!(
        "{stored} stored, {duplicates} known already, {dropped} dropped by rule, {conflicts} known with other content"
    )
}

/// Escapes control characters, so that the text cannot steer a terminal.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_cannot_steer_a_terminal() {
        assert_eq!(plain("é\u{1b}[2J\n\u{9b}"), "é\\u{1b}[2J\\n\\u{9b}");
    }
}
