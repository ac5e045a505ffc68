//! `lakehook quarantine`: what was refused and why, read from the lake alone.

use std::collections::BTreeMap;
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
use crate::replay::marks::{Marks, Replayed};
use crate::replay::{EventCounts, node_of};
use crate::telemetry::{self, LogFormat};

/// Groups beyond this number are counted as one, because senders choose the places of errors.
const MAX_GROUPS: usize = 1_000;
/// Groups are distinguished by this many characters of a place, because senders choose its length too.
const MAX_POINTER_CHARS: usize = 200;
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

/// What distinguishes one kind of refusal from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Kind {
    stream: String,
    reason: String,
    /// The rule of the first error.
    code: String,
    /// The place of that error, with `*` for positions in arrays.
    pointer: String,
}

#[derive(Debug, Serialize)]
struct Group {
    #[serde(flatten)]
    kind: Kind,
    rows: u64,
    first_received_at: String,
    last_received_at: String,
    /// The LSN of one of the rows, for `quarantine show`.
    example_lsn: u64,
    example_key: String,
}

/// Runs `quarantine list`.
pub fn list(loaded: &Loaded, args: &ListArgs) -> Result<ExitCode, Failure> {
    let mut groups: BTreeMap<Kind, Group> = BTreeMap::new();
    let mut replayed: u64 = 0;
    let mut take = |key: &str, row: Kept, done: Option<Replayed>| {
        if done.is_some() && !args.all {
            replayed += 1;
        } else {
            add(&mut groups, key, &row);
        }
        Ok(true)
    };
    look(&loaded.config, &args.which, None, &mut take)?;
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| (b.rows, &a.kind).cmp(&(a.rows, &b.kind)));
    if args.json {
        out::line(serde_json::to_string_pretty(&groups)?);
        return Ok(ExitCode::SUCCESS);
    }
    print(&groups);
    if replayed > 0 {
        out::line(format_args!(
            "Left out are {replayed} rows that were replayed; --all counts them."
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(groups: &[Group]) {
    let Some(first) = groups.first() else {
        out::line("Nothing of that kind is in the quarantine.");
        return;
    };
    out::line(
        "     rows  stream        reason           rule                     place                         last received",
    );
    for Group {
        kind,
        rows,
        last_received_at,
        ..
    } in groups
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

fn add(groups: &mut BTreeMap<Kind, Group>, key: &str, row: &Kept) {
    let first = row.errors.first();
    let mut kind = Kind {
        stream: row.stream.clone(),
        reason: row.reason.clone(),
        code: first.map_or("-", |error| &error.code).to_owned(),
        pointer: first.map_or_else(|| "-".to_owned(), |error| any_position(&error.pointer)),
    };
    if groups.len() >= MAX_GROUPS && !groups.contains_key(&kind) {
        "(other places)".clone_into(&mut kind.pointer);
    }
    let group = groups.entry(kind.clone()).or_insert_with(|| Group {
        kind,
        rows: 0,
        first_received_at: row.received_at.clone(),
        last_received_at: String::new(),
        example_lsn: row.lsn,
        example_key: key.to_owned(),
    });
    group.rows += 1;
    if row.received_at < group.first_received_at {
        group.first_received_at.clone_from(&row.received_at);
    }
    if row.received_at > group.last_received_at {
        group.last_received_at.clone_from(&row.received_at);
    }
}

/// Replaces every number in a pointer by `*`, so that `/events/3/user_id` and `/events/4/user_id` are the
/// same place. Long pointers are cut.
pub(super) fn any_position(pointer: &str) -> String {
    let end = pointer.char_indices().nth(MAX_POINTER_CHARS);
    let pointer = &pointer[..end.map_or(pointer.len(), |(at, _)| at)];
    let parts = pointer.split('/').map(|part| {
        let is_position = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_position { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
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
        out::line(format_args!(
            "  {}: {}: {}",
            plain(&error.pointer),
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
    fn positions_in_arrays_are_one_place() {
        assert_eq!(any_position("/events/31/p/7x"), "/events/*/p/7x");
        assert_eq!(any_position(""), "");
        assert_eq!(any_position("/"), "/");
        let long = format!("/{}", "é".repeat(1_000));
        assert_eq!(any_position(&long), long[..2 * MAX_POINTER_CHARS - 1]);
    }

    #[test]
    fn what_was_refused_cannot_steer_a_terminal() {
        assert_eq!(plain("é\u{1b}[2J\n\u{9b}"), "é\\u{1b}[2J\\n\\u{9b}");
    }
}
